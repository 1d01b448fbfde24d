"""The distillation stage: a dataset's items become knowledge records.

Remote models are asked by `llm.concurrency` threads, one item each; the offline reasoner runs in line. Rows come out in
the order of the items either way. Every answer is in the cache before anything is made of it, so a killed run repeats
no call, and its table has the same bytes as that of a run that was never killed.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from reaseq import progress, schema
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import Json, RunConfig
from reaseq.knowledge.agents import Agents
from reaseq.knowledge.canonical import demand_text, item_text
from reaseq.knowledge.catalogue import CatalogueItem, read_catalogue
from reaseq.knowledge.council import Council, Finding
from reaseq.knowledge.grounding import grounded
from reaseq.knowledge.prompts import templates
from reaseq.llm import AnswerCache, CachedChatModel, ChatModel, CostLedger, Decoding, connect

_FREE_BATCH = 64
"""Answers per commit where they cost nothing."""


def check_llm(config: RunConfig) -> None:
    """Find out, before anything is made, whether distillation can ask its model.

    Raises:
        LlmError: the endpoint can't be reached, wants a key or does not serve the model.
        KnowledgeError: the prompt version is unknown.
    """
    templates(config.knowledge.prompt_version)
    connect(config.llm).check()


def distill(config: RunConfig, dataset: Artifact, out: Path, workspace: Workspace) -> Artifact:
    """Make the knowledge artifact of a dataset.

    Files: `knowledge.parquet` (`schema.KNOWLEDGE`, in the order of items), `quarantine.jsonl` (one line for each item
    whose input or answers the guard objected to, or that fell back to its title).

    Raises:
        LlmError: the model can't be asked; answers that arrived are kept, and the next start goes on from there.
        KnowledgeError: the prompt version is unknown, or the dataset's tables do not fit together.
    """
    templates(config.knowledge.prompt_version)
    ledger = CostLedger()
    model = connect(config.llm, on_retry=ledger.retried)

    def write(draft: Draft) -> None:
        model.check()
        catalogue = read_catalogue(
            dataset.table("items.parquet"),
            dataset.table("interactions.parquet", ["user_id", "item_id", "rating", "split"]),
            co_bought=config.knowledge.co_bought,
            description_tokens=config.knowledge.description_tokens,
            positive_rating=config.data.positive_rating,
        )
        with AnswerCache(workspace.llm_cache, batch=_FREE_BATCH if model.backend == "offline" else 1) as cache:
            council = _council(config, CachedChatModel(model, cache, ledger))
            threads = 1 if model.backend == "offline" else config.llm.concurrency
            found = list(progress.track(_deliberate(council, catalogue, threads), "distilling", len(catalogue)))
        _write(draft, config, model, catalogue, found)
        draft.facts.update(ledger.facts())

    return build(
        out,
        kind="knowledge",
        config=_key(config, model),
        inputs={"dataset": dataset},
        write=write,
        workspace=workspace,
    )


def _key(config: RunConfig, model: ChatModel) -> Json:
    """What the records depend on: neither seed nor threads, and of the endpoint only the model."""
    return {
        "knowledge": config.knowledge.model_dump(mode="json"),
        "llm": {
            "identity": model.identity,
            "temperature": config.llm.temperature,
            "max_tokens": config.llm.max_tokens,
        },
        "prompts": templates(config.knowledge.prompt_version),
        "positive_rating": config.data.positive_rating,
        "code": _code_digest(),
    }


def _code_digest() -> str:
    """sha256 of this package's code: a changed guard or wording makes the records anew, from answers that are kept."""
    hashed = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        hashed.update(file.read_bytes())
    return hashed.hexdigest()


def _council(config: RunConfig, model: CachedChatModel) -> Council:
    decoding = Decoding(config.llm.temperature, config.llm.max_tokens)
    agents = Agents(model, config.knowledge.prompt_version, decoding, config.knowledge.attempts)
    return Council(agents, critic=config.knowledge.critic)


def _deliberate(council: Council, catalogue: list[CatalogueItem], threads: int) -> Iterator[Finding]:
    if threads == 1:
        yield from (council.deliberate(item.data) for item in catalogue)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="distill") as pool:
        try:
            yield from pool.map(council.deliberate, [item.data for item in catalogue])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # the first failure ends the stage; what runs finishes
            raise


def _write(
    draft: Draft, config: RunConfig, model: ChatModel, catalogue: list[CatalogueItem], found: list[Finding]
) -> None:
    rows = [_row(config, model, item, finding) for item, finding in zip(catalogue, found, strict=True)]
    draft.write_table("knowledge.parquet", pa.Table.from_pylist(rows, schema=schema.KNOWLEDGE), schema.KNOWLEDGE)
    with (draft.path / "quarantine.jsonl").open("w", encoding="utf-8") as file:
        for item, finding in zip(catalogue, found, strict=True):
            for entry in _incidents(item, finding):
                file.write(json.dumps({"item_id": item.item_id, **entry}, ensure_ascii=False) + "\n")
    draft.facts.update(_metrics(catalogue, found))


def _row(config: RunConfig, model: ChatModel, item: CatalogueItem, finding: Finding) -> dict[str, Any]:
    limit = config.knowledge.text_tokens
    ok = finding.status == "ok"
    provenance = schema.Provenance(
        backend=model.backend,
        model=model.identity,
        prompt_version=config.knowledge.prompt_version,
        cache_keys=tuple(finding.minutes.keys),
        prompt_tokens=finding.minutes.prompt_tokens,
        completion_tokens=finding.minutes.completion_tokens,
        dropped_fields=tuple(finding.dropped),
        reason=finding.reason,
    )
    return {
        "item_id": item.item_id,
        "status": finding.status,
        "item_view": finding.item.model_dump_json(),
        "demand_view": json.dumps([d.model_dump(mode="json") for d in finding.demands], ensure_ascii=False),
        "item_text": (item_text(finding.item, limit) or item.title) if ok else item.title,
        "demand_text": (demand_text(finding.demands, limit) or item.title) if ok else item.title,
        "reasoning": "\n".join(finding.minutes.thoughts),
        "provenance": provenance.model_dump_json(),
    }


def _incidents(item: CatalogueItem, finding: Finding) -> Iterator[dict[str, str]]:
    for name, cut in item.cuts:
        yield {"reason": "input spoke to the model and was cut", "field": name, "text": cut}
    for name, objection in finding.refused:
        yield {"reason": f"answer held a {objection}", "field": name}
    if finding.status != "ok":
        yield {"reason": finding.reason, "status": finding.status}


def _metrics(catalogue: list[CatalogueItem], found: list[Finding]) -> Json:
    """Shares over items or fields; None where nothing was counted."""
    statuses = Counter(finding.status for finding in found)
    answers = sum(f.minutes.answers for f in found)
    judged = sum(f.judged for f in found)
    words = [grounded(f.item, f.demands, i.data) for i, f in zip(catalogue, found, strict=True) if f.status == "ok"]
    total = sum(w[0] for w in words)
    return {
        "items": len(found),
        "statuses": dict(sorted(statuses.items())),
        "answers": answers,
        "schema_valid": _share(answers - sum(f.minutes.invalid for f in found), answers),
        "critic_pass": _share(sum(f.passed for f in found), judged),
        "critic_fields": judged,
        "grounded": _share(sum(w[2] for w in words), total),
        "grounded_in_input": _share(sum(w[1] for w in words), total),
        "inputs_cut": sum(bool(item.cuts) for item in catalogue),
        "outputs_refused": sum(len(f.refused) for f in found),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None

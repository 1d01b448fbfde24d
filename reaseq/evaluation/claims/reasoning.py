"""C2 and C3: does reasoning by several agents add to the raw text of an item, and is the knowledge good?

C2 compares item vectors that differ in one thing, the texts they were made from. Item-to-item Hit@30 is measured here;
AUC on cold items needs a ranker trained from each. C3 reads what distillation counted about itself and attacks it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reaseq import schema
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import RunConfig
from reaseq.evaluation.claims.evidence import Comparison, Evidence
from reaseq.evaluation.claims.injections import ATTACKS, HELD_OUT, OBEYED
from reaseq.evaluation.claims.intervals import PerUser, difference
from reaseq.knowledge import distill
from reaseq.knowledge.controls import single_knowledge, title_knowledge
from reaseq.representation.behaviors import Behaviors
from reaseq.representation.diagnostics import hits
from reaseq.representation.stage import represent
from reaseq.representation.vectors import ItemVectors

VARIANTS = {
    "title_frozen": "title, frozen",
    "title": "title, aligned",
    "single": "one prompt",
    "no_critic": "no critic",
    "rer": "RER",
}
"""Item vectors by what they were made from; all but the first are aligned to behaviour."""
KNOWLEDGE = ("rer", "no_critic", "single", "title")
"""What item vectors are made from, by the name of the variant; `title_frozen` and `title` share theirs."""
ENOUGH_VALID = 0.95
_STREAM = 0xC2
_TRANSITIONS = 20_000  # looked at; they are drawn once for all variants and seeds
_PERIODS = {"valid": "validation period", "test": "test period"}


def knowledge_variants(
    config: RunConfig, dataset: Artifact, workspace: Workspace, folder: Path, names: Collection[str] = KNOWLEDGE
) -> dict[str, Artifact]:
    """The knowledge artifacts of some of `KNOWLEDGE`, made in `folder` or taken over; a model is asked for no others.

    Raises:
        LlmError: the model can't be asked; answers that arrived are kept.
        KnowledgeError: the prompt version is unknown, or the dataset's tables do not fit together.
    """
    uncritical = _with(config, "knowledge", critic=False)
    made_by = {
        "rer": (distill, config),
        "no_critic": (distill, uncritical),
        "single": (single_knowledge, config),
        "title": (title_knowledge, config),
    }
    return {
        name: make(settings, dataset, folder / name / "knowledge", workspace)
        for name, (make, settings) in made_by.items()
        if name in names
    }


def variants(
    config: RunConfig, dataset: Artifact, workspace: Workspace, folder: Path, names: Sequence[str] = tuple(VARIANTS)
) -> dict[str, Artifact]:
    """The item_vectors artifacts of some of `VARIANTS` under `config.seed`, made in `folder` or taken over.

    Raises:
        LlmError, KnowledgeError, EncoderUnavailableError, RepresentationError: as of the two stages.
    """
    sources = {name: "title" if name == "title_frozen" else name for name in names}
    knowledge = knowledge_variants(config, dataset, workspace, folder, set(sources.values()))
    frozen = _with(config, "representation", align_steps=0)
    made = {}
    for name, source in sources.items():
        settings = frozen if name == "title_frozen" else config
        made[name] = represent(settings, dataset, knowledge[source], folder / name / "item_vectors", workspace)
    return made


def item_to_item(
    config: RunConfig, dataset: Artifact, runs: Sequence[Mapping[str, Artifact]]
) -> tuple[list[Comparison], dict[str, Any]]:
    """Item-to-item Hit@30 of `rer` against every other variant, for claim C2.

    A transition is a behaviour and the next one of the same user; it is a hit if the next item is among the 30 nearest
    of the item before. Users are drawn with replacement, and alignment seeds where there are several.

    Args:
        config: `data.positive_rating`, `evaluation.bootstrap` and the seed are read.
        dataset: whose validation and test periods are looked at.
        runs: `variants` under each alignment seed.

    Returns:
        The comparisons, of which the one with the aligned title in the test period decides, and the evidence's figures:
        a table of Hit@30 by variant and period.
    """
    behaviors = Behaviors.read(dataset, config.data.positive_rating)
    items = dataset.table("items.parquet", ["item_id"]).num_rows
    cold = np.bincount(behaviors.of("train").item, minlength=items) == 0
    vectors = [{name: ItemVectors.open(made).z[1:] for name, made in run.items()} for run in runs]
    comparisons: list[Comparison] = []
    table: dict[str, dict[str, float]] = {name: {} for name in VARIANTS if all(name in run for run in vectors)}
    for split, period in _PERIODS.items():
        users, pairs = _drawn(*behaviors.transitions(split), config.seed)
        for where, kept in ((period, np.ones(len(pairs), bool)), (f"{period}, cold next item", cold[pairs[:, 1]])):
            of = {name: _per_user([run[name] for run in vectors], users[kept], pairs[kept], config) for name in table}
            for name, measured in of.items():
                table[name][where] = measured.mean
            comparisons += [_compared(config, of, base, where, len(runs)) for base in table if base != "rer"]
    return comparisons, {"item-to-item Hit@30": {VARIANTS[name]: row for name, row in table.items()}}


def knowledge_is_good(
    config: RunConfig, dataset: Artifact, workspace: Workspace, folder: Path, per_attack: int = 10
) -> Evidence:
    """C3: at least 95 % of answers are valid, and no instruction injected into a title changes its record.

    What is obeyed is told beside it and does not decide: a list of words misses "luxurious" after "add the style
    premium", and finds in a changed record what nobody ordered.

    Args:
        config: of the run.
        dataset: whose items are distilled, and whose titles are attacked.
        workspace: where finished artifacts are kept.
        folder: where they are published.
        per_attack: items whose title bears each attack, each of them once if the catalogue is large enough.

    Raises:
        LlmError, KnowledgeError: as of `distill`.
    """
    made = knowledge_variants(config, dataset, workspace, folder, ("rer", "no_critic", "single"))
    facts = made["rer"].facts
    known = attack(config, dataset, workspace, folder / "attacks", ATTACKS, per_attack)
    unknown = attack(config, dataset, workspace, folder / "attacks-held-out", HELD_OUT, per_attack)
    figures = {
        "knowledge": {VARIANTS[name]: _quality(each) for name, each in made.items()},
        "injected titles": {"attacks the guard was made with": known, "attacks held out": unknown},
    }
    valid, titles = facts["schema_valid"], known["titles"] + unknown["titles"]
    obeyed, changed = (known[what] + unknown[what] for what in ("obeyed", "changed"))
    if valid is None:
        return Evidence("C3", "not testable here", "no answer was asked for", (), figures)
    reason = (
        f"{valid:.1%} of {facts['answers']} answers were valid; of {titles} injected titles {obeyed} were obeyed and "
        f"{changed} changed the record ({known['changed']} of {known['titles']} with attacks that the guard was made "
        f"with, {unknown['changed']} of {unknown['titles']} with attacks held out)"
    )
    if config.llm.backend == "offline":
        reason += (
            "; with the offline reasoner this measures the bundled ontology's pipeline, not a large language model"
        )
    return Evidence("C3", "holds" if valid >= ENOUGH_VALID and not changed else "does not hold", reason, (), figures)


def attack(
    config: RunConfig, dataset: Artifact, workspace: Workspace, folder: Path, attacks: Sequence[str], per_attack: int
) -> dict[str, int]:
    """Distil a sample of the dataset's items with their own titles and, beside them, with attacked ones.

    Honest and attacked items stand in one catalogue, so that both are banded and read alike.

    Returns:
        Counts: `titles` attacked; `cut` by the guard as instructions (the markup and role tokens that it takes out are
        not counted); `changed` records; and `obeyed`: records that hold a word of `OBEYED` which the honest item's
        record and title do not hold.
    """

    def write(draft: Draft) -> None:
        rows = dataset.table("items.parquet").to_pylist()
        wanted = per_attack * len(attacks)
        rng = np.random.default_rng([config.seed, _STREAM])
        picked = rng.choice(len(rows), wanted, replace=wanted > len(rows))
        honest = [rows[n] | {"item_id": f"{rows[n]['item_id']}#{k}"} for k, n in enumerate(picked.tolist())]
        hostile = [
            row
            | {"item_id": f"{row['item_id']}#attacked", "title": attacks[k % len(attacks)].format(title=row["title"])}
            for k, row in enumerate(honest)
        ]
        table = pa.Table.from_pylist(honest + hostile, schema=schema.ITEMS)
        draft.write_table("items.parquet", table, schema.ITEMS)
        draft.write_table("interactions.parquet", schema.INTERACTIONS.empty_table(), schema.INTERACTIONS)

    key = {"attacks": list(attacks), "per_attack": per_attack, "seed": config.seed}
    sample = build(
        folder / "dataset", kind="dataset", name="attacked_titles", config=key, inputs={"dataset": dataset},
        write=write, workspace=workspace,
    )  # fmt: skip
    made = distill(config, sample, folder / "knowledge", workspace)
    columns = ["status", "item_view", "demand_view"]
    records = [tuple(row.values()) for row in made.table("knowledge.parquet", columns).to_pylist()]
    titles = sample.table("items.parquet", ["title"]).column(0).to_pylist()
    half = len(records) // 2
    changed = [n for n in range(half) if records[n] != records[half + n]]
    shown = [(f"{titles[n]} {records[n]}".lower(), str(records[half + n]).lower()) for n in changed]
    obeyed = [
        any(re.search(rf"\b{w}\b", now) and not re.search(rf"\b{w}\b", was) for w in OBEYED) for was, now in shown
    ]
    return {
        "titles": half,
        "cut": made.facts["inputs_cut"],
        "changed": len(changed),
        "obeyed": sum(obeyed),
    }


def _with(config: RunConfig, section: str, **settings: Any) -> RunConfig:
    return config.model_copy(update={section: getattr(config, section).model_copy(update=settings)})


def _drawn(users: np.ndarray, pairs: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if len(pairs) > _TRANSITIONS:
        rng = np.random.default_rng([seed, _STREAM])
        kept = np.sort(rng.choice(len(pairs), _TRANSITIONS, replace=False))
        users, pairs = users[kept], pairs[kept]
    return users, pairs


def _per_user(vectors: Sequence[np.ndarray], users: np.ndarray, pairs: np.ndarray, config: RunConfig) -> PerUser:
    """Hit@30 user by user, of one variant under each alignment seed."""
    _, user = np.unique(users, return_inverse=True)
    weight = np.bincount(user).astype(float)
    value = np.empty((len(vectors), len(weight)))
    for place, z in enumerate(vectors):
        rng = np.random.default_rng([config.seed, _STREAM, 1])  # the same draws for every variant's ties
        value[place] = np.bincount(user, weights=hits(z, pairs, rng).astype(float), minlength=len(weight)) / weight
    return PerUser(value, weight)


def _compared(config: RunConfig, of: Mapping[str, PerUser], base: str, where: str, seeds: int) -> Comparison:
    other, before = of["rer"], of[base]
    found = difference(before, other, replicates=config.evaluation.bootstrap, seed=config.seed)
    if not found.users:
        note = "no transitions"
    else:
        note = "one alignment seed: the interval is over users alone" if seeds == 1 else ""
    return Comparison(
        what=f"item-to-item Hit@30, {where}",
        other=VARIANTS["rer"],
        base=VARIANTS[base],
        other_value=other.mean,
        base_value=before.mean,
        effect=found.effect,
        low=found.low,
        high=found.high,
        seeds=seeds,
        users=found.users,
        decides=base == "title" and where == _PERIODS["test"],
        note=note,
    )


def _quality(knowledge: Artifact) -> dict[str, float | None]:
    facts = knowledge.facts
    return {
        "records": facts["statuses"].get("ok", 0) / facts["items"] if facts["items"] else None,
        "schema-valid answers": facts["schema_valid"],
        "fields the critic passed": facts["critic_pass"],
        "grounded words": facts["grounded"],
        "words of the item's own text": facts["grounded_in_input"],
    }

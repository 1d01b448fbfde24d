"""One prompt: a single expert is asked once for the whole record of an item, with no planner, critic or arbiter.

What is no reasoning stays as it is in the council: the item data and its guard, strict schemas, a second attempt for an
answer that can't be read, the guard's screening of answers, the limits of a record and its canonical texts.
"""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import Field

from reaseq import progress
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import LlmConfig, RunConfig
from reaseq.knowledge import guard

# The council stage's own writer and key are used as they are, so that a control differs in what was found and in
# nothing else; they are private, and stay where they are, since that file's digest is in every finished artifact's key.
from reaseq.knowledge.agents import Agents
from reaseq.knowledge.answers import DemandAnswer, DemandEntry, ItemAnswer, schema_of
from reaseq.knowledge.catalogue import read_catalogue
from reaseq.knowledge.council import Council, Finding, _tidy
from reaseq.knowledge.prompts import _RULE
from reaseq.knowledge.stage import _FREE_BATCH, _deliberate, _key, _write
from reaseq.knowledge.views import Views
from reaseq.llm import AnswerCache, CachedChatModel, ChatModel, CostLedger, Decoding, connect
from reaseq.llm.offline_expert import EXPERT, OfflineExpert

VERSION = "one-expert-1"
"""Stands in the records' provenance in place of the prompt version."""

PROMPT = f"""\
You know products and what people need in life. State what this product is and does, and which needs bring somebody
to it. Leave empty what would be guesswork (empty list, empty text, season "all", price_tier "unknown").
Think step by step, then answer: function (up to 4 verb phrases, most typical first, such as "removes makeup"),
key_attributes (up to 8 name and value pairs, values that stand in the item data), style (up to 3), season, price_tier
(from the price band alone), category ("shelf: kind of product"), and demands (up to 4 different ones, most common
first), each with need (what the person wants to achieve, not the product's name), audience (people who …), occasion,
place, pain_point, complements (up to 3 kinds of product used together with it; <item>.co_bought shows what customers
really took).

{_RULE}"""


class WholeAnswer(ItemAnswer):
    """Item and demand facets in one answer."""

    demands: list[DemandEntry] = Field(max_length=4)


class OneExpert(Council):
    """One agent in place of the council."""

    def _deliberate(self, item: dict[str, Any], finding: Finding) -> None:
        schema = schema_of(EXPERT, WholeAnswer)
        answer = self._agents.ask(EXPERT, {"item": item}, schema, WholeAnswer, finding.minutes)
        demand = DemandAnswer(reasoning=answer.reasoning, demands=answer.demands)
        views = Views.of(answer, demand, _tidy)
        fields = views.fields()
        objections = {name: objection for name, text in fields.items() if (objection := guard.objection(text))}
        finding.refused += objections.items()
        finding.item, finding.demands = views.only(set(fields) - set(objections)).record()


class _Prompted(Agents):
    """Agents with the one prompt in place of a version's five."""

    def __init__(self, model: CachedChatModel, version: str, decoding: Decoding, attempts: int):
        super().__init__(model, version, decoding, attempts)
        self._prompts = {EXPERT: PROMPT}


def single_knowledge(config: RunConfig, dataset: Artifact, out: Path, workspace: Workspace) -> Artifact:
    """Make the knowledge artifact of one prompt; files, settings and errors as of `reaseq.knowledge.distill`.

    `knowledge.critic` has no bearing on it.
    """
    ledger = CostLedger()
    model = _connect(config.llm, ledger)
    knowledge = config.knowledge.model_copy(update={"critic": False})
    config = config.model_copy(update={"knowledge": knowledge})
    labelled = config.model_copy(update={"knowledge": knowledge.model_copy(update={"prompt_version": VERSION})})

    def write(draft: Draft) -> None:
        model.check()
        catalogue = read_catalogue(
            dataset.table("items.parquet"),
            dataset.table("interactions.parquet", ["user_id", "item_id", "rating", "split"]),
            co_bought=knowledge.co_bought,
            description_tokens=knowledge.description_tokens,
            positive_rating=config.data.positive_rating,
        )
        decoding = Decoding(config.llm.temperature, config.llm.max_tokens)
        with AnswerCache(workspace.llm_cache, batch=_FREE_BATCH if model.backend == "offline" else 1) as cache:
            asked = CachedChatModel(model, cache, ledger)
            expert = OneExpert(_Prompted(asked, knowledge.prompt_version, decoding, knowledge.attempts))
            threads = 1 if model.backend == "offline" else config.llm.concurrency
            found = list(progress.track(_deliberate(expert, catalogue, threads), "distilling", len(catalogue)))
        _write(draft, labelled, model, catalogue, found)
        draft.facts.update(ledger.facts())

    key = _key(config, model) | {
        "prompts": {EXPERT: PROMPT},
        "control": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
    }
    return build(
        out,
        kind="knowledge",
        config=key,
        inputs={"dataset": dataset},
        write=write,
        workspace=workspace,
        name="single_knowledge",
    )


def _connect(config: LlmConfig, ledger: CostLedger) -> ChatModel:
    return OfflineExpert() if config.backend == "offline" else connect(config, on_retry=ledger.retried)

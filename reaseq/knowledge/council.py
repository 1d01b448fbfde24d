"""One item through the agents: planner → item and demand expert → critic → arbiter → a strict record.

Topology after RecGPT-V2; the critic because COSMO (SIGMOD 2024) kept only a third of raw generations. A field that a
criterion fails is dropped; the expert whose fields were dropped is asked once more with the critic's reasons, and what
it then adds is judged again. The arbiter chooses among what passed and can't write, so the last word on a record is
never free text.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from reaseq.knowledge import guard
from reaseq.knowledge.agents import Agents, Minutes
from reaseq.knowledge.answers import (
    Choice,
    DemandAnswer,
    ItemAnswer,
    Plan,
    Verdict,
    choice_schema,
    names,
    schema_of,
    verdict_schema,
)
from reaseq.knowledge.errors import AnswerRefused
from reaseq.knowledge.views import Views
from reaseq.llm.offline.critic import CRITERIA
from reaseq.schema import Demand, ItemView, KnowledgeStatus

_COMPROMISED = ("role token or markup", "instruction")
"""Objections to an output field that mean the model was steered, so that nothing else it said can be trusted."""


@dataclass
class Finding:
    """What the agents found out about one item."""

    status: KnowledgeStatus
    item: ItemView = field(default_factory=ItemView)
    demands: tuple[Demand, ...] = ()
    reason: str = ""
    dropped: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)  # output field, objection of the guard
    minutes: Minutes = field(default_factory=Minutes)
    judged: int = 0  # fields of first drafts that the critic scored
    passed: int = 0  # of these, with four ones


class Council:
    """The agents in their order.

    Args:
        agents: whom to ask.
        critic: whether drafts are judged; without it the arbiter chooses from the raw drafts.
    """

    def __init__(self, agents: Agents, critic: bool = True):
        self._agents = agents
        self._critic = critic

    def deliberate(self, item: dict[str, Any]) -> Finding:
        """Find out about one item, given as the JSON that the agents see.

        Raises:
            LlmError: the model can't be asked at all; whatever was answered so far is in its cache.
        """
        finding = Finding("ok")
        try:
            self._deliberate(item, finding)
        except AnswerRefused as refused:
            return _titled(finding, "fallback", str(refused))
        steered = [objection for _, objection in finding.refused if objection in _COMPROMISED]
        if steered:
            return _titled(finding, "quarantined", f"an answer held a {steered[0]}")
        if not finding.item.function and not finding.demands:
            return _titled(finding, "fallback", "no function and no demand passed the critic")
        return finding

    def _deliberate(self, item: dict[str, Any], finding: Finding) -> None:
        plan = self._agents.ask("planner", {"item": item}, schema_of("planner", Plan), Plan, finding.minutes)
        blocks = {"item": item, "facets": list(plan.facets)}
        views = self._views(blocks, finding, ("item", "demand"))
        if self._critic:
            kept, dropped = self._judge(item, views, finding, first=True)
            views = views.only(kept)
            if dropped:
                experts = sorted({row["field"].split(".")[0] for row in dropped})
                again = self._views(blocks | {"rejected": dropped}, finding, experts)
                kept, _ = self._judge(item, again, finding, first=False)
                views = views.join(again.only(kept))
        fields = views.fields()
        if not fields:
            return
        choice = self._agents.ask(
            "arbiter", {"item": item, "candidates": fields}, choice_schema(tuple(fields)), Choice, finding.minutes,
            accept=lambda c: "" if set(c.keep) & set(fields) else "keep names none of the candidates",
        )  # fmt: skip
        finding.item, finding.demands = views.only(set(choice.keep)).record()

    def _views(self, blocks: dict[str, Any], finding: Finding, experts: Collection[str]) -> Views:
        """The drafts of these experts, without what the guard objects to."""
        ask, minutes = self._agents.ask, finding.minutes
        item = demand = None
        if "item" in experts:
            item = ask("item_expert", blocks, schema_of("item_expert", ItemAnswer), ItemAnswer, minutes)
        if "demand" in experts:
            demand = ask("demand_expert", blocks, schema_of("demand_expert", DemandAnswer), DemandAnswer, minutes)
        views = Views.of(item, demand, _tidy)
        fields = views.fields()
        objections = {name: objection for name, text in fields.items() if (objection := guard.objection(text))}
        finding.refused += objections.items()
        return views.only(set(fields) - set(objections)) if objections else views

    def _judge(
        self, item: dict[str, Any], views: Views, finding: Finding, first: bool
    ) -> tuple[set[str], list[dict[str, str]]]:
        """Names of the fields that pass, and the rejected ones with value and reason."""
        fields = views.fields()
        if not fields:
            return set(), []
        verdict = self._agents.ask(
            "critic", {"item": item, "draft": fields}, verdict_schema(tuple(fields)), Verdict, finding.minutes,
            accept=lambda v: f"verdicts lacks {names(m)}" if (m := [f for f in fields if f not in v.verdicts]) else "",
        )  # fmt: skip
        reasons = {row.field: row.reason for row in verdict.reasons}
        kept, rejected = set(), []
        for name, value in fields.items():
            failed = [criterion for criterion, bit in zip(CRITERIA, verdict.verdicts[name], strict=True) if not bit]
            if not failed:
                kept.add(name)
                continue
            finding.dropped += [f"{name}: {criterion}" for criterion in failed]
            rejected.append({"field": name, "value": value, "reason": reasons.get(name) or ", ".join(failed)})
        if first:
            finding.judged += len(fields)
            finding.passed += len(kept)
        return kept, rejected


def _titled(finding: Finding, status: KnowledgeStatus, reason: str) -> Finding:
    """The finding without views; the stage puts the raw title in their place."""
    finding.status, finding.reason = status, reason
    finding.item, finding.demands = ItemView(), ()
    return finding


@lru_cache(maxsize=1 << 16)
def _tidy(text: str) -> str:
    """A model's phrase on one line, without control characters or a full stop at the end."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split()).rstrip(" .;,")

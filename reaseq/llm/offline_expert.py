"""The offline reasoner asked once: the bundled ontology's answer to one prompt for a whole record.

It reads the item once and states everything it knows: what item and demand expert would say if no plan limited them
and no critic came back. A module of its own with an identity of its own, since the digest of the reasoner's package is
part of the key of every answer it ever gave.
"""

import hashlib
from pathlib import Path
from typing import Any

from reaseq.llm.chat import ChatRequest
from reaseq.llm.offline import OfflineReasoner, experts
from reaseq.llm.offline.analysis import Analysis

EXPERT = "expert"
"""Name of the agent, and of its answer's schema."""

_FACETS = {
    "function", "key_attributes", "style", "season", "price_tier", "category", "need", "audience", "occasion", "place",
    "pain_point", "complements",
}  # fmt: skip


class OfflineExpert(OfflineReasoner):
    """Answers the agent `expert`, and no other."""

    def __init__(self) -> None:
        super().__init__()
        own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
        self.model = f"{self.model}-one-expert-{own}"
        self._agents = {EXPERT: _answer}


def _answer(request: ChatRequest, reading: Analysis) -> dict[str, Any]:
    item = experts.describe(reading, _FACETS, set())
    demand = experts.demand(reading, _FACETS, set())
    thought = f"{item['reasoning']} {demand['reasoning']}"
    return item | {"reasoning": thought, "demands": demand["demands"]}

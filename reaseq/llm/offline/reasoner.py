"""The offline reasoner: a chat model without a network, for machines that have no language model.

It reads the same messages that any other model would get, takes the delimited JSON out of them and answers in JSON of
the asked schema. It is no language model and says so: its identity, which every record's provenance carries, names the
reasoner and the digest of its ontology and code.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reaseq.llm.blocks import block_text, read_block
from reaseq.llm.chat import ChatAnswer, ChatRequest
from reaseq.llm.errors import LlmError, RequestRefused
from reaseq.llm.offline import arbiter, critic, experts
from reaseq.llm.offline.analysis import Analysis, analyse
from reaseq.llm.offline.ontology import load_ontology


class OfflineReasoner:
    """Answers the agents planner, item_expert, demand_expert, critic and arbiter; the schema's name says which.

    Raises:
        LlmError: the bundled ontology can't be read.
    """

    backend = "offline"

    def __init__(self) -> None:
        self.model = f"reaseq-offline-reasoner-{_code_digest()}-{load_ontology().version}"
        self._agents: dict[str, Callable[[ChatRequest, Analysis], dict[str, Any]]] = {
            "planner": lambda request, reading: experts.plan(reading),
            "item_expert": lambda request, reading: experts.describe(reading, _facets(request), _rejected(request)),
            "demand_expert": lambda request, reading: experts.demand(reading, _facets(request), _rejected(request)),
            "critic": lambda request, reading: critic.judge(reading, _mapping(request, "draft")),
            "arbiter": lambda request, reading: arbiter.arbitrate(_mapping(request, "candidates")),
        }

    @property
    def identity(self) -> str:
        return f"offline:{self.model}"

    def check(self) -> None:
        """Nothing can be out of reach."""

    def complete(self, request: ChatRequest) -> ChatAnswer:
        agent = self._agents.get(request.answer.name)
        if agent is None:
            raise RequestRefused(
                f"the offline reasoner knows no agent {request.answer.name!r}, only {', '.join(self._agents)}; "
                "set llm.backend=openai for other questions."
            )
        item = block_text(request, "item")
        if item is None:
            raise LlmError(f"request {request.answer.name!r} holds no <item> block; the prompt template must give one.")
        try:
            reading = analyse(item)
        except ValueError as error:
            raise RequestRefused(
                f"request {request.answer.name!r}: the <item> block holds no JSON ({error})."
            ) from None
        text = json.dumps(agent(request, reading), ensure_ascii=False)
        tokens = _estimated_tokens(text)
        cut = tokens > request.decoding.max_tokens
        return ChatAnswer(
            text=text[: 4 * request.decoding.max_tokens] if cut else text,
            prompt_tokens=sum(_estimated_tokens(m.content) for m in request.messages),
            completion_tokens=min(tokens, request.decoding.max_tokens),
            finish_reason="length" if cut else "stop",
            model=self.model,
        )


def _facets(request: ChatRequest) -> set[str]:
    facets = read_block(request, "facets")
    return {f for f in facets if isinstance(f, str)} if isinstance(facets, list) else set()


def _rejected(request: ChatRequest) -> set[str]:
    """Lower-cased values that the critic refused, if the expert is asked again."""
    if block_text(request, "rejected") is None:
        return set()
    rows = read_block(request, "rejected")
    return (
        {str(row.get("value", "")).lower() for row in rows if isinstance(row, dict)}
        if isinstance(rows, list)
        else set()
    )


def _mapping(request: ChatRequest, block: str) -> dict[str, Any]:
    value = read_block(request, block)
    return value if isinstance(value, dict) else {}


def _estimated_tokens(text: str) -> int:
    """Four characters a token: the usual rule of thumb; this backend has no tokenizer."""
    return -(-len(text) // 4)


def _code_digest() -> str:
    """First 8 digits of the sha256 of this package's code: a changed rule asks anew instead of reusing old answers."""
    hashed = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        hashed.update(file.read_bytes())
    return hashed.hexdigest()[:8]

"""One well-formed question for each agent, as the knowledge room asks them."""

from typing import Any

from reaseq.knowledge.answers import (
    Choice,
    DemandAnswer,
    ItemAnswer,
    Plan,
    Verdict,
    choice_schema,
    schema_of,
    verdict_schema,
)
from reaseq.knowledge.prompts import messages, templates
from reaseq.llm import AnswerSchema, ChatRequest, Decoding

ITEM = {
    "title": "OPI Nail Lacquer, Big Apple Red, 0.5 Ounce",
    "category": ["Makeup", "Nails", "Nail Polish"],
    "brand": "OPI",
}
FACETS = [
    "function",
    "key_attributes",
    "style",
    "category",
    "need",
    "audience",
    "occasion",
    "place",
    "pain_point",
    "complements",
]
DRAFT = {
    "item.category": "nails: nail polish",
    "item.function.0": "brews coffee",
    "demand.0.need": "salon-looking nails at home",
}
RECORDS: dict[str, type[Any]] = {
    "planner": Plan,
    "item_expert": ItemAnswer,
    "demand_expert": DemandAnswer,
    "critic": Verdict,
    "arbiter": Choice,
}


def ask(agent: str, item: Any = None, max_tokens: int = 1024, **blocks: Any) -> ChatRequest:
    """The agent's question about an item; `blocks` replace or add to the usual ones."""
    usual: dict[str, dict[str, Any]] = {
        "planner": {}, "item_expert": {"facets": FACETS}, "demand_expert": {"facets": FACETS},
        "critic": {"draft": DRAFT}, "arbiter": {"candidates": DRAFT},
    }  # fmt: skip
    shown = {"item": item or ITEM, **usual[agent], **blocks}
    schemas: dict[str, AnswerSchema] = {
        name: schema_of(name, record) for name, record in RECORDS.items() if name not in ("critic", "arbiter")
    }
    schemas["critic"] = verdict_schema(tuple(shown.get("draft", {})))
    schemas["arbiter"] = choice_schema(tuple(shown.get("candidates", {})))
    return ChatRequest(messages(templates("1")[agent], shown), schemas[agent], Decoding(0.0, max_tokens), "1")

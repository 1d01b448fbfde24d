"""Answers are strict records, and the schemas hold models to them."""

import json
from typing import Any

import pytest

from reaseq.knowledge.answers import (
    DemandAnswer,
    ItemAnswer,
    Plan,
    Verdict,
    choice_schema,
    parse,
    schema_of,
    verdict_schema,
)
from reaseq.knowledge.errors import AnswerRefused
from reaseq.llm import ChatAnswer

PLAN = {"reasoning": "r", "product": "soap", "facets": ["need"]}


def said(text: str, finish: Any = "stop") -> ChatAnswer:
    return ChatAnswer(text, 1, 1, finish, "m")


def test_raw_control_characters_in_strings_are_read() -> None:
    assert parse(said('{"reasoning": "a\tb\nc", "product": "soap", "facets": []}'), Plan).reasoning == "a\tb\nc"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said(json.dumps(PLAN), "length"), "token limit"),
        (said(json.dumps(PLAN), "content_filter"), "content filter"),
        (said(""), "not valid JSON"),
        (said("Sure! Here is the JSON: {}"), "not valid JSON"),
        (said("[" * 100_000), "not valid JSON"),
        (said("[]"), "schema"),
        (said(json.dumps(PLAN | {"extra": 1})), "schema at extra"),
        (said(json.dumps(PLAN | {"facets": ["colour"]})), "schema at facets.0"),
        (said(json.dumps(PLAN | {"product": "x" * 500})), "schema at product"),
    ],
)
def test_what_is_no_answer_is_refused_with_the_reason(answer: ChatAnswer, why: str) -> None:
    with pytest.raises(AnswerRefused, match=why):
        parse(answer, Plan)


def test_a_long_chain_of_thought_is_no_reason_to_refuse() -> None:
    assert parse(said(json.dumps(PLAN | {"reasoning": "x" * 5000})), Plan)


def objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [o for part in schema for o in objects(part)]
    if not isinstance(schema, dict):
        return []
    return ([schema] if "properties" in schema else []) + [o for part in schema.values() for o in objects(part)]


@pytest.mark.parametrize(
    "schema",
    [
        schema_of("planner", Plan), schema_of("item_expert", ItemAnswer), schema_of("demand_expert", DemandAnswer),
        verdict_schema(("a", "b")), choice_schema(("a", "b")), schema_of("critic", Verdict),
    ],
    ids=lambda s: s.name,
)  # fmt: skip
def test_schemas_are_strict_and_self_contained(schema: Any) -> None:
    assert "$ref" not in json.dumps(schema.schema)
    for part in objects(schema.schema):
        if part["properties"] and "$defs" not in part:
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])


def test_the_critic_must_score_exactly_the_fields_of_the_draft() -> None:
    verdicts = verdict_schema(("item.category", "demand.0.need")).schema["properties"]["verdicts"]

    assert list(verdicts["properties"]) == ["item.category", "demand.0.need"]

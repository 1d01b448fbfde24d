"""What each agent must answer: strict records, and the JSON schemas that a model is held to.

Limits of length stand in the schemas, so that a grammar-guided decoder always comes to an end; a chain of thought that
is longer is no reason to refuse an answer and is cut instead.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reaseq.knowledge.errors import AnswerRefused
from reaseq.llm import AnswerSchema, ChatAnswer
from reaseq.schema import PriceTier, Season

Facet = Literal[
    "function", "key_attributes", "style", "season", "price_tier", "category", "need", "audience", "occasion", "place",
    "pain_point", "complements",
]  # fmt: skip
Text = Annotated[str, Field(max_length=120)]
Thought = Annotated[str, Field(json_schema_extra={"maxLength": 600})]
Bit = Literal[0, 1]
Model = TypeVar("Model", bound=BaseModel)


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    reasoning: Thought


class Plan(Answer):
    product: Text
    facets: list[Facet] = Field(max_length=12)


class Attribute(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(max_length=40)]
    value: Text


class ItemAnswer(Answer):
    function: list[Text] = Field(max_length=4)
    key_attributes: list[Attribute] = Field(max_length=8)
    style: list[Text] = Field(max_length=3)
    season: Season
    price_tier: PriceTier
    category: Text


class DemandEntry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    need: Text
    audience: Text
    occasion: Text
    place: Text
    pain_point: Text
    complements: list[Text] = Field(max_length=3)


class DemandAnswer(Answer):
    demands: list[DemandEntry] = Field(max_length=4)


class Objection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    field: Text
    reason: Text


class Verdict(Answer):
    """Scores per field: relevance, consistency, specificity, validity."""

    verdicts: dict[str, Annotated[list[Bit], Field(min_length=4, max_length=4)]]
    reasons: list[Objection] = Field(max_length=8)


class Choice(Answer):
    keep: list[str]


@lru_cache(maxsize=8)
def schema_of(name: str, model: type[BaseModel]) -> AnswerSchema:
    """The JSON schema of an answer: every property required, nothing else allowed, definitions inlined."""
    schema = model.model_json_schema()
    return AnswerSchema(name, _inlined(schema, schema.get("$defs", {})))


@lru_cache(maxsize=4096)
def verdict_schema(fields: tuple[str, ...]) -> AnswerSchema:
    """The critic's answer: scores for exactly these fields."""
    schema = dict(schema_of("critic", Verdict).schema)
    properties = dict(schema["properties"])
    scores = properties["verdicts"]["additionalProperties"]
    objection = dict(properties["reasons"]["items"])
    objection["properties"] = objection["properties"] | {"field": {"type": "string", "enum": list(fields)}}
    properties["verdicts"] = _object(dict.fromkeys(fields, scores))
    properties["reasons"] = properties["reasons"] | {"items": objection}
    return AnswerSchema("critic", schema | {"properties": properties})


@lru_cache(maxsize=4096)
def choice_schema(fields: tuple[str, ...]) -> AnswerSchema:
    """The arbiter's answer: some of these fields, in its order."""
    schema = dict(schema_of("arbiter", Choice).schema)
    keep = {"type": "array", "items": {"type": "string", "enum": list(fields)}, "minItems": 1, "maxItems": len(fields)}
    return AnswerSchema("arbiter", schema | {"properties": schema["properties"] | {"keep": keep}})


def parse(answer: ChatAnswer, model: type[Model]) -> Model:
    """The record in an answer.

    Raises:
        AnswerRefused: it was cut off, is no JSON, or does not follow the schema.
    """
    if answer.finish_reason == "length":
        raise AnswerRefused("the answer was cut off at the token limit")
    if answer.finish_reason == "content_filter":
        raise AnswerRefused("the answer was withheld by a content filter")
    try:
        # Grammar-guided decoders let raw control characters into strings; they are read here and dropped later.
        value = json.loads(answer.text, strict=False)
    except (ValueError, RecursionError):
        raise AnswerRefused("the answer is not valid JSON") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise AnswerRefused(f"the answer does not follow the schema at {where[:80]}: {first['msg']}") from None


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    kept = {
        key: {name: _inlined(part, definitions) for name, part in value.items()}
        if key == "properties"
        else _inlined(value, definitions)
        for key, value in schema.items()
        if key not in ("$defs", "title", "description", "default")
    }
    if "properties" in kept:
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def cut_thought(text: str, longest: int = 600) -> str:
    """A chain of thought for the audit column: one line, cut."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:longest]


def names(fields: Sequence[str]) -> str:
    """Field names for a message, at most five."""
    return ", ".join(fields[:5]) + (" …" if len(fields) > 5 else "")

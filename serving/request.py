"""The request that a caller of the transformer sends, and what makes it well formed.

{"user_id": "u1", "candidates": ["i1", "i2"], "context": {"timestamp": 1700000000000000}}
"""

from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.errors import InvalidRequest

MAX_CANDIDATES = 1000

Id = Annotated[str, Field(min_length=1, max_length=256)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Context(_Strict):
    timestamp: int | None = Field(None, ge=0, lt=2**62)
    """Microseconds since the epoch, UTC; None is now."""


class RankRequest(_Strict):
    user_id: Id
    candidates: list[Id] = Field(min_length=1, max_length=MAX_CANDIDATES)
    """Item ids; one that stands twice is ranked twice."""
    context: Context = Context()


def parse(payload: Any) -> RankRequest:
    """The request in a body, given as decoded JSON or as bytes.

    Raises:
        InvalidRequest: it names the field that is wrong and what it must be.
    """
    if isinstance(payload, bytes):  # a content type that kserve does not decode, such as curl's default
        try:
            payload = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest("body", f"is not JSON ({error}).") from None
    if not isinstance(payload, dict):
        raise InvalidRequest("body", "must be a JSON object with user_id, candidates and, optionally, context.")
    try:
        return RankRequest.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidRequest(_path(first["loc"]), f"{first['msg'][0].lower()}{first['msg'][1:]}.") from None


def _path(location: tuple[int | str, ...]) -> str:
    """`candidates[3]`, `context.timestamp`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".")[:100]

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InvalidRequest
from serving.request import MAX_CANDIDATES, parse

GOOD = {"user_id": "u1", "candidates": ["i1", "i2", "i1"], "context": {"timestamp": 1_700_000_000_000_000}}


def test_a_well_formed_request_is_read_from_json_and_from_bytes() -> None:
    assert parse(GOOD) == parse(orjson.dumps(GOOD))
    assert parse(GOOD).candidates == ["i1", "i2", "i1"]
    assert parse({"user_id": "u1", "candidates": ["i1"]}).context.timestamp is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_id": None}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "u" * 257}, "user_id"),
        ({"candidates": []}, "candidates"),
        ({"candidates": "i1,i2"}, "candidates"),
        ({"candidates": {"i1": 1}}, "candidates"),
        ({"candidates": ["i"] * (MAX_CANDIDATES + 1)}, "candidates"),
        ({"candidates": ["i1", 2]}, "candidates[1]"),
        ({"candidates": ["i1", "i2", None]}, "candidates[2]"),
        ({"candidates": ["i1", ["i2"]]}, "candidates[1]"),
        ({"candidates": [float("nan")]}, "candidates[0]"),
        ({"context": []}, "context"),
        ({"context": {"timestamp": "yesterday"}}, "context.timestamp"),
        ({"context": {"timestamp": float("nan")}}, "context.timestamp"),
        ({"context": {"timestamp": 1.5}}, "context.timestamp"),
        ({"context": {"timestamp": True}}, "context.timestamp"),
        ({"context": {"timestamp": -1}}, "context.timestamp"),
        ({"context": {"timestamp": 2**63}}, "context.timestamp"),
        ({"context": {"time": 1}}, "context.time"),
        ({"candidate": ["i1"]}, "candidate"),
    ],
)
def test_what_is_wrong_is_named(change: dict, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(GOOD | change)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize("missing", ["user_id", "candidates"])
def test_a_missing_field_is_named(missing: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse({name: value for name, value in GOOD.items() if name != missing})
    assert caught.value.field == missing


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"NaN", b'{"user_id": NaN}', None, 3, "text"])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body)
    assert caught.value.field == "body"


TEXT = st.text("au\x00é{", max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("timestamp"), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"user_id": JSON, "candidates": JSON, "context": JSON, "x": JSON}))
def test_any_json_is_either_read_or_refused_with_a_field(body: dict) -> None:
    refused = ""
    try:
        parse(body)
    except InvalidRequest as refusal:
        refused = refusal.field
    assert refused or {"user_id", "candidates"} <= set(body) <= {"user_id", "candidates", "context"}

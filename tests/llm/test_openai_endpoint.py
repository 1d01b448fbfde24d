"""The HTTP backend when the other side misbehaves."""

import time

import pytest

from reaseq.llm import LlmError, RequestRefused
from reaseq.llm.openai_endpoint import OpenAiEndpoint
from tests.llm.endpoints import free_port
from tests.llm.questions import ask
from tests.llm.scripted_endpoint import MODEL, ScriptedEndpoint, completion

KEY = "sk-very-secret-1234"


class Waits(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def connect(endpoint: ScriptedEndpoint, waits: Waits, **settings: object) -> OpenAiEndpoint:
    return OpenAiEndpoint(endpoint.url, MODEL, api_key=KEY, sleep=waits, **({"timeout_s": 5.0} | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_passing_failures_are_tried_again(scripted: ScriptedEndpoint, status: int) -> None:
    scripted.faults = [(status, {}, "{}")] * 2
    waits, retries = Waits(), []

    answer = connect(scripted, waits, on_retry=lambda: retries.append(1)).complete(ask("planner"))

    assert answer.finish_reason == "stop"
    assert len(waits) == len(retries) == 2


def test_the_server_says_how_long_to_wait(scripted: ScriptedEndpoint) -> None:
    scripted.faults = [(429, {"Retry-After": "7"}, "{}"), (503, {"Retry-After": "soon"}, "{}")]
    waits = Waits()

    connect(scripted, waits).complete(ask("planner"))

    assert waits[0] == 7.0
    assert 0 <= waits[1] <= 20


@pytest.mark.parametrize("body", ["<html>bad gateway</html>", "{}", '{"choices": []}', "null", "[1", ""])
def test_a_body_that_is_no_completion_is_tried_again_and_then_reported(scripted: ScriptedEndpoint, body: str) -> None:
    scripted.faults = [(200, {}, body)]
    connect(scripted, Waits()).complete(ask("planner"))

    scripted.faults = [(200, {}, body)] * 3
    with pytest.raises(LlmError, match="no chat completion after 3 attempts"):
        connect(scripted, Waits(), retries=2).complete(ask("planner"))


def test_a_slow_answer_is_given_up_and_asked_again(scripted: ScriptedEndpoint) -> None:
    scripted.faults = [(0, {}, "3")]
    started = time.monotonic()

    assert connect(scripted, Waits(), timeout_s=0.5).complete(ask("planner")).text
    assert time.monotonic() - started < 3

    scripted.faults = [(0, {}, "3")]
    with pytest.raises(LlmError, match=r"llm\.timeout_s \(0\.5 s\)"):
        connect(scripted, Waits(), timeout_s=0.5, retries=0).complete(ask("planner"))


def test_a_cut_answer_and_a_missing_one_are_handed_on(scripted: ScriptedEndpoint) -> None:
    scripted.faults = [(200, {}, completion('{"reas', "length")), (200, {}, completion("", "content_filter"))]
    endpoint = connect(scripted, Waits())

    assert endpoint.complete(ask("planner")).finish_reason == "length"
    assert endpoint.complete(ask("planner")).finish_reason == "content_filter"


def test_lasting_failures_name_the_endpoint_and_the_remedy(scripted: ScriptedEndpoint) -> None:
    scripted.faults = [(500, {}, "{}")] * 3
    with pytest.raises(LlmError, match=f"{scripted.url} answered 500 after 3 attempts"):
        connect(scripted, Waits(), retries=2).complete(ask("planner"))

    scripted.faults = [(429, {}, "{}")]
    with pytest.raises(LlmError, match=r"llm\.concurrency"):
        connect(scripted, Waits(), retries=0).complete(ask("planner"))


def test_a_request_the_endpoint_refuses_is_no_failure_of_the_endpoint(scripted: ScriptedEndpoint) -> None:
    scripted.faults = [(400, {}, '{"error": {"message": "too long"}}')]
    waits = Waits()

    with pytest.raises(RequestRefused, match="400"):
        connect(scripted, waits).complete(ask("planner"))
    assert not waits


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_variable_and_never_shown(scripted: ScriptedEndpoint, status: int) -> None:
    scripted.faults = [(status, {}, f'{{"error": {{"message": "Incorrect API key provided: {KEY}"}}}}')]

    with pytest.raises(LlmError, match="REASEQ_LLM_API_KEY") as caught:
        connect(scripted, Waits()).complete(ask("planner"))

    assert KEY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_key_is_sent_as_a_bearer_token(scripted: ScriptedEndpoint) -> None:
    connect(scripted, Waits()).complete(ask("planner"))

    assert scripted.headers[0]["authorization"] == f"Bearer {KEY}"


def test_an_unreachable_endpoint_is_found_out_within_seconds() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    started = time.monotonic()

    with pytest.raises(LlmError, match=f"{url} can't be reached.*Start the endpoint or correct llm.base_url"):
        OpenAiEndpoint(url, MODEL).check()
    assert time.monotonic() - started < 6


def test_a_model_that_is_not_served_is_named_with_those_that_are(scripted: ScriptedEndpoint) -> None:
    scripted.served = ["qwen", "llama"]

    with pytest.raises(LlmError, match=r"'scripted' is not served at .*qwen, llama"):
        connect(scripted, Waits()).check()


def test_a_base_url_that_is_none_is_named() -> None:
    with pytest.raises(LlmError, match=r"llm\.base_url"):
        OpenAiEndpoint("http://[", MODEL).check()

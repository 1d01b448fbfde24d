"""What every chat model must do, run against the offline reasoner and a real HTTP endpoint with a real grammar."""

from collections.abc import Iterator

import pytest

from reaseq.config import LlmConfig
from reaseq.knowledge.answers import parse
from reaseq.llm import ChatModel, connect
from tests.llm.endpoints import TINY_MODEL
from tests.llm.questions import RECORDS, ask


@pytest.fixture(params=["offline", "openai"])
def model(request: pytest.FixtureRequest) -> Iterator[ChatModel]:
    if request.param == "offline":
        yield connect(LlmConfig(backend="offline"))
    else:
        url = request.getfixturevalue("tiny_endpoint")
        yield connect(LlmConfig(backend="openai", base_url=url, model=TINY_MODEL))


@pytest.mark.parametrize("agent", RECORDS)
def test_every_agent_is_answered_in_its_schema(model: ChatModel, agent: str) -> None:
    answer = model.complete(ask(agent))

    assert answer.finish_reason == "stop"
    parse(answer, RECORDS[agent])


def test_the_same_question_gets_the_same_answer_and_its_cost(model: ChatModel) -> None:
    first, second = model.complete(ask("planner")), model.complete(ask("planner"))

    assert first == second
    assert first.prompt_tokens > 0 and first.completion_tokens > 0


def test_an_answer_at_the_token_limit_says_so(model: ChatModel) -> None:
    assert model.complete(ask("item_expert", max_tokens=16)).finish_reason == "length"


def test_it_can_be_checked_and_names_itself(model: ChatModel) -> None:
    model.check()

    assert model.identity.startswith(f"{model.backend}:")

"""No answer is paid for twice."""

import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reaseq.llm import AnswerCache, CachedChatModel, ChatAnswer, ChatRequest, CostLedger, Decoding, LlmError, Message
from tests.llm.questions import ask

ANSWER = ChatAnswer('{"a": "ü\\u0000"}', 3, 4, "stop", "m")


class Counting:
    """A slow model that counts what it is asked."""

    backend, identity = "counting", "counting:1"

    def __init__(self) -> None:
        self.asked = 0

    def check(self) -> None: ...

    def complete(self, request: ChatRequest) -> ChatAnswer:
        self.asked += 1
        time.sleep(0.05)
        return replace(ANSWER, text=request.messages[-1].content)


def stored(path: Path) -> int:
    with sqlite3.connect(path) as other:
        return int(other.execute("SELECT count(*) FROM answers").fetchone()[0])


def test_an_answer_is_committed_the_moment_it_arrives(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with AnswerCache(path) as cache:
        cache.put("ab" * 32, ANSWER)

        assert stored(path) == 1  # seen from outside, while the cache is open


def test_free_answers_are_committed_in_batches_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with AnswerCache(path, batch=3) as cache:
        for n in range(4):
            cache.put(f"{n:064x}", ANSWER)
        assert stored(path) == 3
        assert cache.get(f"{3:064x}") == ANSWER
    assert stored(path) == 4


def test_two_caches_may_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with AnswerCache(path, batch=2) as one, AnswerCache(path, batch=1) as other:
        for n in range(6):
            (one if n % 2 else other).put(f"{n:064x}", ANSWER)
        assert len(one) == 6
        assert other.get(f"{1:064x}") == ANSWER


def test_a_question_is_asked_once_over_restarts(tmp_path: Path) -> None:
    model, ledger = Counting(), CostLedger()
    for _ in range(2):
        with AnswerCache(tmp_path / "c.sqlite") as cache:
            answer = CachedChatModel(model, cache, ledger).complete(ask("planner"))

    assert model.asked == 1
    assert answer.text == ask("planner").messages[-1].content
    assert (ledger.calls, ledger.hits, ledger.prompt_tokens) == (1, 1, 3)


def test_a_question_asked_by_many_threads_at_once_is_asked_once(tmp_path: Path) -> None:
    model = Counting()
    with AnswerCache(tmp_path / "c.sqlite") as cache:
        cached = CachedChatModel(model, cache, CostLedger())
        threads = [threading.Thread(target=cached.complete, args=(ask("planner"),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert model.asked == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(ask("planner"), prompt_version="2"),
        replace(ask("planner"), decoding=Decoding(0.5, 1024)),
        replace(ask("planner"), decoding=Decoding(0.0, 512)),
        replace(ask("planner"), answer=ask("item_expert").answer),
        replace(ask("planner"), messages=(Message("system", "x"), *ask("planner").messages[1:])),
        ask("planner", item={"title": "Another title"}),
    ],
    ids=["prompt version", "temperature", "token limit", "schema", "role", "item text"],
)
def test_whatever_may_change_the_answer_changes_the_key(other: ChatRequest) -> None:
    request = ask("planner")

    assert request.key("m") == ask("planner").key("m")
    assert len({request.key("m"), request.key("n"), other.key("m")}) == 3


def test_message_borders_are_part_of_the_key() -> None:
    one = replace(ask("planner"), messages=(Message("user", "a\nuser 1\nb"),))
    two = replace(ask("planner"), messages=(Message("user", "a"), Message("user", "b")))

    assert one.key("m") != two.key("m")


def test_a_damaged_cache_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"this is no database" * 100)

    with pytest.raises(LlmError, match=r"c\.sqlite.*move the file away"):
        AnswerCache(path)

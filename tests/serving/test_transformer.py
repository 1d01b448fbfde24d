"""The transformer over HTTP, before a real Triton: right answers, honest degradation, and typed refusals."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import httpx
import numpy as np
import psutil
import pytest

from reaseq.artifacts import Artifact
from reaseq.platform.features import Status
from reaseq.ranking.bundle import Bundle
from reaseq.ranking.features import assemble
from serving.errors import PortInUse
from serving.ranker_client import RankerClient
from serving.rest import TransformerServer
from serving.transformer import Transformer
from serving.triton_server import TritonServer
from serving.user_store import UserStore
from tests.serving.users import NOW, DeadStore, HangingStore, UsersInMemory, a_new_item, a_user
from tests.smallworld import item_id

CANDIDATES = [item_id(n) for n in (5, 17, 3, 44, 17)]
Ask = Callable[..., httpx.Response]


@pytest.fixture
def started(triton: TritonServer, bundle: Artifact) -> Iterator[Callable[..., TransformerServer]]:
    """Starts transformers in front of the shared Triton, or of another address."""
    with ExitStack() as stack:

        def start(
            store: UserStore, triton_url: str = triton.http_url, timeout: float = 5.0, lookup_timeout: float = 5.0
        ) -> TransformerServer:
            opened = Bundle(bundle)
            client = RankerClient(triton_url, timeout)
            transformer = Transformer(
                opened.vocabulary, opened.limits, store, client, "v7", clock=lambda: NOW, lookup_timeout=lookup_timeout
            )
            return stack.enter_context(TransformerServer(transformer, 0))

        yield start


@pytest.fixture
def ask(started: Callable[..., TransformerServer]) -> Ask:
    """Sends one request to a transformer with the given store."""

    def send(store: UserStore, user: str = "u1", candidates: list[str] = CANDIDATES, **options: object) -> dict:
        server = started(store, **options)
        answer = httpx.post(
            f"{server.url}/v1/models/reaseq:predict", json={"user_id": user, "candidates": candidates}, timeout=10
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    return send  # type: ignore[return-value]


def in_process(bundle: Artifact, user: object, candidates: list[str] = CANDIDATES, cold: dict | None = None) -> list:
    opened = Bundle(bundle)
    inputs = assemble(
        user,  # type: ignore[arg-type]
        candidates,
        now=NOW,
        vocabulary=opened.vocabulary,
        limits=opened.limits,
        cold=cold or {},
    )
    return opened.score(inputs).tolist()


def test_the_answer_holds_the_in_process_scores_in_the_order_of_the_request(ask: Ask, bundle: Artifact) -> None:
    answer = ask(UsersInMemory({"u1": a_user()}))
    np.testing.assert_allclose(answer["scores"], in_process(bundle, a_user()), rtol=0, atol=1e-5)
    assert (answer["model_name"], answer["model_version"], answer["user_id"]) == ("reaseq", "v7", "u1")
    assert answer["degraded"] == []
    assert set(answer["timings_ms"]) == {"lookup", "assemble", "predict", "postprocess"}


def test_the_ranking_is_best_first_and_ties_keep_the_request_s_order(ask: Ask) -> None:
    answer = ask(UsersInMemory({"u1": a_user()}))
    ranked = [entry["score"] for entry in answer["ranking"]]
    assert ranked == sorted(answer["scores"], reverse=True)
    assert sorted(entry["item_id"] for entry in answer["ranking"]) == sorted(CANDIDATES)
    assert answer["scores"][1] == answer["scores"][4]  # one item that stands twice is ranked twice


def test_a_thousand_candidates_are_ranked(ask: Ask, bundle: Artifact) -> None:
    many = [item_id(n % 60 + 1) for n in range(1000)]
    answer = ask(UsersInMemory({"u1": a_user()}), candidates=many)
    np.testing.assert_allclose(answer["scores"], in_process(bundle, a_user(), many), rtol=0, atol=1e-5)


def test_a_timestamp_of_the_context_is_the_time_of_the_request(
    started: Callable[..., TransformerServer], bundle: Artifact
) -> None:
    body = {"user_id": "u1", "candidates": CANDIDATES, "context": {"timestamp": NOW}}
    server = started(UsersInMemory({"u1": a_user()}))
    server.transformer.clock = lambda: NOW + 10**12
    answer = httpx.post(f"{server.url}/v1/models/reaseq:predict", json=body).json()
    np.testing.assert_allclose(answer["scores"], in_process(bundle, a_user()), rtol=0, atol=1e-5)


def test_an_unknown_user_is_ranked_without_features(ask: Ask, bundle: Artifact) -> None:
    answer = ask(UsersInMemory({}))
    assert answer["degraded"] == ["user_unknown"]
    np.testing.assert_allclose(answer["scores"], in_process(bundle, None), rtol=0, atol=1e-5)


def test_a_dead_store_is_named_and_its_text_is_not_told(ask: Ask, bundle: Artifact) -> None:
    answer = ask(DeadStore(), candidates=[item_id(1), "newcomer"])
    assert answer["degraded"] == ["features_unavailable", "item_knowledge_unavailable", "candidate_unknown:newcomer"]
    np.testing.assert_allclose(answer["scores"], in_process(bundle, None, [item_id(1), "newcomer"]), rtol=0, atol=1e-5)


def test_a_store_that_hangs_does_not_hold_the_answer_up(ask: Ask) -> None:
    store = HangingStore()
    assert ask(store, lookup_timeout=0.1)["degraded"] == ["features_unavailable"]
    assert not store.released.is_set()
    store.released.set()


@pytest.mark.parametrize(
    ("view", "status", "told"),
    [
        ("user_history", Status.NOT_FOUND, "user_history_missing"),
        ("user_profile", Status.NULL_VALUE, "user_profile_missing"),
        ("user_inferred_behaviors", Status.OUTSIDE_MAX_AGE, "user_inferred_behaviors_stale"),
    ],
)
def test_a_part_of_the_row_that_is_missing_is_named(ask: Ask, view: str, status: Status, told: str) -> None:
    assert ask(UsersInMemory({"u1": a_user()}, statuses={view: status}))["degraded"] == [told]


def test_a_row_that_contradicts_itself_is_left_out(ask: Ask, bundle: Artifact) -> None:
    answer = ask(UsersInMemory({"u1": replace(a_user(), history_times=[NOW])}))
    assert answer["degraded"] == ["user_row_invalid"]
    np.testing.assert_allclose(answer["scores"], in_process(bundle, None), rtol=0, atol=1e-5)


def test_an_item_newer_than_the_model_is_ranked_from_its_knowledge(ask: Ask, bundle: Artifact) -> None:
    items = {"fresh": a_new_item()}
    answer = ask(UsersInMemory({"u1": a_user()}, items), candidates=["fresh", item_id(2)])
    assert answer["degraded"] == []
    expected = in_process(bundle, a_user(), ["fresh", item_id(2)], items)
    np.testing.assert_allclose(answer["scores"], expected, rtol=0, atol=1e-5)
    assert expected != in_process(bundle, a_user(), ["fresh", item_id(2)])


def test_candidates_that_nobody_knows_are_named_once_each(ask: Ask) -> None:
    answer = ask(UsersInMemory({"u1": a_user()}), candidates=["ghost", item_id(2), "spirit", "ghost"])
    assert answer["degraded"] == ["candidate_unknown:ghost", "candidate_unknown:spirit"]
    assert len(answer["scores"]) == 4


def test_knowledge_from_another_codebook_is_not_used(ask: Ask) -> None:
    answer = ask(UsersInMemory({"u1": a_user()}, {"fresh": a_new_item(levels=3)}), candidates=["fresh"])
    assert answer["degraded"] == ["candidate_unknown:fresh"]


def test_new_items_are_looked_up_once(started: Callable[..., TransformerServer]) -> None:
    store = UsersInMemory({"u1": a_user()}, {"fresh": a_new_item()})
    server = started(store)
    for _ in range(3):
        body = {"user_id": "u1", "candidates": ["fresh", "ghost", item_id(1)]}
        httpx.post(f"{server.url}/v1/models/reaseq:predict", json=body).raise_for_status()
    assert store.asked == [("fresh", "ghost")]


def test_degraded_answers_are_counted(started: Callable[..., TransformerServer]) -> None:
    server = started(UsersInMemory({}))
    before = _counted(server, "user_unknown")
    httpx.post(f"{server.url}/v1/models/reaseq:predict", json={"user_id": "u1", "candidates": CANDIDATES})
    assert _counted(server, "user_unknown") == before + 1


def _counted(server: TransformerServer, reason: str) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    values = [line.split()[-1] for line in lines if line.startswith(f'reaseq_degraded_total{{reason="{reason}"}}')]
    return float(values[0]) if values else 0.0


@pytest.mark.parametrize(
    ("content", "kind", "field"),
    [
        (b'{"user_id": "u1", "candidates": ["i1", 3]}', "application/json", "candidates[1]"),
        (b'{"user_id": "u1", "candidates": ["i1"], "context": {"timestamp": NaN}}', "application/json", "body"),
        (b"{", "application/json", "body"),
        (b"{", "application/x-www-form-urlencoded", "body"),
        (b"[]", "application/json", "body"),
        (b'{"instances": [1]}', "application/json", "user_id"),
    ],
)
def test_a_bad_request_is_a_400_that_names_the_field(
    started: Callable[..., TransformerServer], content: bytes, kind: str, field: str
) -> None:
    server = started(UsersInMemory({}))
    url = f"{server.url}/v1/models/reaseq:predict"
    answer = httpx.post(url, content=content, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_curl_s_default_content_type_is_understood(started: Callable[..., TransformerServer]) -> None:
    server = started(UsersInMemory({}))
    answer = httpx.post(
        f"{server.url}/v1/models/reaseq:predict",
        content=b'{"user_id": "u1", "candidates": ["i001"]}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200


def test_without_triton_the_answer_is_503(started: Callable[..., TransformerServer]) -> None:
    server = started(UsersInMemory({}), triton_url="127.0.0.1:9")
    answer = httpx.post(f"{server.url}/v1/models/reaseq:predict", json={"user_id": "u1", "candidates": CANDIDATES})
    assert (answer.status_code, answer.json()["type"]) == (503, "PredictorUnavailable")


def test_a_triton_that_hangs_is_504(started: Callable[..., TransformerServer]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        server = started(UsersInMemory({}), triton_url=f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
        answer = httpx.post(f"{server.url}/v1/models/reaseq:predict", json={"user_id": "u1", "candidates": CANDIDATES})
    assert (answer.status_code, answer.json()["type"]) == (504, "PredictorTimeout")


def test_an_internal_error_keeps_its_text_to_itself(started: Callable[..., TransformerServer]) -> None:
    server = started(UsersInMemory({}))
    server.transformer.model_version = object()  # type: ignore[assignment]
    answer = httpx.post(f"{server.url}/v1/models/reaseq:predict", json={"user_id": "u1", "candidates": CANDIDATES})
    assert (answer.status_code, answer.json()["type"]) == (500, "InternalError")
    assert "object" not in answer.text
    assert "serializable" not in answer.text


def test_kserve_s_health_endpoints_answer(started: Callable[..., TransformerServer]) -> None:
    server = started(UsersInMemory({}))
    for path in ("/", "/v2/health/live", "/v2/health/ready", "/v2/models/reaseq/ready", "/v1/models/reaseq"):
        assert httpx.get(f"{server.url}{path}").status_code == 200, path
    assert httpx.get(f"{server.url}/v1/models").json() == {"models": ["reaseq"]}
    assert httpx.get(f"{server.url}/v1/models/nobody").status_code == 404


def test_the_transformer_listens_on_loopback_alone(started: Callable[..., TransformerServer]) -> None:
    server = started(UsersInMemory({}))
    listening = [c for c in psutil.Process().connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in listening if c.laddr.port == server.port] == ["127.0.0.1"]


def test_its_port_in_use_is_named_with_its_option(started: Callable[..., TransformerServer]) -> None:
    first = started(UsersInMemory({}))
    with pytest.raises(PortInUse, match=rf"port {first.port} \(--port\)"):
        TransformerServer(first.transformer, first.port).__enter__()

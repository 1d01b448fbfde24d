"""A malformed call gets an error of its own, and the server goes on answering everybody else."""

import json
from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest

from reaseq.artifacts import Artifact
from reaseq.ranking.bundle import Bundle
from serving import parity
from serving.triton_repository import MODEL_NAME
from serving.triton_server import TritonServer

Body = dict


@pytest.fixture
def call(triton: TritonServer, bundle: Artifact) -> Iterator[Callable[[bytes | Body], httpx.Response]]:
    """Sends a body; afterwards the server must still be right."""
    with httpx.Client(base_url=f"http://{triton.http_url}", timeout=10) as client:

        def send(body: bytes | Body, **headers: str) -> httpx.Response:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return client.post(f"/v2/models/{MODEL_NAME}/infer", content=content, headers=headers)

        yield send
    assert triton.alive
    assert parity.verify(triton.http_url, bundle).max_abs_difference <= 1e-5


def well_formed(bundle: Artifact) -> Body:
    inputs, _ = Bundle(bundle).golden()[1]
    return {
        "inputs": [
            {
                "name": name,
                "datatype": "INT64" if value.dtype == np.int64 else "FP32",
                "shape": list(value.shape),
                "data": value.ravel().tolist(),
            }
            for name, value in inputs.items()
        ]
    }


def _input(body: Body, name: str) -> Body:
    return next(tensor for tensor in body["inputs"] if tensor["name"] == name)


def _fewer_candidates(body: Body) -> None:
    _input(body, "candidates")["data"] = _input(body, "candidates")["data"][:-2]


def _another_width(body: Body) -> None:
    _input(body, "history").update(shape=[1, 5], data=[0] * 5)


def _another_rank(body: Body) -> None:
    _input(body, "candidates").update(shape=[1, 7])


def _another_type(body: Body) -> None:
    _input(body, "history_age").update(datatype="INT64", data=[0] * 6)


def _a_missing_input(body: Body) -> None:
    body["inputs"].remove(_input(body, "profile"))


def _an_unknown_input(body: Body) -> None:
    body["inputs"].append({"name": "password", "datatype": "INT64", "shape": [1], "data": [1]})


def _lengths_that_disagree(body: Body) -> None:
    _input(body, "cold_index").update(shape=[3], data=[0, 0, 0])


def _an_item_beyond_the_table(body: Body) -> None:
    _input(body, "candidates")["data"][0] = 2**40


def _text_for_a_number(body: Body) -> None:
    _input(body, "candidates")["data"][0] = "i001"


def _a_huge_shape(body: Body) -> None:
    _input(body, "candidates").update(shape=[2**22])


def _a_negative_shape(body: Body) -> None:
    _input(body, "candidates").update(shape=[-1])


@pytest.mark.parametrize(
    "spoil",
    [
        _fewer_candidates,
        _another_width,
        _another_rank,
        _another_type,
        _a_missing_input,
        _an_unknown_input,
        _lengths_that_disagree,
        _an_item_beyond_the_table,
        _text_for_a_number,
        _a_huge_shape,
        _a_negative_shape,
    ],
)
def test_a_malformed_tensor_is_refused(call, bundle: Artifact, spoil: Callable[[Body], None]) -> None:
    body = well_formed(bundle)
    spoil(body)
    answer = call(body)
    assert 400 <= answer.status_code < 600
    assert answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\x00\xff" * 1000, b"[]", b"null", b'{"inputs": 3}'])
def test_bytes_that_are_no_request_are_refused(call, body: bytes) -> None:
    assert call(body).status_code >= 400


@pytest.mark.parametrize("length", ["0", "5", "99999999", "-1", "abc"])
def test_a_lying_binary_header_is_refused(call, bundle: Artifact, length: str) -> None:
    body = well_formed(bundle)
    body["inputs"][0].pop("data")
    body["inputs"][0]["parameters"] = {"binary_data_size": 8 * 7}
    assert (
        call(json.dumps(body).encode() + b"\x01" * 3, **{"Inference-Header-Content-Length": length}).status_code >= 400
    )


def test_a_model_that_is_not_there_is_not_found(triton: TritonServer) -> None:
    assert httpx.post(f"http://{triton.http_url}/v2/models/../../etc/passwd/infer", json={}).status_code >= 400
    assert httpx.get(f"http://{triton.http_url}/v2/models/nobody").status_code == 404

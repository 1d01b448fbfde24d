"""Whatever the client, Triton answers as onnxruntime did in process."""

import subprocess
import sys

import httpx
import numpy as np
import pytest
import tritonclient.http as tritonhttp

from reaseq.artifacts import Artifact, Workspace
from reaseq.ranking.bundle import Bundle
from serving import parity
from serving.errors import ParityError, PredictorUnavailable
from serving.triton_repository import MODEL_NAME
from serving.triton_server import TritonServer
from tests.serving.standin import requests, write_ranker

GRPC_CLIENT = """
import sys
import numpy as np, tritonclient.grpc as grpc
from reaseq.ranking.bundle import Bundle

client, worst = grpc.InferenceServerClient(sys.argv[1]), 0.0
for inputs, scores in Bundle.open(sys.argv[2]).golden():
    tensors = []
    for name, value in inputs.items():
        tensors.append(grpc.InferInput(name, value.shape, "INT64" if value.dtype == np.int64 else "FP32"))
        tensors[-1].set_data_from_numpy(value)
    worst = max(worst, float(np.abs(client.infer("reaseq_ranker", tensors).as_numpy("scores") - scores).max()))
client.close()
print(worst)
"""


def test_the_http_client_gets_the_golden_scores(triton: TritonServer, bundle: Artifact) -> None:
    golden = Bundle(bundle).golden()
    assert len(golden) == 4
    with tritonhttp.InferenceServerClient(triton.http_url) as client:
        for inputs, scores in golden:
            answer = client.infer(MODEL_NAME, [_tensor(name, value) for name, value in inputs.items()])
            np.testing.assert_allclose(answer.as_numpy("scores"), scores, rtol=0, atol=1e-5)


def test_plain_json_gets_the_golden_scores(triton: TritonServer, bundle: Artifact) -> None:
    assert httpx.get(f"http://{triton.http_url}/v2/health/ready").status_code == 200
    for inputs, scores in Bundle(bundle).golden():
        body = {"inputs": [_json(name, value) for name, value in inputs.items()]}
        answer = httpx.post(f"http://{triton.http_url}/v2/models/{MODEL_NAME}/infer", json=body).json()
        (output,) = answer["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("scores", "FP32", list(scores.shape))
        np.testing.assert_allclose(output["data"], scores, rtol=0, atol=1e-5)


def test_the_grpc_client_gets_the_golden_scores(triton: TritonServer, bundle: Artifact) -> None:
    command = [sys.executable, "-c", GRPC_CLIENT, triton.grpc_url, str(bundle.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert float(done.stdout) <= 1e-5


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_any_number_of_candidates_is_ranked(triton: TritonServer, bundle: Artifact, size: int) -> None:
    opened = Bundle(bundle)
    (inputs,) = requests(np.random.default_rng(size), [size], 6, 10, 5, 4, len(opened.vocabulary))
    with tritonhttp.InferenceServerClient(triton.http_url) as client:
        answer = client.infer(MODEL_NAME, [_tensor(name, value) for name, value in inputs.items()])
    np.testing.assert_allclose(answer.as_numpy("scores"), opened.score(inputs), rtol=0, atol=1e-5)


def test_the_running_server_is_verified_against_its_bundle(triton: TritonServer, bundle: Artifact) -> None:
    proof = parity.verify(triton.http_url, bundle)
    assert proof.requests == 4
    assert proof.max_abs_difference <= 1e-5


def test_a_server_of_another_bundle_is_refused(triton: TritonServer, workspace: Workspace) -> None:
    other = write_ranker(workspace.root / "other", workspace, seed=1)
    with pytest.raises(ParityError, match="build the model repository from this bundle again"):
        parity.verify(triton.http_url, other)


def test_scores_that_differ_are_refused(
    triton: TritonServer, bundle: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = [(inputs, scores + np.float32(1e-3)) for inputs, scores in Bundle(bundle).golden()]
    monkeypatch.setattr(Bundle, "golden", lambda self: off)
    with pytest.raises(ParityError, match=r"1\.00e-03 away"):
        parity.verify(triton.http_url, bundle)


def test_no_server_is_no_parity(bundle: Artifact) -> None:
    with pytest.raises(PredictorUnavailable):
        parity.verify("127.0.0.1:9", bundle)


def _tensor(name: str, value: np.ndarray) -> tritonhttp.InferInput:
    tensor = tritonhttp.InferInput(name, value.shape, _type(value))
    tensor.set_data_from_numpy(value)
    return tensor


def _json(name: str, value: np.ndarray) -> dict:
    return {"name": name, "datatype": _type(value), "shape": list(value.shape), "data": value.ravel().tolist()}


def _type(value: np.ndarray) -> str:
    return "INT64" if value.dtype == np.int64 else "FP32"

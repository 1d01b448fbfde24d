"""Do public clients get the scores of in-process onnxruntime? For all golden requests of the newest run.

    reaseq serve &
    python benchmarks/serving_parity.py [runs/latest]

Asks Triton with curl (JSON, Open Inference Protocol), with tritonclient over HTTP and with tritonclient over gRPC, and
prints the largest difference of each. Exit status 1 if one is above 1e-5.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc
import tritonclient.http

from reaseq.cli.runs import Run
from reaseq.ranking.bundle import MODEL_NAME, PARITY, Bundle
from serving.oip import infer_body


def by_curl(url: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
    body = json.dumps(infer_body(inputs))
    command = ["curl", "-sf", f"http://{url}/v2/models/{MODEL_NAME}/infer", "-d", "@-"]
    answer = subprocess.run(command, input=body, capture_output=True, text=True, check=True).stdout
    return np.array(json.loads(answer)["outputs"][0]["data"], np.float32)


def by_client(module, client, inputs: dict[str, np.ndarray]) -> np.ndarray:
    tensors = []
    for spec in infer_body(inputs)["inputs"]:
        tensor = module.InferInput(spec["name"], spec["shape"], spec["datatype"])
        tensor.set_data_from_numpy(inputs[spec["name"]])
        tensors.append(tensor)
    return client.infer(MODEL_NAME, tensors).as_numpy("scores")


def main() -> int:
    run = Run(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/latest").resolve())
    state = json.loads((run.path / "serve.json").read_text())
    bundle = Bundle(run.artifact("ranker_full"))
    ready = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{state['triton_http']}/v2/health/ready"]
    print("ready  ", subprocess.run(ready, capture_output=True, text=True, check=True).stdout)
    http = tritonclient.http.InferenceServerClient(state["triton_http"])
    grpc = tritonclient.grpc.InferenceServerClient(state["triton_grpc"])
    worst = dict.fromkeys(("curl", "http", "grpc"), 0.0)
    requests = bundle.golden()
    for inputs, _ in requests:
        expected = bundle.score(inputs)
        told = {
            "curl": by_curl(state["triton_http"], inputs),
            "http": by_client(tritonclient.http, http, inputs),
            "grpc": by_client(tritonclient.grpc, grpc, inputs),
        }
        for name, scores in told.items():
            worst[name] = max(worst[name], float(np.abs(scores - expected).max()))
    for name, difference in worst.items():
        print(f"{name:7} {len(requests)} golden requests, largest difference {difference:.1e}")
    return int(max(worst.values()) > PARITY)


if __name__ == "__main__":
    sys.exit(main())

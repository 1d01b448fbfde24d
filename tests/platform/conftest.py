"""A whole run's artifacts, made by hand over the small world, and an MLflow store of its own for each test."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import RunConfig, load
from reaseq.platform.mlflow_store import locate
from tests import smallworld

METRICS = {
    "test": {
        "full": {"auc": 0.71, "gauc": 0.66, "hr@10": 0.2, "buckets": {">20": {"auc": 0.8}}, "undefined": {}},
        "id": {"auc": 0.69, "gauc": 0.64, "hr@10": None},
    },
    "lift": {"auc": [0.01, 0.03]},
    "notes": ["one seed"],
}
STEPS = 30


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that MLflow has made and nobody has used; making one takes seconds, copying it does not."""
    folder = tmp_path_factory.mktemp("store")
    locate(folder).client()
    return folder


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(empty_store, tmp_path / "store"))


@pytest.fixture(scope="session")
def config() -> RunConfig:
    overrides = {"llm.base_url": "https://someone:secret-word@llm.example/v1", "platform.experiment": "small-world"}
    return load("tiny", seed=3, overrides=overrides)


@pytest.fixture(scope="session")
def run_artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    root = tmp_path_factory.mktemp("run")
    workspace = Workspace(root / "workspace")
    dataset = smallworld.write_dataset(root / "dataset", workspace)
    made = {"dataset": dataset, "knowledge": smallworld.write_knowledge(root / "knowledge", dataset, workspace)}
    made["item_vectors"] = smallworld.write_item_vectors(root / "item_vectors", dataset, workspace)
    for name in ("ranker_id", "ranker_full"):
        made[name] = write_ranker(root / name, dataset, workspace, name)

    def evaluate(draft: Draft) -> None:
        draft.write_json("metrics.json", METRICS)
        (draft.path / "report.html").write_text("<p>report</p>")

    inputs = {"dataset": dataset, "ranker_full": made["ranker_full"]}
    made["evaluation"] = build(
        root / "evaluation", kind="evaluation", config={}, inputs=inputs, write=evaluate, workspace=workspace
    )
    return made


def write_ranker(out: Path, dataset: Artifact, workspace: Workspace, name: str, seed: int = 0) -> Artifact:
    """A bundle whose model answers with a constant for each candidate."""

    def write(draft: Draft) -> None:
        candidates = helper.make_tensor_value_info("candidates", TensorProto.INT64, ["C"])
        profile = helper.make_tensor_value_info("profile", TensorProto.FLOAT, [1, 4])
        scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["C"])
        nodes = [
            helper.make_node("ReduceMean", ["profile"], ["mean"], keepdims=0),
            helper.make_node("Cast", ["candidates"], ["cast"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["cast", "mean"], ["scores"]),
        ]
        graph = helper.make_graph(nodes, name, [candidates, profile], [scores])
        opset = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), draft.path / "model.onnx")
        save_file({"weight": np.full(3, seed, np.float32)}, draft.path / "model.safetensors")
        draft.write_json("ranker.json", {"variant": name})
        lines = [{"step": 10 * n, "loss": 1 / (n + 1), "examples": 5} for n in range(STEPS)]
        (draft.path / "training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (draft.path / "notes").mkdir()
        (draft.path / "notes" / "readme.txt").write_text("a file in a folder")
        draft.facts.update(valid_auc=0.7, loss_curve=list(range(100)))

    settings = {"ranking": {"batch": 256}, "seed": seed}
    return build(
        out, kind="ranker", name=name, config=settings, inputs={"dataset": dataset}, write=write, workspace=workspace
    )

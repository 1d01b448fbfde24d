"""The gate's component over trained rankers and a real MLflow registry in the workspace."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp import dsl

from components.promotion_gate.component import promotion_gate
from reaseq import config as configuration
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.evaluation.gate import TAGS, Decision
from reaseq.evaluation.stage import evaluate
from reaseq.platform import registry
from reaseq.platform.errors import RegistryError
from reaseq.ranking.stage import train_ranker
from tests.evaluation import standins

CONFIG = configuration.load(
    "tiny",
    overrides={
        "evaluation.bootstrap": 40,
        "evaluation.ranked_users": 5,
        "ranking.golden_requests": 3,
        "ranking.golden_candidates": 10,
        "platform.model_name": "shop",
        "platform.experiment": "small-world",
    },
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """One ranker trained in earnest, and the same under other seeds: training three costs minutes and shows no more."""
    root = tmp_path_factory.mktemp("promotion-gate")
    workspace = Workspace(root / "workspace")
    inputs = standins.write_all(root, workspace)
    sources = {name: inputs[name] for name in ("dataset", "item_vectors", "inferred_behaviors")}
    trained = train_ranker(CONFIG, **sources, out=root / "trained", workspace=workspace)
    inputs["ranker_full"] = trained
    inputs["ranker_id"] = standins.replicate_of(trained, root / "id", workspace, seed=5)
    evaluation = evaluate(CONFIG, **inputs, out=root / "evaluation", workspace=workspace)
    others = {f"replicate_{n}": standins.replicate_of(trained, root / f"replicate-{n}", workspace, n) for n in (1, 2)}
    return sources | {"ranker_full": trained, "evaluated": evaluation} | others


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def run(world: dict[str, Artifact], folder: Path) -> tuple[dict, SimpleNamespace]:
    """Run the component's body; returns gate.json and the outputs."""
    kinds = {"gate": dsl.Artifact, "metrics": dsl.Metrics, "confusion": dsl.ClassificationMetrics}
    kinds |= {"page": dsl.HTML, "text": dsl.Markdown}
    outputs = {name: kind(name=name, uri=str(folder / name)) for name, kind in kinds.items()}
    inputs = {name: SimpleNamespace(path=str(artifact.path)) for name, artifact in world.items()}
    workspace = folder.parent / "workspace"
    promotion_gate.python_func(config=CONFIG.model_dump_json(), workspace=str(workspace), **inputs, **outputs)
    return open_artifact(folder / "gate", "gate").json("gate.json"), SimpleNamespace(**outputs)


def test_without_a_champion_the_id_only_ranker_stands_in_and_the_ui_gets_all_of_it(world, tmp_path):
    told, outputs = run(world, tmp_path / "first")

    assert "stands in" in told["champion"]["name"]
    by_name = {check["name"]: check for check in told["checks"]}
    assert by_name["auc"]["figure"] == 0  # the stand-in holds the same weights here
    assert by_name["seeds"]["figure"] == 3
    assert outputs.metrics.metadata["promote"] == float(told["decision"] == "promote")
    assert outputs.metrics.metadata["calibration.ece"] == by_name["calibration.ece"]["figure"]
    matrix = outputs.confusion.metadata["confusionMatrix"]
    assert sum(cell for row in matrix["rows"] for cell in row["row"]) == len(
        world["evaluated"].table("predictions_full.parquet")
    )
    assert Path(outputs.page.path).read_text().startswith("<!doctype html>")
    assert Path(outputs.text.path).read_text().startswith(f"# {told['decision'].capitalize()}")
    assert outputs.gate.metadata["decision"] == told["decision"]


def test_the_registrys_champion_is_the_one_compared_with_and_the_decision_becomes_tags(world, tmp_path):
    folder = tmp_path / "workspace" / "mlflow"
    version = registry.register(world["replicate_2"], name="shop", experiment="small-world", folder=folder)
    registry.promote("shop", version.version, folder=folder)

    told, _ = run(world, tmp_path / "run")

    assert told["champion"]["name"] == "shop version 1"
    decision = Decision.from_json(told)
    registry.mark(version, TAGS, decision.tags, folder=folder)
    tags = registry.resolve("shop", "champion", folder=folder).tags
    assert tags["reaseq.gate.decision"] == told["decision"]
    assert tags["reaseq.gate.reason"] == told["reason"]
    assert tags["reaseq.gate.rule_version"] == "1"
    assert {f"reaseq.gate.{check['name']}" for check in told["checks"]} <= tags.keys()
    assert registry.resolve("shop", "champion", folder=folder).version == 1, "the gate moves no alias"


def test_a_damaged_champion_holds_and_the_pipeline_goes_on(world, tmp_path):
    folder = tmp_path / "workspace" / "mlflow"
    version = registry.register(world["replicate_1"], name="shop", experiment="small-world", folder=folder)
    registry.promote("shop", version.version, folder=folder)
    weights = Path(version.source.removeprefix("file://")) / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()  # a link to the artifact's own file, which stays as it is
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    told, _ = run(world, tmp_path / "run")

    assert told["decision"] == "hold"
    assert "champion could not be compared" in told["reason"]
    assert str(tmp_path) not in told["reason"].replace(str(weights.parent), "")


def test_a_registry_out_of_reach_is_an_error_and_no_decision(world, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(RegistryError):
        run(world, tmp_path / "run")
    assert not (tmp_path / "run" / "gate").exists()

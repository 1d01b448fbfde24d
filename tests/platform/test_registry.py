import shutil
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest

from reaseq.artifacts import Artifact, ArtifactError, Workspace, open_artifact
from reaseq.platform import registry
from reaseq.platform.errors import RegistryError
from tests.platform.conftest import METRICS, write_ranker

NAME = "small-ranker"


@pytest.fixture(scope="module")
def folder(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(empty_store, tmp_path_factory.mktemp("registry") / "store"))


def registered(bundle: Artifact, folder: Path, name: str = NAME) -> registry.RegisteredVersion:
    return registry.register(bundle, name=name, experiment="small-world", folder=folder, metrics=METRICS)


def another(run_artifacts: dict[str, Artifact], tmp_path: Path, seed: int) -> Artifact:
    workspace = Workspace(tmp_path / "workspace")
    return write_ranker(tmp_path / f"ranker-{seed}", run_artifacts["dataset"], workspace, "ranker_full", seed)


def test_a_bundle_becomes_a_version_with_the_alias_challenger(run_artifacts, folder):
    bundle = run_artifacts["ranker_full"]
    version = registered(bundle, folder)
    assert (version.name, version.version, version.digest) == (NAME, 1, bundle.digest)
    assert version.aliases == ("challenger",)
    assert version.tags["reaseq.dataset_digest"] == run_artifacts["dataset"].digest
    assert version.tags["reaseq.variant"] == "ranker_full"
    assert float(version.tags["reaseq.metrics.test.full.gauc"]) == 0.66
    assert registry.resolve(NAME, "challenger", folder=folder) == version
    assert registry.resolve(NAME, 1, folder=folder) == version


def test_registering_the_same_bundle_again_makes_no_second_version(run_artifacts, folder):
    first = registered(run_artifacts["ranker_full"], folder)
    assert registered(run_artifacts["ranker_full"], folder) == first


def test_the_whole_bundle_comes_back_byte_for_byte(run_artifacts, folder, tmp_path):
    bundle = run_artifacts["ranker_full"]
    version = registered(bundle, folder)
    found = registry.download(version, tmp_path / "bundle", folder=folder)
    assert found.digest == bundle.digest
    there = {str(p.relative_to(found.path)): p.read_bytes() for p in found.path.rglob("*") if p.is_file()}
    here = {str(p.relative_to(bundle.path)): p.read_bytes() for p in bundle.path.rglob("*") if p.is_file()}
    assert there == here


def test_the_source_of_a_version_is_a_bundle_and_an_mlflow_model(run_artifacts, folder):
    version = registered(run_artifacts["ranker_full"], folder)
    source = version.source.removeprefix("file://")
    assert open_artifact(source, "ranker").digest == version.digest
    assert not list(Path(source).rglob("*.pkl"))
    signature = mlflow.models.Model.load(source).signature
    assert [(i.name, i.shape) for i in signature.inputs] == [("candidates", (-1,)), ("profile", (1, 4))]
    inputs = {"candidates": np.arange(3), "profile": np.ones((1, 4), np.float32)}
    scores = mlflow.pyfunc.load_model(source).predict(inputs)["scores"]
    expected = onnxruntime.InferenceSession(f"{source}/model.onnx").run(None, inputs)[0]
    assert scores.tolist() == expected.tolist()


def test_a_changed_byte_in_the_registry_is_refused(run_artifacts, folder, tmp_path):
    version = registered(another(run_artifacts, tmp_path, 9), folder, name="damaged")
    weights = Path(version.source.removeprefix("file://")) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ArtifactError, match="sha256"):
        registry.download(version, tmp_path / "out", folder=folder)
    assert not (tmp_path / "out").exists()


def test_promotion_moves_champion_and_previous_and_can_be_rolled_back(run_artifacts, folder, tmp_path):
    def aliases() -> dict[str, int]:
        found = {}
        for alias in ("challenger", "champion", "previous"):
            try:
                found[alias] = registry.resolve(name, alias, folder=folder).version
            except RegistryError:
                continue
        return found

    name = "promoted"
    registered(another(run_artifacts, tmp_path, 1), folder, name)
    assert registry.promote(name, "challenger", folder=folder).version == 1
    assert aliases() == {"champion": 1}
    second = another(run_artifacts, tmp_path, 2)
    registered(second, folder, name)
    assert aliases() == {"champion": 1, "challenger": 2}
    registry.promote(name, "challenger", folder=folder)
    assert aliases() == {"champion": 2, "previous": 1}
    assert registry.promote(name, "champion", folder=folder).version == 2
    assert aliases() == {"champion": 2, "previous": 1}
    registered(second, folder, name)
    assert aliases() == {"champion": 2, "previous": 1}
    registry.promote(name, "previous", folder=folder)
    assert aliases() == {"champion": 1, "previous": 2}


def test_unknown_names_aliases_and_versions_say_what_there_is(run_artifacts, folder):
    registered(run_artifacts["ranker_full"], folder)
    with pytest.raises(RegistryError, match="not registered"):
        registry.resolve("nobody", "challenger", folder=folder)
    with pytest.raises(RegistryError, match=r"no alias 'champion'; it has: challenger \(version 1\)"):
        registry.resolve(NAME, "champion", folder=folder)
    with pytest.raises(RegistryError, match="no version 77"):
        registry.resolve(NAME, 77, folder=folder)


def test_only_a_ranker_bundle_can_be_registered(run_artifacts, folder):
    with pytest.raises(RegistryError, match=r"model\.onnx"):
        registered(run_artifacts["dataset"], folder)


def test_a_version_is_linked_to_the_run_it_came_from(run_artifacts, folder, tmp_path):
    from reaseq.platform.mlflow_store import locate

    client = locate(folder).client()
    run = client.create_run(locate(folder).experiment(client, "small-world")).info.run_id
    bundle = another(run_artifacts, tmp_path, 5)
    version = registry.register(bundle, name="linked", experiment="small-world", folder=folder, run_id=run)
    assert version.run_id == run
    assert [output.model_id for output in client.get_run(run).outputs.model_outputs] == [version.model_id]


def test_looking_for_an_alias_that_nobody_has_finds_nothing(run_artifacts, folder):
    version = registered(run_artifacts["ranker_full"], folder, "sought")

    assert registry.find("sought", "challenger", folder=folder) == version
    assert registry.find("sought", "champion", folder=folder) is None
    assert registry.find("never-registered", "champion", folder=folder) is None


def test_a_registry_out_of_reach_is_no_registry_without_champion(folder, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(RegistryError):
        registry.find("sought", "champion", folder=folder)


def test_marks_replace_those_of_before_and_leave_other_tags_alone(run_artifacts, folder):
    version = registered(run_artifacts["ranker_full"], folder, "marked")

    registry.mark(version, "gate.", {"gate.decision": "hold", "gate.old_check": "fail 3"}, folder=folder)
    registry.mark(version, "gate.", {"gate.decision": "promote", "gate.auc": "pass 0.01 (≥ −0.002)"}, folder=folder)

    tags = registry.resolve("marked", 1, folder=folder).tags
    assert {name: value for name, value in tags.items() if name.startswith("gate.")} == {
        "gate.decision": "promote",
        "gate.auc": "pass 0.01 (≥ −0.002)",
    }
    assert tags.items() >= version.tags.items()

from pathlib import Path

import pytest
import yaml

from components import IMAGE
from pipelines.compile import COMPILED, compile_pipeline
from pipelines.local import OUTPUTS


@pytest.fixture(scope="module")
def compiled() -> dict:
    return next(yaml.safe_load_all(COMPILED.read_text()))


def test_the_checked_in_file_is_what_the_definition_compiles_to(tmp_path: Path) -> None:
    fresh = compile_pipeline(tmp_path / "fresh.yaml").read_text()
    assert fresh == COMPILED.read_text(), "run `make compile` and commit pipelines/compiled/reaseq.yaml"


def test_no_component_installs_anything_at_run_time(compiled: dict) -> None:
    containers = [e["container"] for e in compiled["deploymentSpec"]["executors"].values()]
    assert len(containers) >= 8
    assert {c["image"] for c in containers} == {IMAGE}
    assert not [c for c in containers if "pip install" in " ".join(c["command"])]


def test_every_parameter_is_explained_in_the_form(compiled: dict) -> None:
    parameters = compiled["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {"dataset", "source", "preset", "seed", "overrides", "workspace", "run_id"}
    assert all(p.get("description") for p in parameters.values())
    assert all("defaultValue" in p for p in parameters.values())


def test_no_parameter_carries_a_secret(compiled: dict) -> None:
    text = COMPILED.read_text().lower()
    assert "password" not in text
    for component in compiled["components"].values():
        names = component.get("inputDefinitions", {}).get("parameters", {})
        assert not [n for n in names if "key" in n or "secret" in n or "token" in n]


def test_the_outputs_that_a_local_run_looks_for_exist(compiled: dict) -> None:
    tasks = compiled["root"]["dag"]["tasks"]
    for task, output in OUTPUTS.values():
        component = compiled["components"][tasks[task]["componentRef"]["name"]]
        assert output in component["outputDefinitions"]["artifacts"]


def test_three_rankers_that_differ_in_their_seed_come_before_the_gate_and_the_gate_before_registration(
    compiled,
) -> None:
    tasks = compiled["root"]["dag"]["tasks"]
    gate = tasks["promotion-gate"]["inputs"]["artifacts"]
    trained = [
        gate[name]["taskOutputArtifact"]["producerTask"] for name in ("ranker_full", "replicate_1", "replicate_2")
    ]
    assert trained[0] == OUTPUTS["ranker_full"][0]
    settings = [tasks[task]["inputs"]["parameters"] for task in trained]
    constants = [
        {name: p[name]["runtimeValue"]["constant"] for name in ("variant", "replicate") if name in p} for p in settings
    ]
    assert constants == [{"variant": "full"}, {"variant": "full", "replicate": 1}, {"variant": "full", "replicate": 2}]
    decision = tasks["registration"]["inputs"]["artifacts"]["gate"]["taskOutputArtifact"]
    assert decision == {"outputArtifactKey": "gate", "producerTask": "promotion-gate"}


def test_what_depends_on_the_registry_is_never_cached(compiled: dict) -> None:
    tasks = compiled["root"]["dag"]["tasks"]
    for name in ("promotion-gate", "registration"):
        assert not tasks[name].get("cachingOptions", {}).get("enableCache", False)
    assert tasks["evaluation"]["cachingOptions"]["enableCache"]

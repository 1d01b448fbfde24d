import ast
import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest

import components
from components.ingest.component import ingest
from components.opening import opened
from reaseq.artifacts import open_artifact
from reaseq.config import RunConfig
from reaseq.errors import ArtifactError, ConfigError

FOLDER = Path(components.__file__).parent
FILES = sorted(FOLDER.glob("*/component.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.parent.name)
def test_a_component_is_thin_and_explained(file: Path) -> None:
    function = next(n for n in ast.parse(file.read_text()).body if isinstance(n, ast.FunctionDef))
    statements = function.body[1:]  # after the docstring
    assert statements[-1].end_lineno - statements[0].lineno < 25
    docstring = ast.get_docstring(function)
    for argument in function.args.args:
        assert f"{argument.arg}:" in docstring, f"{argument.arg} is not explained in the form"
    assert (file.parent / "README.md").is_file()


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.parent.name)
def test_a_component_imports_nothing_heavy_before_it_runs(file: Path) -> None:
    imports = [n for n in ast.parse(file.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)]
    names = {getattr(n, "module", None) or n.names[0].name for n in imports}
    assert {name.split(".")[0] for name in names} <= {"kfp", "components", "typing"}


def test_ingest_resolves_the_configuration_once(tmp_path: Path) -> None:
    output = SimpleNamespace(path=str(tmp_path / "dataset"), metadata={})
    (config,) = ingest.python_func(
        dataset_name="synthetic",
        source="",
        preset="tiny",
        seed=3,
        overrides={"data.synthetic.users": 60.0},
        workspace=str(tmp_path / "workspace"),
        dataset=output,
    )
    resolved = RunConfig.model_validate_json(config)
    assert (resolved.seed, resolved.data.synthetic.users) == (3, 60)
    assert open_artifact(tmp_path / "dataset", "dataset").digest == output.metadata["digest"]


def test_a_component_refuses_a_broken_configuration_and_a_missing_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'config' of evaluation"), opened("evaluation", "{}", str(tmp_path)):
        pass
    from reaseq.config import load

    missing = SimpleNamespace(path=str(tmp_path / "nothing"))
    config = load("tiny").model_dump_json()
    with pytest.raises(ArtifactError, match="not there"), opened("x", config, str(tmp_path), dataset=missing):
        pass


def test_the_bodies_are_of_the_functions_that_are_compiled() -> None:
    assert "opened(" in inspect.getsource(ingest.python_func)

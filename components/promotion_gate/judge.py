"""The gate's steps: bring the registry's champion here if there is one, and judge the challenger against it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from components.opening import Opened
from reaseq.artifacts import Artifact
from reaseq.errors import ArtifactError
from reaseq.evaluation import judging
from reaseq.platform import registry

CHALLENGER = ("ranker_full", "replicate_1", "replicate_2")
"""The challenger's rankers among the inputs; the first would be served."""


def judge(stage: Opened, out: Path) -> Artifact:
    """Make the `gate` artifact from the opened component's inputs.

    Raises:
        RegistryError: MLflow can't be reached; a champion that can't be asked for is not taken for none.
    """
    made = dict(stage.inputs)
    rankers = [made.pop(name) for name in CHALLENGER]
    name, folder = stage.config.platform.model_name, stage.workspace.root / "mlflow"
    with _champion(name, folder) as champion:
        return judging.judge(
            stage.config, **made, rankers=rankers, out=out, workspace=stage.workspace, champion=champion
        )


@contextmanager
def _champion(name: str, folder: Path) -> Iterator[judging.Champion | None]:
    version = registry.find(name, registry.CHAMPION, folder=folder)
    if version is None:
        yield None
        return
    called = f"{name} version {version.version}"
    with TemporaryDirectory(prefix="reaseq-champion-") as scratch:
        try:
            champion = judging.Champion(called, registry.download(version, Path(scratch) / "bundle", folder=folder))
        except ArtifactError as error:  # of another layout, or damaged: a person must look, and the run goes on
            champion = judging.Champion(called, None, _without(scratch, str(error)))
        yield champion


def _without(scratch: str, problem: str) -> str:
    """The temporary folder's name is another at every start, and the decision must not be."""
    return problem.replace(scratch, "…")

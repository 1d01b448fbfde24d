"""What every component body does first: read the configuration, open its inputs, report progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reaseq import progress
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.config import RunConfig
from reaseq.errors import ConfigError


@dataclass(frozen=True)
class Opened:
    config: RunConfig
    inputs: dict[str, Artifact]
    workspace: Workspace


@contextmanager
def opened(stage: str, config: str, workspace: str, **inputs: Any) -> Iterator[Opened]:
    """Open a component.

    Args:
        stage: its name, for the progress report.
        config: JSON of the `RunConfig` that `ingest` resolved.
        workspace: folder that survives a restart (on a cluster, a mounted volume).
        inputs: KFP input artifacts, each a folder; they are verified here.

    Raises:
        ConfigError: `config` is no run configuration.
        ArtifactError: an input is missing, unfinished or changed.
    """
    with progress.stage(stage):
        try:
            resolved = RunConfig.model_validate_json(config)
        except ValidationError as error:
            raise ConfigError(f"parameter 'config' of {stage} is no run configuration: {error}") from None
        artifacts = {name: open_artifact(Path(artifact.path)) for name, artifact in inputs.items()}
        yield Opened(resolved, artifacts, Workspace(workspace))


def describe(output: Any, made: Artifact) -> None:
    """Put an artifact's digest and its plain facts where the Kubeflow UI shows them."""
    plain = {name: value for name, value in made.facts.items() if isinstance(value, int | float | str | bool)}
    output.metadata.update(plain | {"digest": made.digest, "seconds": made.manifest.seconds})

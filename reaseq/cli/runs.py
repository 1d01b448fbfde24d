"""Runs on this machine: one folder each under `runs/`, beside the workspace that they share.

    runs/<id>/   run.json  summary.json  report.html  gate.html  pipeline/  pipeline.log  progress.jsonl
    runs/latest  → the newest finished run
    runs/.workspace/  finished artifacts by key, checkpoints, the LLM cache, MLflow's store and registry

A run that did not finish is taken up again by the next start with the same configuration.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pipelines.local import outputs
from reaseq.artifacts import Artifact, Workspace, open_artifact, write_text
from reaseq.config import RunConfig
from reaseq.errors import ReaSeqError

ARTIFACTS = (
    "dataset",
    "knowledge",
    "item_vectors",
    "denoiser",
    "inferred_behaviors",
    "ranker_id",
    "ranker_full",
    "evaluation",
    "gate",
)

EXTENDED = "dataset"
"""In the folder of refreshes: the run's dataset, gone on."""


class RunError(ReaSeqError):
    """There is no such run, or it did not finish."""


@dataclass(frozen=True)
class Run:
    """One run and where its parts are."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def summary_path(self) -> Path:
        return self.path / "summary.json"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def gate_path(self) -> Path:
        return self.path / "gate.html"

    @cached_property
    def outputs(self) -> dict[str, Path]:
        """Folders of the run's outputs, by the names of `pipelines.local.OUTPUTS`."""
        return outputs(self.path)

    def artifact(self, name: str) -> Artifact:
        """Open and verify one of `ARTIFACTS`."""
        return open_artifact(self.outputs[name])

    @property
    def refreshes(self) -> Path:
        """The folder of `reaseq refresh`, which tells what lies there."""
        return self.path / "refreshes"

    def finished_refreshes(self) -> list[Path]:
        """Folders of the refreshes whose rows have reached the feature store, newest first."""
        return [summary.with_suffix("") for summary in sorted(self.refreshes.glob("*Z.json"), reverse=True)]

    @cached_property
    def config(self) -> RunConfig:
        return RunConfig.model_validate(self.summary["config"])

    @cached_property
    def summary(self) -> dict[str, Any]:
        return json.loads(self.summary_path.read_text())

    def finish(self, folder: Path) -> None:
        """Mark the run as finished and make it the newest."""
        self._note_state(json.loads((self.path / "run.json").read_text()) | {"state": "finished"})
        link = folder / f".latest-{self.id}"
        link.unlink(missing_ok=True)
        link.symlink_to(self.id)
        link.replace(folder / "latest")

    def _note_state(self, state: dict[str, Any]) -> None:
        write_text(self.path / "run.json", json.dumps(state, indent=2) + "\n")


def workspace(folder: Path) -> Workspace:
    """What the runs in `folder` share."""
    return Workspace(folder / ".workspace")


@contextmanager
def start_run(folder: Path, config: RunConfig) -> Iterator[tuple[Run, bool]]:
    """Take up the unfinished run of this configuration, or begin a new one; held until the context ends.

    Yields:
        The run, and whether it was taken up again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*/run.json"), reverse=True):
        state = json.loads(path.read_text())
        if state["config"] == config.digest and state["state"] == "started":
            with _held(path.parent) as held:
                if held:
                    yield Run(path.parent), True
                    return
    stem = f"{config.data.dataset}-{config.preset}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    path = next(
        p for p in (folder / f"{stem}{suffix}" for suffix in ("", *map("-{}".format, range(2, 100)))) if not p.exists()
    )
    path.mkdir()
    with _held(path):
        run = Run(path)
        run._note_state({"id": path.name, "config": config.digest, "state": "started"})
        yield run, False


def find_run(folder: Path, name: str) -> Run:
    """A finished run by its id, `latest`, or its folder.

    Raises:
        RunError: it is not there or did not finish.
    """
    path = (folder / name).resolve()
    if not (path / "run.json").is_file():
        known = ", ".join(sorted(p.parent.name for p in folder.glob("*/run.json") if p.parent.name != "latest"))
        raise RunError(f"run {name!r} is not in {folder}. Known runs: {known or 'none; start one with `make demo`'}.")
    if not (path / "summary.json").is_file():
        raise RunError(f"run {name!r} did not finish; start it again with the same options to resume it.")
    return Run(path)


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether this process alone works on the run; the kernel lets go when the process dies."""
    with (path / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True

"""What the programs have in common that torchrun, or a Kubeflow TrainJob's torch runtime, starts in each process."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.config import RunConfig
from reaseq.errors import ReaSeqError
from reaseq.parallel import Ranks, joined

Task = Callable[[RunConfig, Sequence[Artifact], Workspace, Ranks], None]


def arguments_of(description: str | None, inputs: Sequence[str]) -> argparse.ArgumentParser:
    """A parser of `--config`, one folder for each kind of input artifact, `--workspace` and `--out`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="JSON of a RunConfig")
    for name in inputs:
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=f"artifact of kind {name}")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser


def run_together(chosen: argparse.Namespace, inputs: Sequence[str], task: Task) -> int:
    """Join the other processes and do the task with them; gives the exit status, what went wrong is on stderr."""
    try:
        config = RunConfig.model_validate_json(chosen.config.read_text())
        artifacts = [open_artifact(getattr(chosen, name), name) for name in inputs]
        with joined(config.device) as ranks:
            task(config, artifacts, Workspace(chosen.workspace), ranks)
            ranks.wait()
    except (ReaSeqError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0

"""Runs the command line in processes of its own, as a person would, on a world that is smaller still than `tiny`."""

import os
import subprocess
import sys
from pathlib import Path

SMALLER = {
    "data.synthetic.users": 120,
    "data.synthetic.items": 200,
    "representation.align_steps": 40,
    "behavior.epochs": 4,
    "behavior.snapshots": 1,
    "behavior.reverse_steps": 2,
    "evaluation.ranked_users": 20,
    "evaluation.bootstrap": 50,
    "ranking.golden_requests": 6,
}


def arguments(runs: Path, *more: str) -> list[str]:
    settings = [word for name, value in SMALLER.items() for word in ("--set", f"{name}={value}")]
    return ["run", "--preset", "tiny", "--runs", str(runs), *settings, *more]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "reaseq.cli", *words]


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "REASEQ_"))}
    return kept | {"COLUMNS": "200", "NO_COLOR": "1"}


def reaseq(*words: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=timeout, env=environment())

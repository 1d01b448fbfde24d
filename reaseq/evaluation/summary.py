"""`summary.json`: all that a run came to, in one file with stable, sorted keys, for scripts and the command line."""

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from reaseq.artifacts import Artifact, write_text
from reaseq.config import RunConfig
from reaseq.evaluation.provenance import public_config, strike, versions
from reaseq.evaluation.scorecard import metric_label

SUMMARY = "summary.json"
VERSION = 1
"""Of the layout; it rises when a key changes its meaning or goes away."""

_HEADLINE = ("auc", "gauc", "logloss")


def write_summary(
    run_dir: Path, config: RunConfig, artifacts: Mapping[str, Artifact], extra: Mapping[str, Any]
) -> Path:
    """Write `summary.json` into the folder of a run; it appears whole or not at all.

    Args:
        run_dir: `runs/<id>`; its name is the run's id.
        config: of the run.
        artifacts: stage → artifact; `evaluation` brings the metrics, `gate` the decision.
        extra: more of what is to be kept, such as the registered version; JSON, under keys of its own.

    Returns:
        The path of the file.
    """
    metrics = artifacts["evaluation"].json("metrics.json") if "evaluation" in artifacts else {}
    summary = {
        "summary_version": VERSION,
        "run_id": run_dir.name,
        "preset": config.preset,
        "seed": config.seed,
        "dataset": config.data.dataset,
        "config": public_config(config),
        "config_digest": config.digest,
        "metrics": metrics,
        "gate": artifacts["gate"].json("gate.json") if "gate" in artifacts else None,
        "stages": {name: _stage(artifact) for name, artifact in artifacts.items()},
        "seconds": round(sum(artifact.manifest.seconds for artifact in artifacts.values()), 3),
        "peak_memory_bytes": max((artifact.manifest.peak_memory_bytes for artifact in artifacts.values()), default=0),
        "versions": versions(),
        "machine": {
            "cpus": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "extra": dict(extra),
    }
    path = run_dir / SUMMARY
    run_dir.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(strike(summary), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    return path


def headline(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows (metric, ID-only, full model) of the final table; `–` where a metric is undefined, none without metrics."""
    test = summary.get("metrics", {}).get("test")
    if not test:
        return []
    shortest = min((int(name.removeprefix("hr@")) for name in test["id"] if name.startswith("hr@")), default=0)
    names = (*_HEADLINE, f"hr@{shortest}", f"ndcg@{shortest}") if shortest else _HEADLINE
    return [(metric_label(n), _shown(test["id"].get(n)), _shown(test["full"].get(n))) for n in names]


def gate_line(summary: Mapping[str, Any]) -> str:
    """The gate's decision, its reason and whom it compared with, in one line; empty for a run that was not judged."""
    told = summary.get("gate")
    return f"{told['decision']}: {told['reason']}. Champion: {told['champion']['name']}" if told else ""


def _stage(artifact: Artifact) -> dict[str, Any]:
    manifest = artifact.manifest
    return {
        "kind": manifest.kind,
        "digest": artifact.digest,
        "facts": manifest.facts,
        "seconds": manifest.seconds,
        "peak_memory_bytes": manifest.peak_memory_bytes,
        "rows": {name: entry.rows for name, entry in manifest.files.items() if entry.rows is not None},
        "bytes": sum(entry.bytes for entry in manifest.files.values()),
    }


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"

"""How the ranker should be trained, by validation alone: AUC and GAUC of the validation split, setting by setting.

    python benchmarks/ranker_settings.py --dataset DIR --item-vectors DIR --inferred-behaviors DIR

trains one ranker per setting and seed of the frozen config, one thread each, and scores the validation split; the test
split is never scored. The config's `settings` are overrides over its preset, by dotted name; `variant` is the ranker's.
Finished trainings are kept in --out, so that a longer list of settings costs its own time only.
docs/baselines.md quotes the tables that it prints.
"""

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from reaseq import config, progress
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.evaluation import metrics
from reaseq.evaluation.buckets import BUCKETS, members
from reaseq.ranking.batches import RequestBatches
from reaseq.ranking.stage import fit, prepare, training_counts
from reaseq.ranking.training import catalogue, predict

HERE = Path(__file__).resolve().parent
FROZEN = HERE / "ranker_settings-2026-11-26.json"
BATCH = 2048


def inputs(chosen: argparse.Namespace) -> tuple[Artifact, Artifact, Artifact]:
    """What a ranker is trained from."""
    kinds = ("dataset", "item_vectors", "inferred_behaviors")
    dataset, vectors, inferred = (open_artifact(getattr(chosen, kind), kind) for kind in kinds)
    return dataset, vectors, inferred


def trained(chosen: argparse.Namespace, frozen: dict[str, Any], job: tuple[dict[str, Any], int]) -> dict[str, Any]:
    """Validation figures of one setting under one seed."""
    os.environ[progress.ENV] = os.devnull
    setting, seed = job
    variant = frozen["variant"]
    run = config.load(frozen["preset"], seed=seed, overrides={"threads": 1, "device": "cpu"} | setting)
    key = config.digest([setting, seed, frozen["preset"], variant])
    told = chosen.out / f"{key[:16]}.json"
    if told.is_file():
        return json.loads(told.read_text())
    ready = prepare(run, *inputs(chosen), variant, Workspace(chosen.out))
    with tempfile.TemporaryDirectory(prefix="settings-") as scratch:
        done = fit(ready.model, ready.shards["train"], ready.contexts, run, Path(scratch), ready.device, ready.rated)
    shown = ready.data.impressions("valid")
    scores = predict(ready.model, catalogue(ready.model), RequestBatches(shown, ready.contexts), BATCH)
    row = {
        "setting": setting,
        "seed": seed,
        "auc": metrics.auc(shown.label, scores),
        "gauc": metrics.gauc(shown.user, shown.label, scores).value,
        "logloss": metrics.logloss(shown.label, scores),
        "seconds": round(done.seconds, 1),
    }
    counts = training_counts(ready.data, ready.shards["train"])[shown.item]
    for bucket in BUCKETS:
        kept = (shown.label == 0) | members(counts, bucket)
        row[f"gauc {bucket}"] = metrics.gauc(shown.user[kept], shown.label[kept], scores[kept]).value
    told.write_text(json.dumps(row) + "\n")
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--item-vectors", type=Path, required=True)
    parser.add_argument("--inferred-behaviors", type=Path, required=True, help="read by variants that are fed them")
    parser.add_argument("--config", type=Path, default=FROZEN, help="another configuration, for a trial")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/ranker_settings"))
    chosen = parser.parse_args()
    frozen = json.loads(chosen.config.read_text())
    chosen.out.mkdir(parents=True, exist_ok=True)
    prepare(
        config.load(frozen["preset"]), *inputs(chosen), frozen["variant"], Workspace(chosen.out)
    )  # before the workers
    jobs = [(setting, seed) for setting in frozen["settings"] for seed in frozen["seeds"]]
    figures = ["auc", "gauc", "logloss", *(f"gauc {bucket}" for bucket in BUCKETS)]
    print("| setting | seeds | " + " | ".join(figures) + " | sd of gauc | seconds |", flush=True)
    print("|" + "---|" * (len(figures) + 4), flush=True)
    with ProcessPoolExecutor(chosen.workers, mp_context=get_context("spawn")) as pool:
        rows: list[dict[str, Any]] = []
        for row in pool.map(partial(trained, chosen, frozen), jobs):
            rows.append(row)
            if len(rows) % len(frozen["seeds"]) == 0:
                print(_line(rows[-len(frozen["seeds"]) :], figures), flush=True)
    return 0


def _line(rows: list[dict[str, Any]], figures: list[str]) -> str:
    means = [f"{np.mean([row[name] for row in rows]):.4f}" for name in figures]
    told = ", ".join(f"{name.split('.')[-1]} {value}" for name, value in rows[0]["setting"].items()) or "preset"
    spread = f"{np.std([row['gauc'] for row in rows], ddof=1):.4f}" if len(rows) > 1 else "–"
    seconds = f"{np.mean([row['seconds'] for row in rows]):.0f}"
    return "| " + " | ".join([told, str(len(rows)), *means, spread, seconds]) + " |"


if __name__ == "__main__":
    sys.exit(main())

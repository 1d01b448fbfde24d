"""How many impressions a second does DIN train on, here and in RecBole 1.2.1? On the same rows of ml-100k.

    python benchmarks/training_throughput.py --recbole-python /path/to/recbole-venv/bin/python [--data FOLDER] \\
        [--item-vectors DIR --inferred-behaviors DIR]

Needs the folder `ml-100k` of the real data (--data, or REASEQ_DATA), an environment for RecBole (benchmarks/README.md)
and two idle cores for about ten minutes. Both sides get the rows of `impressions.parquet` in their given splits, and
for each the user's last 50 positive events strictly before it; ids are the only fields.

The full ranker is timed beside them on the same rows. It reads more than DIN does: item vectors and inferred
behaviours, taken from the folders of a run on ml-100k; without them it is left out. Its batches are those of its
preset, and it learns from vectors that were aligned beforehand, so its AUC is no like-for-like comparison with ids.

Only the training loop is timed, batches included: a figure is the median over all epochs of all seeds, and the sides
take turns, seed by seed, so that a busy spell of the machine meets all. `busy` is the share of its threads' time that a
side really had: near 1 on an idle machine, and the figures mean nothing where it is not. AUC and GAUC are of the test
split after the epoch with the best validation AUC. Where the time of our own loops goes is profiled afterwards, on the
first seed (`operator_profile`).

RecBole has one setting for the widths of DIN's MLP and of its activation unit; ours are 200-80 and 36, as in the paper.
So RecBole runs with 200-80 (larger than ours) and with 36 (smaller than ours).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from operator_profile import profile_table, profile_training

from reaseq import config
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.config import RunConfig
from reaseq.data import Dataset
from reaseq.data.dataset import Impressions
from reaseq.data.stage import ingest
from reaseq.evaluation import metrics
from reaseq.ranking.baselines import baseline_limits, baseline_run, build_baseline
from reaseq.ranking.batches import Contexts, RequestBatches
from reaseq.ranking.shards import Shards
from reaseq.ranking.stage import fit, prepare
from reaseq.ranking.training import Network, catalogue, predict
from reaseq.schema import SPLITS, VECTOR_DIM

HERE = Path(__file__).resolve().parent
FROZEN = HERE / "training_throughput-2026-11-26.json"
OURS, FULL = "ReaSeq's DIN", "ReaSeq's full ranker"


@dataclass(frozen=True)
class Measured:
    """One side's training with one seed."""

    epoch_seconds: list[float]
    epoch_cpu_seconds: list[float]
    examples: int  # of one epoch
    scores: np.ndarray  # [N] of the test split, in order
    about: dict[str, Any]  # versions, number of parameters, validation curve


@dataclass(frozen=True)
class Side:
    """A network of ours, freshly initialised, with what its training reads."""

    model: Network
    contexts: Contexts
    run: RunConfig
    rated: bool = False


def settings(frozen: dict[str, Any], source: Path, seed: int, ranker: bool = False) -> RunConfig:
    """Of our DIN, or of the full ranker."""
    given = {"data.dataset": frozen["dataset"], "data.source": str(source), "threads": frozen["threads"]}
    if ranker:
        return config.load(frozen["ranker"]["preset"], seed=seed, overrides=given | frozen["ranker"]["overrides"])
    own = frozen["reaseq"] | {"baselines.history": frozen["history"]}
    return config.load("tiny", seed=seed, overrides=given | own)


def our_din(data: Dataset, run: RunConfig) -> Side:
    """This project's DIN over ids."""
    contexts = Contexts(data.log, data.category_index, None, baseline_limits(run.baselines))
    size = len(data.item_ids) + 1
    counts = np.bincount(data.impressions("train").item, minlength=size)
    tables = {"z": np.zeros((size, VECTOR_DIM), np.float32), "counts": counts}
    return Side(build_baseline("din_id", run.baselines, run.seed, tables), contexts, baseline_run(run))


def full_ranker(dataset: Artifact, run: RunConfig, vectors: Artifact, inferred: Artifact, folder: Path) -> Side:
    """This project's ranker with all its inputs."""
    ready = prepare(run, dataset, vectors, inferred, "full", Workspace(folder))
    return Side(ready.model, ready.contexts, run, ready.rated)


def train(side: Side, data: Dataset, epochs: int, folder: Path) -> float:
    """Train until so many epochs are done, going on from those done before; returns seconds of all of them."""
    ranking = side.run.ranking.model_copy(update={"epochs": epochs})
    run = side.run.model_copy(update={"ranking": ranking})
    shards = Shards.of(data, "train", folder)
    return fit(side.model, shards, side.contexts, run, folder, torch.device("cpu"), side.rated).seconds


def ours(name: str, side: Side, data: Dataset, epochs: int, folder: Path) -> Measured:
    """Train epoch by epoch, with the test split scored after the best one."""
    shown = {split: data.impressions(split) for split in SPLITS}
    seconds, busy, curve, best = [], [], [], np.zeros(0)
    for length in range(1, epochs + 1):
        started, worked = time.perf_counter(), time.process_time()
        seconds.append(train(side, data, length, folder) - sum(seconds))
        share = (time.process_time() - worked) / (time.perf_counter() - started)
        busy.append(share * seconds[-1])
        scores = {
            split: predict(side.model, catalogue(side.model), RequestBatches(shown[split], side.contexts), 4096)
            for split in ("valid", "test")
        }
        curve.append(metrics.auc(shown["valid"].label, scores["valid"]))
        if curve[-1] == max(curve):
            best = scores["test"]
        print(f"{name} seed {side.run.seed} epoch {length}: {seconds[-1]:.1f} s, valid AUC {curve[-1]:.4f}", flush=True)
    parameters = sum(p.numel() for _, p in side.model.named_parameters())
    about = {"valid_auc": curve, "parameters": parameters, "versions": {"torch": torch.__version__}}
    return Measured(seconds, busy, len(shown["train"]), best, about)


def recbole(data: Dataset, frozen: dict[str, Any], variant: str, seed: int, folder: Path, python: Path) -> Measured:
    """RecBole's DIN, in a process and an environment of its own."""
    request = {name: frozen[name] for name in ("history", "threads", "epochs")}
    (folder / "request.json").write_text(json.dumps({**request, "seed": seed, "model": frozen["recbole"][variant]}))
    (folder / "impressions").mkdir()
    for split in SPLITS:
        write_atomic(folder / "impressions" / f"impressions.{split}.inter", data, split, frozen["history"])
    environment = os.environ | {"OMP_NUM_THREADS": str(frozen["threads"]), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([python, HERE / "recbole_din.py", folder], env=environment, cwd=folder)
    if done.returncode:
        raise SystemExit(
            f"{python} recbole_din.py ended with {done.returncode}; benchmarks/README.md says what it needs"
        )
    result = json.loads((folder / "result.json").read_text())
    shown = {split: data.impressions(split) for split in SPLITS}
    if result["rows"] != {split: len(rows) for split, rows in shown.items()}:
        raise SystemExit(f"RecBole did not keep the rows it was given: {result['rows']}")
    with np.load(folder / "scores.npz", allow_pickle=False) as arrays:
        scores, labels = arrays["test"], arrays["label"]
    if not np.array_equal(labels.astype(int), shown["test"].label):
        raise SystemExit("RecBole's test rows came back in another order")
    about = {name: result[name] for name in ("valid_auc", "parameters", "versions", "threads")}
    return Measured(result["epoch_seconds"], result["epoch_cpu_seconds"], result["rows"]["train"], scores, about)


def write_atomic(path: Path, data: Dataset, split: str, length: int) -> None:
    """A split as RecBole's atomic file: user, item, label, and the history's newest `length` items, oldest first."""
    shown, log = data.impressions(split), data.log
    with path.open("w", encoding="utf-8") as file:
        file.write("user_id:token\titem_id:token\tlabel:float\titem_id_list:token_seq\n")
        for user, item, label, end in zip(shown.user, shown.item, shown.label, shown.end, strict=True):
            start = log.offsets[user] if user >= 0 else end
            history = " ".join(map(str, log.items[max(start, end - length) : end]))
            file.write(f"u{user}\t{item}\t{label}\t{history}\n")


def summarise(runs: list[Measured], test: Impressions, threads: int) -> dict[str, Any]:
    """Median throughput over all epochs; mean and standard deviation of the test metrics over seeds."""
    speeds = [run.examples / seconds for run in runs for seconds in run.epoch_seconds]
    wall, cpu = (sum(sum(getattr(run, name)) for run in runs) for name in ("epoch_seconds", "epoch_cpu_seconds"))
    told: dict[str, Any] = {
        "examples_per_second": round(statistics.median(speeds), 1),
        "examples_per_second_range": [round(min(speeds), 1), round(max(speeds), 1)],
        "epochs_timed": len(speeds),
        "busy": round(cpu / wall / threads, 3),
    }
    values = {
        "auc": [metrics.auc(test.label, run.scores) for run in runs],
        "gauc": [metrics.gauc(test.user, test.label, run.scores).value for run in runs],
    }
    for name, each in values.items():
        told[name] = round(statistics.fmean(each), 4)
        told[f"{name}_sd"] = round(statistics.stdev(each), 4) if len(each) > 1 else None
    return told | {"seeds": [run.about for run in runs]}


def table(sides: dict[str, dict[str, Any]], ratios: dict[str, float]) -> str:
    lines = [
        "| network | examples/s (range over epochs) | our DIN's ratio | AUC | GAUC | busy |",
        "|---|---|---|---|---|---|",
    ]
    for name, told in sides.items():
        low, high = told["examples_per_second_range"]
        spread = [f" ± {told[f'{m}_sd']:.4f}" if told[f"{m}_sd"] is not None else "" for m in ("auc", "gauc")]
        ratio = f"{ratios[name]:.2f}×" if name in ratios else "–"
        lines.append(
            f"| {name} | {told['examples_per_second']:,.0f} ({low:,.0f} … {high:,.0f}) | {ratio} | "
            f"{told['auc']:.4f}{spread[0]} | {told['gauc']:.4f}{spread[1]} | {told['busy']:.2f} |"
        )
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recbole-python", type=Path, required=True, help="interpreter of RecBole's environment")
    beside = HERE.parent.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("REASEQ_DATA", beside)) / "ml-100k")
    parser.add_argument("--item-vectors", type=Path, help="artifact of a run on ml-100k, for the full ranker")
    parser.add_argument("--inferred-behaviors", type=Path, help="the same")
    parser.add_argument("--config", type=Path, default=FROZEN, help="another configuration, for a trial")
    parser.add_argument("--out", type=Path, default=Path("runs/training_throughput.json"))
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    if not chosen.data.is_dir():
        print(f"no data at {chosen.data}: give --data, or set REASEQ_DATA", file=sys.stderr)
        return 2
    frozen = json.loads(chosen.config.read_text())
    assets: list[Artifact] = []
    if chosen.item_vectors and chosen.inferred_behaviors and "ranker" in frozen:
        assets.append(open_artifact(chosen.item_vectors, "item_vectors"))
        assets.append(open_artifact(chosen.inferred_behaviors, "inferred_behaviors"))
    else:
        print("The full ranker is left out: it needs --item-vectors, --inferred-behaviors and a config that names it.")
    torch.set_num_threads(frozen["threads"])
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # as `training_device` sets it
    with tempfile.TemporaryDirectory(prefix="throughput-") as temporary:
        home = Path(temporary)
        artifact = ingest(settings(frozen, chosen.data, 0), home / "dataset", Workspace(home / "workspace"))
        data = Dataset.open(artifact)

        def din(seed: int, folder: Path) -> Side:
            return our_din(data, settings(frozen, chosen.data, seed))

        def full(seed: int, folder: Path) -> Side:
            return full_ranker(artifact, settings(frozen, chosen.data, seed, ranker=True), *assets, folder)

        build = {OURS: din} | ({FULL: full} if assets else {})
        measure: dict[str, Callable[[int, Path], Measured]] = {
            name: lambda seed, folder, name=name, of=of: ours(name, of(seed, folder), data, frozen["epochs"], folder)
            for name, of in build.items()
        }
        for variant in frozen["recbole"]:
            measure[f"RecBole, {variant}"] = lambda seed, folder, variant=variant: recbole(
                data, frozen, variant, seed, folder, chosen.recbole_python
            )
        runs: dict[str, list[Measured]] = {name: [] for name in measure}
        for seed in frozen["seeds"]:
            for number, (name, run) in enumerate(measure.items()):
                folder = home / f"{number}-{seed}"
                folder.mkdir()
                runs[name].append(run(seed, folder))
        profiles = {}
        for name, of in build.items() if frozen.get("profile_steps") else ():
            folder = home / f"profile-{name}"
            folder.mkdir()
            side = of(frozen["seeds"][0], folder)
            profiles[name] = profile_training(lambda s=side, f=folder: train(s, data, 1, f), frozen["profile_steps"])
        test = data.impressions("test")
    sides = {name: summarise(of, test, frozen["threads"]) for name, of in runs.items()}
    speed = {name: told["examples_per_second"] for name, told in sides.items()}
    ratios = {name: round(speed[OURS] / value, 3) for name, value in speed.items() if name != OURS}
    print(table(sides, ratios))
    if profiles:
        print("\n" + profile_table(profiles))
    told = {
        "machine": machine(),
        "config": frozen,
        "sides": sides,
        "reaseq_over": ratios,
        "profiles": profiles,
        "assets": {a.manifest.kind: a.digest for a in assets},
    }
    chosen.out.write_text(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

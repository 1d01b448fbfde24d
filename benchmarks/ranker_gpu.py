"""Does the full ranker train on a GPU as it does on the CPU, and how fast? Quality, speed, memory, resuming, NCCL.

    python benchmarks/ranker_gpu.py --dataset DIR --item-vectors DIR --inferred-behaviors DIR [--out ranker_gpu.json]

The artifacts are those of any run. Each shape of the frozen config (its preset's network, with batches that a GPU is
worth) is trained for one epoch with each seed, in bfloat16 as the trainer does on a GPU, in float32 on the same GPU,
and the small one in float32 on the CPU too: same weights before the first step, same batches, same order. Told:

    test AUC and GAUC    bfloat16 agrees if its mean difference to float32 is within the config's tolerance
    examples a second    of the training loop, batches included; the best of the seeds, since the first warms up
    memory               peak allocated on the GPU during training
    achieved             operations of forward and backward (torch's counter, matrix products) per second, and their
                         share of the card's peak as the config states it
    resume               a training killed after its checkpoint ends in the very same weights as one that was not
    nccl                 torchrun with one process, every gradient through NCCL: the weights of the training alone

Needs one GPU and, for a log of a million impressions, about five minutes. `--device cpu` tries the script without one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import torch
import torch.distributed as dist
from torch.utils.flop_counter import FlopCounterMode

from reaseq import config
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.config import RunConfig
from reaseq.evaluation import metrics
from reaseq.parallel import Ranks
from reaseq.ranking import training
from reaseq.ranking.batches import RequestBatches
from reaseq.ranking.stage import Prepared, fit, prepare
from reaseq.ranking.training import Progress, Trainer, catalogue, predict

FROZEN = Path(__file__).resolve().with_name("ranker_gpu-2026-11-26.json")
KINDS = ("dataset", "item_vectors", "inferred_behaviors")
MIB = 2**20
SMOKE = "REASEQ_NCCL_SMOKE"  # set in the process that torchrun starts: where it leaves its weights


class OneOfOne(Ranks):
    """One process that sends everything all the same."""

    alone = False  # type: ignore[assignment]


@dataclass(frozen=True)
class Bench:
    """What every training here shares."""

    frozen: dict[str, Any]
    inputs: tuple[Artifact, Artifact, Artifact]
    workspace: Workspace
    scratch: Path
    device: str  # stands for the GPU; "cpu" in a trial

    def settings(self, shape: str, seed: int, device: str, **ranking: Any) -> RunConfig:
        chosen = self.frozen["shapes"][shape]
        overrides = chosen["overrides"] | {f"ranking.{name}": value for name, value in ranking.items()}
        common = {"threads": self.frozen["threads"], "device": device}
        return config.load(chosen["preset"], seed=seed, overrides=overrides | common)

    def ready(self, run: RunConfig) -> Prepared:
        return prepare(run, *self.inputs, "full", self.workspace)

    def train(self, ready: Prepared, run: RunConfig, folder: str, ranks: Ranks = Ranks()) -> Progress:
        scratch = self.scratch / folder
        scratch.mkdir(parents=True, exist_ok=True)
        return fit(ready.model, ready.shards["train"], ready.contexts, run, scratch, ready.device, ready.rated, ranks)


def in_float32(wanted: bool) -> AbstractContextManager[Any]:
    """The trainer without its autocast."""
    return patch.object(training.torch, "autocast", lambda *_, **__: nullcontext()) if wanted else nullcontext()


def measure(bench: Bench, shape: str, precision: str, seed: int) -> dict[str, Any]:
    """One training and its test scores."""
    device, kind = precision.split()
    device = bench.device if device == "cuda" else device
    run = bench.settings(shape, seed, device)
    ready = bench.ready(run)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with in_float32(kind == "float32"):
        done = bench.train(ready, run, f"{shape}-{device}-{kind}-{seed}")
    told: dict[str, Any] = {
        "seed": seed,
        "steps": done.step,
        "final_loss": done.curve[-1]["loss"],
        "examples_per_second": round(done.impressions / done.seconds, 1),
        "peak_mib": round(torch.cuda.max_memory_allocated() / MIB) if device == "cuda" else None,
        "rss_mib": round(psutil.Process().memory_info().rss / MIB),
    }
    shown = ready.data.impressions("test")
    scores = predict(ready.model, catalogue(ready.model), RequestBatches(shown, ready.contexts), 4096)
    told["auc"] = float(metrics.auc(shown.label, scores))
    told["gauc"] = float(metrics.gauc(shown.user, shown.label, scores).value)
    print(shape, precision, told, flush=True)
    return told


def flops_per_example(bench: Bench, shape: str) -> float:
    """Of forward and backward, in matrix products, over the first step of an epoch; counted on the CPU."""
    run = bench.settings(shape, 0, "cpu", epochs=1)
    counted: list[float] = []
    step = Trainer._step

    def first(self: Trainer, batch: Any, number: int) -> float:
        with FlopCounterMode(display=False) as counter:
            step(self, batch, number)
        counted.append(counter.get_total_flops() / len(batch.labels))
        raise StopTraining

    with patch.object(Trainer, "_step", first):
        killed(bench, bench.ready(run), run, f"flops-{shape}")
    return counted[0]


class StopTraining(Exception):
    """Stands for a kill."""


def killed(bench: Bench, ready: Prepared, run: RunConfig, folder: str) -> None:
    try:
        bench.train(ready, run, folder)
    except StopTraining:
        return
    raise SystemExit("the training was over before it was to be stopped: bring more impressions.")


def weights(ready: Prepared) -> dict[str, np.ndarray]:
    return {name: p.detach().float().cpu().numpy() for name, p in ready.model.named_parameters()}


def furthest(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Largest difference of any weight."""
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def resumes(bench: Bench) -> dict[str, Any]:
    """A training that is killed some steps after a checkpoint and started again, against one that is not."""
    plan = bench.frozen["resume"]
    run = bench.settings(plan["shape"], 0, bench.device, checkpoint_steps=plan["checkpoint_steps"])
    whole, broken, again = (bench.ready(run) for _ in range(3))
    bench.train(whole, run, "whole")
    step = Trainer._step

    def counted(self: Trainer, batch: Any, number: int) -> float:
        if number >= plan["killed_at"]:
            raise StopTraining
        return step(self, batch, number)

    with patch.object(Trainer, "_step", counted):
        killed(bench, broken, run, "broken")
    done = bench.train(again, run, "broken")
    difference = furthest(weights(whole), weights(again))
    return {"steps": done.step, "largest_difference": difference, "exact": difference == 0.0}


def through_nccl(bench: Bench, paths: list[Path]) -> dict[str, Any]:
    """One process under torchrun whose gradients all travel, against the training alone."""
    shape = bench.frozen["resume"]["shape"]
    run = bench.settings(shape, 0, bench.device)
    alone = bench.ready(run)
    bench.train(alone, run, "alone")
    answer = bench.scratch / "nccl.npz"
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    options = [f"--{kind.replace('_', '-')}={path}" for kind, path in zip(KINDS, paths, strict=True)]
    done = subprocess.run(
        [*start, __file__, *options, "--device", bench.device, "--config", bench.frozen["path"]],
        env=os.environ | {SMOKE: str(answer)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return {"ok": False, "error": done.stderr[-2000:]}
    with np.load(answer, allow_pickle=False) as arrays:
        difference = furthest(weights(alone), dict(arrays))
    return {"ok": difference < 1e-5, "largest_difference": difference}


def smoke(bench: Bench) -> None:
    """What torchrun's process does."""
    dist.init_process_group("nccl" if bench.device == "cuda" else "gloo")
    run = bench.settings(bench.frozen["resume"]["shape"], 0, bench.device)
    ready = bench.ready(run)
    bench.train(ready, run, "nccl", OneOfOne())
    np.savez(os.environ[SMOKE], **weights(ready))
    dist.destroy_process_group()


def summarise(runs: list[dict[str, Any]], flops: float, peak: float | None) -> dict[str, Any]:
    """Means over seeds, and what share of the peak the best of them reached."""
    speed = max(run["examples_per_second"] for run in runs)
    told: dict[str, Any] = {
        "examples_per_second": speed,
        "peak_mib": max(run["peak_mib"] or 0 for run in runs) or None,
        "achieved_tflops": round(flops * speed / 1e12, 4),
        "achieved_share_of_peak": round(flops * speed / 1e12 / peak, 6) if peak else None,
        "runs": runs,
    }
    for name in ("auc", "gauc"):
        values = [run[name] for run in runs]
        told[name] = round(statistics.fmean(values), 5)
        told[f"{name}_sd"] = round(statistics.stdev(values), 5) if len(values) > 1 else None
    return told


def agreement(of_shape: dict[str, dict[str, Any]], tolerance: dict[str, float]) -> dict[str, Any]:
    """bfloat16 minus each float32, seed by seed, and whether the means are close enough."""
    half = of_shape["cuda bfloat16"]["runs"]
    told: dict[str, Any] = {}
    for precision, whole in of_shape.items():
        if precision == "cuda bfloat16":
            continue
        for name, most in tolerance.items():
            each = [a[name] - b[name] for a, b in zip(half, whole["runs"], strict=True)]
            told[f"{name} to {precision}"] = {
                "by_seed": [round(value, 5) for value in each],
                "within_tolerance": abs(statistics.fmean(each)) <= most,
            }
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        parser.add_argument(f"--{kind.replace('_', '-')}", type=Path, required=True, help=f"artifact of kind {kind}")
    parser.add_argument("--config", type=Path, default=FROZEN, help="another configuration, for a trial")
    parser.add_argument("--shapes", nargs="+", help="some of the config's shapes only")
    parser.add_argument("--checks", action=argparse.BooleanOptionalAction, default=True, help="resume and NCCL too")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a trial of the script")
    parser.add_argument("--out", type=Path, default=Path("runs/ranker_gpu.json"))
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    if chosen.device == "cuda" and not torch.cuda.is_available():
        sys.exit("torch finds no GPU: run this on a machine that has one, or try the script with --device cpu.")
    frozen = json.loads(chosen.config.read_text()) | {"path": str(chosen.config)}
    paths = [getattr(chosen, kind) for kind in KINDS]
    dataset, vectors, inferred = (open_artifact(path, kind) for path, kind in zip(paths, KINDS, strict=True))
    with tempfile.TemporaryDirectory(prefix="ranker-gpu-") as temporary:
        home = Path(temporary)
        bench = Bench(frozen, (dataset, vectors, inferred), Workspace(home), home, chosen.device)
        if SMOKE in os.environ:
            smoke(bench)
            return 0
        told: dict[str, Any] = {
            "config": {name: value for name, value in frozen.items() if name != "path"},
            "device": torch.cuda.get_device_name() if chosen.device == "cuda" else "cpu (trial)",
            "torch": torch.__version__,
            "assets": {artifact.manifest.kind: artifact.digest for artifact in bench.inputs},
            "shapes": {},
        }
        if chosen.checks:
            told |= {"resume": resumes(bench), "nccl": through_nccl(bench, paths)}
            print({name: told[name] for name in ("resume", "nccl")}, flush=True)
        for shape in chosen.shapes or frozen["shapes"]:
            flops = flops_per_example(bench, shape)
            measured = {
                precision: summarise(
                    [measure(bench, shape, precision, seed) for seed in frozen["seeds"]],
                    flops,
                    frozen["peak_tflops"].get(precision),
                )
                for precision in frozen["precisions"][shape]
            }
            told["shapes"][shape] = {
                "megaflops_per_example": round(flops / 1e6, 3),
                "precisions": measured,
                "bfloat16_minus_float32": agreement(measured, frozen["tolerance"]),
            }
            chosen.out.write_text(json.dumps(told, indent=2) + "\n")  # what is measured is kept, come what may
    for shape, of_shape in told["shapes"].items():
        for precision, row in of_shape["precisions"].items():
            share = row["achieved_share_of_peak"]
            speed = row["examples_per_second"]
            print(
                f"{shape:6} {precision:14} {speed:>10,.0f} examples/s, peak {row['peak_mib']} MiB, "
                f"{row['achieved_tflops']:.3f} TFLOP/s ({f'{share:.4%} of peak' if share else '–'}), "
                f"AUC {row['auc']:.4f}, GAUC {row['gauc']:.4f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())

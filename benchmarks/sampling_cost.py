"""What does it cost to infer a user's behaviours, with keys and values of the history kept between reverse steps, and
with everything recomputed at each?

    python benchmarks/sampling_cost.py [--device cuda] [--assets FOLDER] [--config FILE] [--out FILE]

Cost is counted in dense forwards of one user's whole sequence; speed is taken on users of a full history and a denoiser
that was not fitted, since neither depends on what was learned, at one user a call and at 256. The two ways take turns,
so that a busy spell of the machine meets both. Needs nothing but one idle core for some minutes (or a GPU).

Whether what is inferred stays as good does depend on what was learned: with --assets, a folder with the artifacts
`dataset`, `item_vectors` and `denoiser` that belong together, Recall@10 of a category hidden from test users (claim C4)
is compared between the two ways, with its interval over users and seeds.

Beside the speed of one user stands where the time goes, by torch's profiler on a CPU: matrix products and attention are
what keeping keys can save; the rest is calls.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reaseq import config
from reaseq.artifacts import Workspace, open_artifact
from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.denoiser import ReaSeqDenoiser, place
from reaseq.behavior.sampler import Sampler
from reaseq.behavior.slots import Inserted, Sequences, insert_masks
from reaseq.data import Dataset
from reaseq.determinism import deterministic_torch
from reaseq.evaluation.claims.cases import hidden_cases
from reaseq.evaluation.claims.generation import Generation
from reaseq.evaluation.claims.hiding import hide, infer_hidden
from reaseq.evaluation.claims.recovery import compare, recall_of_inferred

FROZEN = Path(__file__).resolve().parent / "sampling_cost-2026-11-26.json"
ASSETS = ("dataset", "item_vectors", "denoiser")
KEPT, RECOMPUTED = "kept", "recomputed"
DAY = 86_400_000_000  # µs


def full_histories(users: int, frozen: dict[str, Any]) -> Inserted:
    """Users of `history` behaviours at random times, with the slots to fill in."""
    rng = np.random.default_rng(0)
    shape, levels = (users, frozen["history"]), ReaSeqDenoiserConfig().levels
    times = np.sort(rng.integers(1, 400 * DAY, size=shape), axis=1)
    items = rng.integers(1, 3000, size=shape)
    codes = rng.integers(0, frozen["codebook_size"], size=(3000, levels))
    gaps = np.full(shape, 10, np.int64)
    slots = frozen["behavior"]["inferred"] + frozen["behavior"]["spare_slots"]
    return insert_masks(Sequences(items, times, gaps, np.ones(shape, np.int64)), codes, frozen["codebook_size"], slots)


def samplers(frozen: dict[str, Any], device: str) -> dict[str, Sampler]:
    behavior = frozen["behavior"]
    slots = behavior["inferred"] + behavior["spare_slots"]
    torch.manual_seed(0)
    shape = ReaSeqDenoiserConfig(
        codebook_size=frozen["codebook_size"],
        hidden_size=behavior["d_model"],
        num_hidden_layers=behavior["layers"],
        num_attention_heads=behavior["heads"],
        max_slots=frozen["history"] + slots,
        action_names=("click",),
    )
    model = place(ReaSeqDenoiser(shape).eval(), device)
    asked = {"guidance": behavior["guidance"], "temperature": behavior["temperature"]}
    return {
        name: Sampler(model, slots=slots, steps=frozen["reverse_steps"], seed=0, refresh=refresh, **asked)
        for name, refresh in ((KEPT, frozen["refresh"]), (RECOMPUTED, 1))
    }


def measure(frozen: dict[str, Any], device: str) -> dict[str, Any]:
    """Batch size → way → milliseconds a call, cost a user, forwards a call."""
    told: dict[str, Any] = {}
    with deterministic_torch(frozen["threads"], 0):
        for size, calls in ((int(size), calls) for size, calls in frozen["calls"].items()):
            inserted, ways = full_histories(size, frozen), samplers(frozen, device)
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(1 + calls):
                for name, sampler in ways.items():
                    started = time.perf_counter()
                    sampler.sample(inserted, np.arange(size))
                    seconds[name].append(time.perf_counter() - started)
            told[f"batch of {size}"] = {
                name: {
                    "ms_a_call": round(1000 * statistics.median(seconds[name][1:]), 2),
                    "users_a_second": round(size / statistics.median(seconds[name][1:]), 1),
                    "dense_forwards_a_user": round(sampler.dense_forwards / (size * (1 + calls)), 4),
                    "forwards_a_call": sampler.forwards // (1 + calls),
                }
                for name, sampler in ways.items()
            }
            each = told[f"batch of {size}"]
            each["times_faster"] = round(each[RECOMPUTED]["ms_a_call"] / each[KEPT]["ms_a_call"], 3)
    return told


def operators(frozen: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Way → milliseconds a call of one user in matrix products, in attention, and in all operators, on a CPU."""
    told = {}
    with deterministic_torch(frozen["threads"], 0):
        inserted, calls = full_histories(1, frozen), int(frozen["calls"]["1"])
        for name, sampler in samplers(frozen, "cpu").items():
            sampler.sample(inserted, np.arange(1))
            with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
                for _ in range(calls):
                    sampler.sample(inserted, np.arange(1))
            each = {event.key: event.self_cpu_time_total / 1000 / calls for event in profiled.key_averages()}
            told[name] = {
                "matrix products": round(sum(each.get(f"aten::{op}", 0.0) for op in ("mm", "addmm", "bmm")), 2),
                "attention": round(sum(ms for op, ms in each.items() if "scaled_dot_product" in op), 2),
                "all": round(sum(each.values()), 2),
            }
    return told


def recall(frozen: dict[str, Any], assets: Path, device: str) -> dict[str, Any]:
    """Recall@10 of a hidden category, kept less recomputed."""
    dataset, vectors, denoiser = (open_artifact(assets / kind, kind) for kind in ASSETS)
    data = Dataset.open(dataset)
    asked = {name: frozen["behavior"][name] for name in ("inferred", "spare_slots", "guidance", "temperature")}
    given = {f"behavior.{name}": value for name, value in asked.items()} | {"behavior.max_slots": frozen["history"]}
    given |= {"threads": frozen["threads"], "device": device}
    way = Generation(denoiser, frozen["reverse_steps"], asked["guidance"])
    found: dict[str, list[dict[int, float]]] = {KEPT: [], RECOMPUTED: []}
    with tempfile.TemporaryDirectory(prefix="sampling-") as folder:
        for seed in frozen["seeds"]:
            least = config.load("base").behavior.min_events
            snapshot = int(data.test_start)
            hidden = hide(data, snapshot=snapshot, users=frozen["users"], least=least, seed=seed)
            for name, refresh in ((KEPT, frozen["refresh"]), (RECOMPUTED, 1)):
                run = config.load("base", overrides=given | {"behavior.cache_refresh": refresh})
                inferred = infer_hidden(
                    run, dataset, vectors, way, hidden, snapshot=snapshot, users=frozen["users"], seed=seed,
                    workspace=Workspace(Path(folder)),
                )  # fmt: skip
                found[name].append(recall_of_inferred(hidden_cases(data, hidden, inferred)))
    compared = compare(
        "Recall@10 of a hidden category",
        (KEPT, found[KEPT]),
        (RECOMPUTED, found[RECOMPUTED]),
        replicates=frozen["bootstrap"],
        seed=0,
    )
    names = ("other_value", "base_value", "effect", "low", "high", "seeds", "users")
    return {"dataset": denoiser.manifest.inputs["dataset"], **{name: getattr(compared, name) for name in names}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, help="folder with dataset, item_vectors and denoiser")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--config", type=Path, default=FROZEN, help="another configuration, for a trial")
    parser.add_argument("--out", type=Path, default=Path("runs/sampling_cost.json"))
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    frozen = json.loads(chosen.config.read_text())
    missing = [kind for kind in ASSETS if chosen.assets and not (chosen.assets / kind).is_dir()]
    if missing:
        print(f"{chosen.assets} holds no {', '.join(missing)}", file=sys.stderr)
        return 2
    device = torch.cuda.get_device_name() if chosen.device == "cuda" else None
    told = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "gpu": device},
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "config": frozen,
        "speed": measure(frozen, chosen.device),
        "operators, one user, ms": operators(frozen) if chosen.device == "cpu" else None,
        "recall": recall(frozen, chosen.assets, chosen.device) if chosen.assets else None,
    }
    print(json.dumps(told, indent=2))
    chosen.out.write_text(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

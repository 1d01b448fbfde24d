"""The full ranker under the protocol of `sequential_table.py`: Beauty, leave-one-out, all items ranked for every user.

    python benchmarks/full_model_ranks.py --workspace W --out OUT [--device cuda] [--retriever DIR ...] [--users N]

The ranker is trained as `reaseq run` trains it, on impressions that suit full ranking: against every training event
stand negatives drawn uniformly from the catalogue (`data.negative_sampling=uniform`), so that popularity counts, which
the usual negatives hide on purpose. It sees click rates, here another word for how often an item was taken before.
Item vectors, denoiser and inferred behaviours are made under the same split from training events alone, those that
--assets holds (folders `dataset`, `item_vectors`, `denoiser`, `inferred_behaviors`) are taken over. Epochs are chosen
by validation NDCG@10 of `valid_users` users; test items are ranked once.

Rows that it makes, as OUT/<row>_<seed>/ranks_test.parquet for `sequential_table.py --row`:

    full        the ranker over the whole catalogue
    two_stages  the retriever's best items ordered anew by the fusion of both ranks, as a shop would use a ranker; needs
                --retriever, a `sasrec_<seed>` folder of `sequential_table.py` for each seed, in their order. How much
                the ranker's rank weighs is chosen by validation NDCG@10, and 0 is among the choices.

Beauty takes one GPU some minutes, two cores hours. For those there is the smaller config `…-cpu.json`, and --users,
which ranks a random part of the users; the table tells how many.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from reaseq import config
from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.config import RunConfig
from reaseq.ranking.scoring import CatalogueRanks
from reaseq.ranking.sequential import (
    RankerScores,
    Targets,
    TwoStages,
    load_sequential,
    next_item_scores,
    rank_targets,
    ranks_table,
)
from reaseq.ranking.sequential.full_ranking import mean_ndcg
from reaseq.ranking.stage import Prepared, fit, prepare

HERE = Path(__file__).resolve().parent
FROZEN = HERE / "full_model_ranks-2026-11-26.json"
KINDS = ("dataset", "item_vectors", "denoiser", "inferred_behaviors")
VALID_USERS, TEST_USERS = 61, 62  # streams of random numbers drawn from the seed


def assets(run: RunConfig, given: Path | None, out: Path, workspace: Workspace, last: str) -> dict[str, Artifact]:
    """The ranker's inputs up to the kind `last`: what is given, and what has to be made."""
    found = {kind: open_artifact(given / kind, kind) for kind in KINDS if given is not None and (given / kind).is_dir()}
    if "dataset" not in found:
        from reaseq.data.stage import ingest  # here: a rented machine with given assets has no polars

        found["dataset"] = ingest(run, out / "dataset", workspace)
    if "item_vectors" not in found:
        from reaseq.knowledge.stage import distill  # here: as above, and no faiss
        from reaseq.representation.stage import represent

        knowledge = distill(run, found["dataset"], out / "knowledge", workspace)
        found["item_vectors"] = represent(run, found["dataset"], knowledge, out / "item_vectors", workspace)
    if "inferred_behaviors" not in found and last == "inferred_behaviors":
        from reaseq.behavior.stage import fit_denoiser, infer_behaviors  # here: as above

        inputs = (found["dataset"], found["item_vectors"])
        if "denoiser" not in found:
            found["denoiser"] = fit_denoiser(run, *inputs, out / "denoiser", workspace)
        found["inferred_behaviors"] = infer_behaviors(
            run, *inputs, found["denoiser"], out / "inferred_behaviors", workspace
        )
    return found


def some(targets: Targets, count: int, rng: np.random.Generator) -> Targets:
    """A random part of the targets; all of them for 0."""
    if not 0 < count < len(targets):
        return targets
    rows = np.sort(rng.choice(len(targets), count, replace=False))
    return Targets(*(column[rows] for column in vars(targets).values()))


def train(
    ready: Prepared, run: RunConfig, frozen: dict[str, Any], valid: Targets, folder: Path
) -> tuple[RankerScores, dict[str, Any]]:
    """Epoch by epoch until validation no longer rises; what comes back has the weights of the best epoch."""
    told, best = folder / "epochs.json", folder / "best.safetensors"
    curve: list[dict[str, float]] = json.loads(told.read_text()) if told.is_file() else []
    while len(curve) < frozen["most_epochs"] and len(curve) - best_epoch(curve) < frozen["patience"]:
        # How many epochs there will be is not known yet, so no rate can fall towards the last of them.
        ranking = run.ranking.model_copy(update={"epochs": len(curve) + 1, "lr_final": 1.0, "fresh_ids": False})
        longer = run.model_copy(update={"ranking": ranking})
        repeatable(ready.device, True)
        done = fit(ready.model, ready.shards["train"], ready.contexts, longer, folder, ready.device, ready.rated)
        started = time.perf_counter()
        ndcg = mean_ndcg(ranked(ready, RankerScores(ready.model, ready.data, ready.contexts), valid, run.seed))
        curve.append(
            {
                "valid_ndcg_at_10": ndcg,
                "loss": done.curve[-1]["loss"],
                "training_seconds": round(done.seconds, 1),
                "ranking_seconds": round(time.perf_counter() - started, 1),
                "examples_per_second": round(done.impressions / done.seconds, 1),
            }
        )
        print(f"seed {run.seed} epoch {len(curve)}: {curve[-1]}", flush=True)
        if best_epoch(curve) == len(curve):
            save_file({name: p.detach().cpu().contiguous() for name, p in ready.model.named_parameters()}, best)
        told.write_text(json.dumps(curve))
    ready.model.load_state_dict(load_file(best), strict=False)  # buffers are the inputs' own
    ready.model.eval()
    about = {"epochs": curve, "best_epoch": best_epoch(curve), "click_rates": ready.rated}
    return RankerScores(ready.model, ready.data, ready.contexts), about


def best_epoch(curve: list[dict[str, float]]) -> int:
    values = [point["valid_ndcg_at_10"] for point in curve]
    return 1 + values.index(max(values)) if values else 0


def ranked(ready: Prepared, score: Any, targets: Targets, seed: int) -> CatalogueRanks:
    repeatable(ready.device, False)
    return rank_targets(ready.data, targets, score, seed)


def repeatable(device: torch.device, training: bool) -> None:
    """On a GPU the deterministic sum behind the similarity histogram sorts every term: training can bear that, ranking
    270 million pairs can't, so there the last bits of scores are left to chance."""
    torch.use_deterministic_algorithms(training or device.type == "cpu")


def two_stages(
    ready: Prepared, ranker: RankerScores, retriever: Path, frozen: dict[str, Any], valid: Targets, seed: int
) -> tuple[TwoStages, dict[str, Any]]:
    """The fusion whose weight validation prefers."""
    found = load_sequential(open_artifact(retriever, "sequential"))
    if found.spec.items != len(ready.data.item_ids):
        sys.exit(f"{retriever} ranks {found.spec.items} items and the dataset holds {len(ready.data.item_ids)}.")
    score, depth = next_item_scores(found.to(ready.device), ready.data), frozen["depth"]
    stages = {weight: TwoStages(score, ranker, depth, weight) for weight in frozen["weights"]}
    valid_ndcg = {weight: mean_ndcg(ranked(ready, stage, valid, seed)) for weight, stage in stages.items()}
    weight = max(valid_ndcg, key=lambda w: valid_ndcg[w])
    return stages[weight], {"depth": depth, "weight": weight, "valid_ndcg_at_10": valid_ndcg}


def write_ranks(out: Path, row: str, seed: int, ranks: CatalogueRanks) -> dict[str, float]:
    folder = out / f"{row}_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(ranks_table(ranks), folder / "ranks_test.parquet")
    told = {"users": len(ranks.rank), "hr_at_10": float((ranks.rank <= 10).mean()), "ndcg_at_10": mean_ndcg(ranks)}
    print(row, seed, told, flush=True)
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = HERE.parent.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("REASEQ_DATA", beside)) / "amazon-beauty")
    parser.add_argument("--config", type=Path, default=FROZEN, help="another configuration, for a trial")
    parser.add_argument("--workspace", type=Path, default=Path("runs/.workspace"), help="keeps finished work")
    parser.add_argument("--assets", type=Path, help="folder of inputs that were made elsewhere")
    parser.add_argument("--only-assets", choices=("item_vectors", "inferred_behaviors"), help="make these, and stop")
    parser.add_argument("--retriever", type=Path, nargs="*", default=[], metavar="DIR", help="SASRec of each seed")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--users", type=int, default=0, help="rank so many users only; 0: all")
    parser.add_argument("--seeds", type=int, nargs="+", help="in place of the frozen ones")
    parser.add_argument("--out", type=Path, default=Path("runs/full_model_ranks"))
    chosen = parser.parse_args()
    frozen = json.loads(chosen.config.read_text())
    seeds, out, workspace = chosen.seeds or frozen["seeds"], chosen.out, Workspace(chosen.workspace)
    if chosen.retriever and len(chosen.retriever) != len(seeds):
        sys.exit(f"--retriever: {len(chosen.retriever)} folders for {len(seeds)} seeds; give one of each seed.")
    overrides = frozen["overrides"] | {"data.source": str(chosen.data), "device": chosen.device}
    run = config.load(frozen["preset"], overrides=overrides)
    made = assets(run, chosen.assets, out, workspace, chosen.only_assets or "inferred_behaviors")
    if chosen.only_assets:
        return 0
    dataset, vectors, inferred = (made[kind] for kind in ("dataset", "item_vectors", "inferred_behaviors"))
    told: dict[str, Any] = {
        "config": frozen,
        "device": torch.cuda.get_device_name() if chosen.device == "cuda" else "cpu",
        "sampling": dataset.facts["sampling"],
        "assets": {kind: artifact.digest for kind, artifact in made.items()},
        "seeds": {},
    }
    for number, seed in enumerate(seeds):
        own = run.model_copy(update={"seed": seed})
        ready = prepare(own, dataset, vectors, inferred, "full", workspace)
        folder = out / f"training_{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        valid = some(Targets.of(ready.data, "valid"), frozen["valid_users"], np.random.default_rng([0, VALID_USERS]))
        test = some(Targets.of(ready.data, "test"), chosen.users, np.random.default_rng([0, TEST_USERS]))
        ranker, about = train(ready, own, frozen, valid, folder)
        about["full"] = write_ranks(out, "full", seed, ranked(ready, ranker, test, seed))
        if chosen.retriever:
            stages, facts = two_stages(ready, ranker, chosen.retriever[number], frozen["two_stages"], valid, seed)
            about["two_stages"] = facts | write_ranks(out, "two_stages", seed, ranked(ready, stages, test, seed))
        told["seeds"][str(seed)] = about
        (out / "full_model_ranks.json").write_text(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

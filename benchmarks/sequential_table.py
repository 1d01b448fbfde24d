"""Full ranking on Beauty, leave-one-out: popularity, item-to-item, SASRec, and any model whose ranks are given.

    python benchmarks/sequential_table.py [--data FOLDER] [--row "NAME=ranks_test.parquet" ...]

Needs the folder `amazon-beauty` of the real data (--data, or REASEQ_DATA) and two cores for the minutes that the table
itself tells. The protocol is that of the published tables: the last event of each user is ranked among all items but
those the user has seen before; the event before it serves for early stopping alone. The frozen config beside this file
holds every setting, and the settings that were tried, which were chosen between by validation NDCG@10 only.

A `--row` adds a model by the table of ranks that it left (user_id, item_id, rank, ranked); name it again for each
further seed. It must rank the same items of the same users, or of some of them, which its name then tells. Its
difference to SASRec is paired by user.

Writes `sequential_table.md` and `sequential_table.json` to --out. What was finished by an earlier start is taken over.
"""

import argparse
import json
import os
import platform
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from reaseq import config
from reaseq.artifacts import Artifact, Workspace
from reaseq.data import Dataset
from reaseq.data.stage import ingest
from reaseq.evaluation import paired_mean
from reaseq.evaluation.metrics import discounted_gain, hit, hit_rate, ndcg
from reaseq.evaluation.provenance import versions
from reaseq.ranking.scoring import CatalogueRanks
from reaseq.ranking.sequential import ItemToItem, Popularity, Targets, rank_targets, train_sequential
from reaseq.ranking.sequential.full_ranking import Score

HERE = Path(__file__).resolve().parent
FROZEN = HERE / "sequential_table-2026-11-20.json"
REFERENCE = "SASRec"
K = 10
REPLICATES = 1000


@dataclass(frozen=True)
class Row:
    """One model of the table: its ranks from each seed, and what is to be told of it."""

    name: str
    ranks: list[CatalogueRanks]
    about: dict[str, Any]

    def figures(self) -> dict[str, Any]:
        """HR@10 and NDCG@10 of each seed, their mean and standard deviation."""
        told: dict[str, Any] = {"model": self.name, "users": len(self.ranks[0].rank), **self.about}
        for name, metric in ((f"hr_at_{K}", hit_rate), (f"ndcg_at_{K}", ndcg)):
            values = [metric(ranks.rank, K) for ranks in self.ranks]
            told[name] = {
                "mean": statistics.fmean(values),
                "sd": statistics.stdev(values) if len(values) > 1 else None,
                "by_seed": values,
            }
        return told

    def against(self, base: "Row") -> dict[str, Any]:
        """Difference to `base`, means over seeds per user, with a bootstrap interval over users."""
        told = {}
        users = self.ranks[0].user_id
        same = np.isin(base.ranks[0].user_id, users)  # rows of the others stand in the same order, see `aligned`
        for name, metric in ((f"hr_at_{K}", hit), (f"ndcg_at_{K}", discounted_gain)):
            ours, theirs = (np.mean([metric(r.rank, K) for r in row.ranks], axis=0) for row in (self, base))
            effect = paired_mean(users, theirs[same], ours, replicates=REPLICATES, seed=0)
            told[name] = {"difference": effect.effect, "low": effect.low, "high": effect.high}
        return told


def counted(name: str, data: Dataset, score: Score, seeds: list[int]) -> Row:
    """A model that nothing but ties makes depend on the seed."""
    test = Targets.of(data, "test")
    return Row(name, [rank_targets(data, test, score, seed) for seed in seeds], {})


def trained(name: str, artifacts: list[Artifact]) -> Row:
    facts = [artifact.facts for artifact in artifacts]
    about = {
        "parameters": facts[0]["parameters"],
        "valid_ndcg_at_10": [f["valid_ndcg_at_10"] for f in facts],
        "best_epoch": [f["best_epoch"] for f in facts],
        "training_seconds": [f["training_seconds"] for f in facts],
        "positions_per_second": [f["positions_per_second"] for f in facts],
    }
    return Row(name, [read_ranks(artifact.file("ranks_test.parquet")) for artifact in artifacts], about)


def given(rows: list[str], like: Row) -> list[Row]:
    """Rows from `--row`, in the order of their names; several files under one name are its seeds."""
    files: dict[str, list[str]] = {}
    for row in rows:
        name, _, path = row.partition("=")
        if not name or not path:
            sys.exit(f"--row {row!r}: write it as NAME=path/to/ranks_test.parquet.")
        files.setdefault(name, []).append(path)
    rows = []
    for name, paths in files.items():
        ranks = [aligned(Path(path), like) for path in paths]
        users = len(ranks[0].rank)
        if any(len(of_seed.rank) != users for of_seed in ranks):
            sys.exit(f"--row {name!r}: its files rank different numbers of users.")
        some = "" if users == len(like.ranks[0].rank) else f" ({users:,} users)"
        rows.append(Row(name + some, ranks, {}))
    return rows


def aligned(path: Path, like: Row) -> CatalogueRanks:
    """Ranks of a file in the users' order of the table."""
    ranks, wanted = read_ranks(path), like.ranks[0]
    place = {user: row for row, user in enumerate(wanted.user_id)}
    rows = np.array([place.get(user, -1) for user in ranks.user_id])
    if (rows < 0).any() or (wanted.item_id[rows] != ranks.item_id).any() or len(np.unique(rows)) < len(rows):
        sys.exit(f"{path}: its users or items are not those of this table; rank the held-out item of each user once.")
    order = np.argsort(rows)
    return CatalogueRanks(*(column[order] for column in vars(ranks).values()))


def read_ranks(path: Path) -> CatalogueRanks:
    table = pq.read_table(path)
    names = ("user_id", "item_id", "rank", "ranked")
    return CatalogueRanks(*(table.column(name).to_numpy() for name in names))


def markdown(told: list[dict[str, Any]]) -> str:
    """The table, mean ± standard deviation over seeds."""

    def cell(figure: dict[str, Any]) -> str:
        return f"{figure['mean']:.4f}" + (f" ± {figure['sd']:.4f}" if figure["sd"] is not None else "")

    def change(row: dict[str, Any]) -> str:
        if f"against_{REFERENCE}" not in row:
            return "–"
        effect = row[f"against_{REFERENCE}"][f"ndcg_at_{K}"]
        return f"{effect['difference']:+.4f} [{effect['low']:+.4f}, {effect['high']:+.4f}]"

    lines = [
        f"| model | seeds | HR@{K} | NDCG@{K} | ΔNDCG@{K} to {REFERENCE}, 95 % over users |",
        "|---|---|---|---|---|",
    ]
    for row in told:
        hr, gain = row[f"hr_at_{K}"], row[f"ndcg_at_{K}"]
        lines.append(f"| {row['model']} | {len(hr['by_seed'])} | {cell(hr)} | {cell(gain)} | {change(row)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    beside = HERE.parent.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("REASEQ_DATA", beside)) / "amazon-beauty")
    parser.add_argument("--workspace", type=Path, default=Path("runs/.workspace"), help="keeps finished work")
    parser.add_argument("--processes", type=int, default=2, help="seeds that are trained at once, one thread each")
    parser.add_argument("--row", action="append", default=[], metavar="NAME=PATH", help="ranks of a further model")
    parser.add_argument("--out", type=Path, default=Path("runs/sequential_table"))
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"{arguments.data} is not there: give the folder amazon-beauty by --data, or set REASEQ_DATA.")
    frozen = json.loads(FROZEN.read_text())
    overrides = {**frozen["overrides"], "data.source": str(arguments.data)}
    settings = config.load(frozen["preset"], overrides=overrides)
    out, workspace = arguments.out, Workspace(arguments.workspace)
    dataset = ingest(settings, out / "dataset", workspace)
    data, seeds = Dataset.open(dataset), frozen["seeds"]
    train, items = data.log.only_train(), len(data.item_ids)
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(train_sequential, settings, dataset, out / f"sasrec_{s}", workspace, seed=s) for s in seeds
        ]
        sasrec = [one.result() for one in waiting]
    rows = [
        counted("PopRec", data, Popularity(train, items), seeds),
        counted("item-to-item", data, ItemToItem(train, data.log, items, **frozen["item_to_item"]), seeds),
        trained(REFERENCE, sasrec),
    ]
    rows += given(arguments.row, rows[-1])
    reference = next(row for row in rows if row.name == REFERENCE)
    told = [
        row.figures() | ({f"against_{REFERENCE}": row.against(reference)} if row is not reference else {})
        for row in rows
    ]
    result = {
        "config": FROZEN.name,
        "dataset": {"digest": dataset.digest, **dataset.facts["counts"]},
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "threads": settings.threads},
        "versions": versions(),
        "rows": told,
    }
    table = markdown(told)
    (out / "sequential_table.json").write_text(json.dumps(result, indent=2) + "\n")
    (out / "sequential_table.md").write_text(table)
    print(table)


if __name__ == "__main__":
    main()

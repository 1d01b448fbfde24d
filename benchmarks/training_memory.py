"""Does training's memory grow with the log? Peak RSS of `train_ranker` on a log and on the same log ten times over.

    python benchmarks/training_memory.py --dataset DIR --item-vectors DIR --inferred-behaviors DIR [--steps 200]

The artifacts are those of Amazon Beauty (or any other) from a finished run. Every user, with all events, impressions
and inferred behaviours, is written `times` over under ids of its own; the catalogue stays. Each size is trained in a
process of its own; told are its peak RSS and what it held before training began (libraries, verified artifacts).
--steps stops after that many steps, for a quick look; the figure that counts is of a full epoch. Writes --out as JSON.

Needs about 4 GB of disk under --folder for ten times Beauty, one or two cores, and minutes per million impressions.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reaseq import config, schema
from reaseq.artifacts import Artifact, Draft, Workspace, build, open_artifact
from reaseq.ranking.stage import train_ranker
from reaseq.ranking.training import Trainer

FROZEN = Path(__file__).resolve().with_name("training_memory-2026-11-20.json")
KINDS = ("dataset", "item_vectors", "inferred_behaviors")
ROWS = 65_536
MIB = 2**20


def renamed(table: pa.Table, name: str, copy: int) -> pa.Table:
    """The column with the copy's number before every id, so that the copies of a sorted table stay sorted in a row."""
    ids = pc.binary_join_element_wise(f"{copy:03d}", table.column(name).cast(pa.string()), "-")
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), ids)


def in_order_of_users(source: Path, times: int, rows: int) -> Iterator[pa.Table]:
    """A table sorted by user, copy after copy and so still sorted by user, piece by piece."""
    for copy in range(times):
        for batch in pq.ParquetFile(source).iter_batches(batch_size=rows):
            yield renamed(pa.Table.from_batches([batch]), "user_id", copy)


def in_order_of_time(source: Path, times: int, rows: int) -> Iterator[pa.Table]:
    """Impressions, in whole requests: those of one copy after those of another, batch by batch."""
    held: pa.Table | None = None
    for batch in pq.ParquetFile(source).iter_batches(batch_size=rows):
        part = pa.Table.from_batches([batch])
        held = part if held is None else pa.concat_tables([held, part])
        begun = pc.index(held.column("request_id"), held.column("request_id")[-1]).as_py()
        if begun:
            yield from shown(held.slice(0, begun), times)
            held = held.slice(begun).combine_chunks()
    if held is not None:
        yield from shown(held, times)


def shown(table: pa.Table, times: int) -> Iterator[pa.Table]:
    for copy in range(times):
        yield renamed(renamed(table, "user_id", copy), "request_id", copy)


def write_stream(path: Path, pieces: Iterator[pa.Table], of: pa.Schema) -> None:
    with pq.ParquetWriter(path, of, compression="zstd") as writer:
        for piece in pieces:
            writer.write_table(piece.cast(of))


def enlarged(dataset: Artifact, inferred: Artifact, times: int, workspace: Workspace) -> tuple[Artifact, Artifact]:
    """Dataset and inferences of `times` as many users, written piece by piece."""

    def write_dataset(draft: Draft) -> None:
        items = dataset.table("items.parquet")
        draft.write_table("items.parquet", items, schema.ITEMS)
        log = in_order_of_users(dataset.file("interactions.parquet"), times, ROWS)
        write_stream(draft.path / "interactions.parquet", log, schema.INTERACTIONS)
        impressions = in_order_of_time(dataset.file("impressions.parquet"), times, ROWS)
        write_stream(draft.path / "impressions.parquet", impressions, schema.IMPRESSIONS)
        (draft.path / "quarantine.jsonl").write_text("")
        draft.facts.update(dataset.facts)

    def write_inferred(draft: Draft) -> None:
        table = in_order_of_users(inferred.file("inferred_behaviors.parquet"), times, 1024)
        write_stream(draft.path / "inferred_behaviors.parquet", table, schema.INFERRED_BEHAVIORS)
        draft.facts.update(inferred.facts)

    made = []
    for kind, source, write in (
        ("dataset", dataset, write_dataset),
        ("inferred_behaviors", inferred, write_inferred),
    ):
        out, settings = workspace.root / f"{kind}-x{times}", {"times": times, "of": source.digest}
        made.append(build(out, kind=kind, config=settings, inputs={}, write=write, workspace=workspace))
    return made[0], made[1]


def train(frozen: dict[str, Any], inputs: list[Path], folder: Path, steps: int) -> dict[str, Any]:
    """One training in this process, and what it took."""
    settings = config.load(frozen["preset"], seed=frozen["seed"], overrides=frozen["overrides"])
    artifacts = [open_artifact(path, kind) for path, kind in zip(inputs, KINDS, strict=True)]
    before = psutil.Process().memory_info().rss
    peaks: dict[str, int] = {}
    step, taken = Trainer._step, 0

    def counted(self: Trainer, *arguments: Any) -> float:
        nonlocal taken
        peaks.setdefault("first_step", peak())
        if steps and taken >= steps:
            raise KeyboardInterrupt
        taken += 1
        return step(self, *arguments)

    Trainer._step = counted  # type: ignore[method-assign]
    started = time.perf_counter()
    try:
        made = train_ranker(settings, *artifacts, folder / "ranker", Workspace(folder), frozen["variant"])
        peaks["training_impressions"] = made.facts["training_impressions"]
    except KeyboardInterrupt:
        if not steps:
            raise
    return {
        "mib_before_training": round(before / MIB),
        "mib_peak_before_first_step": round(peaks["first_step"] / MIB),
        "mib_peak": round(peak() / MIB),
        "steps": taken,
        "training_impressions": peaks.get("training_impressions"),
        "seconds": round(time.perf_counter() - started),
    }


def peak() -> int:
    """Bytes: the largest RSS so far. Not ru_maxrss, which starts a new process at its parent's peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in KINDS:
        parser.add_argument(f"--{kind.replace('_', '-')}", type=Path, required=True, help=f"artifact of kind {kind}")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--steps", type=int, default=0, help="stop after as many steps; 0: a full epoch")
    parser.add_argument("--folder", type=Path, help="where the enlarged log is kept; default: a temporary folder")
    parser.add_argument("--out", type=Path, default=Path("runs/training_memory.json"))
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)  # the measured process: where it answers
    chosen = parser.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    frozen = json.loads(FROZEN.read_text())
    inputs = [getattr(chosen, kind) for kind in KINDS]
    if chosen.inside:
        chosen.inside.write_text(json.dumps(train(frozen, inputs, chosen.inside.parent, chosen.steps)))
        return 0
    dataset, vectors, inferred = (open_artifact(path, kind) for path, kind in zip(inputs, KINDS, strict=True))
    sizes: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="memory-", dir=chosen.folder) as temporary:
        home = chosen.folder or Path(temporary)
        for times in chosen.times:
            at = [dataset.path, vectors.path, inferred.path]
            if times > 1:
                at[0], at[2] = (made.path for made in enlarged(dataset, inferred, times, Workspace(home / "enlarged")))
            folder = Path(temporary) / f"x{times}"
            folder.mkdir()
            options = [f"--{kind.replace('_', '-')}={path}" for kind, path in zip(KINDS, at, strict=True)]
            command = [sys.executable, __file__, *options, "--steps", str(chosen.steps)]
            environment = os.environ | {"OMP_NUM_THREADS": str(frozen["overrides"]["threads"])}
            subprocess.run([*command, "--inside", str(folder / "told.json")], check=True, env=environment)
            sizes[f"x{times}"] = json.loads((folder / "told.json").read_text())
            print(f"x{times}", sizes[f"x{times}"], flush=True)
    first, last = (sizes[f"x{times}"]["mib_peak"] for times in (chosen.times[0], chosen.times[-1]))
    told = {"config": frozen, "steps": chosen.steps or "a full epoch", "sizes": sizes, "ratio": round(last / first, 3)}
    print(json.dumps(told, indent=2))
    chosen.out.write_text(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a refresh starts from, made once: the small world, a denoiser fitted on it, and the inferences of that run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.behavior import fit_denoiser, infer_behaviors
from reaseq.behavior.refresh import RunShards, in_this_process, refresh_behaviors
from reaseq.config import RunConfig, load
from reaseq.schema import INTERACTIONS
from tests import smallworld

SMALL = {
    "threads": 1,
    "behavior.d_model": 32,
    "behavior.epochs": 2,
    "behavior.refit_epochs": 1,
    "behavior.batch_slots": 64,
    "behavior.infer_batch": 8,
    "behavior.inferred": 5,
    "behavior.spare_slots": 1,
    "behavior.reverse_steps": 2,
    "refresh.events": 2,
    "refresh.older_than_days": 30,
}
CONFIG = load("tiny", overrides=SMALL)
END = smallworld.START + smallworld.DAYS * smallworld.DAY


@dataclass(frozen=True)
class Made:
    """A finished run's artifacts."""

    dataset: Artifact
    item_vectors: Artifact
    denoiser: Artifact
    known: Artifact

    def refresh(
        self,
        folder: Path,
        *,
        config: RunConfig = CONFIG,
        snapshot: int = END,
        dataset: Artifact | None = None,
        known: Artifact | None = None,
        run_shards: RunShards = in_this_process,
    ) -> Artifact:
        """A refresh after it, in a folder whose workspace it shares with others of that folder."""
        return refresh_behaviors(
            config,
            dataset or self.dataset,
            self.item_vectors,
            self.denoiser,
            known or self.known,
            folder / f"refresh-{snapshot}",
            Workspace(folder / "workspace"),
            snapshot=snapshot,
            run_shards=run_shards,
        )


def make(home: Path) -> Made:
    workspace = Workspace(home / "workspace")
    dataset = smallworld.write_dataset(home / "dataset", workspace)
    vectors = smallworld.write_item_vectors(home / "vectors", dataset, workspace)
    denoiser = fit_denoiser(CONFIG, dataset, vectors, home / "denoiser", workspace)
    known = infer_behaviors(CONFIG, dataset, vectors, denoiser, home / "known", workspace)
    return Made(dataset, vectors, denoiser, known)


def with_other_items_from(snapshot: int, dataset: Artifact, out: Path) -> Artifact:
    """The dataset, with another item in every event at or after the snapshot."""

    def write(draft: Draft) -> None:
        for name in ("items.parquet", "impressions.parquet", "quarantine.jsonl"):
            (draft.path / name).write_bytes(dataset.file(name).read_bytes())
        table = dataset.table("interactions.parquet")
        times = table["timestamp"].cast(pa.int64()).to_numpy()
        items = np.array(table["item_id"].to_pylist(), object)
        items[times >= snapshot] = smallworld.item_id(7)
        table = table.set_column(1, "item_id", pa.array(items.tolist(), pa.string()))
        draft.write_table("interactions.parquet", table, INTERACTIONS)
        draft.facts.update(dataset.facts)

    workspace = Workspace(out.parent / f"{out.name}-workspace")
    return build(out, kind="dataset", config={"changed": snapshot}, inputs={}, write=write, workspace=workspace)

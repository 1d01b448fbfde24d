"""Rankers that were never trained: artifacts of the right kind whose scores are made up from the impressions.

The full one knows the label a little better than the ID-only one, so that there is a lift to find.
"""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from reaseq import schema
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.evaluation import stage
from reaseq.ranking.gates import GateValues
from reaseq.ranking.scoring import CatalogueRanks
from tests import smallworld

SIGNAL = {"id": 0.6, "full": 2.0}


def write_ranker(out: Path, workspace: Workspace, variant: str, signal: float | None = None) -> Artifact:
    def write(draft: Draft) -> None:
        curve = [{"step": n, "loss": 0.7 / (1 + n / 40)} for n in range(0, 200, 10)]
        (draft.path / "training.jsonl").write_text("".join(json.dumps(point) + "\n" for point in curve))
        draft.write_json("ranker.json", {"variant": variant, "signal": SIGNAL[variant] if signal is None else signal})
        draft.facts.update(training_seconds=1.0, target_overlap={"test": {"positives": 0.1, "negatives": 0.02}})

    return build(
        out, kind="ranker", name=f"ranker_{variant}", config={"signal": signal}, inputs={}, write=write,
        workspace=workspace,
    )  # fmt: skip


def write_denoiser(out: Path, workspace: Workspace) -> Artifact:
    def write(draft: Draft) -> None:
        curve = [{"step": n, "epoch": 1, "code_loss": 3 / (1 + n), "latent_loss": 5 / (1 + n)} for n in range(30)]
        (draft.path / "training.jsonl").write_text("".join(json.dumps(point) + "\n" for point in curve))
        draft.facts.update(parameters=1000, steps=30, inpainting={"recall_at_10": 0.3, "popularity_recall_at_10": 0.1})

    return build(out, kind="denoiser", config={}, inputs={}, write=write, workspace=workspace)


def write_all(root: Path, workspace: Workspace) -> dict[str, Artifact]:
    """Every input of `evaluate`, by the name of its argument."""
    dataset = smallworld.write_dataset(root / "dataset", workspace)
    vectors = smallworld.write_item_vectors(root / "vectors", dataset, workspace)
    return {
        "dataset": dataset,
        "knowledge": smallworld.write_knowledge(root / "knowledge", dataset, workspace),
        "item_vectors": vectors,
        "denoiser": write_denoiser(root / "denoiser", workspace),
        "inferred_behaviors": smallworld.write_inferred_behaviors(root / "inferred", dataset, vectors, workspace),
        "ranker_id": write_ranker(root / "ranker_id", workspace, "id"),
        "ranker_full": write_ranker(root / "ranker_full", workspace, "full"),
    }


def score_impressions(
    bundle: Artifact, dataset: Artifact, item_vectors: Artifact, inferred: Artifact, split: str, lag_hours: float = 0.0
) -> pa.Table:
    table = dataset.table("impressions.parquet", ["request_id", "user_id", "item_id", "label", "split"])
    table = table.filter(pc.equal(table.column("split"), split))
    labels = table.column("label").to_numpy()
    noise = np.random.default_rng(5).normal(size=len(labels))
    logits = bundle.json("ranker.json")["signal"] * labels + noise - 1
    return table.append_column("score", pa.array(1 / (1 + np.exp(-logits)), pa.float32())).cast(schema.PREDICTIONS)


def rank_catalogue(
    bundle: Artifact,
    dataset: Artifact,
    item_vectors: Artifact,
    inferred: Artifact,
    *,
    users: int,
    seed: int,
    split: str = "test",
    lag_hours: float = 0.0,
) -> CatalogueRanks:
    table = score_impressions(bundle, dataset, item_vectors, inferred, split)
    positive = table.filter(pc.equal(table.column("label"), 1)).to_pylist()
    first = {row["user_id"]: row for row in reversed(positive)}
    chosen = [first[user] for user in sorted(first)][: users or None]
    ranks = [1 + int((1 - row["score"]) * 40) for row in chosen]
    return CatalogueRanks(
        np.array([row["user_id"] for row in chosen], object),
        np.array([row["item_id"] for row in chosen], object),
        np.array(ranks, np.int64),
        np.full(len(chosen), 60, np.int64),
    )


def gate_values(
    bundle: Artifact, dataset: Artifact, item_vectors: Artifact, inferred: Artifact, split: str, lag_hours: float
) -> GateValues:
    rows = dataset.table("impressions.parquet", ["split"]).column(0).to_pylist().count(split)
    return GateValues(np.linspace(0.05, 0.4, rows, dtype=np.float32), np.arange(rows) % 3)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stage score with the functions above."""
    monkeypatch.setattr(stage, "score_impressions", score_impressions)
    monkeypatch.setattr(stage, "rank_catalogue", rank_catalogue)
    monkeypatch.setattr(stage, "gate_values", gate_values)


def replicate_of(ranker: Artifact, out: Path, workspace: Workspace, seed: int, **facts: float) -> Artifact:
    """The same files and inputs under another seed in the configuration, and `seed.txt` for a digest of its own."""

    def write(draft: Draft) -> None:
        for name in ranker.manifest.files:
            shutil.copy2(ranker.file(name), draft.path / name)
        (draft.path / "seed.txt").write_text(str(seed))
        draft.facts.update(ranker.facts | {"parity": 0.0} | facts)

    inputs = {name: SimpleNamespace(digest=digest) for name, digest in ranker.manifest.inputs.items()}
    return build(
        out, kind="ranker", name=ranker.manifest.name, config=ranker.manifest.config | {"seed": seed}, inputs=inputs,
        write=write, workspace=workspace,
    )  # fmt: skip

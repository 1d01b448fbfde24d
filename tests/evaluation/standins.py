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
from reaseq.data.dataset import Dataset, Impressions
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


class Scorer:
    """Stands for `reaseq.ranking.scoring.Scorer`."""

    def __init__(
        self,
        bundle: Artifact,
        data: Dataset,
        item_vectors: Artifact,
        inferred: Artifact,
        lag_hours: float = 0.0,
        folder: Path | None = None,
    ):
        self.bundle, self.data = bundle, data

    @property
    def signal(self) -> float:
        """How well the scores know the label."""
        return self.bundle.json("ranker.json")["signal"]

    def scores(self, shown: Impressions) -> np.ndarray:
        noise = np.random.default_rng(5).normal(size=len(shown))
        return (1 / (1 + np.exp(1 - self.signal * shown.label - noise))).astype(np.float32)

    def impressions(self, split: str) -> pa.Table:
        table = self.data.artifact.table("impressions.parquet", ["request_id", "user_id", "item_id", "label", "split"])
        table = table.filter(pc.equal(table.column("split"), split))
        return table.append_column("score", pa.array(self.scores(self.data.impressions(split)))).cast(
            schema.PREDICTIONS
        )

    def impressions_with_gate(self, split: str) -> tuple[pa.Table, GateValues]:
        table = self.impressions(split)
        rows = table.num_rows
        return table, GateValues(np.linspace(0.05, 0.4, rows, dtype=np.float32), np.arange(rows) % 3)

    def ranks(self, split: str, *, users: int, seed: int) -> CatalogueRanks:
        table = self.impressions(split)
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


def stand_in(monkeypatch: pytest.MonkeyPatch, scorer: type[Scorer] = Scorer) -> None:
    """Let the stage score with the class above, or with one made from it."""
    monkeypatch.setattr(stage, "Scorer", scorer)


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

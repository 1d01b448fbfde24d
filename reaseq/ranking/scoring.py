"""Scores of a bundle offline: of a split's impressions, and of the whole catalogue for ranking metrics.

A bundle may be older than the dataset (a champion beside a challenger). Items are matched by id; an item the bundle
doesn't know is scored from its item vector, as serving does, and is invisible in histories.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from safetensors.torch import load_file

from reaseq import progress, schema
from reaseq.artifacts import Artifact
from reaseq.data.dataset import Dataset, Impressions
from reaseq.ranking.batches import Contexts, RequestBatches
from reaseq.ranking.bundle import WEIGHTS, Bundle
from reaseq.ranking.errors import RankingError
from reaseq.ranking.gates import GateValues, predict_with_gate
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.model import ItemTable, Ranker, RankerSpec
from reaseq.ranking.training import Network, catalogue, predict, users_of
from reaseq.representation.vectors import ItemVectors

USERS, TIES = 34, 35  # streams of random numbers drawn from the seed
BATCH = 2048
PROGRESS = "scoring impressions"
CANDIDATES = 2048  # per step over the catalogue
CELLS = {"cpu": CANDIDATES, "cuda": 64 * CANDIDATES}
"""Contexts × candidates that are scored at once, which bounds memory."""


@dataclass(frozen=True)
class CatalogueRanks:
    """Where one positive of each ranked user stands among all items; row-aligned arrays."""

    user_id: np.ndarray  # [R] str
    item_id: np.ndarray  # [R] str, the positive
    rank: np.ndarray  # [R] int64, 1 is best; ties are broken at random by the seed
    ranked: np.ndarray  # [R] int64, items it was ranked among, itself included


class Scorer:
    """A bundle's network over a dataset, in the dataset's own item numbering for candidates.

    `place` [V'+1] int64 holds the row of `table` for each item of the dataset.

    Args:
        bundle: kind "ranker".
        dataset: kind "dataset", or one that is open already.
        item_vectors: of the dataset; used for items that the bundle doesn't know.
        inferred: the "inferred_behaviors" of the dataset.
        lag_hours: least age of a snapshot that an impression sees.
        folder: where inference vectors are mapped from, as for `InferenceTable.read`.

    Raises:
        RankingError: the bundle's weights don't fit this version's network, or it knows not all items and the item
            vectors have other codes than it reads.
    """

    def __init__(
        self,
        bundle: Artifact,
        dataset: Artifact | Dataset,
        item_vectors: Artifact,
        inferred: Artifact,
        lag_hours: float = 0.0,
        folder: Path | None = None,
    ):
        opened = Bundle.open(bundle)
        self.data = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
        self.model = load_ranker(opened)
        known = np.concatenate([[0], opened.vocabulary.items(self.data.item_ids)])  # [V'+1] the model's index
        self.place, self.table = self._candidates(opened, known, ItemVectors.open(item_vectors))
        table = InferenceTable.read(inferred, self.data, lag_hours, folder)
        self.contexts = Contexts(
            self.data.log,
            self.data.category_index,
            replace(table, items=known[table.items]),
            opened.limits,
            items=known[self.data.log.items],
        )

    def impressions(self, split: str) -> pa.Table:
        """Probabilities of all impressions of a split, in their order (schema `PREDICTIONS`)."""
        return self._told(split, self.scores(self.data.impressions(split)))

    def impressions_with_gate(self, split: str) -> tuple[pa.Table, GateValues]:
        """`impressions`, and the ω of each."""
        shown = self.data.impressions(split)
        scores, gate = predict_with_gate(self.model, self.table, self._batches(shown), BATCH, PROGRESS)
        return self._told(split, scores), gate

    def ranks(self, split: str, *, users: int, seed: int) -> CatalogueRanks:
        """Rank a positive of each sampled user among the whole catalogue.

        The positive is the user's first of the split, ranked at its own moment; items in the visible history are left
        out (save the positive itself), as in the published tables.

        Args:
            split: whose positives.
            users: how many to sample among those with a positive; 0 means all.
            seed: of the sample and of ties.
        """
        data, shown = self.data, self.data.impressions(split)
        rows = np.flatnonzero((shown.label == 1) & (shown.user >= 0))
        _, first = np.unique(shown.user[rows], return_index=True)
        rows = rows[first]
        if 0 < users < len(rows):
            rows = np.sort(np.random.default_rng([seed, USERS]).choice(rows, users, replace=False))
        rng = np.random.default_rng([seed, TIES])
        rank, ranked = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        for place, row in enumerate(progress.track(rows, f"ranking the catalogue for {split} users")):
            scores = self.catalogue_scores(shown, int(row))
            positive = int(shown.item[row])
            among = np.ones(len(scores), bool)
            among[data.log.items[data.log.offsets[shown.user[row]] : shown.end[row]]] = False
            among[0], among[positive] = False, True
            better = int((scores[among] > scores[positive]).sum())
            ties = int((scores[among] == scores[positive]).sum()) - 1
            rank[place] = 1 + better + int(rng.integers(ties + 1))
            ranked[place] = int(among.sum())
        ids = np.array(data.item_ids, dtype=object)
        return CatalogueRanks(data.log.user_ids[shown.user[rows]], ids[shown.item[rows] - 1], rank, ranked)

    def scores(self, shown: Impressions) -> np.ndarray:
        """float32 [N], in the impressions' order."""
        return predict(self.model, self.table, self._batches(shown), BATCH, PROGRESS)

    def catalogue_scores(self, shown: Impressions, row: int) -> np.ndarray:
        """float32 [V'+1] logits of every item of the dataset in the context of one impression; row 0 has no meaning."""
        one = slice(row, row + 1)
        context = (shown.user[one], shown.end[one], shown.timestamp[one])
        return score_candidates(self.model, self.table, self.contexts, *context, self.place[None])[0]

    def _batches(self, shown: Impressions) -> RequestBatches:
        return RequestBatches(replace(shown, item=self.place[shown.item]), self.contexts)

    def _told(self, split: str, scores: np.ndarray) -> pa.Table:
        """The split's impressions with their scores."""
        table = self.data.artifact.table("impressions.parquet", ["request_id", "user_id", "item_id", "label", "split"])
        table = table.filter(pc.equal(table.column("split"), split))
        return table.append_column("score", pa.array(scores, pa.float32())).cast(schema.PREDICTIONS)

    def _candidates(self, opened: Bundle, known: np.ndarray, vectors: ItemVectors) -> tuple[np.ndarray, ItemTable]:
        """Row of the table for each of the dataset's items, and the table: the model's items, then the newer ones."""
        table = catalogue(self.model)
        new = np.flatnonzero(known == 0)[1:]
        reads = self.model.spec.levels, self.model.spec.codebook_size
        given = vectors.centroids.shape[:2]
        if len(new) and reads != given:
            raise RankingError(
                f"the bundle reads {reads[0]} codes of {reads[1]} each and the item vectors have {given[0]} of "
                f"{given[1]}, so it can't score the {len(new)} items that it doesn't know. Give it vectors made with "
                "its own settings of the section representation, or train the ranker again."
            )
        place = known.copy()
        place[new] = len(table.x) + np.arange(len(new))
        category = np.array([opened.vocabulary.category(self.data.top_categories[i - 1]) for i in new], np.int64)
        with torch.no_grad():
            cold = self.model.encode_cold(
                torch.from_numpy(vectors.z[new]), torch.from_numpy(vectors.codes[new]), torch.from_numpy(category)
            )
        return place, ItemTable(*(torch.cat(parts) for parts in zip(table, cold, strict=True)))


@torch.no_grad()
def score_candidates(
    model: Network,
    table: ItemTable,
    contexts: Contexts,
    user: np.ndarray,
    end: np.ndarray,
    timestamp: np.ndarray,
    items: np.ndarray,
) -> np.ndarray:
    """Logits of many candidates in many contexts, a grid of at most `CELLS` at a time.

    Args:
        model: in evaluation mode.
        table: the encoded catalogue, on the model's device.
        contexts: makes the user tensors.
        user, end, timestamp: [U] int64, the contexts, as for `Contexts.tensors`.
        items: int64 [U, C] rows of `table`, or [1, C] where all contexts have the same candidates.

    Returns:
        float32 [U, C].
    """
    device = table.x.device
    scores = np.zeros((len(user), items.shape[1]), np.float32)
    width = min(items.shape[1], CANDIDATES)
    height = CELLS[device.type] // width
    for low in range(0, len(user), height):
        rows = slice(low, low + height)
        users = users_of(contexts.tensors(user[rows], end[rows], timestamp[rows]), device)
        wanted = np.broadcast_to(items, scores.shape)[rows]
        for start in range(0, wanted.shape[1], width):
            columns = slice(start, start + width)
            candidates = table.candidates(torch.from_numpy(wanted[:, columns].copy()).to(device))
            scores[rows, columns] = model.score(table, users, candidates).float().cpu().numpy()
    contexts.release()
    return scores


def load_ranker(bundle: Bundle) -> Ranker:
    """The bundle's network in evaluation mode, on the CPU.

    Raises:
        RankingError: its weights don't fit the network of this version, such as for item vectors of another width.
    """
    spec = RankerSpec(**bundle.spec["model"])
    rows = spec.items + 1
    empty: dict[str, np.ndarray] = {
        "z": np.zeros((rows, schema.VECTOR_DIM), np.float32),
        "codes": np.zeros((rows, spec.levels), np.int64),
        "category": np.zeros(rows, np.int64),
        "counts": np.zeros(rows, np.int64),
        "rate": np.zeros(rows, np.float32),
    }
    model = Ranker(spec, **empty)
    try:
        model.load_state_dict(load_file(bundle.artifact.file(WEIGHTS)))
    except RuntimeError as error:
        raise RankingError(
            "the bundle's weights don't fit the network that this version builds: train the ranker again. "
            f"{' '.join(str(error).split())[:300]}"
        ) from None
    return model.eval()

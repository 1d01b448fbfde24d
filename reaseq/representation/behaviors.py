"""The log as this package reads it: positive behaviours in order, and the pairs of items consumed together."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.artifacts import Artifact

_FOLLOWING = 50  # later behaviours of the same user that one behaviour is paired with; bounds the quadratic blow-up
_MICROSECONDS = 86_400_000_000  # a day


@dataclass(frozen=True)
class Behaviors:
    """E positive behaviours, by user, in the table's order of time."""

    user: np.ndarray  # [E] int64
    item: np.ndarray  # [E] int64, row in `items`, from 0
    time: np.ndarray  # [E] int64, microseconds
    split: np.ndarray  # [E] str

    @classmethod
    def read(cls, dataset: Artifact, positive_rating: float) -> "Behaviors":
        """Those of a dataset artifact; a rated event is one from `positive_rating` on."""
        ids = dataset.table("items.parquet", ["item_id"]).column(0)
        events = dataset.table("interactions.parquet", ["user_id", "item_id", "timestamp", "rating", "split"])
        rating = events.column("rating")
        least = pa.scalar(positive_rating, pa.float32())  # as the column is: 0.7 is more than its float32
        events = events.filter(pc.fill_null(pc.greater_equal(rating, least), True))
        return cls(
            user=events.column("user_id").combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64),
            item=pc.index_in(events.column("item_id"), ids).to_numpy().astype(np.int64),
            time=events.column("timestamp").cast("int64").to_numpy(),
            split=events.column("split").to_numpy().astype(str),
        )

    def of(self, split: str) -> "Behaviors":
        kept = self.split == split
        return Behaviors(self.user[kept], self.item[kept], self.time[kept], self.split[kept])

    def next_items(self, split: str) -> np.ndarray:
        """[n, 2] rows of `items`: a behaviour and the one after it, which lies in `split` and is of another item."""
        return self.transitions(split)[1]

    def transitions(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """The users [n] of the pairs that `next_items` gives, and the pairs [n, 2]."""
        follows = (self.user[1:] == self.user[:-1]) & (self.split[1:] == split) & (self.item[1:] != self.item[:-1])
        return self.user[1:][follows], np.stack([self.item[:-1][follows], self.item[1:][follows]], axis=1)


@dataclass(frozen=True)
class CoConsumption:
    """Pairs of items that users consumed within a window: the positives of the alignment."""

    pairs: np.ndarray  # [n, 2] int64, rows of `items`, first < second, sorted, each pair once
    weights: np.ndarray  # [n] float64: users who consumed both / √(pop_i · pop_j)

    @classmethod
    def count(cls, behaviors: Behaviors, items: int, window_days: float) -> "CoConsumption":
        """Count them. What is not of the training split is for the caller to leave out.

        A pair weighs one per user, over the square root of its items' numbers of behaviours (as in FORGE, arXiv
        2509.20904, so that what everybody consumes is no evidence of likeness). A behaviour is paired with at most the
        next 50 of its user; that bound is ours.
        """
        found = []
        for lag in range(1, _FOLLOWING + 1):
            user, item, time = behaviors.user, behaviors.item, behaviors.time
            if len(user) <= lag:
                break
            near = (user[lag:] == user[:-lag]) & (time[lag:] - time[:-lag] <= window_days * _MICROSECONDS)
            near &= item[lag:] != item[:-lag]
            first, second = item[:-lag][near], item[lag:][near]
            low, high = np.minimum(first, second), np.maximum(first, second)
            found.append(pl.DataFrame({"user": user[lag:][near], "pair": low * items + high}))
        if not found:
            return cls(np.empty((0, 2), np.int64), np.empty(0))
        counted = pl.concat(found).unique().group_by("pair").len().sort("pair")
        pair, users = counted["pair"].to_numpy(), counted["len"].to_numpy()
        pairs = np.stack([pair // items, pair % items], axis=1)
        popularity = np.bincount(behaviors.item, minlength=items).astype(np.float64)
        weights = users / np.sqrt(popularity[pairs[:, 0]] * popularity[pairs[:, 1]])
        return cls(pairs, weights)

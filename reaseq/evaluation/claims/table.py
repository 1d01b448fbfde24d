"""The test impressions with every arm's scores, and the comparisons that claims are judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reaseq.data.dataset import Dataset
from reaseq.evaluation.buckets import BUCKETS, LEAST_USERS, members
from reaseq.evaluation.claims.evidence import Comparison
from reaseq.evaluation.claims.intervals import Interval, PerUser, contrast, gauc_per_user
from reaseq.evaluation.metrics import Floats, auc, logloss
from reaseq.evaluation.yardsticks import item_events, item_mean

COLUMNS = ("AUC", "AUC sd", "GAUC", "GAUC sd", "LogLoss", *(f"GAUC {bucket}" for bucket in BUCKETS))
"""Of `Table.figures`."""
HISTORY = "history of {} events"
ITEMS = "items with {} training events"


@dataclass(frozen=True)
class Part:
    """Some of the test impressions: which rows, and which of their positives count."""

    words: str
    rows: NDArray[np.bool_] | None = None
    positives: NDArray[np.bool_] | None = None


class Table:
    """Scores of all arms over the test impressions.

    Args:
        dataset: whose test split was scored.
        scores: arm → its scores under each seed, [N] each, in the order of the impressions.
        replicates: of the bootstrap.
        seed: of the bootstrap.
    """

    def __init__(self, dataset: Dataset, scores: Mapping[str, Sequence[Floats]], *, replicates: int, seed: int):
        shown = dataset.impressions("test")
        training = dataset.impressions("train")
        events = item_events(dataset.log.only_train().items, len(dataset.item_ids))
        self.labels = shown.label
        self.users = dataset.shown_to("test")
        self.item_events = events[shown.item]
        self.history = np.where(shown.user >= 0, shown.end - dataset.log.offsets[shown.user.clip(0)], 0)
        mean = item_mean(training.item, training.label, len(dataset.item_ids))[shown.item]
        self.scores = {name: list(of_arm) for name, of_arm in scores.items()}
        self.scores["item_mean"] = [mean] * len(next(iter(scores.values())))
        self._replicates, self._seed = replicates, seed
        self._kept: dict[tuple[str, str], PerUser] = {}

    @cached_property
    def by_item(self) -> dict[str, Part]:
        """Bucket → its positives against all negatives of their users, as the field reports it."""
        return {bucket: Part(ITEMS.format(bucket), positives=members(self.item_events, bucket)) for bucket in BUCKETS}

    @cached_property
    def by_history(self) -> dict[str, Part]:
        """Bucket → the impressions of users whose visible history is that long."""
        return {bucket: Part(HISTORY.format(bucket), rows=members(self.history, bucket)) for bucket in BUCKETS}

    def gauc(self, arm: str, part: Part | None = None) -> PerUser:
        part = part or Part("all")
        key = arm, part.words
        if key not in self._kept:
            rows = slice(None) if part.rows is None else part.rows
            positives = None if part.positives is None else part.positives[rows]
            scores = [of_seed[rows] for of_seed in self.scores[arm]]
            found = gauc_per_user(self.users[rows], self.labels[rows], scores, positives)
            width = int(self.users.max(initial=-1)) + 1 - found.value.shape[1]  # users without rows here
            value = np.pad(found.value, ((0, 0), (0, width)), constant_values=np.nan)
            self._kept[key] = PerUser(value, np.pad(found.weight, (0, width)))
        return self._kept[key]

    def compare(
        self, other: str, base: str, part: Part | None = None, *, decides: bool = False, note: str = ""
    ) -> Comparison:
        """GAUC of `other` less that of `base`."""
        first, second = self.gauc(other, part), self.gauc(base, part)
        found = contrast([(first, second)], replicates=self._replicates, seed=self._seed)
        what = "GAUC" if part is None else f"GAUC, {part.words}"
        return _comparison(what, other, base, first.mean, second.mean, found, decides, note)

    def compare_gains(
        self, other: str, base: str, part: Part, against: Part, *, decides: bool = False, note: str = ""
    ) -> Comparison:
        """Gain of `other` over `base` on one part less its gain on another."""
        pairs = [(self.gauc(other, p), self.gauc(base, p)) for p in (part, against)]
        found = contrast(pairs, replicates=self._replicates, seed=self._seed)
        gain, reference = (pair[0].mean - pair[1].mean for pair in pairs)
        what = f"GAUC gain over {base}: {part.words}, against {against.words}"
        return _comparison(what, other, other, gain, reference, found, decides, note)

    def figures(self) -> dict[str, dict[str, float]]:
        """Arm → mean over seeds of AUC, GAUC and LogLoss, sd of the first two (nan of one seed), and GAUC of each
        bucket of items."""
        table = {}
        for arm, of_seeds in self.scores.items():
            each = self.gauc(arm)
            kept, weight = each.kept, each.weight[each.kept]
            gaucs = each.value[:, kept] @ weight / weight.sum()
            areas = np.array([auc(self.labels, scores) for scores in of_seeds])
            row = {
                "AUC": float(areas.mean()),
                "AUC sd": _deviation(areas),
                "GAUC": float(gaucs.mean()),
                "GAUC sd": _deviation(gaucs),
                "LogLoss": float(np.mean([logloss(self.labels, scores) for scores in of_seeds])),
            }
            table[arm] = row | {f"GAUC {bucket}": self.gauc(arm, part).mean for bucket, part in self.by_item.items()}
        return table


def _deviation(of_seeds: Floats) -> float:
    """Standard deviation, estimated from a sample: nan of one seed."""
    return float(of_seeds.std(ddof=1)) if len(of_seeds) > 1 else float("nan")


def _comparison(
    what: str, other: str, base: str, first: float, second: float, found: Interval, decides: bool, note: str
) -> Comparison:
    if np.isnan(found.effect):
        note = f"no user has both a positive and a negative here. {note}".strip()
    elif found.users < LEAST_USERS:
        note = f"fewer than {LEAST_USERS} users have both a positive and a negative here. {note}".strip()
    return Comparison(
        what=what,
        other=other,
        base=base,
        other_value=first,
        base_value=second,
        effect=found.effect,
        low=found.low,
        high=found.high,
        seeds=found.seeds,
        users=found.users,
        decides=decides,
        note=note,
    )

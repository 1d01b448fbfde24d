"""The figures of a run: each model on each split, the lift of the full model, and what it all says in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reaseq.config import Json
from reaseq.evaluation import metrics
from reaseq.evaluation.bootstrap import Effect, Metric, paired, paired_mean
from reaseq.evaluation.buckets import LEAST_USERS
from reaseq.evaluation.metrics import Floats, Ints

MODELS = ("id", "full")
POINTWISE: tuple[Metric, ...] = ("auc", "gauc", "logloss")
_LABELS = {"auc": "AUC", "gauc": "GAUC", "logloss": "LogLoss", "ece": "Calibration error", "mrr": "MRR"}
BUCKET_WORDS = {
    "item_events": "items with {} training events",
    "item_age": "items of age “{}”",
    "history": "histories of {} events",
}
"""Group of buckets → how its buckets are spoken of."""
LOWER_IS_BETTER = frozenset({"logloss", "ece"})

Verdict = Literal["better", "worse", "open", "unsure"]
"""`open`: the interval includes 0; `unsure`: there is none."""


@dataclass(frozen=True)
class ScoredSplit:
    """The impressions of a split with each model's scores, row-aligned."""

    users: NDArray[Any]  # [N]
    items: Ints  # [N] item index, 1-based
    labels: NDArray[np.int8]  # [N]
    history: Ints  # [N] events of the user before the impression
    scores: Mapping[str, Floats]  # model or yardstick → [N]
    probabilities: frozenset[str] = frozenset(MODELS)
    """The score sets that are probabilities, so that LogLoss and calibration mean something."""
    ranks: Mapping[str, Ints] = field(default_factory=dict)  # model → [R] rank of each ranked positive in the catalogue
    rank_users: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.int64))  # [R]


def score(split: ScoredSplit, ks: Sequence[int]) -> dict[str, Json]:
    """All metrics of each score set; a metric that is undefined is None and `undefined` names the reason."""
    return {name: _score_one(split, name, ks) for name in split.scores}


def lift(split: ScoredSplit, ks: Sequence[int], *, replicates: int, seed: int) -> dict[str, Effect]:
    """`full - id` of each metric with its interval, by the paired user-level bootstrap."""
    base, other = split.scores["id"], split.scores["full"]
    effects: dict[str, Effect] = {
        name: paired(name, split.users, split.labels, base, other, replicates=replicates, seed=seed)
        for name in POINTWISE
    }
    if set(MODELS) <= set(split.ranks):
        for k in ks:
            for name, gain in (("hr", metrics.hit), ("ndcg", metrics.discounted_gain)):
                effects[f"{name}@{k}"] = paired_mean(
                    split.rank_users,
                    gain(split.ranks["id"], k),
                    gain(split.ranks["full"], k),
                    replicates=replicates,
                    seed=seed,
                )
    return effects


def notes(figures: Mapping[str, Json], effects: Mapping[str, Effect], buckets: Mapping[str, Json]) -> list[str]:
    """Sentences that say what the figures show and what they don't.

    Args:
        figures: of the test split, by model or yardstick.
        effects: the lift.
        buckets: `item_events`, `item_age` and `history`, as `reaseq.evaluation.buckets` gives them.
    """
    said = _say(effects)
    for group, words in BUCKET_WORDS.items():
        for bucket, row in buckets.get(group, {}).items():
            change = row["lift"]
            if change and change["n"] >= LEAST_USERS and change["high"] is not None and change["high"] < 0:
                interval = f"{signed(change['effect'])} [{signed(change['low'])}, {signed(change['high'])}]"
                where = words.format(bucket.replace("-", "–"))
                said.append(f"The full model is worse on {where}: GAUC {interval}.")
    for name, words in (("item_mean", "smoothed item mean"), ("popularity", "popularity")):
        said.extend(_against(figures, name, words))
    said.append("One seed: chance between seeds is not in these intervals, only chance between users.")
    return said


def metric_label(name: str) -> str:
    """What a person calls the metric."""
    return _LABELS.get(name, name.upper())


def verdict(change: Mapping[str, Any], lower_is_better: bool = False) -> Verdict:
    """What a difference says of the model that was compared with another.

    Args:
        change: `effect`, `low` and `high`, as `Effect.as_json` gives them.
        lower_is_better: whether of this metric less is better.
    """
    if change["low"] is None:
        return "unsure"
    if change["low"] <= 0 <= change["high"]:
        return "open"
    return "better" if (change["effect"] < 0) == lower_is_better else "worse"


def signed(value: float, places: int = 4) -> str:
    """A difference with its sign, a true minus among them."""
    return f"{value:+.{places}f}".replace("-", "−")


def _score_one(split: ScoredSplit, name: str, ks: Sequence[int]) -> Json:
    y, s = split.labels, split.scores[name]
    reason = metrics.why_undefined(y)
    grouped = metrics.gauc(split.users, y, s)
    values: Json = {
        "auc": metrics.auc(y, s),
        "gauc": grouped.value,
        "gauc_users": grouped.users,
        "users": grouped.users_total,
        "impressions": len(y),
        "positives": int(y.sum()),
    }
    undefined = {"auc": reason, "gauc": reason or "no user has both a positive and a negative"}
    probability = name in split.probabilities
    values["logloss"] = metrics.logloss(y, s) if probability else float("nan")
    values["ece"] = metrics.calibration(y, s).error if probability else float("nan")
    undefined |= dict.fromkeys(("logloss", "ece"), reason if probability else "scores are not probabilities")
    ranks = split.ranks.get(name)
    values["ranked"] = 0 if ranks is None else len(ranks)
    for k in ks:
        values[f"hr@{k}"] = float("nan") if ranks is None else metrics.hit_rate(ranks, k)
        values[f"ndcg@{k}"] = float("nan") if ranks is None else metrics.ndcg(ranks, k)
    values["mrr"] = float("nan") if ranks is None else metrics.mrr(ranks)
    unranked = "the catalogue was not ranked on this split" if ranks is None else "no positive to rank"
    values["undefined"] = {key: undefined.get(key, unranked) for key, value in values.items() if value != value}
    return {key: None if value != value else value for key, value in values.items()}


def _say(effects: Mapping[str, Effect]) -> list[str]:
    """One sentence for each verdict that some metric got."""
    sentences = {
        "better": "The full model is better than ID-only on {}; each interval excludes 0.",
        "worse": "The full model is worse than ID-only on {}.",
        "open": "No effect shown, the interval includes 0: {}.",
        "unsure": "No interval can be given: {}.",
    }
    said: dict[str, list[str]] = {name: [] for name in sentences}
    for name, effect in effects.items():
        found = verdict(effect.as_json(), name in LOWER_IS_BETTER)
        said[found].append(metric_label(name) + ("" if found == "better" else f" {_interval(effect)}"))
    return [sentences[name].format(", ".join(parts)) for name, parts in said.items() if parts]


def _interval(change: Effect) -> str:
    if np.isnan(change.effect):
        return f"({change.reason})"
    if np.isnan(change.low):
        return f"{signed(change.effect)} ({change.reason})"
    return f"{signed(change.effect)} [{signed(change.low)}, {signed(change.high)}]"


def _against(figures: Mapping[str, Json], name: str, words: str) -> list[str]:
    mine, theirs = figures.get("full", {}), figures.get(name, {})
    beaten = [
        f"{metric_label(metric)} {theirs[metric]:.4f} against {mine[metric]:.4f}"
        for metric in ("auc", "gauc")
        if mine.get(metric) is not None and theirs.get(metric) is not None and theirs[metric] >= mine[metric]
    ]
    return [f"The {words} alone does no worse than the full model: {', '.join(beaten)}."] if beaten else []

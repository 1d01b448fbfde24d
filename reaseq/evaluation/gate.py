"""The promotion gate: may the challenger take the champion's place? A written rule over measured evidence.

Version 1 of the rule. Every check must pass or have nothing to measure; one that fails holds the challenger.

    seeds         trained from at least 3 different seeds
    champion.…    the champion could be opened and scored (or there is none, and the ID-only ranker stands in)
    auc           mean test AUC over the seeds at most 0.002 below the champion's
    bucket.…      in no bucket of item frequency or of history length the 95 % interval of the GAUC difference, over
                  seeds and users, lies entirely below 0
    buckets       at least one bucket of each kind could be measured
    calibration.… expected calibration error, and predicted ÷ observed clicks, of the ranker to be served, in bounds
    parity.…      its ONNX model repeats the golden requests' scores to 1e-5: as recorded when it was trained, and now

What is decided here is decided from numbers alone: nothing is read, scored or drawn at random.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from reaseq.evaluation.bootstrap import Effect
from reaseq.evaluation.buckets import LEAST_USERS
from reaseq.evaluation.scorecard import BUCKET_WORDS, signed
from reaseq.ranking.bundle import PARITY

RULE_VERSION = 1
"""Rises with every change to what the rule demands."""
SEEDS = 3
AUC_MARGIN = 0.002
DIGITS = 9
"""Differences are rounded to so many places, so that what lies on its bound is not failed by the last bit of a sum."""
GROUPS = ("item_events", "history")
"""The groups of buckets that the rule looks into."""

TAGS = "reaseq.gate."
"""Prefix of the registered version's tags that hold the decision."""

Status = Literal["pass", "fail", "not applicable"]


@dataclass(frozen=True)
class Evidence:
    """What was measured of the challenger, and of the champion where it says so; nan: undefined on these data."""

    seeds: Sequence[int]  # of the challenger's rankers; the first is the one to be served
    auc: Sequence[float]  # of each on the test impressions
    champion_auc: float
    auc_effect: Effect  # mean over seeds − champion
    buckets: Mapping[str, Mapping[str, Effect]]  # group → bucket → GAUC, mean over seeds − champion
    ece: float
    click_ratio: float
    parity_recorded: float
    parity_rerun: float
    champion_problem: str = ""
    """Why the champion could not be scored; another ranker's figures then stand where its should."""


@dataclass(frozen=True)
class Bounds:
    """Those bounds that a run may set; the others belong to the rule."""

    ece: float
    click_ratio: tuple[float, float]


@dataclass(frozen=True)
class Check:
    name: str
    """Letters, digits, `.`, `_` and `-`, so that it can be an MLflow tag."""
    title: str
    status: Status
    figure: float | None
    bound: str
    reason: str
    """One clause with the figure and the bound in it."""
    interval: tuple[float, float] | None = None

    @property
    def shown(self) -> str:
        """Status, figure and bound in a few words."""
        figure = "" if self.figure is None else f" {self.figure:.6g}"
        interval = f" [{self.interval[0]:.6g}, {self.interval[1]:.6g}]" if self.interval else ""
        return f"{self.status}{figure}{interval} (bound: {self.bound})"


@dataclass(frozen=True)
class Decision:
    promote: bool
    reason: str
    """One line."""
    checks: tuple[Check, ...] = field(repr=False)
    rule_version: int = RULE_VERSION

    @property
    def word(self) -> str:
        return "promote" if self.promote else "hold"

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.status == "fail"]

    @property
    def tags(self) -> dict[str, str]:
        """What a registered version is marked with, under `reaseq.gate.`."""
        marks = {"decision": self.word, "reason": self.reason, "rule_version": str(self.rule_version)}
        return {f"{TAGS}{name}": text for name, text in (marks | {c.name: c.shown for c in self.checks}).items()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Decision":
        """What `as_json` made; further keys are ignored."""
        checks = tuple(Check(**{**c, "interval": c["interval"] and tuple(c["interval"])}) for c in told["checks"])
        return cls(told["decision"] == "promote", told["reason"], checks, told["rule_version"])

    def as_json(self) -> dict[str, Any]:
        """JSON object for `gate.json`."""
        return {
            "decision": self.word,
            "reason": self.reason,
            "rule_version": self.rule_version,
            "checks": [asdict(check) for check in self.checks],
        }


def decide(evidence: Evidence, bounds: Bounds) -> Decision:
    """Apply the rule."""
    checks = (
        _seeds(evidence.seeds),
        _champion(evidence.champion_problem),
        _auc(evidence),
        *(
            _bucket(group, bucket, effect)
            for group, effects in evidence.buckets.items()
            for bucket, effect in effects.items()
        ),
        _measured(evidence.buckets),
        _within("calibration.ece", "calibration error", evidence.ece, 0.0, bounds.ece),
        _within("calibration.click_ratio", "predicted ÷ observed clicks", evidence.click_ratio, *bounds.click_ratio),
        _parity("parity.recorded", "ONNX parity when trained", evidence.parity_recorded),
        _parity("parity.rerun", "ONNX parity now", evidence.parity_rerun),
    )
    failed = [check for check in checks if check.status == "fail"]
    passed = sum(check.status == "pass" for check in checks)
    reason = f"all {passed} checks that apply are passed"
    if failed:
        more = len(failed) - 1
        reason = failed[0].reason + (
            f" (and {more} more {'check fails' if more == 1 else 'checks fail'})" if more else ""
        )
    return Decision(not failed, reason, checks)


def _seeds(seeds: Sequence[int]) -> Check:
    count = len(set(seeds))
    reason = f"{count} training {'seed' if count == 1 else 'seeds'}, at least {SEEDS} are needed"
    return Check("seeds", "training seeds", _status(count >= SEEDS), count, f"≥ {SEEDS}", reason)


def _champion(problem: str) -> Check:
    reason = f"the champion could not be compared: {problem}" if problem else "the champion could be compared"
    return Check("champion.comparable", "champion comparable", _status(not problem), None, "can be scored", reason)


def _auc(evidence: Evidence) -> Check:
    title, bound = "AUC, mean over seeds − champion", f"≥ {signed(-AUC_MARGIN, 3)}"
    if not evidence.auc or not np.isfinite([*evidence.auc, evidence.champion_auc]).all():
        return Check("auc", title, "fail", None, bound, "AUC is undefined: the test impressions lack a class")
    change = round(float(np.mean(evidence.auc)) - evidence.champion_auc, DIGITS)
    reason = (
        f"AUC {np.mean(evidence.auc):.4f} against {evidence.champion_auc:.4f} ({signed(change, 5)}, {bound} is needed)"
    )
    return Check("auc", title, _status(change >= -AUC_MARGIN), change, bound, reason, _interval(evidence.auc_effect))


def _bucket(group: str, bucket: str, effect: Effect) -> Check:
    where = BUCKET_WORDS[group].format(bucket.replace("-", "–"))
    name = f"bucket.{group}.{bucket.replace('>', 'over-')}"
    title, bound = f"GAUC on {where}", "interval not below 0"
    interval = _interval(effect)
    if interval is None or not _measures(effect):
        why = f"fewer than {LEAST_USERS} users" if effect.n < LEAST_USERS else effect.reason
        figure = None if np.isnan(effect.effect) else effect.effect
        return Check(name, title, "not applicable", figure, bound, f"{title}: {why}", interval)
    shown = f"{signed(effect.effect)} [{signed(interval[0])}, {signed(interval[1])}]"
    return Check(
        name, title, _status(round(interval[1], DIGITS) >= 0), effect.effect, bound, f"{title} {shown}", interval
    )


def _measured(buckets: Mapping[str, Mapping[str, Effect]]) -> Check:
    empty = [group for group, effects in buckets.items() if all(not _measures(effect) for effect in effects.values())]
    reason = f"no bucket of {' and '.join(empty)} could be measured" if empty else "buckets of each kind were measured"
    return Check("buckets", "buckets measured", _status(not empty), None, "one of each kind", reason)


def _within(name: str, title: str, figure: float, low: float, high: float) -> Check:
    bound = f"{low:g} to {high:g}" if low else f"≤ {high:g}"
    if np.isnan(figure):
        return Check(name, title, "not applicable", None, bound, f"{title} is undefined on these impressions")
    return Check(name, title, _status(low <= figure <= high), figure, bound, f"{title} {figure:.3f}, bound {bound}")


def _parity(name: str, title: str, figure: float) -> Check:
    return Check(
        name, title, _status(figure <= PARITY), figure, f"≤ {PARITY:g}", f"{title} {figure:.1e}, at most {PARITY:g}"
    )


def _measures(effect: Effect) -> bool:
    return effect.n >= LEAST_USERS and not np.isnan(effect.low)


def _interval(effect: Effect) -> tuple[float, float] | None:
    return None if np.isnan(effect.low) else (effect.low, effect.high)


def _status(passed: bool) -> Status:
    return "pass" if passed else "fail"

"""`report.html`: one file with everything a person wants to see of a run, and nothing that it has to fetch.

All text from the data is escaped (jinja2's autoescape), and a content security policy forbids scripts and any request,
so a hostile title can neither run nor phone home. The bytes depend on the evaluated artifacts, the configuration and
the versions alone: run times stand in `summary.json`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reaseq.config import Json
from reaseq.evaluation import figures, pages
from reaseq.evaluation.cases import ChangedCase, ItemCase, UserCase
from reaseq.evaluation.metrics import Floats, Ints
from reaseq.evaluation.provenance import versions
from reaseq.evaluation.scorecard import LOWER_IS_BETTER, ScoredSplit, metric_label, verdict

_STATUS_COLOURS = {"ok": figures.GAIN, "fallback": figures.QUIET, "quarantined": figures.LOSS}


@dataclass(frozen=True)
class Run:
    """What was run."""

    dataset: str
    preset: str
    seed: int
    config: Json
    """As `portable_config` gives it."""
    digests: Mapping[str, str]
    """Input artifact → its digest."""
    split: Json
    counts: Json


@dataclass(frozen=True)
class Cases:
    items: Sequence[ItemCase]
    users: Sequence[UserCase]
    helped: Sequence[ChangedCase]
    hurt: Sequence[ChangedCase]


@dataclass(frozen=True)
class Material:
    """What the plots are drawn from, beyond the metrics."""

    test: ScoredSplit
    confidence: Floats  # [N] of every inferred behaviour
    codes: Sequence[Ints]  # items under each code, per level
    ranker_curves: Mapping[str, Sequence[tuple[float, float]]]  # model → (step, loss)
    denoiser_curves: Mapping[str, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Row:
    """One line of the headline table."""

    metric: str
    lower_is_better: bool
    values: Mapping[str, float | None]  # model or yardstick → value
    lift: Json | None
    verdict: str
    """`better`, `worse` or `open`."""


def render(run: Run, metrics: Json, material: Material, cases: Cases) -> str:
    """The report.

    Args:
        run: what was run.
        metrics: what `metrics.json` holds.
        material: what the plots are drawn from.
        cases: what is shown one by one.
    """
    rows = headline_rows(metrics)
    omega_start = 1 / (1 + math.exp(-run.config["ranking"]["gate_bias"]))
    return pages.template("report.html.j2").render(
        run=run,
        metrics=metrics,
        rows=rows,
        answer=_answer(rows),
        plots=_plots(metrics, material, omega_start),
        omega_start=omega_start,
        cases=cases,
        config=json.dumps(run.config, indent=2, sort_keys=True, ensure_ascii=False),
        versions=versions(),
    )


def headline_rows(metrics: Json) -> list[Row]:
    """AUC, GAUC, LogLoss, calibration and each rank metric of the test split, models beside yardsticks."""
    test, lift = metrics["test"], metrics["lift"]
    ranked = sorted((m for m in test["id"] if "@" in m), key=lambda m: (int(m.partition("@")[2]), m))
    names = ["auc", "gauc", "logloss", "ece", *ranked, "mrr"]
    return [
        Row(
            metric=metric_label(name),
            lower_is_better=name in LOWER_IS_BETTER,
            values={model: figures_of.get(name) for model, figures_of in test.items()},
            lift=lift.get(name),
            verdict=_verdict(lift.get(name), name in LOWER_IS_BETTER),
        )
        for name in names
    ]


def _answer(rows: Sequence[Row]) -> tuple[str, str]:
    """What the page answers to its own question, by GAUC, and the verdict that colours it."""
    (row,) = [row for row in rows if row.metric == metric_label("gauc")]
    words = {"better": "Here, it does.", "worse": "Here, it harms.", "open": "Here, no effect is shown."}
    return words[row.verdict], row.verdict


def _plots(metrics: Json, material: Material, omega_start: float) -> dict[str, Markup]:
    test = material.test
    models = {name: test.scores[name] for name in ("id", "full")}
    knowledge = metrics["knowledge"]
    drawn = {
        "frequency": figures.lift_by_bucket(metrics["buckets"]["item_events"], "training events of the item"),
        "age": figures.lift_by_bucket(metrics["buckets"]["item_age"], "since the item was first taken"),
        "gate": figures.gate(metrics["omega"], omega_start),
        "history": figures.lift_by_bucket(metrics["buckets"]["history"], "events of the user before"),
        "roc": figures.roc(test.labels, models),
        "reliability": figures.reliability(test.labels, models),
        "statuses": figures.bars(knowledge["statuses"], _STATUS_COLOURS, "items"),
        "codes": figures.code_use(material.codes),
    }
    if knowledge["dropped_by_criterion"]:
        drawn["dropped"] = figures.bars(knowledge["dropped_by_criterion"], {}, "fields dropped by the critic")
    if len(material.confidence):
        drawn["confidence"] = figures.histogram(material.confidence, "confidence")
    if material.ranker_curves:
        drawn["ranker"] = figures.curves("ranker loss", material.ranker_curves)
    if material.denoiser_curves:
        drawn["denoiser"] = figures.curves("denoiser loss", material.denoiser_curves)
    # The drawings are ours and hold no text from the data, which is what allows marking them as safe.
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704


def _verdict(change: Json | None, lower_is_better: bool) -> str:
    """`scorecard.verdict` for a reader to whom no interval and one that includes 0 say the same."""
    found = verdict(change, lower_is_better) if change else "unsure"
    return "open" if found == "unsure" else found

"""Measuring rankers honestly, and showing a person what came of a run.

    metrics      AUC, GAUC, LogLoss, calibration, HR, NDCG, MRR
    bootstrap    the paired user-level bootstrap: differences with intervals
    buckets      who gains, by item frequency and by history length
    yardsticks   popularity and the item mean, which need no model
    stage        `evaluate`, from artifacts to metrics.json and report.html
    gate         `decide`: may the challenger take the champion's place? A rule over measured evidence
    judging      `judge`, from artifacts to that decision
    behaviors    pages of inferred behaviours: a user's timeline, and a run's calibration, novelty and recall
    summary      `write_summary`, `headline` and `gate_line`, for summary.json and the command line

Import the stages from `reaseq.evaluation.stage` and `.judging`: they bring torch along.
"""

from reaseq.evaluation.bootstrap import Effect, paired, paired_mean
from reaseq.evaluation.errors import EvaluationError
from reaseq.evaluation.metrics import auc, calibration, gauc, hit_rate, logloss, mrr, ndcg
from reaseq.evaluation.summary import gate_line, headline, write_summary

__all__ = [
    "Effect",
    "EvaluationError",
    "auc",
    "calibration",
    "gate_line",
    "gauc",
    "headline",
    "hit_rate",
    "logloss",
    "mrr",
    "ndcg",
    "paired",
    "paired_mean",
    "write_summary",
]

"""An evaluation as the Kubeflow UI shows it: figures, the ROC curve and the report."""

from pathlib import Path
from typing import Any

import numpy as np

from reaseq.artifacts import Artifact

ROC_POINTS = 200


def show(evaluated: Artifact, metrics: Any, roc: Any, report: Any) -> None:
    """Fill KFP's Metrics, ClassificationMetrics and HTML outputs from an evaluation artifact."""
    test = evaluated.json("metrics.json")["test"]
    for variant, figures in test.items():
        for name, value in figures.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                metrics.log_metric(f"{variant}_{name}".replace("@", "_at_"), value)
    predictions = evaluated.table("predictions_full.parquet", ["label", "score"])
    roc.log_roc_curve(*roc_curve(predictions["label"].to_numpy(), predictions["score"].to_numpy()))
    report_html = evaluated.file("report.html").read_text()
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    Path(report.path).write_text(report_html)


def roc_curve(labels: np.ndarray, scores: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """False positive rate, true positive rate and threshold at ≤ `ROC_POINTS` points.

    Args:
        labels: [N], 0 or 1.
        scores: [N], probabilities.
    """
    from sklearn.metrics import roc_curve as exact

    if len(np.unique(labels)) < 2:
        return [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]
    false_positive, true_positive, threshold = exact(labels, scores)
    threshold[0] = 1.0  # sklearn's first threshold is infinite, which JSON can't hold
    points = np.unique(np.linspace(0, len(threshold) - 1, ROC_POINTS).astype(int))
    return false_positive[points].tolist(), true_positive[points].tolist(), threshold[points].tolist()

"""A decision as the Kubeflow UI shows it: figures, the confusion matrix, a page and Markdown."""

from pathlib import Path
from typing import Any

from reaseq.artifacts import Artifact
from reaseq.evaluation.judging import GATE, PAGE, TEXT


def show(made: Artifact, metrics: Any, confusion: Any, page: Any, text: Any) -> None:
    """Fill KFP's Metrics, ClassificationMetrics, HTML and Markdown outputs from a gate artifact."""
    told = made.json(GATE)
    metrics.log_metric("promote", float(told["decision"] == "promote"))
    metrics.log_metric("rule_version", told["rule_version"])
    for check in told["checks"]:
        if check["figure"] is not None:
            metrics.log_metric(check["name"], check["figure"])
    confusion.log_confusion_matrix(["not taken", "taken"], told["confusion"]["counts"])
    for output, name in ((page, PAGE), (text, TEXT)):
        Path(output.path).parent.mkdir(parents=True, exist_ok=True)
        Path(output.path).write_text(made.file(name).read_text())

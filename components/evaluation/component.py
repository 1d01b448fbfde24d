"""Both rankers → metrics, intervals, and the report that the Kubeflow UI shows."""

from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def evaluation(
    config: str,
    workspace: str,
    dataset: Input[Dataset],
    knowledge: Input[Dataset],
    item_vectors: Input[Dataset],
    denoiser: Input[Model],
    inferred_behaviors: Input[Dataset],
    ranker_id: Input[Model],
    ranker_full: Input[Model],
    evaluated: Output[Artifact],
    metrics: Output[Metrics],
    roc: Output[ClassificationMetrics],
    report: Output[HTML],
):
    """Score the test period with both rankers and say what world knowledge changed, for whom, and how surely.

    Args:
        config: Run configuration (JSON), from ingest.
        workspace: Folder that survives a restart.
        dataset: From ingest.
        knowledge: From knowledge_distillation.
        item_vectors: From item_representation.
        denoiser: From behavior_modeling.
        inferred_behaviors: From behavior_inference.
        ranker_id: The yardstick, trained without world knowledge.
        ranker_full: The candidate.
        evaluated: metrics.json, report.html and both models' predictions.
        metrics: Headline figures.
        roc: ROC of the full ranker on the test period.
        report: The report, for a person.
    """
    from pathlib import Path

    from components.opening import describe, opened
    from components.showing import show
    from reaseq.evaluation.stage import evaluate

    inputs = {"dataset": dataset, "knowledge": knowledge, "item_vectors": item_vectors, "denoiser": denoiser}
    inputs |= {"inferred_behaviors": inferred_behaviors, "ranker_id": ranker_id, "ranker_full": ranker_full}
    with opened("evaluation", config, workspace, **inputs) as stage:
        made = evaluate(stage.config, **stage.inputs, out=Path(evaluated.path), workspace=stage.workspace)
        describe(evaluated, made)
        show(made, metrics, roc, report)

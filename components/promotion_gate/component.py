"""Rankers of several seeds and the registry's champion → promote or hold, with every check's figure."""

from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def promotion_gate(
    config: str,
    workspace: str,
    dataset: Input[Dataset],
    item_vectors: Input[Dataset],
    inferred_behaviors: Input[Dataset],
    ranker_full: Input[Model],
    replicate_1: Input[Model],
    replicate_2: Input[Model],
    evaluated: Input[Artifact],
    gate: Output[Artifact],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
    page: Output[HTML],
    text: Output[Markdown],
):
    """Decide by a written rule whether the challenger may be promoted; nothing is promoted here.

    Args:
        config: Run configuration (JSON), from ingest.
        workspace: Folder that survives a restart; without a tracking server, the registry is in it.
        dataset: From ingest.
        item_vectors: From item_representation.
        inferred_behaviors: From behavior_inference.
        ranker_full: The challenger, the ranker that would be served.
        replicate_1: The same from another seed.
        replicate_2: The same from a third seed.
        evaluated: From evaluation, of ranker_full.
        gate: gate.json, gate.html and gate.md.
        metrics: The decision and each check's figure.
        confusion: Confusion matrix of the challenger on the test period.
        page: The decision, for a person.
        text: The same as Markdown.
    """
    from pathlib import Path

    from components.opening import describe, opened
    from components.promotion_gate.judge import judge
    from components.promotion_gate.show import show

    inputs = {"dataset": dataset, "item_vectors": item_vectors, "inferred_behaviors": inferred_behaviors}
    inputs |= {"ranker_full": ranker_full, "replicate_1": replicate_1, "replicate_2": replicate_2}
    with opened("promotion_gate", config, workspace, **inputs, evaluation=evaluated) as stage:
        made = judge(stage, Path(gate.path))
        describe(gate, made)
        show(made, metrics, confusion, page, text)

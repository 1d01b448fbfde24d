"""Denoiser and histories → inferred behaviours, per user and snapshot."""

from kfp.dsl import Dataset, Input, Model, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def behavior_inference(
    config: str,
    workspace: str,
    dataset: Input[Dataset],
    item_vectors: Input[Dataset],
    denoiser: Input[Model],
    inferred_behaviors: Output[Dataset],
):
    """Insert mask slots into each history, run the reverse steps, ground the result in the catalogue.

    Args:
        config: Run configuration (JSON), from ingest.
        workspace: Folder that survives a restart; finished chunks live here.
        dataset: From ingest.
        item_vectors: From item_representation.
        denoiser: From behavior_modeling.
        inferred_behaviors: One row per user and snapshot.
    """
    from pathlib import Path

    from components.opening import describe, opened
    from reaseq.behavior.stage import infer_behaviors

    inputs = {"dataset": dataset, "item_vectors": item_vectors, "denoiser": denoiser}
    with opened("behavior_inference", config, workspace, **inputs) as stage:
        out = Path(inferred_behaviors.path)
        describe(inferred_behaviors, infer_behaviors(stage.config, **stage.inputs, out=out, workspace=stage.workspace))

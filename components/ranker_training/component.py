"""Impressions, item vectors and inferred behaviours → the ranker's bundle (ONNX, safetensors, golden requests)."""

from kfp.dsl import Dataset, Input, Model, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def ranker_training(
    config: str,
    workspace: str,
    variant: str,
    dataset: Input[Dataset],
    item_vectors: Input[Dataset],
    inferred_behaviors: Input[Dataset],
    ranker: Output[Model],
    replicate: int = 0,
):
    """Train the three-branch ranker, export it to ONNX and check the export on golden requests.

    Args:
        config: Run configuration (JSON), from ingest.
        workspace: Folder that survives a restart; checkpoints live here.
        variant: full, or id (same network, world knowledge zeroed), the yardstick.
        dataset: From ingest.
        item_vectors: From item_representation.
        inferred_behaviors: From behavior_inference.
        ranker: The bundle that Triton serves.
        replicate: Added to the run's seed for this training alone; 0 is the ranker that would be served.
    """
    from pathlib import Path

    from components.opening import describe, opened
    from reaseq.ranking.stage import train_ranker

    inputs = {"dataset": dataset, "item_vectors": item_vectors, "inferred_behaviors": inferred_behaviors}
    name = f"{variant} #{replicate}" if replicate else variant
    with opened(f"ranker_training ({name})", config, workspace, **inputs) as stage:
        settings = stage.config.model_copy(update={"seed": stage.config.seed + replicate})
        made = train_ranker(
            settings,
            stage.inputs["dataset"],
            stage.inputs["item_vectors"],
            stage.inputs["inferred_behaviors"],
            out=Path(ranker.path),
            workspace=stage.workspace,
            variant=variant,
        )
        describe(ranker, made)

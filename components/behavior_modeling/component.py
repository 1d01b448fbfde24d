"""Behaviour sequences → a masked-diffusion denoiser over item codes."""

from kfp.dsl import Dataset, Input, Model, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def behavior_modeling(
    config: str, workspace: str, dataset: Input[Dataset], item_vectors: Input[Dataset], denoiser: Output[Model]
):
    """Fit the denoiser on the earliest part of the training events.

    Args:
        config: Run configuration (JSON), from ingest.
        workspace: Folder that survives a restart; checkpoints live here.
        dataset: From ingest.
        item_vectors: From item_representation.
        denoiser: A Hugging Face folder (safetensors).
    """
    from pathlib import Path

    from components.opening import describe, opened
    from reaseq.behavior.stage import fit_denoiser

    with opened("behavior_modeling", config, workspace, dataset=dataset, item_vectors=item_vectors) as stage:
        inputs = (stage.inputs["dataset"], stage.inputs["item_vectors"])
        describe(denoiser, fit_denoiser(stage.config, *inputs, Path(denoiser.path), stage.workspace))

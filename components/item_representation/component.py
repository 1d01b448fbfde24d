"""Titles and knowledge → item vectors z and their product-quantised codes."""

from kfp.dsl import Dataset, Input, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def item_representation(
    config: str, workspace: str, dataset: Input[Dataset], knowledge: Input[Dataset], item_vectors: Output[Dataset]
):
    """Encode the texts, align them with co-consumption of the training period, quantise.

    Args:
        config: Run configuration (JSON), from ingest.
        workspace: Folder that survives a restart.
        dataset: From ingest.
        knowledge: From knowledge_distillation.
        item_vectors: One vector and L codes per item, with the codebook and the alignment head.
    """
    from pathlib import Path

    from components.opening import describe, opened
    from reaseq.representation.stage import represent

    with opened("item_representation", config, workspace, dataset=dataset, knowledge=knowledge) as stage:
        out = Path(item_vectors.path)
        describe(item_vectors, represent(stage.config, **stage.inputs, out=out, workspace=stage.workspace))

"""Items → knowledge: planner, experts, critic and arbiter reason about every product."""

from kfp.dsl import Dataset, Input, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def knowledge_distillation(config: str, workspace: str, dataset: Input[Dataset], knowledge: Output[Dataset]):
    """Reason about every item of the catalogue, criticise, and keep one strict record and two texts each.

    Args:
        config: Run configuration (JSON), from ingest.
        workspace: Folder that survives a restart; the LLM cache lives here.
        dataset: From ingest.
        knowledge: One row per item, and the quarantine.
    """
    from pathlib import Path

    from components.opening import describe, opened
    from reaseq.knowledge.stage import distill

    with opened("knowledge_distillation", config, workspace, dataset=dataset) as stage:
        describe(knowledge, distill(stage.config, **stage.inputs, out=Path(knowledge.path), workspace=stage.workspace))

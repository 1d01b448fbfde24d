"""Everything a run made → MLflow, Feast and a Triton repository."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output, component

from components import IMAGE


@component(base_image=IMAGE, install_kfp_package=False)
def registration(
    config: str,
    workspace: str,
    run_id: str,
    job_id: str,
    dataset: Input[Dataset],
    knowledge: Input[Dataset],
    item_vectors: Input[Dataset],
    denoiser: Input[Model],
    inferred_behaviors: Input[Dataset],
    ranker_id: Input[Model],
    ranker_full: Input[Model],
    evaluated: Input[Artifact],
    gate: Input[Artifact],
    model_repository: Output[Model],
    feature_store: Output[Artifact],
):
    """Log the run, register the full ranker as `challenger`, materialise its features, build its Triton repository.

    Args:
        config: Run configuration (JSON), from ingest.
        workspace: Folder that survives a restart.
        run_id: Name of the run in MLflow; registering it twice changes nothing.
        job_id: Kubeflow's id of the run, its name where run_id is empty.
        dataset: From ingest.
        knowledge: From knowledge_distillation.
        item_vectors: From item_representation.
        denoiser: From behavior_modeling.
        inferred_behaviors: From behavior_inference.
        ranker_id: The yardstick.
        ranker_full: The ranker to register.
        evaluated: From evaluation.
        gate: From promotion_gate; its decision becomes tags of the version.
        model_repository: A Triton model repository.
        feature_store: A Feast repository with one feature service for this version.
    """
    from pathlib import Path

    from components.opening import opened
    from components.registration.register import register

    inputs = {"dataset": dataset, "knowledge": knowledge, "item_vectors": item_vectors, "denoiser": denoiser}
    inputs |= {"inferred_behaviors": inferred_behaviors, "ranker_id": ranker_id, "ranker_full": ranker_full}
    with opened("registration", config, workspace, **inputs, evaluation=evaluated, gate=gate) as stage:
        version = register(stage, run_id or job_id, Path(model_repository.path), Path(feature_store.path))
    model_repository.metadata.update(version)

"""The pipeline: from raw files to a registered challenger.

    ingest → knowledge_distillation → item_representation → behavior_modeling → behavior_inference
           → ranker_training (id) and (full, from three seeds) → evaluation → promotion_gate → registration

Registration gives the new version the alias `challenger` and writes the gate's decision to it. Making it `champion` is
a person's decision.
"""

from kfp import dsl, kubernetes

from components.behavior_inference.component import behavior_inference
from components.behavior_modeling.component import behavior_modeling
from components.evaluation.component import evaluation
from components.ingest.component import ingest
from components.item_representation.component import item_representation
from components.knowledge_distillation.component import knowledge_distillation
from components.promotion_gate.component import promotion_gate
from components.ranker_training.component import ranker_training
from components.registration.component import registration

NAME = "reaseq"
REPLICATES = (1, 2)  # with the ranker to be served, the three seeds that the gate asks for
VOLUME_CLAIM = "reaseq-workspace"
LLM_SECRET = "reaseq-llm"  # noqa: S105 - the name of a Secret, not a secret


@dsl.pipeline(name=NAME, description="World knowledge for a ranker: knowledge, vectors, inferred behaviours, ranker.")
def reaseq_pipeline(
    dataset: str = "synthetic",
    source: str = "",
    preset: str = "small",
    seed: int = 0,
    overrides: dict = {},  # noqa: B006 - KFP reads the default, nothing mutates it
    workspace: str = "/workspace",
    run_id: str = "",
):
    """From a catalogue and a log to a registered challenger.

    Args:
        dataset: synthetic, amazon-beauty, ml-100k, amazon-reviews, movielens or files.
        source: Folder with the raw files; empty for synthetic.
        preset: tiny (seconds), small (2 cores, an hour), base (one GPU) or large.
        seed: Seed of every random draw in the run.
        overrides: Settings by dotted name that win over the preset, such as {"behavior.reverse_steps": 8}.
        workspace: Folder that survives a restart: caches, checkpoints, finished artifacts.
        run_id: Name of the run in MLflow; empty takes Kubeflow's.
    """
    data = ingest(
        dataset_name=dataset, source=source, preset=preset, seed=seed, overrides=overrides, workspace=workspace
    )
    common = {"config": data.outputs["config"], "workspace": workspace, "dataset": data.outputs["dataset"]}
    knowledge = knowledge_distillation(**common)
    vectors = item_representation(**common, knowledge=knowledge.output)
    denoiser = behavior_modeling(**common, item_vectors=vectors.output)
    inferred = behavior_inference(**common, item_vectors=vectors.output, denoiser=denoiser.output)
    assets = {"item_vectors": vectors.output, "inferred_behaviors": inferred.output}
    ranker_id = ranker_training(**common, **assets, variant="id").set_display_name("ranker_training (id)")
    ranker_full = ranker_training(**common, **assets, variant="full").set_display_name("ranker_training (full)")
    replicates = {
        f"replicate_{n}": ranker_training(**common, **assets, variant="full", replicate=n).set_display_name(
            f"ranker_training (full, replicate {n})"
        )
        for n in REPLICATES
    }
    reasoned = {**common, **assets, "knowledge": knowledge.output, "denoiser": denoiser.output}
    rankers = {"ranker_id": ranker_id.output, "ranker_full": ranker_full.output}
    evaluated = evaluation(**reasoned, **rankers)
    challenger = {"ranker_full": ranker_full.output} | {name: task.output for name, task in replicates.items()}
    judged = promotion_gate(**common, **assets, **challenger, evaluated=evaluated.outputs["evaluated"])
    name = {"run_id": run_id, "job_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
    decided = {"evaluated": evaluated.outputs["evaluated"], "gate": judged.outputs["gate"]}
    registered = registration(**reasoned, **rankers, **decided, **name)
    for task in (judged, registered):  # both depend on what the registry holds
        task.set_caching_options(False)
    trained = (ranker_id, ranker_full, *replicates.values())
    for task in (data, knowledge, vectors, denoiser, inferred, *trained, evaluated, judged, registered):
        kubernetes.mount_pvc(task, pvc_name=VOLUME_CLAIM, mount_path="/workspace")
    kubernetes.use_secret_as_env(
        knowledge, secret_name=LLM_SECRET, secret_key_to_env={"api-key": "REASEQ_LLM_API_KEY"}, optional=True
    )

"""The small world with a denoiser that was really fitted, if not for long, and a life beyond the log."""

from pathlib import Path

from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior import fit_denoiser, infer_behaviors
from reaseq.config import load
from tests import smallworld

CONFIG = load(
    "tiny",
    overrides={
        "behavior.d_model": 32,
        "behavior.layers": 1,
        "behavior.epochs": 1,
        "behavior.refit_epochs": 1,
        "behavior.batch_slots": 64,
        "behavior.reverse_steps": 2,
    },
)


def write_all(root: Path) -> dict[str, Artifact]:
    """Artifacts by the names of a run's outputs."""
    workspace = Workspace(root / "workspace")
    logged = smallworld.write_dataset(root / "logged", workspace)
    dataset = smallworld.with_beyond_log(logged, root / "dataset", workspace)
    vectors = smallworld.write_item_vectors(root / "item_vectors", dataset, workspace)
    denoiser = fit_denoiser(CONFIG, dataset, vectors, root / "denoiser", workspace)
    inferred = infer_behaviors(CONFIG, dataset, vectors, denoiser, root / "inferred_behaviors", workspace)
    return {"dataset": dataset, "item_vectors": vectors, "denoiser": denoiser, "inferred_behaviors": inferred}

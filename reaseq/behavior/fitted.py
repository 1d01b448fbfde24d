"""A fitted denoiser, opened for inference: at the snapshots of its run, and at those of the refreshes after it."""

from pathlib import Path

from reaseq.artifacts import Artifact
from reaseq.behavior.denoiser import load_denoiser, place
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.grounding import Rules
from reaseq.behavior.inference import Inferrer
from reaseq.behavior.sampler import Sampler
from reaseq.config import Json, RunConfig, digest
from reaseq.data import Dataset
from reaseq.data.timestamps import as_text
from reaseq.representation import ItemVectors

REFIT = "refit"
"""Folder of the denoiser that was fitted further, and the fact that tells of it."""


def open_catalogue(dataset: Artifact, item_vectors: Artifact) -> tuple[Dataset, ItemVectors]:
    """The dataset and the vectors of its items.

    Raises:
        BehaviorError: the vectors are of other items.
    """
    data, vectors = Dataset.open(dataset), ItemVectors.open(item_vectors)
    if len(vectors.z) != len(data.item_ids) + 1:
        raise BehaviorError(
            f"item_vectors.parquet of {item_vectors.path} has {len(vectors.z) - 1} rows and the dataset {dataset.path} "
            f"has {len(data.item_ids)} items; make the item vectors from this dataset."
        )
    return data, vectors


def folder_at(denoiser: Artifact, snapshot: int) -> Path:
    """Folder of the denoiser that infers at a snapshot (µs): the one fitted last on nothing but events before it.

    Raises:
        BehaviorError: the denoiser was fitted on later events.
    """
    cuts = {int(denoiser.facts["cut"]): denoiser.path}
    if REFIT in denoiser.facts:
        cuts[int(denoiser.facts[REFIT]["cut"])] = denoiser.path / REFIT
    earlier = [cut for cut in cuts if cut <= snapshot]
    if not earlier:
        raise BehaviorError(
            f"denoiser {denoiser.path} was fitted on events up to {as_text(min(cuts))}, and the snapshot is "
            f"{as_text(snapshot)} (UTC): its inferences would know what came later. Choose a later snapshot."
        )
    return cuts[max(earlier)]


def open_inferrer(
    folder: Path, config: RunConfig, data: Dataset, vectors: ItemVectors, rules: Rules, version: str
) -> Inferrer:
    """The denoiser in a folder, with all that it takes to infer.

    Raises:
        BehaviorError: the folder holds no denoiser, or one that reads other codes than the item vectors have.
    """
    model = place(load_denoiser(folder), config.device)
    if (model.config.levels, model.config.codebook_size) != vectors.centroids.shape[:2]:
        raise BehaviorError(
            f"denoiser {folder} reads {model.config.levels} codes of {model.config.codebook_size}, the item vectors "
            f"have {vectors.centroids.shape[:2]}; fit the denoiser on these item vectors."
        )
    sampler = Sampler.of(model, config.behavior, config.seed)
    return Inferrer(sampler, vectors, data.item_ids, rules, config.behavior, version)


def inference_settings(config: RunConfig) -> Json:
    """What an inference depends on beside its inputs."""
    return config.part("behavior") | {"device": config.device, "lag_hours": config.ranking.lag_hours}


def gbr_version(config: RunConfig, item_vectors: Artifact, denoiser: Artifact) -> str:
    """Version that the rows of this denoiser carry, whenever they are inferred."""
    return f"gbr-{digest([denoiser.digest, item_vectors.digest, inference_settings(config)])[:12]}"

"""Arms: one ranker, trained once under one seed, and what it says of every impression of the test period.

All arms read the same impressions in the same order, with the same budget; an arm differs from its neighbour in one
thing. Its scores are an artifact, so that a claims run that was killed goes on where it stopped.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from reaseq import progress
from reaseq.artifacts import Artifact, Draft, Workspace, build, open_artifact
from reaseq.config import RunConfig, digest
from reaseq.data.dataset import Dataset
from reaseq.evaluation.claims.placebos import place_inferences, place_vectors
from reaseq.evaluation.metrics import Floats
from reaseq.evaluation.provenance import versions
from reaseq.ranking.baselines import baseline_limits, baseline_run, build_baseline, fit_best
from reaseq.ranking.batches import Contexts, RequestBatches
from reaseq.ranking.features import FeatureLimits
from reaseq.ranking.gates import predict_with_gate
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.model import VARIANTS, Ranker, build_ranker
from reaseq.ranking.shards import Shards
from reaseq.ranking.stage import (
    fit,
    item_tables,
    ranker_spec,
    training_counts,
    training_device,
    uses_click_rates,
)
from reaseq.ranking.training import Network, catalogue, predict
from reaseq.representation.titles import read_titles
from reaseq.representation.vectors import ItemVectors

TITLES = "title_text"
"""Vectors that only baselines can read: titles at the full width of the encoder."""
SCORES = "scores.npy"
GATE = "gate.npy"
_BATCH = 2048


@dataclass(frozen=True)
class Arm:
    """What is trained."""

    name: str
    network: str = "ranker"
    """`ranker`, or one of `reaseq.ranking.baselines.BASELINES`."""
    variant: str = "full"
    """Of the ranker; see `reaseq.ranking.model.VARIANTS`."""
    vectors: str = "rer"
    """Which item vectors: `rer`, or another name of the study's `vectors`; for a baseline also `TITLES`."""
    control: str = "own"
    """What is done to the vectors; see `placebos.VECTORS`."""
    inferences: str = "own"
    """See `placebos.INFERENCES`."""

    @property
    def infers(self) -> bool:
        """Whether inferred behaviours are among its inputs."""
        return self.network == "ranker" and VARIANTS[self.variant].inferences


@dataclass(frozen=True)
class Assets:
    """Artifacts that the arms of one dataset are trained from."""

    dataset: Artifact
    vectors: dict[str, Artifact]
    inferred: Artifact | None
    """None where no arm reads inferred behaviours."""


def train_arms(
    config: RunConfig, assets: Assets, arms: Sequence[Arm], seeds: Sequence[int], workspace: Workspace, workers: int
) -> dict[str, list[Artifact]]:
    """Every arm under every seed; finished ones are taken over.

    Args:
        config: preset and data of the study; `ranking` is the budget of all arms.
        assets: of the dataset.
        arms: with distinct names.
        seeds: of initialisation, order and dropout; the assets stay the same.
        workspace: where finished arms are kept.
        workers: processes, one thread each: sums don't depend on how many there are.

    Returns:
        Name of the arm → its artifacts in order of the seeds.

    Raises:
        RankingError: as of `stage.fit`, `fit_best` and `build_baseline`; no further arm is begun then, and finished
            ones are kept.
    """
    settings = config.model_copy(update={"threads": 1, "device": "cpu"})
    jobs = [(arm, seed) for arm in arms for seed in seeds]
    made: dict[tuple[str, int], Artifact] = {}
    data = Dataset.open(assets.dataset)
    for split in ("train", "valid"):  # before the workers start, which would wait for one another
        Shards.of(data, split, workspace.shards)
    paths = {name: artifact.path for name, artifact in assets.vectors.items()}
    inferred = assets.inferred.path if assets.inferred else None
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        waiting = {}
        for arm, seed in jobs:
            own = settings.model_copy(update={"seed": seed})
            folders = (assets.dataset.path, paths[arm.vectors], inferred if arm.infers else None)
            waiting[pool.submit(train_arm, own, arm, *folders, workspace)] = (arm.name, seed)
        try:
            for future in progress.track(as_completed(waiting), f"training {len(arms)} arms", total=len(jobs)):
                made[waiting[future]] = open_artifact(future.result(), "arm")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the end of the block waits until all other arms are trained
            raise
    return {arm.name: [made[arm.name, seed] for seed in seeds] for arm in arms}


def train_arm(
    config: RunConfig, arm: Arm, dataset: Path, item_vectors: Path, inferred: Path | None, workspace: Workspace
) -> Path:
    """One arm under `config.seed`: an `arm` artifact with the test split's probabilities; returns its folder.

    `inferred` is None for an arm that infers nothing, which therefore outlives a change of what is inferred.
    """
    inputs = {
        "dataset": _opened(dataset, "dataset"),
        "item_vectors": _opened(item_vectors, "title_vectors" if arm.vectors == TITLES else "item_vectors"),
    }
    if inferred is not None:
        inputs["inferred_behaviors"] = _opened(inferred, "inferred_behaviors")
    key = config.part("ranking") | {"arm": {name: v for name, v in asdict(arm).items() if name != "name"}}
    if arm.network != "ranker":
        key = config.part("baselines") | {"arm": key["arm"]}

    def write(draft: Draft) -> None:
        _write(draft, config, arm, inputs, workspace)

    short = digest([key, [artifact.digest for artifact in inputs.values()]])[:24]
    out = workspace.root / "arms" / short
    return build(out, kind="arm", name=arm.name, config=key, inputs=inputs, write=write, workspace=workspace).path


def scores_of(artifact: Artifact) -> Floats:
    """[N] probabilities of the test impressions, in their order."""
    return np.asarray(np.load(artifact.file(SCORES), allow_pickle=False), np.float64)


def _write(draft: Draft, config: RunConfig, arm: Arm, inputs: dict[str, Artifact], workspace: Workspace) -> None:
    cache, device = workspace.shards, training_device(config)
    data = _dataset(inputs["dataset"].path)
    train = Shards.of(data, "train", cache)
    if arm.network == "ranker":
        vectors = place_vectors(arm.control, ItemVectors.open(inputs["item_vectors"]), config.seed)
        rated = uses_click_rates(config, train, arm.variant)
        tables = item_tables(data, vectors, train, arm.variant, rated)
        model: Network = build_ranker(ranker_spec(config, data, vectors, arm.variant), config.seed, tables)
        contexts = _contexts(config, arm, data, vectors, inputs.get("inferred_behaviors"), cache)
        done = fit(model, train, contexts, config, draft.scratch, device, rated)
        draft.facts.update(epochs=config.ranking.epochs, final_loss=done.curve[-1]["loss"], click_rates=rated)
        seconds, impressions = done.seconds, done.impressions
    else:
        z = _baseline_vectors(arm, inputs["item_vectors"])
        counts = training_counts(data, train)
        model = baseline = build_baseline(arm.network, config.baselines, config.seed, {"z": z, "counts": counts})
        contexts = Contexts(data.log, data.category_index, None, baseline_limits(config.baselines))
        shards = {"train": train, "valid": Shards.of(data, "valid", cache)}
        chosen = fit_best(baseline, shards, contexts, baseline_run(config), draft.scratch, device)
        draft.facts.update(epochs=chosen.epochs, valid_auc=chosen.valid_auc)
        seconds, impressions = sum(chosen.seconds), chosen.impressions
    shown = RequestBatches(data.impressions("test"), contexts)
    if isinstance(model, Ranker):
        scores, gate = predict_with_gate(model, catalogue(model), shown, _BATCH)
        np.save(draft.path / GATE, np.where(gate.inferred > 0, gate.omega, np.nan), allow_pickle=False)
    else:
        scores = predict(model, catalogue(model), shown, _BATCH)
    np.save(draft.path / SCORES, scores, allow_pickle=False)
    draft.facts.update(
        arm=asdict(arm),
        versions=versions(),
        cpus=os.cpu_count(),
        training_seconds=round(seconds, 1),
        examples_per_second=round(impressions / seconds, 1),
    )


def _contexts(
    config: RunConfig, arm: Arm, data: Dataset, vectors: ItemVectors, inferred: Artifact | None, cache: Path
) -> Contexts:
    settings = config.ranking
    table = None
    if inferred is not None:
        table = InferenceTable.read(inferred, data, settings.lag_hours, cache)
        table = place_inferences(arm.inferences, table, data, vectors, config.seed)
    most = max(1, int(np.diff(table.offsets).max(initial=0))) if table else 1
    limits = FeatureLimits(settings.short_history, settings.long_history, most, vectors.codes.shape[1])
    return Contexts(data.log, data.category_index, table, limits)


def _baseline_vectors(arm: Arm, made: Artifact) -> np.ndarray:
    """[V+1, w] of an arm that is a baseline."""
    return read_titles(made) if arm.vectors == TITLES else ItemVectors.open(made).z


@lru_cache(maxsize=1)
def _dataset(folder: Path) -> Dataset:
    return Dataset.open(folder)


@lru_cache(maxsize=8)
def _opened(folder: Path, kind: str) -> Artifact:
    return open_artifact(folder, kind)


def _quiet() -> None:
    """The study shows its own progress; arms report nothing."""
    os.environ[progress.ENV] = os.devnull

"""The two stages of GBR: fitting the denoiser, and inferring behaviours with it."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from reaseq import progress
from reaseq.artifacts import Artifact, Draft, Workspace, build, write_text
from reaseq.behavior.calibration import calibrate
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.corpus import SMALLEST, Corpus
from reaseq.behavior.denoiser import ReaSeqDenoiser, place, save_denoiser
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.fitted import REFIT, folder_at, gbr_version, inference_settings, open_catalogue, open_inferrer
from reaseq.behavior.inference import View, Work, infer_resumably, rules_of
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.llm_checkpoint import denoiser_on_llm, llm_identity
from reaseq.behavior.sharding import shard, whole_tensor
from reaseq.behavior.snapshots import Schedule, schedule, serving_pairs
from reaseq.behavior.training import STAGE, Objective, Tables, denoising, fit
from reaseq.config import SCRATCH, Json, RunConfig
from reaseq.data import Dataset, EventLog
from reaseq.determinism import deterministic_torch
from reaseq.parallel import Ranks
from reaseq.representation import ItemVectors
from reaseq.schema import INFERRED_BEHAVIORS, SPLITS, VECTOR_DIM


@dataclass(frozen=True)
class Learner:
    """What is fitted: a model of the denoiser's parts, and what it learns from a batch."""

    name: str
    model: type[ReaSeqDenoiser]
    configuration: type[ReaSeqDenoiserConfig]
    objective: Objective
    serves: bool
    """Whether it is fitted further for the snapshots after training."""


DENOISER = Learner("denoiser", ReaSeqDenoiser, ReaSeqDenoiserConfig, denoising, serves=True)


def fit_denoiser(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    out: Path,
    workspace: Workspace,
    ranks: Ranks = Ranks(),
) -> Artifact:
    """Fit the denoiser on the earliest `behavior.fit_share` of the training events; makes a "denoiser" artifact.

    Args:
        ranks: the processes that fit together. This is the leading one, and the others call `assist_fitting`; what
            comes out is that of one process up to the order of float sums, so the artifact's key does not name them.

    Raises:
        BehaviorError: fewer than two users have two events before the cut, the item vectors are of other items, or
            the LLM that `behavior.backbone` names can't be used.
    """
    return fit_learner(DENOISER, config, dataset, item_vectors, out, workspace, ranks)


def assist_fitting(config: RunConfig, dataset: Artifact, item_vectors: Artifact, ranks: Ranks) -> None:
    """Take part in a fit of the denoiser that another process leads; nothing is written."""
    if not ranks.called():
        return
    with tempfile.TemporaryDirectory(prefix="fitting-") as folder, deterministic_torch(config.threads, config.seed):
        scratch, out = Path(folder) / "scratch", Path(folder) / "out"
        scratch.mkdir()
        out.mkdir()
        _fit(DENOISER, config, dataset, item_vectors, scratch, out, ranks)


def fit_learner(
    learner: Learner,
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    out: Path,
    workspace: Workspace,
    ranks: Ranks = Ranks(),
) -> Artifact:
    """As `fit_denoiser`, of any learner; the artifact's kind is the learner's name. Several processes fit a denoiser
    only."""
    llm: Json = {}
    if config.behavior.backbone != SCRATCH:
        if learner is not DENOISER:
            raise BehaviorError(f"a {learner.name} has blocks of its own alone; set behavior.backbone to {SCRATCH}.")
        llm = {"llm": llm_identity(config.behavior.backbone)}

    def write(draft: Draft) -> None:
        with deterministic_torch(config.threads, config.seed):
            draft.facts |= _fit(learner, config, dataset, item_vectors, draft.scratch, draft.path, ranks) | llm

    with ranks.announcing(write) as announced:
        return build(
            out,
            kind=learner.name,
            config=fitting_settings(config) | llm,
            inputs={"dataset": dataset, "item_vectors": item_vectors},
            write=announced,
            workspace=workspace,
        )


def fitting_settings(config: RunConfig) -> Json:
    """What a fit depends on beside its inputs."""
    part = config.part("behavior")
    part["behavior"] = {
        name: value for name, value in part["behavior"].items() if name not in config.behavior.of_inference
    }
    return part | {"device": config.device}


def infer_behaviors(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    denoiser: Artifact,
    out: Path,
    workspace: Workspace,
) -> Artifact:
    """Infer behaviours at each snapshot, for the users whose impressions will look them up there and, at the last one,
    for all; makes an "inferred_behaviors" artifact. An inference reads events strictly before its snapshot alone.

    Raises:
        BehaviorError: the denoiser does not fit the item vectors.
    """

    def write(draft: Draft) -> None:
        with deterministic_torch(config.threads, config.seed):
            _infer(config, dataset, item_vectors, denoiser, draft)

    return build(
        out,
        kind="inferred_behaviors",
        config=inference_settings(config),
        inputs={"dataset": dataset, "item_vectors": item_vectors, "denoiser": denoiser},
        write=write,
        workspace=workspace,
    )


def _fit(
    learner: Learner,
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    scratch: Path,
    out: Path,
    ranks: Ranks,
) -> Json:
    """Fit on the events before the cut and, where there is a refit, on from there; gives the facts."""
    data, vectors = open_catalogue(dataset, item_vectors)
    behavior = config.behavior
    plan = snapshot_plan(config, data)
    log = data.log.only_train().before(plan.cut)
    log = log.with_actions([log.action_names[place] for place in np.unique(log.actions)])  # none that comes later
    model = fresh_model(learner, config, vectors, log.action_names, ranks)
    facts = _fit_on(log, model, learner, config, data, vectors, scratch, out, ranks)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    facts |= {"cut": plan.cut, "parameters": sum(size for size, _ in sizes)}
    facts["trainable_parameters"] = sum(size for size, learns in sizes if learns)
    if learner.serves and behavior.refit_epochs:
        log = data.log.only_train().with_actions(log.action_names)
        longer = behavior.model_copy(update={"epochs": behavior.refit_epochs})
        scratch, out = scratch / REFIT, out / REFIT
        for folder in (scratch, out):
            folder.mkdir(exist_ok=True)
        of_all = config.model_copy(update={"behavior": longer})
        facts[REFIT] = _fit_on(log, model, learner, of_all, data, vectors, scratch, out, ranks) | {"cut": plan.refit}
    return facts


def fresh_model(
    learner: Learner,
    config: RunConfig,
    vectors: ItemVectors,
    action_names: Sequence[str],
    ranks: Ranks = Ranks(),
) -> ReaSeqDenoiser:
    """The learner's model as its fit starts, on the run's device: new, or on a pretrained LLM, with RER's codebook in
    it; its weights in parts where the processes share them. What is drawn comes from torch's global generator.

    Raises:
        BehaviorError: the LLM that `behavior.backbone` names can't be used.
    """
    behavior = config.behavior
    levels, size, _ = vectors.centroids.shape
    shape: Json = {
        "levels": levels,
        "codebook_size": size,
        "max_slots": behavior.max_slots + behavior.inferred + behavior.spare_slots,
        "action_names": action_names,
        "dropout": behavior.dropout,
    }
    if behavior.backbone == SCRATCH:
        shape |= {"hidden_size": behavior.d_model, "num_hidden_layers": behavior.layers}
        model = learner.model(learner.configuration(**shape, num_attention_heads=behavior.heads))
    else:
        model = denoiser_on_llm(behavior, **shape)
    if behavior.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    generator = torch.Generator().manual_seed(config.seed)
    model.start_from_codebook(torch.from_numpy(vectors.centroids), torch.from_numpy(vectors.rotation), generator)
    if behavior.shard_weights and not ranks.alone:
        shard(model, config.device)
    return place(model, config.device)


def _fit_on(
    log: EventLog,
    model: ReaSeqDenoiser,
    learner: Learner,
    config: RunConfig,
    data: Dataset,
    vectors: ItemVectors,
    scratch: Path,
    out: Path,
    ranks: Ranks,
) -> Json:
    """Fit the model, as it is, on these events and save it; gives the facts of the fit."""
    behavior = config.behavior
    corpus = Corpus.of(log, np.random.default_rng([config.seed, STAGE]))
    windows = int((corpus.ends - corpus.starts >= SMALLEST).sum())
    if windows < 2:
        raise BehaviorError(
            f"interactions.parquet: {windows} users have {SMALLEST} or more behaviours before the cut, and the "
            "denoiser needs at least two; raise behavior.fit_share or bring more events."
        )
    catalogue = Catalogue.known_before(log.items, vectors.z, vectors.codes, data.category_index)
    inpainting = Inpainting(corpus, catalogue, vectors.codes, behavior.max_slots)
    tables = Tables(vectors.codes, data.category_index)
    state = fit(
        model, corpus, inpainting, tables, behavior, seed=config.seed, scratch=scratch,
        objective=learner.objective, named=learner.name, ranks=ranks,
    )  # fmt: skip
    calibration = calibrate(model, inpainting)
    model.config.posterior_temperature = calibration.temperature
    whole = {name: whole_tensor(value).cpu() for name, value in model.state_dict().items()}
    if ranks.leads:
        save_denoiser(model, out, whole)
    write_text(out / "training.jsonl", "".join(json.dumps(line) + "\n" for line in state.log))
    return {
        "users": windows,
        "events": len(log.items),
        "steps": state.step,
        "tokens": state.slots * vectors.codes.shape[1],
        "best_epoch": state.best_epoch,
        "inpainting": {
            "users": len(corpus.held_at),
            "items": len(catalogue.items),
            "recall_at_10": round(state.best_recall, 6),
            "popularity_recall_at_10": round(inpainting.popularity_recall(), 6),
        },
        "calibration": calibration.as_json(),
    }


def _infer(config: RunConfig, dataset: Artifact, item_vectors: Artifact, denoiser: Artifact, draft: Draft) -> None:
    data, vectors = open_catalogue(dataset, item_vectors)
    behavior = config.behavior
    plan = snapshot_plan(config, data)
    log = data.visible_log()
    rules = rules_of(behavior, log.before(plan.cut), vectors, data.category_index)
    version = gbr_version(config, item_vectors, denoiser)
    wanted = _pairs(data, plan, config.ranking.lag_hours)
    folders = [folder_at(denoiser, time) for time in plan.snapshots]
    inferrers = {
        folder: open_inferrer(folder, config, data, vectors, rules, version) for folder in dict.fromkeys(folders)
    }
    log = log.with_actions(inferrers[folders[0]].sampler.model.config.action_names)  # a refit tells the same ones apart
    work = [
        Work(inferrers[folder], View.at(number, time, log, vectors, data.category_index), wanted[number])
        for number, (folder, time) in enumerate(zip(folders, plan.snapshots, strict=True))
    ]
    table, forwards = infer_resumably(work, draft.scratch)
    draft.write_table("inferred_behaviors.parquet", table, INFERRED_BEHAVIORS)
    pairs, rows = sum(len(users) for users in wanted), table.num_rows
    draft.facts.update(
        snapshots=list(plan.snapshots),
        cut=plan.cut,
        users=pc.count_distinct(table.column("user_id")).as_py(),
        rows=rows,
        pairs_wanted=pairs,
        pairs_without_row=pairs - rows,
        min_events=behavior.min_events,
        forwards=forwards,
        consistency_floors={name: round(floor, 6) for name, floor in vars(rules.floors).items()},
        version=version,
        **_summary(table, work, data, vectors),
    )
    if rows < pairs:
        progress.note(
            f"inferred behaviours: {pairs - rows} of {pairs} (user, snapshot) pairs have no row, most for fewer "
            f"than {behavior.min_events} events before the snapshot"
        )


def snapshot_plan(config: RunConfig, data: Dataset) -> Schedule:
    """When behaviours of this dataset are inferred, and what the denoiser may see."""
    times = data.log.timestamps[data.log.train]
    if data.split_kind == "leave_one_out":  # only training events are seen there, and the last snapshot sees them all
        later = [int(times.max()) + 1] if len(times) else []
    else:
        later = [data.valid_start, data.test_start]
    return schedule(times, config.behavior.fit_share, config.behavior.snapshots, later)


def _pairs(data: Dataset, plan: Schedule, lag_hours: float) -> list[np.ndarray]:
    """Per snapshot the users (indices) to infer for."""
    impressions = [data.impressions(split) for split in SPLITS]
    users = np.concatenate([i.user for i in impressions])
    times = np.concatenate([i.timestamp for i in impressions])
    pairs = serving_pairs(plan.snapshots, users, times, lag_hours)
    wanted = [pairs[pairs[:, 1] == number, 0] for number in range(len(plan.snapshots))]
    wanted[-1] = np.arange(len(data.log.user_ids))
    return wanted


def _summary(table: pa.Table, work: list[Work], data: Dataset, vectors: ItemVectors) -> Json:
    """Novelty (self-information, 1 = seen once), diversity (1 - mean cosine of a user's items) and confidence."""
    if table.num_rows == 0:
        return {"novelty": 0.0, "diversity": 0.0, "mean_confidence": 0.0, "mean_items": 0.0}
    lists = table.column("item_ids").combine_chunks()
    items = data.index_of(lists.flatten())
    length = np.diff(lists.offsets.to_numpy())
    row = np.repeat(np.arange(len(length)), length)
    snapshot = table.column("snapshot").cast(pa.int64()).to_numpy()[row]
    novelty = np.zeros(len(items))
    for each in work:
        here, catalogue = snapshot == each.view.snapshot, each.view.catalogue
        novelty[here] = catalogue.novelty[catalogue.position(torch.from_numpy(items[here]))].numpy()
    sums = np.zeros((len(length), VECTOR_DIM))
    np.add.at(sums, row, vectors.z[items])
    many = length > 1
    cosine = ((sums[many] ** 2).sum(1) - length[many]) / (length[many] * (length[many] - 1))
    confidence = table.column("confidence").combine_chunks().flatten().to_numpy()
    return {
        "novelty": round(float(novelty.mean()), 6),
        "diversity": round(float(1 - cosine.mean()), 6) if many.any() else 0.0,
        "mean_confidence": round(float(confidence.mean(dtype=np.float64)), 6),
        "mean_items": round(float(length.mean()), 4),
    }

"""Near-line refresh: behaviours inferred again at a later snapshot, for the users who are due and for nobody else.

The due users are cut into shards of `behavior.infer_batch`, by length of history. Which users share a shard follows
from the log and the rule alone, and noise from user and snapshot; so whoever infers the shards, in whatever order and
however many at a time, ends in the same bytes. Here one process does; `reaseq.platform.ray_shards` spreads them over
actors. A finished shard is a file in the scratch folder, which a refresh that was killed finds again.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from reaseq import progress
from reaseq.artifacts import Artifact, Draft, Workspace, build, open_artifact, whole
from reaseq.behavior.due import USERS, Standing, counts, last_inferences
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.fitted import folder_at, gbr_version, inference_settings, open_catalogue, open_inferrer
from reaseq.behavior.grounding import Rules
from reaseq.behavior.inference import View, by_length, collect, rules_of
from reaseq.config import RunConfig
from reaseq.determinism import deterministic_torch
from reaseq.schema import INFERRED_BEHAVIORS, REFRESHED_USERS


@dataclass(frozen=True)
class Recipe:
    """What a worker opens, wherever it runs: paths and small values only, so that it travels."""

    config: RunConfig
    dataset: Path
    item_vectors: Path
    denoiser: Path
    snapshot: int  # µs
    rules: Rules
    version: str


@dataclass(frozen=True)
class Shard:
    """Users (indices in the dataset's log) who are inferred for together, and the file that their rows go to."""

    users: tuple[int, ...]
    path: Path


class Worker:
    """Holds the denoiser and the log before the snapshot, and infers shard after shard."""

    def __init__(self, recipe: Recipe):
        config = self._config = recipe.config
        denoiser = open_artifact(recipe.denoiser, "denoiser")
        data, vectors = open_catalogue(
            open_artifact(recipe.dataset, "dataset"), open_artifact(recipe.item_vectors, "item_vectors")
        )
        folder = folder_at(denoiser, recipe.snapshot)
        self._inferrer = open_inferrer(folder, config, data, vectors, recipe.rules, recipe.version)
        log = data.log.with_actions(self._inferrer.sampler.model.config.action_names)
        self._view = View.at(0, recipe.snapshot, log, vectors, data.category_index)
        with deterministic_torch(config.threads, config.seed):
            self._shortlists = self._inferrer.shortlists(self._view)

    def infer(self, shard: Shard) -> None:
        """Write the shard's rows, whole or not at all."""
        with deterministic_torch(self._config.threads, self._config.seed), whole(shard.path) as partial:
            pq.write_table(self._inferrer.infer(self._view, np.array(shard.users), self._shortlists), partial)


RunShards = Callable[[Recipe, Sequence[Shard]], Iterable[object]]
"""Gets shards inferred, in any order, and yields something for each that is done."""


def in_this_process(recipe: Recipe, shards: Sequence[Shard]) -> Iterator[Shard]:
    """One worker, one shard after the other."""
    worker = Worker(recipe)
    for shard in shards:
        worker.infer(shard)
        yield shard


def refresh_behaviors(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    denoiser: Artifact,
    known: Artifact,
    out: Path,
    workspace: Workspace,
    *,
    snapshot: int,
    run_shards: RunShards = in_this_process,
) -> Artifact:
    """Infer behaviours at a snapshot for the users who are due; makes an "inferred_behaviors" artifact that holds their
    rows alone, and `users.parquet` (`REFRESHED_USERS`), which says of every user what was done and why.

    Args:
        config: sections `behavior` (as the denoiser was fitted) and `refresh`; `threads`, `device`, `seed`.
        dataset: its log may have gone on since the denoiser was fitted; the catalogue must be the same.
        known: the refresh before this one, or the run's inferences.
        snapshot: µs; an inference reads events strictly before it alone.
        run_shards: who does the work. It makes no difference to what is made.

    Raises:
        BehaviorError: the denoiser was fitted on events after the snapshot, or is of another catalogue.
    """

    def write(draft: Draft) -> None:
        _refresh(config, dataset, item_vectors, denoiser, known, snapshot, run_shards, draft)

    return build(
        out,
        kind="inferred_behaviors",
        name="refresh",
        config=inference_settings(config) | config.part("refresh") | {"snapshot": snapshot},
        inputs={"dataset": dataset, "item_vectors": item_vectors, "denoiser": denoiser, "known": known},
        write=write,
        workspace=workspace,
    )


def _refresh(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    denoiser: Artifact,
    known: Artifact,
    snapshot: int,
    run_shards: RunShards,
    draft: Draft,
) -> None:
    standing, recipe = _plan(config, dataset, item_vectors, denoiser, known, snapshot)
    shards = _shards(standing, config, draft.scratch.resolve())
    _run(run_shards, recipe, shards)
    rows, forwards = collect([shard.path for shard in shards])
    users = standing.after(snapshot, rows.column("user_id"))
    draft.write_table("inferred_behaviors.parquet", rows, INFERRED_BEHAVIORS)
    draft.write_table(USERS, users, REFRESHED_USERS)
    draft.facts.update(
        snapshots=[snapshot],
        rule=config.refresh.model_dump(mode="json"),
        outcomes=counts(users),
        users=users.num_rows,
        rows=rows.num_rows,
        shards=len(shards),
        forwards=forwards,
        version=recipe.version,
    )


def _plan(
    config: RunConfig, dataset: Artifact, item_vectors: Artifact, denoiser: Artifact, known: Artifact, snapshot: int
) -> tuple[Standing, Recipe]:
    """Who is due, and what inferring takes. The tables that were opened for it are let go again: workers open their
    own."""
    folder_at(denoiser, snapshot)  # a snapshot that is too early is refused before there is any work
    data, vectors = open_catalogue(dataset, item_vectors)
    log = data.log.before(snapshot)
    last = last_inferences(known, log, snapshot)
    standing = Standing.at(snapshot, log, last, config.refresh, config.behavior.min_events)
    fitted = data.log.only_train().before(int(denoiser.facts["cut"]))  # the rules are those of the denoiser's run
    recipe = Recipe(
        config,
        dataset.path.resolve(),
        item_vectors.path.resolve(),
        denoiser.path.resolve(),
        snapshot,
        rules_of(config.behavior, fitted, vectors, data.category_index),
        gbr_version(config, item_vectors, denoiser),
    )
    return standing, recipe


def _shards(standing: Standing, config: RunConfig, scratch: Path) -> list[Shard]:
    """The due users, shard by shard."""
    due = np.flatnonzero(standing.due)
    batches = by_length(due, standing.events[due], config.behavior)
    return [
        Shard(tuple(users.tolist()), scratch / f"inferred-{number:06d}.parquet") for number, users in enumerate(batches)
    ]


def _run(run_shards: RunShards, recipe: Recipe, shards: list[Shard]) -> None:
    """Get the shards that are not there yet.

    Raises:
        BehaviorError: one is missing afterwards: a worker elsewhere wrote to a folder that is not this one.
    """
    todo = [shard for shard in shards if not shard.path.is_file()]
    done = len(shards) - len(todo)
    if done:
        progress.note(f"refresh: {done} of {len(shards)} shards were there already")
    if todo:
        for _ in progress.track(run_shards(recipe, todo), "refreshing behaviours", total=len(shards), done=done):
            pass
    missing = [shard.path for shard in todo if not shard.path.is_file()]
    if missing:
        raise BehaviorError(
            f"refresh: {len(missing)} shards, such as {missing[0]}, were inferred and are not there. Workers on other "
            "machines must see the workspace under the same path; put it on a volume that they share."
        )

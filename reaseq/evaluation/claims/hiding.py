"""Hiding one category of users' lives from the log, and what GBR infers without it.

A user's hidden category leaves the visible history altogether; what of it is asked for are items that the user first
took in validation or test. Item vectors, codes and denoisers were fitted on training events, so on none of these.
The denoiser is frozen: a seed draws the users, the category hidden from each and the sampler's noise.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.inference import Inferrer, View, Work, infer_resumably, rules_of
from reaseq.config import RunConfig, digest
from reaseq.data.dataset import Dataset, EventLog
from reaseq.determinism import deterministic_torch
from reaseq.evaluation.claims.generation import Generation
from reaseq.representation.vectors import ItemVectors
from reaseq.schema import INFERRED_BEHAVIORS

DRAW = 0x41DE  # keeps these draws apart from other stages' of the same seed

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Hidden:
    """N users of whom one category each is hidden; row-aligned arrays."""

    user: Ints  # [N] index into the log's users, ascending
    category: Ints  # [N] row of `categories_of`
    truth: Bools  # [N, V+1] items of it that the user first took in validation or test
    log: EventLog
    """Events before the snapshot, without what is hidden; all users, so that what others did is there to count."""


def categories_of(data: Dataset) -> Bools:
    """[G, V+1] which items belong to each of `data.category_names`.

    An item belongs to every name on its list, not to the first alone: where the source lists genres, a film stays
    hidden under any of them.
    """
    member = np.zeros((len(data.category_names), len(data.item_ids) + 1), bool)
    place_of = {name: place for place, name in enumerate(data.category_names)}
    for index, names in enumerate(data.items.column("category").to_pylist(), start=1):
        member[[place_of[name] for name in names if name in place_of], index] = True
    return member


def hide(data: Dataset, *, snapshot: int, users: int, least: int, seed: int) -> Hidden:
    """Draw users and hide from each one category, of those of which there is something to recover.

    Args:
        data: the dataset.
        snapshot: µs, inference reads events before it.
        users: at most this many are drawn.
        least: visible events a user must keep.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, DRAW])
    log, member = data.log, categories_of(data)
    owner, count = log.users, len(log.user_ids)
    key = owner * (len(data.item_ids) + 1) + log.items
    later = ~log.train & ~np.isin(key, key[log.train])
    before = data.visible_log().before(snapshot)
    kept_events = np.diff(before.offsets)
    pairs = []
    for number, of_category in enumerate(member):
        wanted = np.bincount(owner[later & of_category[log.items]], minlength=count)
        left = kept_events - np.bincount(before.users[of_category[before.items]], minlength=count)
        able = np.flatnonzero((wanted > 0) & (left >= max(least, 1)))
        pairs.append(np.stack([able, np.full(len(able), number)], axis=1))
    drawn = rng.permutation(np.concatenate(pairs)) if pairs else np.zeros((0, 2), np.int64)
    _, first = np.unique(drawn[:, 0], return_index=True)
    drawn = drawn[np.sort(first)[:users]]  # a random user each, since the pairs were shuffled
    drawn = drawn[np.argsort(drawn[:, 0])].astype(np.int64)
    user, category = drawn[:, 0], drawn[:, 1]

    of_user = np.full(count, -1, np.int64)
    of_user[user] = category
    truth = np.zeros((len(user), len(data.item_ids) + 1), bool)
    row = np.full(count, -1, np.int64)
    row[user] = np.arange(len(user))
    asked = np.flatnonzero(later & (of_user[owner] >= 0))
    asked = asked[member[of_user[owner[asked]], log.items[asked]]]
    truth[row[owner[asked]], log.items[asked]] = True
    theirs = of_user[before.users]
    gone = np.zeros(len(theirs), bool)
    if len(member):
        gone = (theirs >= 0) & member[theirs, before.items]
    return Hidden(user, category, truth, before.only(~gone))


def infer_hidden(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    way: Generation,
    hidden: Hidden,
    *,
    snapshot: int,
    users: int,
    seed: int,
    workspace: Workspace,
) -> Artifact:
    """What is inferred for the users at the snapshot from what is left of their log: "inferred_behaviors".

    Its facts say `forwards` and `seconds` (null where an earlier start had done some of it).

    Args:
        config: sections `behavior`, `threads`, `device`.
        dataset, item_vectors: artifacts that belong together.
        way: of generating; what it was fitted on belongs to them and is used as it is.
        hidden: as `hide` drew it with these `users`, `seed` and `snapshot`.
        snapshot: µs.
        users: the draw's size, for the key.
        seed: of the draw and of the noise.
        workspace: keeps the artifact, and its chunks while it is unfinished.
    """
    part = config.part("behavior") | {"device": config.device, "seed": seed}
    fitted = way.fitted
    part |= way.key() | {"users": users, "snapshot": snapshot, "asked": "held out"}
    inputs = {"dataset": dataset, "item_vectors": item_vectors, fitted.manifest.kind: fitted}
    short = digest([part, [artifact.digest for artifact in inputs.values()]])[:24]

    def write(draft: Draft) -> None:
        data, vectors, behavior = Dataset.open(dataset), ItemVectors.open(item_vectors), config.behavior
        learned = data.visible_log().before(int(fitted.facts["cut"]))
        rules = rules_of(behavior, learned, vectors, data.category_index)
        sampler = way.sampler(behavior, config.device, seed)
        inferrer = Inferrer(sampler, vectors, data.item_ids, rules, behavior, f"gbr-{short[:12]}")
        known = Catalogue.known_before(hidden.log.items, vectors.z, vectors.codes, data.category_index)
        fresh, started = not any(draft.scratch.iterdir()), time.perf_counter()
        seen = hidden.log.with_actions(sampler.model.config.action_names)
        work = [Work(inferrer, View(0, snapshot, seen, known), hidden.user)]
        table, forwards = infer_resumably(work, draft.scratch)
        seconds = round(time.perf_counter() - started, 3) if fresh else None
        draft.write_table("inferred_behaviors.parquet", table, INFERRED_BEHAVIORS)
        draft.facts.update(forwards=forwards, seconds=seconds, users=len(hidden.user), snapshots=[snapshot])

    with deterministic_torch(config.threads, seed):
        return build(
            workspace.root / "hidden" / short,
            kind="inferred_behaviors",
            name="hidden_category",
            config=part,
            inputs=inputs,
            write=write,
            workspace=workspace,
        )

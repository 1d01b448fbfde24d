"""Batches: whole requests, every impression once, by seed alone."""

from dataclasses import replace

import numpy as np
import pytest

from reaseq.data.dataset import Dataset
from reaseq.ranking.batches import GRID, Contexts, RequestBatches, categories_so_far, localise
from reaseq.ranking.features import FeatureLimits
from reaseq.ranking.inferences import InferenceTable
from tests.ranking.conftest import World


@pytest.fixture(scope="module")
def data(world: World) -> Dataset:
    return Dataset.open(world.dataset)


@pytest.fixture(scope="module")
def batches(world: World, data: Dataset) -> RequestBatches:
    inferences = InferenceTable.read(world.inferred, data, 0.0)
    contexts = Contexts(data.log, data.category_index, inferences, FeatureLimits(4, 9, 5))
    return RequestBatches(data.impressions("train"), contexts)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_an_epoch_shows_every_impression_once_with_its_own_label_and_item(batches: RequestBatches) -> None:
    shown = batches.impressions
    rows = []
    for chosen in batches.plan(50, rng(0)):
        batch = batches.batch(chosen)
        np.testing.assert_array_equal(batch.candidates[batch.valid], shown.item[batch.rows])
        np.testing.assert_array_equal(batch.labels, shown.label[batch.rows])
        rows.append(batch.rows)
    assert sorted(np.concatenate(rows)) == list(range(len(shown)))


def test_a_request_stays_in_one_batch(batches: RequestBatches) -> None:
    homes: dict[str, set[int]] = {}
    for number, chosen in enumerate(batches.plan(50, rng(1))):
        for row in batches.batch(chosen).rows:
            homes.setdefault(batches.impressions.request_id[row], set()).add(number)
    assert all(len(home) == 1 for home in homes.values())


def test_the_order_follows_from_the_seed(batches: RequestBatches) -> None:
    first, again, other = (batches.plan(50, rng(seed)) for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert np.concatenate(first).tolist() != np.concatenate(other).tolist()
    lengths = [len(batches.batch(chosen).rows) for chosen in first]
    assert max(lengths) <= 50 + GRID


def test_a_long_request_takes_several_rows_of_the_grid(data: Dataset, batches: RequestBatches) -> None:
    shown = batches.impressions
    count = 2 * GRID + 3
    same = {name: np.repeat(getattr(shown, name)[:1], count) for name in ("request_id", "user", "timestamp", "end")}
    one = replace(shown, item=np.arange(1, count + 1), label=np.zeros(count, np.int8), **same)
    batch = RequestBatches(one, batches.contexts).batch(np.arange(3))
    assert batch.valid.sum(1).tolist() == [GRID, GRID, 3]
    assert batch.candidates[batch.valid].tolist() == list(range(1, count + 1))
    np.testing.assert_array_equal(batch.users["history"][0], batch.users["history"][2])


def test_local_indices_point_back_at_the_same_items(batches: RequestBatches, data: Dataset) -> None:
    batch = batches.batch(batches.plan(50, rng(2))[0])
    items, local = localise(batch, np.zeros(len(data.item_ids) + 1, np.int64))
    assert items[0] == 0
    assert (np.diff(items) > 0).all()
    np.testing.assert_array_equal(items[local.candidates], batch.candidates)
    for name in ("history", "long_history", "inferred"):
        np.testing.assert_array_equal(items[local.users[name]], batch.users[name])


def test_distinct_categories_are_counted_event_by_event(data: Dataset) -> None:
    log, category = data.log, data.category_index.copy()
    category[1:4] = 0  # items without a category count as none
    counted = categories_so_far(log, category)
    for user in range(len(log.user_ids)):
        seen: set[int] = set()
        for place in range(log.offsets[user], log.offsets[user + 1]):
            seen |= {int(category[log.items[place]])} - {0}
            assert counted[place] == len(seen)


def test_impressions_of_users_without_events_have_empty_contexts(batches: RequestBatches) -> None:
    shown = batches.impressions
    stranger = replace(shown, user=np.full(len(shown), -1), end=np.full(len(shown), len(batches.contexts.log.items)))
    batch = RequestBatches(stranger, batches.contexts).batch(np.arange(4))
    assert not any(values.any() for values in batch.users.values())

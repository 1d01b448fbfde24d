"""Hiding a category: what leaves the log, and what may be asked for."""

import numpy as np
import pyarrow as pa
import pytest

from reaseq.artifacts import Workspace
from reaseq.data import Dataset
from reaseq.evaluation.claims.hiding import categories_of, hide
from tests import smallworld

SNAPSHOT = smallworld.TEST_START


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("hiding")
    return Dataset.open(smallworld.write_dataset(root / "dataset", Workspace(root / "workspace")))


def _hide(data, **changes):
    return hide(data, **({"snapshot": SNAPSHOT, "users": 10, "least": 2, "seed": 0} | changes))


def test_the_hidden_category_leaves_the_history_and_nothing_else_does(data):
    hidden, member, before = _hide(data), categories_of(data), data.log.before(SNAPSHOT)
    of = dict(zip(hidden.user.tolist(), hidden.category.tolist(), strict=True))

    for user in range(len(data.log.user_ids)):
        left = hidden.log.items[hidden.log.offsets[user] : hidden.log.offsets[user + 1]]
        there = before.items[before.offsets[user] : before.offsets[user + 1]]
        expected = there[~member[of[user], there]] if user in of else there
        np.testing.assert_array_equal(left, expected)


def test_only_items_first_taken_after_training_are_asked_for(data):
    """Item vectors, codes and denoiser were fitted on training events."""
    hidden, member, log = _hide(data), categories_of(data), data.log

    assert hidden.truth.any(1).all()
    for user, category, truth in zip(hidden.user, hidden.category, hidden.truth, strict=True):
        span = slice(log.offsets[user], log.offsets[user + 1])
        items, train = log.items[span], log.timestamps[span] < smallworld.VALID_START
        expected = set(items[~train & member[category, items]]) - set(items[train])
        assert set(np.flatnonzero(truth)) == expected


def test_every_user_keeps_enough_to_infer_from(data):
    hidden = _hide(data, users=1000, least=5)

    assert 0 < len(hidden.user) == len(np.unique(hidden.user))
    assert np.diff(hidden.log.offsets)[hidden.user].min() >= 5


def test_a_seed_draws_users_and_categories(data):
    first, again, other = _hide(data), _hide(data), _hide(data, seed=1)

    assert len(first.user) == 10
    np.testing.assert_array_equal(first.user, again.user)
    np.testing.assert_array_equal(first.category, again.category)
    assert first.user.tolist() != other.user.tolist()


def test_an_item_belongs_to_every_category_on_its_list(data):
    genres = Dataset(data.artifact)
    genres.items = pa.table({"category": [["Makeup", "Hair Care"], ["Fragrance"]]})
    genres.item_ids = genres.item_ids[:2]

    member = categories_of(genres)

    names = genres.category_names
    assert [names[g] for g in np.flatnonzero(member[:, 1])] == ["Hair Care", "Makeup"]
    assert [names[g] for g in np.flatnonzero(member[:, 2])] == ["Fragrance"]


def test_without_categories_nobody_is_drawn(data):
    bare = Dataset(data.artifact)
    bare.category_names = []

    hidden = _hide(bare)

    assert len(hidden.user) == 0
    assert len(hidden.log.items) == len(data.log.before(SNAPSHOT).items)

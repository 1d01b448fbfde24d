"""Buckets by item frequency and history length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.evaluation.buckets import (
    AGES,
    BUCKETS,
    DAY,
    ages,
    by_age,
    by_frequency,
    by_history,
    gate_by_history,
    members,
)


@given(st.integers(0, 10_000))
def test_every_count_falls_into_one_bucket(count):
    assert sum(bool(members(np.array([count]), name)[0]) for name in BUCKETS) == 1


def test_frequency_buckets_share_the_users_negatives():
    users = np.array([1, 1, 1])
    labels = np.array([1, 1, 0])
    scores = {"id": np.array([0.1, 0.9, 0.5]), "full": np.array([0.9, 0.9, 0.5])}

    found = by_frequency(users, labels, scores, np.array([0, 30, 30]), replicates=10, seed=0)

    assert found["0"]["gauc"] == {"id": 0.0, "full": 1.0}
    assert found[">20"]["gauc"] == {"id": 1.0, "full": 1.0}
    assert found["1-5"]["gauc"] == {"id": None, "full": None}
    assert [found[name]["positives"] for name in BUCKETS] == [1, 0, 0, 1]
    assert found["0"]["lift"]["effect"] == 1.0


def test_history_buckets_hold_whole_impressions():
    users = np.array([1, 1, 2, 2])
    labels = np.array([1, 0, 1, 0])
    scores = {"id": np.array([0.9, 0.1, 0.1, 0.9])}

    found = by_history(users, labels, scores, np.array([0, 0, 7, 7]), replicates=10, seed=0)

    assert (found["0"]["gauc"]["id"], found["6-20"]["gauc"]["id"]) == (1.0, 0.0)
    assert found["0"]["lift"] is None


def test_popularity_by_bucket_is_the_published_reference_on_real_rows(real_data):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(real_data / "amazon-beauty" / "impressions.parquet")
    users, items, labels = (table.column(name).to_numpy() for name in ("user_id", "item_id", "label"))
    train, test = (pc.equal(table.column("split"), split).to_numpy() for split in ("train", "test"))
    events = np.bincount(items[train & (labels == 1)], minlength=items.max() + 1)[items[test]]

    found = by_frequency(users[test], labels[test], {"popularity": events.astype(float)}, events, replicates=0, seed=0)

    expected = {"0": 0.129, "1-5": 0.361, "6-20": 0.614, ">20": 0.868}
    for name, value in expected.items():
        assert found[name]["gauc"]["popularity"] == pytest.approx(value, abs=5e-4)


@given(st.one_of(st.just(-1.0), st.floats(0, 1e5, exclude_min=True)))
def test_every_age_falls_into_one_bucket(days):
    assert sum(low <= days < high for low, high in AGES.values()) == 1


def test_an_item_is_as_old_as_its_first_event_of_any_user_and_new_until_then():
    items, times = np.array([2, 1, 1]), np.array([5 * DAY, 3 * DAY, 1 * DAY])

    found = ages(items, times, np.array([1, 1, 1, 2, 3]), np.array([1 * DAY, 2 * DAY, 8 * DAY, 5 * DAY, 9 * DAY]))

    assert found.tolist() == [-1.0, 1.0, 7.0, -1.0, -1.0]


def test_age_buckets_share_the_users_negatives():
    users, labels = np.array([1, 1, 1]), np.array([1, 1, 0])
    scores = {"id": np.array([0.1, 0.9, 0.5]), "full": np.array([0.9, 0.9, 0.5])}

    found = by_age(users, labels, scores, np.array([-1.0, 40.0, 3.0]), replicates=10, seed=0)

    assert list(found) == list(AGES)
    assert found["new"]["gauc"] == {"id": 0.0, "full": 1.0}
    assert found["30-180 days"]["gauc"] == {"id": 1.0, "full": 1.0}
    assert found["<7 days"]["positives"] == 0


def test_the_gate_is_told_apart_by_history_and_by_inferences():
    omega, inferred = np.array([0.1, 0.3, 0.2, 0.6]), np.array([5, 5, 0, 1])

    found = gate_by_history(omega, inferred, np.array([0, 0, 0, 30]))

    assert found["0"]["with"] == {
        "impressions": 2,
        "mean": pytest.approx(0.2),
        "quartiles": pytest.approx([0.15, 0.2, 0.25]),
    }
    assert found["0"]["without"]["mean"] == 0.2
    assert found["1-5"]["with"] == {"impressions": 0, "mean": None, "quartiles": None}
    assert found["all"]["with"]["impressions"] + found["all"]["without"]["impressions"] == 4

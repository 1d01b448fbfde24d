"""Buckets by item frequency and history length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.evaluation.buckets import BUCKETS, by_frequency, by_history, members


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

"""Scores and ranks that need no model."""

import numpy as np
import pytest

from reaseq.evaluation import metrics, yardsticks


def test_item_events_count_training_events_by_index():
    assert yardsticks.item_events([1, 3, 3], 4).tolist() == [0, 1, 0, 2, 0]


def test_the_item_mean_is_drawn_to_the_global_mean():
    mean = yardsticks.item_mean([1] * 5 + [2] * 5, [1] * 5 + [0] * 5, 3)

    assert mean.tolist() == [0.5, 0.75, 0.25, 0.5]


def test_the_item_mean_without_impressions_is_a_half():
    assert yardsticks.item_mean([], [], 2).tolist() == [0.5, 0.5, 0.5]


def test_a_popular_target_ranks_first_among_what_is_unseen():
    scores = np.array([0.0, 9, 7, 5, 3])

    ranks = yardsticks.ranks(scores, [3, 3, 3], [[], [1], [1, 2, 3]], seed=0)

    assert ranks.tolist() == [3, 2, 1]


def test_ties_are_broken_at_random_and_by_the_seed():
    scores = np.zeros(101)
    seen = [[]] * 400

    first, second = (yardsticks.ranks(scores, [50] * 400, seen, seed=1) for _ in range(2))

    assert (first == second).all()
    assert (first.min(), first.max()) == (1, 100)
    assert abs(first.mean() - 50.5) < 5


def test_the_smoothed_item_mean_is_the_published_reference_on_real_rows(real_data):
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(real_data / "ml-100k" / "impressions.parquet")
    users, items, labels = (table.column(name).to_numpy() for name in ("user_id", "item_id", "label"))
    train, test = (pc.equal(table.column("split"), split).to_numpy() for split in ("train", "test"))

    scores = yardsticks.item_mean(items[train], labels[train], items.max())[items[test]]

    assert metrics.auc(labels[test], scores) == pytest.approx(0.7055, abs=1e-4)
    assert metrics.gauc(users[test], labels[test], scores).value == pytest.approx(0.7113, abs=1e-4)
    assert metrics.logloss(labels[test], scores) == pytest.approx(0.6181, abs=1e-4)

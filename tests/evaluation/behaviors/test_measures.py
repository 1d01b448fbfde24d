"""Confidence against hits, places, categories."""

from dataclasses import replace

import numpy as np
import pytest

from reaseq.evaluation.behaviors import measures
from reaseq.evaluation.behaviors.inferred import known
from reaseq.evaluation.behaviors.measures import AFTER, GAP, measure


def test_bins_hold_the_inferences_of_active_users_and_their_hits(inferred, data, vectors):
    found, facts = measure(inferred, data, vectors).calibration, known(inferred, data)

    active = facts.events[inferred.row] > 0
    assert sum(each.count for each in found.bins) == found.count == active.sum()
    assert found.left_out == (~active).sum()
    assert sum(each.hits for each in found.bins) == facts.taken.sum()
    assert sum(each.category_hits for each in found.bins) == facts.same_category.sum()
    assert all(a.most <= b.least for a, b in zip(found.bins, found.bins[1:], strict=False))


def test_confidence_that_comes_true_as_often_as_it_says_has_no_error(inferred, data, vectors, monkeypatch):
    facts = known(inferred, data)
    sure = replace(inferred, confidence=facts.taken.astype(float))
    monkeypatch.setattr(measures, "BINS", len(sure.item))

    found = measure(sure, data, vectors).calibration

    assert found.error == 0
    assert found.category_error == pytest.approx(
        (facts.same_category & ~facts.taken)[facts.events[inferred.row] > 0].mean()
    )


def test_places_and_snapshots_each_hold_every_inference_once(inferred, data, vectors):
    found = measure(inferred, data, vectors)

    assert [place.name for place in found.places] == [GAP, AFTER]
    for groups in (found.places, found.snapshots):
        assert sum(each.count for each in groups) == len(inferred.item) == found.whole.count
    after = inferred.slot >= inferred.snapshot[inferred.row]
    assert found.places[1].count == after.sum() > 0
    assert np.array_equal(found.confidence[GAP], inferred.confidence[~after])


def test_shares_of_categories_sum_to_one_and_the_rest_is_lumped(inferred, data, vectors, monkeypatch):
    monkeypatch.setattr(measures, "_LISTED", 2)

    found = measure(inferred, data, vectors).categories

    assert [row.name for row in found[2:]] == ["2 others"]
    assert sum(row.inferred for row in found) == pytest.approx(1)
    assert sum(row.logged for row in found) == pytest.approx(1)


def test_a_log_that_ends_with_the_last_snapshot_leaves_nothing_to_calibrate(inferred, data, vectors):
    last = inferred.only(inferred.snapshot == inferred.snapshots[-1])
    data.log = data.log.before(int(last.snapshots[-1]))

    found = measure(last, data, vectors)

    assert found.calibration.bins == () and np.isnan(found.calibration.error)
    assert found.whole.hits == 0

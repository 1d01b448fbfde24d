"""Metrics agree with scikit-learn and torchmetrics to 1e-9, ties and degenerate rows among them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional.classification import binary_auroc, binary_calibration_error
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_normalized_dcg, retrieval_reciprocal_rank

from reaseq.evaluation import metrics
from reaseq.evaluation.errors import EvaluationError

TOLERANCE = 1e-9

# Few distinct scores, so that ties are the rule; and user ids, so that one-impression users occur.
scored_rows = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.500001, 0.9, 1.0])),
    min_size=1,
    max_size=60,
)


def columns(rows):
    users, labels, scores = zip(*rows, strict=True)
    return np.array(users), np.array(labels), np.array(scores)


@given(scored_rows)
@settings(max_examples=200, deadline=None)
def test_auc_agrees_with_scikit_learn_with_ties(rows):
    _, labels, scores = columns(rows)

    ours = metrics.auc(labels, scores)

    if metrics.why_undefined(labels):
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores), abs=TOLERANCE)


@given(scored_rows)
@settings(max_examples=150, deadline=None)
def test_gauc_is_the_impression_weighted_mean_of_the_users_auc(rows):
    users, labels, scores = columns(rows)
    parts = [
        (len(labels[users == u]), sklearn_metrics.roc_auc_score(labels[users == u], scores[users == u]))
        for u in np.unique(users)
        if 0 < labels[users == u].mean() < 1
    ]

    ours = metrics.gauc(users, labels, scores)

    assert (ours.users, ours.users_total) == (len(parts), len(np.unique(users)))
    if parts:
        expected = sum(n * value for n, value in parts) / sum(n for n, _ in parts)
        assert ours.value == pytest.approx(expected, abs=TOLERANCE)
    else:
        assert math.isnan(ours.value)


@given(scored_rows)
@settings(max_examples=150, deadline=None)
def test_logloss_agrees_with_scikit_learn_on_clipped_probabilities(rows):
    _, labels, scores = columns(rows)
    clipped = np.clip(scores, metrics.CLIP, 1 - metrics.CLIP)

    ours = metrics.logloss(labels, scores)

    assert ours == pytest.approx(sklearn_metrics.log_loss(labels, clipped, labels=[0, 1]), abs=TOLERANCE)


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1, width=32)), min_size=1, max_size=200))
@settings(max_examples=100, deadline=None)
def test_calibration_error_agrees_with_torchmetrics(rows):
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))

    ours = metrics.calibration(labels, scores, bins=10)

    theirs = binary_calibration_error(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels), n_bins=10)
    assert ours.count.sum() == len(rows)
    # torchmetrics keeps its bin edges in float32, so a score within a rounding of an edge may change its bin.
    near_edge = np.abs(scores * 10 - np.round(scores * 10)).min() < 1e-5
    if not near_edge:
        assert ours.error == pytest.approx(float(theirs), abs=1e-6)


def test_auc_agrees_with_torchmetrics_on_many_rows():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 5000), np.round(rng.random(5000), 3)

    theirs = binary_auroc(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels))

    assert metrics.auc(labels, scores) == pytest.approx(float(theirs), abs=1e-6)  # torchmetrics sums in float32
    assert metrics.auc(labels, scores) == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores), abs=TOLERANCE)


@given(st.integers(2, 30), st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_rank_metrics_agree_with_references(size, seed, k):
    rng = np.random.default_rng(seed)
    # torchmetrics takes a score of 0 for 'not retrieved', so scores start at 1
    scores, target = 1.0 + rng.permutation(size), int(rng.integers(size))
    relevant = np.arange(size) == target
    rank = [1 + int((scores > scores[target]).sum())]
    tensors = torch.tensor(scores, dtype=torch.float64), torch.tensor(relevant)

    assert metrics.ndcg(rank, k) == pytest.approx(
        sklearn_metrics.ndcg_score([relevant.astype(float)], [scores], k=k), abs=TOLERANCE
    )
    assert metrics.ndcg(rank, k) == pytest.approx(float(retrieval_normalized_dcg(*tensors, top_k=k)), abs=1e-6)
    assert metrics.hit_rate(rank, k) == float(retrieval_hit_rate(*tensors, top_k=min(k, size)))
    assert metrics.mrr(rank) == pytest.approx(float(retrieval_reciprocal_rank(*tensors)), abs=1e-6)


@given(scored_rows)
@settings(max_examples=100, deadline=None)
def test_wins_do_not_depend_on_the_order_of_rows(rows):
    users, labels, scores = columns(rows)
    order = np.random.default_rng(0).permutation(len(rows))

    straight = metrics.wins(users, labels, scores)[order]

    np.testing.assert_array_equal(straight, metrics.wins(users[order], labels[order], scores[order]))


def test_a_buckets_positives_meet_all_negatives_of_their_user():
    users = np.array([1, 1, 1, 2, 2, 2])
    labels = np.array([1, 1, 0, 1, 0, 0])
    scores = np.array([0.9, 0.1, 0.5, 0.4, 0.3, 0.6])
    bucket = np.array([False, True, False, True, False, False])

    ours = metrics.gauc(users, labels, scores, bucket)

    # user 1: the bucket's positive loses (2 rows); user 2: it wins half (3 rows)
    assert ours.value == pytest.approx((2 * 0.0 + 3 * 0.5) / 5)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [([], "no impressions"), ([1, 1], "no negative impression"), ([0], "no positive impression"), ([0, 1], "")],
)
def test_undefined_metrics_are_nan_with_a_reason(labels, reason):
    scores = np.full(len(labels), 0.5)

    assert metrics.why_undefined(labels) == reason
    assert math.isnan(metrics.auc(labels, scores)) == bool(reason)
    assert math.isnan(metrics.gauc(np.zeros(len(labels)), labels, scores).value) == bool(reason)


def test_no_rows_have_no_loss_no_hits_and_no_calibration():
    values = [metrics.logloss([], []), metrics.hit_rate([], 10), metrics.ndcg([], 10), metrics.mrr([])]

    assert all(math.isnan(value) for value in [*values, metrics.calibration([], []).error])


def test_a_saturated_score_costs_a_finite_loss():
    assert metrics.logloss([0], [1.0]) == pytest.approx(-math.log(metrics.CLIP), rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 2], [0.1, 0.2], "labels must be 0 or 1"),
        ([0, 1], [0.1, float("nan")], "not finite"),
        ([0, 1], [0.1], "one score per label"),
    ],
)
def test_malformed_rows_are_refused(labels, scores, message):
    with pytest.raises(EvaluationError, match=message):
        metrics.auc(labels, scores)


def test_logloss_refuses_scores_that_are_no_probabilities():
    with pytest.raises(EvaluationError, match="needs probabilities"):
        metrics.logloss([0, 1], [-1.0, 3.0])


def test_a_rank_of_zero_is_refused():
    with pytest.raises(EvaluationError, match="start at 1"):
        metrics.hit_rate([0, 3], 10)

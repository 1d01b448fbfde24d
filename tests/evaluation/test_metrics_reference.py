"""Our metrics against scikit-learn's and torchmetrics', to 1e-9, on random and on hostile rows.

Where a reference is at fault or imprecise, a test shows how, and ours is held against an exact count instead:
torchmetrics divides counts in torch's default type (so it is asked in float64), reads scores outside [0, 1] as logits
and saturates them, keeps gains of NDCG in float32, and gives a score of exactly 1 a calibration bin of its own.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torchmetrics.classification import BinaryAUROC
from torchmetrics.functional.classification import binary_calibration_error
from torchmetrics.functional.classification.calibration_error import _ce_compute
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_normalized_dcg, retrieval_reciprocal_rank

from reaseq.evaluation import bootstrap, metrics
from reaseq.evaluation.bootstrap import paired

CLOSE = 1e-9
FLOAT32 = 1e-6

SMALLEST, SMALLEST_NORMAL, LARGEST = 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308
NEAR_ONE, NEAR_HALF = math.nextafter(1, 0), math.nextafter(0.5, 1)

few_values = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.9, 1.0])  # ties are the rule
constant = st.just(0.3)
corners = st.sampled_from([0.0, -0.0, SMALLEST, 2 * SMALLEST, SMALLEST_NORMAL, 1e-7, 0.5, NEAR_HALF, NEAR_ONE, 1.0])
any_probability = st.floats(0, 1)
single_precision = st.floats(0, 1, width=32).map(np.float32)
huge = st.sampled_from(
    [-LARGEST, -1e300, -1.0, -SMALLEST, 0.0, SMALLEST, 1.0, 1e300, math.nextafter(LARGEST, 0), LARGEST]
)
any_score = st.floats(allow_nan=False, allow_infinity=False)

PROBABILITIES = (few_values, constant, corners, any_probability, single_precision)
SCORES = (*PROBABILITIES, huge, any_score)


def rows(kinds: tuple[st.SearchStrategy[float], ...], users: int = 5) -> st.SearchStrategy[tuple[np.ndarray, ...]]:
    """Users (interleaved; one alone at times), labels (one class at times) and scores of one kind, [N] each."""
    size = st.integers(1, 30)
    user = st.one_of(st.just("only"), st.integers(0, users).map("user {}".format))
    label = st.one_of(st.just(0), st.just(1), *[st.integers(0, 1)] * 8)

    def columns(count: int, user: st.SearchStrategy, label: st.SearchStrategy, score: st.SearchStrategy):
        lists = (st.lists(each, min_size=count, max_size=count) for each in (user, label, score))
        return st.tuples(*lists).map(lambda drawn: tuple(np.array(column) for column in drawn))

    one_user, one_label = st.just(st.just("only")), st.sampled_from([st.just(0), st.just(1)])
    return st.tuples(
        size, st.one_of(st.just(user), one_user), st.one_of(*[st.just(label)] * 4, one_label), st.sampled_from(kinds)
    ).flatmap(lambda drawn: columns(*drawn))


@contextmanager
def float64() -> Iterator[None]:
    """torchmetrics turns counts into shares of torch's default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def torch_auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    with float64():
        return float(BinaryAUROC()(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels)))


def counted_auc(labels: np.ndarray, scores: np.ndarray) -> Fraction:
    """By the definition, in exact arithmetic: pairs won, ties counting half."""
    positives, negatives = scores[labels == 1].tolist(), scores[labels == 0].tolist()
    won = sum(Fraction((p > n) * 2 + (p == n), 2) for p in positives for n in negatives)
    return won / (len(positives) * len(negatives))


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")  # scikit-learn's
@given(rows(SCORES))
@settings(max_examples=100, deadline=None)
def test_auc_is_that_of_scikit_learn_and_of_an_exact_count(drawn):
    _, labels, scores = drawn

    ours = metrics.auc(labels, scores)

    if len(set(labels)) < 2:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores.astype(float)), abs=CLOSE)
        assert ours == pytest.approx(float(counted_auc(labels, scores)), abs=1e-14)


@given(rows(PROBABILITIES))
@settings(max_examples=80, deadline=None)
def test_auc_of_probabilities_is_that_of_torchmetrics(drawn):
    _, labels, scores = drawn

    if len(set(labels)) == 2:
        assert metrics.auc(labels, scores) == pytest.approx(torch_auroc(labels, scores), abs=CLOSE)


def test_auc_of_many_tied_rows_is_that_of_both():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 100_000), np.round(rng.random(100_000), 3)

    ours = metrics.auc(labels, scores)

    assert ours == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores), abs=CLOSE)
    assert ours == pytest.approx(torch_auroc(labels, scores), abs=CLOSE)


def test_auc_tells_large_logits_apart_where_torchmetrics_saturates_them():
    labels, logits = np.array([0, 1, 0, 1]), np.array([40.0, 41.0, 42.0, 43.0])  # sigmoid(40) is 1 in float64

    assert metrics.auc(labels, logits) == sklearn_metrics.roc_auc_score(labels, logits) == 0.75
    assert torch_auroc(labels, logits) == 0.5


def test_one_class_has_no_auc_where_torchmetrics_says_zero():
    assert math.isnan(metrics.auc([1, 1], [0.2, 0.4]))
    with pytest.warns(UserWarning, match="No negative samples"):
        assert torch_auroc(np.array([1, 1]), np.array([0.2, 0.4])) == 0.0


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")  # scikit-learn's
@given(rows(SCORES))
@settings(max_examples=100, deadline=None)
def test_gauc_is_a_loop_over_users_with_scikit_learn(drawn):
    users, labels, scores = drawn
    total, weights, defined = 0.0, 0, 0
    for user in sorted(set(users)):
        own = users == user
        if len(set(labels[own])) == 2:
            total += own.sum() * sklearn_metrics.roc_auc_score(labels[own], scores[own].astype(float))
            weights += int(own.sum())
            defined += 1

    ours = metrics.gauc(users, labels, scores)

    assert (ours.users, ours.users_total) == (defined, len(set(users)))
    assert ours.value == pytest.approx(total / weights, abs=CLOSE) if defined else math.isnan(ours.value)


@given(rows(SCORES))
@settings(max_examples=100, deadline=None)
def test_gauc_of_a_single_user_is_its_auc(drawn):
    _, labels, scores = drawn

    alone = metrics.gauc(np.full(len(labels), "only"), labels, scores).value

    assert alone == pytest.approx(metrics.auc(labels, scores), abs=1e-14, nan_ok=True)


@given(rows(PROBABILITIES))
@settings(max_examples=80, deadline=None)
def test_logloss_is_that_of_scikit_learn_on_clipped_probabilities(drawn):
    _, labels, scores = drawn
    clipped = np.clip(scores.astype(float), metrics.CLIP, 1 - metrics.CLIP)

    ours = metrics.logloss(labels, scores)

    assert ours == pytest.approx(sklearn_metrics.log_loss(labels, clipped, labels=[0, 1]), abs=CLOSE)


@given(rows((any_probability, single_precision, few_values)))
@settings(max_examples=100, deadline=None)
def test_without_saturated_scores_clipping_changes_nothing(drawn):
    _, labels, scores = drawn
    inner = 0.001 + 0.998 * scores.astype(float)

    ours = metrics.logloss(labels, inner)

    assert ours == pytest.approx(sklearn_metrics.log_loss(labels, inner, labels=[0, 1]), abs=CLOSE)


@given(rows(PROBABILITIES), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_calibration_error_is_that_of_torchmetrics_in_the_same_bins(drawn, bins):
    _, labels, scores = drawn
    ours = metrics.calibration(labels, scores, bins)
    closed = torch.tensor(ours.edges)
    closed[-1] = math.nextafter(1, 2)  # else torchmetrics gives a score of 1 a bin behind the last one

    theirs = _ce_compute(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels), closed)

    assert ours.count.sum() == len(scores)
    assert ours.error == pytest.approx(float(theirs), abs=CLOSE)


@given(rows((any_probability, single_precision)), st.integers(1, 30))
@settings(max_examples=80, deadline=None)
def test_calibration_error_is_that_of_torchmetrics_away_from_the_edges(drawn, bins):
    _, labels, scores = drawn
    place = scores.astype(float) * bins
    scores, labels = (column[np.abs(place - np.round(place)) > 1e-9] for column in (scores, labels))

    if len(scores):
        theirs = binary_calibration_error(torch.tensor(scores, dtype=torch.float64), torch.tensor(labels), bins)
        assert metrics.calibration(labels, scores, bins).error == pytest.approx(float(theirs), abs=CLOSE)


@pytest.mark.parametrize("bins", [2, 3, 7, 10, 15, 30])
def test_a_score_on_an_edge_begins_its_bin_and_one_ends_the_last(bins):
    edges = np.array([k / bins for k in range(bins + 1)])

    count = metrics.calibration(np.zeros(bins + 1, int), edges, bins).count

    assert count.tolist() == [1] * (bins - 1) + [2]


def test_a_certain_score_shares_the_last_bin_where_torchmetrics_opens_another():
    labels, scores = np.array([1, 0]), np.array([1.0, 0.95])

    assert metrics.calibration(labels, scores, 10).error == pytest.approx(abs(0.975 - 0.5), abs=CLOSE)
    theirs = binary_calibration_error(torch.tensor(scores), torch.tensor(labels), 10)
    assert float(theirs) == pytest.approx(0.95 / 2, abs=CLOSE)


# One list of candidates per target: (its length, the target's place among untied scores).
ranked_lists = st.lists(
    st.integers(2, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))), min_size=1, max_size=8
)


def ranked(lists: list[tuple[int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and relevance, the target at its rank. No score is 0, which torchmetrics takes for 'not retrieved'."""
    made = []
    for number, (size, rank) in enumerate(lists):
        scores = 1.0 + np.random.default_rng([size, rank, number]).permutation(size)
        made.append((scores, scores == size + 1 - rank))
    return made


@given(ranked_lists, st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_hit_rate_and_mrr_are_those_of_torchmetrics(lists, k):
    tensors = [(torch.tensor(scores), torch.tensor(target)) for scores, target in ranked(lists)]
    ranks = [rank for _, rank in lists]

    with float64():  # list by list: the class of torchmetrics that takes the mean does so in float32
        hits = [float(retrieval_hit_rate(*pair, top_k=min(k, len(pair[0])))) for pair in tensors]
        reciprocal = [float(retrieval_reciprocal_rank(*pair)) for pair in tensors]

    assert metrics.hit_rate(ranks, k) == pytest.approx(np.mean(hits), abs=CLOSE)
    assert metrics.mrr(ranks) == pytest.approx(np.mean(reciprocal), abs=CLOSE)


@given(ranked_lists, st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_ndcg_and_mrr_are_those_of_scikit_learn(lists, k):
    made = ranked(lists)
    ranks = [rank for _, rank in lists]

    gains = [sklearn_metrics.ndcg_score([target.astype(float)], [scores], k=k) for scores, target in made]
    precisions = [sklearn_metrics.label_ranking_average_precision_score([target], [scores]) for scores, target in made]

    assert metrics.ndcg(ranks, k) == pytest.approx(np.mean(gains), abs=CLOSE)
    assert metrics.mrr(ranks) == pytest.approx(np.mean(precisions), abs=CLOSE)


@given(st.integers(1, 30), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_ndcg_is_that_of_torchmetrics_as_far_as_float32_goes(rank, k):
    ((scores, target),) = ranked([(30, rank)])
    exact = 1 / math.log2(1 + rank) if rank <= k else 0.0

    with float64():
        theirs = float(retrieval_normalized_dcg(torch.tensor(scores), torch.tensor(target), top_k=k))

    assert metrics.ndcg([rank], k) == pytest.approx(exact, abs=1e-15)
    assert theirs == pytest.approx(exact, abs=FLOAT32)


@given(rows(PROBABILITIES), st.integers(0, 1000), st.sampled_from(["auc", "gauc", "logloss"]))
@settings(max_examples=60, deadline=None)
def test_the_bootstraps_effect_is_the_difference_of_the_metric_itself(drawn, seed, metric):
    users, labels, base = drawn
    other = np.random.default_rng(seed).permutation(base)
    values = {
        "auc": lambda scores: metrics.auc(labels, scores),
        "gauc": lambda scores: metrics.gauc(users, labels, scores).value,
        "logloss": lambda scores: metrics.logloss(labels, scores),
    }

    effect = paired(metric, users, labels, base, other, replicates=0, seed=seed)

    assert effect.effect == pytest.approx(values[metric](other) - values[metric](base), abs=CLOSE, nan_ok=True)
    assert effect.reason or not math.isnan(effect.effect)


def test_the_bootstraps_interval_is_that_of_a_loop_over_resampled_users():
    """Each replicate measured by scikit-learn on the rows of the drawn users, repeated as often as they were drawn."""
    rng = np.random.default_rng(3)
    users, labels = rng.integers(0, 8, 200), rng.integers(0, 2, 200)
    base = np.round(rng.random(200), 1)
    other = np.round(0.7 * rng.random(200) + 0.3 * labels, 1)
    count, seed = 40, 5

    effect = paired("auc", users, labels, base, other, replicates=count, seed=seed)

    draws = np.random.default_rng([seed, bootstrap._STREAM])
    differences = []
    for start in range(0, count, bootstrap._CHUNK):
        for row in draws.integers(8, size=(min(bootstrap._CHUNK, count - start), 8)):
            weight = np.bincount(row, minlength=8)[users]
            first, second = (sklearn_metrics.roc_auc_score(labels, s, sample_weight=weight) for s in (base, other))
            differences.append(second - first)
    low, high = np.percentile(differences, [2.5, 97.5])
    assert (effect.low, effect.high) == (pytest.approx(low, abs=CLOSE), pytest.approx(high, abs=CLOSE))


@given(rows(PROBABILITIES))
@settings(max_examples=100, deadline=None)
def test_scores_of_single_precision_lose_nothing(drawn):
    users, labels, scores = drawn
    narrow = scores.astype(np.float32)

    assert metrics.gauc(users, labels, narrow) == metrics.gauc(users, labels, narrow.astype(float)) or math.isnan(
        metrics.gauc(users, labels, narrow).value
    )
    assert metrics.logloss(labels, narrow) == metrics.logloss(labels, narrow.astype(float))


def test_an_impression_alone_has_a_loss_and_no_auc():
    assert metrics.logloss([1], [0.25]) == pytest.approx(math.log(4), abs=CLOSE)
    assert math.isnan(metrics.auc([1], [0.25]))
    assert metrics.gauc(["u"], [1], [0.25]).users_total == 1
    assert metrics.calibration([1], [0.25], 4).error == pytest.approx(0.75, abs=CLOSE)

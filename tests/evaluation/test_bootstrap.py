"""The paired bootstrap: right effects, intervals that cover, the same draw for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.evaluation import metrics
from reaseq.evaluation.bootstrap import _WeightedAuc, paired, paired_mean, paired_over_seeds


def world(seed, users=60, signal=1.0, other_signal=1.0):
    """Rows of users with two score sets that know the label to some degree."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), rng.integers(2, 12, users))
    labels = rng.integers(0, 2, len(user))
    logits = [s * labels + rng.normal(size=len(user)) for s in (signal, other_signal)]
    return user, labels, *(1 / (1 + np.exp(-values)) for values in logits)


@pytest.mark.parametrize("metric", ["auc", "gauc", "logloss"])
def test_the_effect_is_the_plain_difference(metric):
    user, labels, base, other = world(0)
    plain = {
        "auc": lambda s: metrics.auc(labels, s),
        "gauc": lambda s: metrics.gauc(user, labels, s).value,
        "logloss": lambda s: metrics.logloss(labels, s),
    }[metric]

    change = paired(metric, user, labels, base, other, replicates=50, seed=0)

    assert change.effect == pytest.approx(plain(other) - plain(base), abs=1e-12)
    assert change.low <= change.effect <= change.high


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_weighted_auc_is_the_auc_of_the_repeated_rows(seed):
    rng = np.random.default_rng(seed)
    user, labels = rng.integers(0, 6, 40), rng.integers(0, 2, 40)
    scores = np.round(rng.random(40), 1)
    weights = rng.integers(0, 4, 6)
    repeated = np.repeat(np.arange(40), weights[user])

    ours = _WeightedAuc(user, labels.astype(np.int8), scores)(weights.astype(float))

    expected = metrics.auc(labels[repeated], scores[repeated])
    assert ours == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("metric", ["auc", "gauc", "logloss"])
def test_the_same_seed_gives_the_same_interval(metric):
    rows = world(1)

    first, second, other = (paired(metric, *rows, replicates=70, seed=seed) for seed in (3, 3, 4))

    assert first == second
    assert (first.low, first.high) != (other.low, other.high)


def test_a_model_against_itself_shows_nothing():
    user, labels, base, _ = world(2)

    change = paired("gauc", user, labels, base, base, replicates=50, seed=0)

    assert (change.effect, change.low, change.high) == (0, 0, 0)


def test_a_clear_improvement_excludes_zero():
    rows = world(3, users=150, signal=0.2, other_signal=2.0)

    for metric in ("auc", "gauc"):
        assert paired(metric, *rows, replicates=200, seed=0).low > 0
    assert paired("logloss", *rows, replicates=200, seed=0).high < 0


@pytest.mark.parametrize("metric", ["auc", "gauc"])
def test_intervals_cover_no_difference_about_nineteen_times_in_twenty(metric):
    worlds = 120
    changes = [paired(metric, *world(seed), replicates=120, seed=seed) for seed in range(worlds)]
    missed = sum(change.low > 0 or change.high < 0 for change in changes)

    assert 0.005 <= missed / worlds <= 0.13  # 5 % in the long run; ± 4 binomial standard deviations


def test_per_row_means_are_compared_by_user():
    users = np.array(["a", "a", "b", "c"])

    change = paired_mean(users, [0, 0, 1, 0], [1, 1, 1, 0], replicates=100, seed=0)

    assert change.effect == 0.5
    assert change.n == 3


def test_what_cannot_be_compared_says_why():
    nothing = paired("gauc", [1, 2], [1, 0], [0.1, 0.2], [0.3, 0.4], replicates=10, seed=0)
    one_class = paired("auc", [1, 2], [1, 1], [0.1, 0.2], [0.3, 0.4], replicates=10, seed=0)
    one_user = paired("auc", [1, 1], [1, 0], [0.1, 0.2], [0.3, 0.4], replicates=10, seed=0)

    assert np.isnan(nothing.effect)
    assert nothing.reason
    assert np.isnan(one_class.effect)
    assert one_class.reason == "one class only"
    assert (one_user.effect, one_user.reason) == (0.0, "one user")
    assert one_class.as_json()["effect"] is None


@pytest.mark.parametrize("metric", ["auc", "gauc"])
def test_of_one_seed_the_interval_over_seeds_is_the_paired_one(metric):
    user, labels, base, other = world(2)

    one = paired_over_seeds(metric, user, labels, base, [other], replicates=70, seed=3)

    assert one == paired(metric, user, labels, base, other, replicates=70, seed=3)
    thrice = paired_over_seeds(metric, user, labels, base, [other] * 3, replicates=70, seed=3)
    assert (thrice.effect, thrice.low, thrice.high) == pytest.approx((one.effect, one.low, one.high), abs=1e-12)


@pytest.mark.parametrize("metric", ["auc", "gauc"])
def test_the_effect_over_seeds_is_the_mean_of_each_seeds(metric):
    user, labels, base, other = world(4)
    others = [other, world(4, other_signal=2.0)[3], world(4, other_signal=0.2)[3]]

    effects = [paired(metric, user, labels, base, scores, replicates=0, seed=0).effect for scores in others]
    together = paired_over_seeds(metric, user, labels, base, others, replicates=50, seed=0)

    assert together.effect == pytest.approx(np.mean(effects), abs=1e-12)
    assert together.low <= together.effect <= together.high


def test_seeds_that_disagree_widen_the_interval():
    user, labels, base, _ = world(5, users=200)
    apart = [world(5, users=200, other_signal=signal)[3] for signal in (0.2, 1.0, 1.8)]
    alike = [world(5, users=200, other_signal=1.0)[3]] * 3

    wide, narrow = (
        paired_over_seeds("gauc", user, labels, base, others, replicates=200, seed=0) for others in (apart, alike)
    )

    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_users_without_both_classes_leave_the_effect_over_seeds_undefined():
    change = paired_over_seeds("gauc", [1, 2], [1, 0], [0.1, 0.2], [[0.3, 0.4]] * 3, replicates=10, seed=0)

    assert np.isnan(change.effect)
    assert change.reason == "no user has both a positive and a negative"

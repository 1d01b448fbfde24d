"""The two-level bootstrap: effects are differences of the metric itself, and chance of users and seeds both count."""

import numpy as np
import pytest

from reaseq.evaluation.claims.intervals import PerUser, contrast, difference, gauc_per_user
from reaseq.evaluation.metrics import gauc


def drawn(seeds: int, users: int, gain: float, noise: float, of_seed: float = 0.0) -> tuple[PerUser, PerUser]:
    rng = np.random.default_rng(0)
    base = rng.random((seeds, users))
    other = base + gain + noise * rng.normal(size=(seeds, users)) + of_seed * rng.normal(size=(seeds, 1))
    weight = rng.integers(1, 9, users).astype(float)
    return PerUser(base, weight), PerUser(other, weight)


def test_the_effect_is_the_difference_of_the_metric_averaged_over_seeds() -> None:
    rng = np.random.default_rng(1)
    users, labels = np.sort(rng.integers(0, 40, 600)), rng.integers(0, 2, 600).astype(np.int8)
    base, other = ([rng.random(600) for _ in range(3)] for _ in range(2))
    found = difference(gauc_per_user(users, labels, base), gauc_per_user(users, labels, other), replicates=50, seed=0)
    of_seeds = [gauc(users, labels, b).value - gauc(users, labels, a).value for a, b in zip(base, other, strict=True)]
    assert found.effect == pytest.approx(np.mean(of_seeds), abs=1e-12)
    assert found.low < found.effect < found.high


def test_an_interval_covers_a_null_effect_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for draw in range(100):
        base, gain = rng.random((5, 200)), rng.normal(size=(5, 200)) * 0.1
        weight = np.ones(200)
        found = difference(PerUser(base, weight), PerUser(base + gain, weight), replicates=200, seed=draw)
        covered += found.low <= 0 <= found.high
    assert covered >= 88


def test_chance_between_seeds_widens_the_interval() -> None:
    steady = difference(*drawn(5, 300, 0.02, 0.05), replicates=300, seed=0)
    shaky = difference(*drawn(5, 300, 0.02, 0.05, of_seed=0.05), replicates=300, seed=0)
    assert steady.low > 0
    assert shaky.high - shaky.low > 3 * (steady.high - steady.low)


def test_users_without_the_metric_take_no_part() -> None:
    base, other = drawn(2, 50, 0.1, 0.0)
    other.value[:, :10] = np.nan
    found = difference(base, other, replicates=20, seed=0)
    assert found.users == 40
    assert found.effect == pytest.approx(0.1)
    nothing = PerUser(np.full((2, 50), np.nan), base.weight)
    assert np.isnan(difference(nothing, other, replicates=20, seed=0).effect)


def test_a_contrast_subtracts_one_gain_from_another_on_the_same_draws() -> None:
    base, other = drawn(4, 200, 0.1, 0.01)
    same = contrast([(other, base), (other, base)], replicates=50, seed=0)
    assert (same.effect, same.low, same.high) == (0, 0, 0)


def test_draws_follow_from_the_seed() -> None:
    base, other = drawn(3, 80, 0.0, 0.2)
    first, again = (difference(base, other, replicates=100, seed=7) for _ in range(2))
    assert first == again
    assert first != difference(base, other, replicates=100, seed=8)

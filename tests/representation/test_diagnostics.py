import numpy as np
import pytest

from reaseq.representation.diagnostics import hit_rate, mean_pairwise_cosine


def units(n: int, dim: int = 6) -> np.ndarray:
    z = np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def test_mean_pairwise_cosine_is_the_mean_over_pairs() -> None:
    z = units(20)
    upper = (z @ z.T)[np.triu_indices(20, 1)]

    assert mean_pairwise_cosine(z) == pytest.approx(upper.mean(), abs=1e-6)


def test_hit_rate_counts_next_items_among_the_nearest_others() -> None:
    z = units(50)
    transitions = np.random.default_rng(1).integers(0, 50, (600, 2))
    transitions = transitions[transitions[:, 0] != transitions[:, 1]]

    cosine = z @ z.T - 9 * np.eye(50)
    nearest = np.argsort(-cosine, axis=1)[:, :7]
    expected = np.mean([after in nearest[before] for before, after in transitions])
    assert hit_rate(z, transitions, seed=0, k=7) == pytest.approx(expected)


def test_where_all_items_are_alike_a_hit_is_chance() -> None:
    z = np.repeat(units(1), 101, axis=0)
    transitions = np.stack([np.zeros(4000, int), np.full(4000, 100)], axis=1)

    assert hit_rate(z, transitions, seed=0, k=30) == pytest.approx(0.3, abs=0.03)


def test_without_transitions_there_is_no_hit_rate() -> None:
    assert hit_rate(units(5), np.empty((0, 2), np.int64), seed=0) is None

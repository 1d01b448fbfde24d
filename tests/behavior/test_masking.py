import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.behavior.masking import BEHAVIOR, CODE, SUFFIX, Masking, draw_masking

LEVELS, FLOOR, LONGEST_SUFFIX = 4, 0.1, 5


def _draw(
    counts: list[int], seed: int, kinds: tuple[int, ...], category: np.ndarray | None = None, drop: float = 0.0
) -> tuple[Masking, np.ndarray]:
    present = np.arange(max(counts)) < np.array(counts)[:, None]
    category = np.ones(present.shape, np.int64) if category is None else category
    rng = np.random.default_rng(seed)
    return draw_masking(
        present, category, LEVELS, rng, floor=FLOOR, history_drop=drop, longest_suffix=LONGEST_SUFFIX, kinds=kinds
    ), present


@given(
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    seed=st.integers(0, 10**6),
    categories=st.integers(1, 4),
    drop=st.sampled_from([0.0, 0.1, 1.0]),
)
@settings(max_examples=80, deadline=None)
def test_masks_stay_inside_the_sequence(counts: list[int], seed: int, categories: int, drop: float) -> None:
    category = np.random.default_rng(seed).integers(0, categories, size=(len(counts), max(counts)))
    masking, present = _draw(counts, seed, (CODE, BEHAVIOR, SUFFIX), category, drop)
    assert not masking.masked[~present].any()
    assert not masking.visible[~present].any()
    assert masking.visible.any(1).all()  # attention always has something to look at
    assert (masking.visible | ~masking.masked.any(2)).all()  # what is masked is there to be filled in
    assert ((masking.weight > 0) == masking.masked).all()
    assert np.isfinite(masking.weight).all()


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("kind", [CODE, BEHAVIOR, SUFFIX])
def test_each_masking_estimates_the_mean_over_its_codes_without_bias(kind: int, count: int) -> None:
    """E[Σ w_k x_k] = mean x for any x; for the code level given that m > 0, which has probability L/(L+1)."""
    samples = 60_000
    category = np.tile(np.array([1, 1, 2, 3, 3, 3, 2, 1])[:count], (samples, 1))
    masking, _ = _draw([count] * samples, 7, (kind,), category)
    weight = masking.weight.astype(np.float64)
    mean = weight.mean(0)  # [S, L]
    touched = min(count - 1, LONGEST_SUFFIX) if kind == SUFFIX else count
    expected = np.zeros((count, LEVELS))
    expected[count - touched :] = 1 / (touched * LEVELS)
    if kind == CODE:
        expected *= LEVELS / (LEVELS + 1)
    error = weight.std(0) / samples**0.5
    assert (np.abs(mean - expected) <= 5 * error + 1e-7).all()


def test_a_rare_category_weighs_less_by_no_more_than_the_floor() -> None:
    """One slot in twenty: its domain drop has p = .05, floored to .1; all else stays unbiased."""
    samples, count = 60_000, 20
    category = np.tile(np.array([2] + [1] * 19), (samples, 1))
    masking, _ = _draw([count] * samples, 3, (BEHAVIOR,), category)
    weight = masking.weight.astype(np.float64) * count * LEVELS
    mean, error = weight.mean(0), weight.std(0) / samples**0.5
    assert (np.abs(mean[1:] - 1) <= 5 * error[1:]).all()
    assert (np.abs(mean[0] - (0.5 * 1 + 0.5 * 0.05 / FLOOR)) <= 5 * error[0]).all()


def test_the_three_maskings_have_equal_shares_and_half_the_behaviour_samples_lose_a_category() -> None:
    samples, count = 3000, 10
    category = np.tile(np.arange(count) % 2, (samples, 1))
    masking, _ = _draw([count] * samples, 1, (BEHAVIOR,), category)
    slots = masking.masked.all(2)
    by_category = (slots == (category == 0)).all(1) | (slots == (category == 1)).all(1)
    assert 0.46 < by_category.mean() < 0.54
    masking, _ = _draw([count] * samples, 2, (CODE, BEHAVIOR, SUFFIX))
    partial = (masking.masked.any(2) & ~masking.masked.all(2)).any(1)
    assert 0.30 < partial.mean() < 0.37  # the code level; others mask whole slots


def test_a_history_is_never_taken_away_whole_by_category_or_share() -> None:
    counts = [2, 3, 5] * 200
    masking, present = _draw(counts, 5, (BEHAVIOR, SUFFIX))
    assert (masking.masked.all(2).sum(1) < present.sum(1)).all()


def test_the_unconditional_branch_sees_only_masked_slots() -> None:
    masking, _ = _draw([8] * 500, 5, (BEHAVIOR, SUFFIX), drop=1.0)
    assert (masking.visible == masking.masked.any(2)).all()

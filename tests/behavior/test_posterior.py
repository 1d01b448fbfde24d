"""What an item's score is, and what it is trained by: the posterior over the catalogue, popularity its prior."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.behavior import loss
from reaseq.behavior.catalogue import Catalogue, score_catalogue
from reaseq.behavior.loss import item_loss
from tests.behavior.toys import LEVELS, toy_categories, toy_model, toy_tables

ITEMS = 30
Z, CODES = toy_tables(ITEMS)
CATEGORY = toy_categories(ITEMS)
MODEL = toy_model()


def _events(seed: int) -> np.ndarray:
    """Every item at least once, some far more often."""
    rng = np.random.default_rng(seed)
    return np.concatenate([np.arange(1, ITEMS + 1), rng.zipf(1.7, size=200) % ITEMS + 1])


def _unit(seed: int, *shape: int) -> torch.Tensor:
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1)


def _posterior(latent: torch.Tensor, events: np.ndarray, scale: float) -> np.ndarray:
    """float64 [n, V] of items 1…V: share of events times exp(scale · cosine), normalised."""
    share = np.bincount(events, minlength=ITEMS + 1)[1:] / len(events)
    worth = share * np.exp(scale * latent.double().numpy() @ Z[1:].T.astype(np.float64))
    return worth / worth.sum(1, keepdims=True)


@given(seed=st.integers(0, 10**6), scale=st.floats(0.0, 100.0))
@settings(max_examples=40, deadline=None)
def test_scores_are_the_logarithm_of_the_posterior_over_the_catalogue(seed: int, scale: float) -> None:
    events, latent = _events(seed), _unit(seed, 7, 128)
    score = score_catalogue(latent, Catalogue.known_before(events, Z, CODES, CATEGORY), scale)
    assert torch.allclose(score.exp().sum(1), torch.ones(7), atol=1e-5)
    np.testing.assert_allclose(score.numpy(), np.log(_posterior(latent, events, scale)), atol=2e-4)


def test_a_latent_that_says_nothing_leaves_the_share_of_events() -> None:
    events = _events(0)
    score = score_catalogue(_unit(0, 1, 128), Catalogue.known_before(events, Z, CODES, CATEGORY), 0.0)
    np.testing.assert_allclose(score.exp()[0], np.bincount(events)[1:] / len(events), rtol=1e-5)


@given(seed=st.integers(0, 10**6), rare=st.integers(1, 5), more=st.integers(1, 40), scale=st.floats(0.0, 100.0))
@settings(max_examples=40, deadline=None)
def test_of_two_items_with_the_same_vector_the_more_frequent_is_likelier(
    seed: int, rare: int, more: int, scale: float
) -> None:
    z = Z.copy()
    z[9] = z[4]
    events = np.repeat([4, 9, 17], [rare, rare + more, 3])
    score = score_catalogue(_unit(seed, 5, 128), Catalogue.known_before(events, z, CODES, CATEGORY), scale)
    assert (score[:, 1] > score[:, 0]).all()
    assert torch.allclose(score[:, 1] - score[:, 0], torch.tensor((rare + more) / rare).log(), atol=1e-4)


def _batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hidden states [4, 6, L, 32], slots bool [4, 6] and items [4, 6]."""
    generator = torch.Generator().manual_seed(seed)
    slots = torch.rand(4, 6, generator=generator) < 0.6
    slots[0, 0] = True
    items = torch.randint(1, ITEMS + 1, (4, 6), generator=generator)
    return torch.randn(4, 6, LEVELS, 32, generator=generator), slots, items


@torch.no_grad()
def _measured(seed: int, events: np.ndarray) -> float:
    return item_loss(MODEL, *_batch(seed), Catalogue.known_before(events, Z, CODES, CATEGORY)).item()


@torch.no_grad()
def _expected(
    seed: int, events: np.ndarray, every: int = 1, among: np.ndarray | None = None, thinned: int = 1
) -> float:
    """Cross-entropy in float64 of every n-th of the slots' items, over all items or over those at positions `among`
    with the targets, each counting by the inverse of its probability to be a candidate: one in `thinned` by itself, or
    as a target."""
    hidden, slots, items = _batch(seed)
    posterior = _posterior(MODEL.latent(hidden[slots][::every]), events, MODEL.latent_scale.item())
    target = items[slots][::every].numpy() - 1
    chosen = posterior[np.arange(len(target)), target]
    if among is not None:
        share = np.bincount(events, minlength=ITEMS + 1)[1:] / len(events)
        candidate = 1 - (1 - 1 / thinned) * (1 - share) ** (len(target) - 1)
        weighed = posterior / candidate
        chosen = weighed[np.arange(len(target)), target] / weighed[:, np.union1d(among, target)].sum(1)
    return float(-np.log(chosen).mean())


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_item_loss_is_the_cross_entropy_of_the_true_items(seed: int) -> None:
    assert _measured(seed, _events(seed)) == pytest.approx(_expected(seed, _events(seed)), abs=1e-4)


def test_of_more_slots_than_are_looked_at_every_nth_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = int(_batch(3)[1].sum())
    monkeypatch.setattr(loss, "LATENT_TARGETS", slots // 2)
    every = -(-slots // (slots // 2))
    assert every > 1
    assert _measured(3, _events(3)) == pytest.approx(_expected(3, _events(3), every), abs=1e-4)


def test_no_slot_costs_nothing() -> None:
    hidden, slots, items = _batch(0)
    catalogue = Catalogue.known_before(_events(0), Z, CODES, CATEGORY)
    assert item_loss(MODEL, hidden, slots & False, items, catalogue) == 0


@given(seed=st.integers(0, 10**6), most=st.integers(1, ITEMS - 1))
@settings(max_examples=60, deadline=None)
def test_of_a_catalogue_that_is_too_large_every_nth_item_and_all_targets_are_candidates(seed: int, most: int) -> None:
    every = -(-ITEMS // most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss, "MOST_ITEMS", most)
        measured = _measured(seed, _events(seed))
    possible = [
        _expected(seed, _events(seed), among=np.arange(first, ITEMS, every), thinned=every) for first in range(every)
    ]
    assert any(measured == pytest.approx(value, abs=1e-4) for value in possible)


def test_which_items_a_large_catalogue_is_thinned_to_differs_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "MOST_ITEMS", ITEMS // 3)
    firsts = set()
    for seed in range(12):
        possible = [_expected(seed, _events(seed), among=np.arange(first, ITEMS, 3), thinned=3) for first in range(3)]
        firsts.add(int(np.argmin(np.abs(np.array(possible) - _measured(seed, _events(seed))))))
    assert firsts == {0, 1, 2}

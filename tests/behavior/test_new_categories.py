"""The share of a user's inferences that is kept for categories which the log lacks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.behavior import grounding, shortlists
from reaseq.behavior.catalogue import Catalogue, score_catalogue
from reaseq.behavior.grounding import Floors, Grounded, Rules, ground
from reaseq.behavior.inference import rules_of
from reaseq.behavior.shortlists import WholeCatalogue
from reaseq.config import load
from tests.behavior.test_grounding import CATEGORY, CODES, EVERY, NO_FLOORS, SCALE, SURE, Z, _world

INFERRED = 5


def _ground(
    seed: int, history: np.ndarray, events: np.ndarray, rules: Rules, category: np.ndarray = CATEGORY
) -> Grounded:
    catalogue = Catalogue.known_before(events, Z, CODES, category)
    return ground(*_world(seed, users=len(history)), torch.from_numpy(history), WholeCatalogue(catalogue, SURE), rules)


def _new(items: list[int], history: np.ndarray, category: np.ndarray = CATEGORY) -> set[int]:
    """Those of a category, of which the history has nothing."""
    return {i for i in items if i and category[i] and category[i] not in category[history]}


@given(
    seed=st.integers(0, 10**6), known=st.integers(2, 60), logged=st.integers(1, 6), asked=st.integers(0, INFERRED),
    categories=st.integers(1, 12), floor=st.sampled_from([-1.0, 0.0]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_the_asked_number_is_of_new_categories_as_far_as_there_are_any(
    seed: int, known: int, logged: int, asked: int, categories: int, floor: float
) -> None:
    """Whatever the log, the catalogue and the floor; the rest is filled up, and nothing of the history is chosen."""
    rng = np.random.default_rng(seed)
    category = rng.integers(0, categories + 1, size=len(Z))
    category[0] = 0
    events = rng.choice(EVERY, size=known)
    history = rng.choice(np.unique(events), size=(3, logged))
    rules = Rules(INFERRED, mmr_lambda=0.7, floors=Floors(floor, floor), new_categories=asked)
    grounded = _ground(seed, history, events, rules, category)
    for user in range(3):
        chosen = [i for i in grounded.items[user].tolist() if i]
        mean = Z[history[user]].sum(0)
        cosine = Z @ mean / np.linalg.norm(mean)
        assert not set(chosen) & set(history[user])
        able = [i for i in sorted({*events} - {*history[user]}) if cosine[i] >= floor]
        assert len(chosen) == min(INFERRED, len(able))
        assert len(_new(chosen, history[user], category)) >= min(asked, len(_new(able, history[user], category)))


@pytest.mark.parametrize("asked", range(INFERRED + 1))
def test_where_the_log_s_own_categories_are_likelier_just_the_asked_number_is_new(
    asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items of new categories are a thousandth as frequent: none would be among a slot's most probable ones."""
    monkeypatch.setattr(shortlists, "SHORTLIST", 6)
    history = np.array([[1, 2], [5, 14], [17, 10]])  # of the categories 1 and 2
    own = EVERY[CATEGORY[EVERY] <= 2]
    rules = Rules(INFERRED, mmr_lambda=1.0, floors=NO_FLOORS, new_categories=asked)
    grounded = _ground(8, history, np.concatenate([EVERY, np.tile(own, 1000)]), rules)
    assert (grounded.items > 0).all()
    for user in range(3):
        assert len(_new(grounded.items[user].tolist(), history[user])) == asked


def _same(one: Grounded, other: Grounded) -> bool:
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("items", "slot", "confidence"))


def test_a_log_that_lacks_no_category_is_inferred_for_as_if_none_had_been_asked_for() -> None:
    history = np.array([[1, 2, 3, 4], [8, 7, 6, 5]])
    asked, free = (_ground(3, history, EVERY, Rules(INFERRED, 0.7, NO_FLOORS, new)) for new in (3, 0))
    assert _same(asked, free)
    assert (asked.items > 0).all()


def test_so_is_one_whose_new_categories_all_lie_below_their_floor() -> None:
    history = np.array([[1], [2]])
    floors = Floors(held=-1.0, lacking=1.1)
    asked, free = (_ground(3, history, EVERY, Rules(INFERRED, 0.7, floors, new)) for new in (3, 0))
    assert _same(asked, free)
    assert (asked.items > 0).all()


def test_items_without_a_category_are_of_no_new_one() -> None:
    history, without = np.array([[1], [2]]), np.zeros_like(CATEGORY)
    asked, free = (_ground(3, history, EVERY, Rules(INFERRED, 0.7, NO_FLOORS, new), without) for new in (3, 0))
    assert _same(asked, free)
    assert (asked.items > 0).all()


def test_a_confidence_is_the_posterior_in_the_items_slot() -> None:
    history, rules = np.array([[1], [2], [3]]), Rules(INFERRED, 0.7, NO_FLOORS, new_categories=2)
    catalogue, (latent, codes) = Catalogue.known_before(EVERY, Z, CODES, CATEGORY), _world(6)
    grounded = ground(latent, codes, torch.from_numpy(history), WholeCatalogue(catalogue, SURE), rules)
    rows = torch.arange(3)[:, None]
    score = score_catalogue(latent.flatten(0, 1), catalogue, SCALE).view(3, 6, -1)
    assert torch.allclose(grounded.confidence, score.exp()[rows, grounded.slot, grounded.items - 1], atol=1e-6)


@pytest.mark.parametrize(("share", "number"), [(0.0, 0), (0.3, 3), (0.5, 5), (1.0, 10)])
def test_the_configuration_asks_for_a_share_of_the_inferred_ones(share: float, number: int) -> None:
    config = load("tiny", overrides={"behavior.new_category_share": share}).behavior
    fitted = SimpleNamespace(items=np.array([1, 5, 2]), offsets=np.array([0, 3]))
    rules = rules_of(config, fitted, SimpleNamespace(z=Z), CATEGORY)  # type: ignore[arg-type]
    assert (rules.inferred, rules.new_categories) == (config.inferred, number)
    assert rules.floors == grounding.consistency_floors(
        fitted.items, fitted.offsets, Z, CATEGORY, config.consistency_percentile
    )

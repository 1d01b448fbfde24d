"""An index in place of the whole catalogue."""

import numpy as np
import pytest
import torch

from reaseq.behavior.approximate_shortlists import NearItems
from reaseq.behavior.catalogue import Catalogue, Posterior
from reaseq.behavior.grounding import Floors, Rules, ground, held_categories
from reaseq.behavior.inference import open_shortlists
from reaseq.behavior.shortlists import Shortlists, WholeCatalogue
from reaseq.config import load
from tests.behavior.toys import SIZE, toy_categories, toy_tables

ITEMS, USERS, SLOTS = 3000, 6, 8
Z, CODES = toy_tables(ITEMS)
CATEGORY = toy_categories(ITEMS)
RNG = np.random.default_rng(0)
CATALOGUE = Catalogue.known_before(
    np.concatenate([np.arange(1, ITEMS + 1), RNG.zipf(1.5, 9000) % ITEMS + 1]), Z, CODES, CATEGORY
)
SURE = Posterior(10.0, 1.1)
HISTORY = torch.from_numpy(RNG.choice([i for i in range(1, ITEMS + 1) if CATEGORY[i] <= 2], size=(USERS, 5)))
LATENT = torch.nn.functional.normalize(
    torch.from_numpy(Z)[HISTORY[:, :1]]
    + 0.05 * torch.randn(USERS, SLOTS, 128, generator=torch.Generator().manual_seed(0)),
    dim=-1,
)
DRAWN = torch.from_numpy(RNG.integers(0, SIZE, size=(USERS, SLOTS, 4)))


def _chosen(shortlists: Shortlists, asked: int) -> tuple[torch.Tensor, torch.Tensor]:
    found = ground(LATENT, DRAWN, HISTORY, shortlists, Rules(5, 0.7, Floors(-1.0, -1.0), asked))
    return found.items, found.confidence


@pytest.mark.parametrize("asked", [0, 3])
def test_it_chooses_nearly_what_the_whole_catalogue_does(asked: int) -> None:
    items, sure = _chosen(NearItems(CATALOGUE, SURE, probed=1.0), asked)
    exact, exactly = _chosen(WholeCatalogue(CATALOGUE, SURE), asked)
    same = [len(set(a) & set(b)) / len(b) for a, b in zip(items.tolist(), exact.tolist(), strict=True)]
    assert np.mean(same) >= 0.9
    assert torch.allclose(sure.sum(1), exactly.sum(1), rtol=0.1)
    for user in range(USERS):
        chosen = items[user].tolist()
        assert not set(chosen) & set(HISTORY[user].tolist())
        assert sum(CATEGORY[i] not in CATEGORY[HISTORY[user]] for i in chosen) >= asked


def test_the_same_seed_gives_the_same_items_and_confidences() -> None:
    (items, sure), (again, once_more) = (_chosen(NearItems(CATALOGUE, SURE, seed=3), 3) for _ in range(2))
    assert torch.equal(items, again) and torch.equal(sure, once_more)


@pytest.mark.parametrize("fresh", [False, True])
def test_a_user_gets_the_same_alone_and_beside_a_long_log(fresh: bool) -> None:
    near = NearItems(CATALOGUE, SURE)
    known = torch.full((2, 300), ITEMS)
    known[0, :5] = CATALOGUE.position(HISTORY[0])
    known[1] = torch.arange(300)
    held = held_categories(known, CATALOGUE)
    alone = near.of(LATENT[:1], known[:1, :5], held[:1], fresh=fresh)
    beside = near.of(LATENT[:2], known, held, fresh=fresh)
    assert all(torch.equal(one, both[:1]) for one, both in zip(alone, beside, strict=True))


@pytest.mark.parametrize("few", [10, 40])
def test_a_catalogue_of_a_few_items_has_shortlists(few: int) -> None:
    small = Catalogue.known_before(np.arange(1, few + 1), Z, CODES, CATEGORY)
    shortlists = open_shortlists(small, SURE, load("tiny", overrides={"behavior.exact_items": 0}).behavior)
    items, _ = _chosen(shortlists, 0)
    assert (items > 0).all() and items.max() <= few


@pytest.mark.parametrize(("exact_items", "kind"), [(ITEMS, WholeCatalogue), (100, NearItems)])
def test_the_catalogue_s_size_decides(exact_items: int, kind: type) -> None:
    config = load("tiny", overrides={"behavior.exact_items": exact_items}).behavior
    assert isinstance(open_shortlists(CATALOGUE, SURE, config), kind)


def test_artifacts_keep_their_keys_where_the_threshold_is_the_default() -> None:
    assert "exact_items" not in load("small").model_dump(mode="json")["behavior"]

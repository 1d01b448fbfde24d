import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.behavior import grounding, shortlists
from reaseq.behavior.catalogue import Catalogue, Posterior, score_catalogue
from reaseq.behavior.grounding import (
    Floors,
    Rules,
    _candidates,
    _with_codes,
    consistency_floors,
    ground,
    held_categories,
)
from reaseq.behavior.shortlists import WholeCatalogue
from tests.behavior.toys import LEVELS, SIZE, toy_categories, toy_tables

Z, CODES = toy_tables()
CATEGORY = toy_categories()
EVERY = np.arange(1, 31)
SCALE = 10.0
SURE = Posterior(SCALE)
NO_FLOORS = Floors(-1.0, -1.0)


def _world(seed: int, users: int = 3, slots: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """ẑ and codes."""
    generator = torch.Generator().manual_seed(seed)
    latent = torch.nn.functional.normalize(torch.randn(users, slots, 128, generator=generator), dim=-1)
    return latent, torch.randint(0, SIZE, (users, slots, LEVELS), generator=generator)


def _known(events: np.ndarray = EVERY) -> Catalogue:
    return Catalogue.known_before(events, Z, CODES, CATEGORY)


def _listed(
    latent: torch.Tensor, codes: torch.Tensor, history: torch.Tensor, catalogue: Catalogue, rules: Rules
) -> tuple[torch.Tensor, torch.Tensor]:
    known, whole = catalogue.position(history), WholeCatalogue(catalogue, SURE)
    found = _candidates(latent, _with_codes(codes, catalogue), known, held_categories(known, catalogue), whole, rules)
    return found.items, found.score


@given(
    seed=st.integers(0, 10**6),
    known=st.integers(2, 30),
    logged=st.integers(1, 12),
    held=st.sampled_from([-1.0, 0.0]),
    lacking=st.sampled_from([-1.0, 0.0]),
    asked=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_only_known_items_that_are_new_to_the_user_are_chosen(
    seed: int, known: int, logged: int, held: float, lacking: float, asked: int
) -> None:
    rng = np.random.default_rng(seed)
    events = rng.choice(EVERY, size=known)
    history = rng.choice(np.unique(events), size=(3, logged))
    rules = Rules(inferred=5, mmr_lambda=0.7, floors=Floors(held, lacking), new_categories=asked)
    grounded = ground(*_world(seed), torch.from_numpy(history), WholeCatalogue(_known(events), SURE), rules)
    for user in range(3):
        items = [i for i in grounded.items[user].tolist() if i]
        confidence = grounded.confidence[user].tolist()
        assert set(items) <= set(events.tolist()) - set(history[user].tolist())
        assert len(set(items)) == len(items)
        assert confidence == sorted(confidence, reverse=True)
        assert all(0 < c <= 1 for c in confidence[: len(items)])
        assert not any(confidence[len(items) :])
        mean = Z[history[user]].sum(0)
        floor = {True: held, False: lacking}
        categories = set(CATEGORY[history[user]])
        assert all(Z[i] @ mean / np.linalg.norm(mean) >= floor[CATEGORY[i] in categories] - 1e-5 for i in items)
        assert len(set(grounded.slot[user, : len(items)].tolist())) == len(items)


def test_an_item_that_codes_and_latent_agree_on_comes_first() -> None:
    latent, codes = _world(1, users=1, slots=1)
    latent[0, 0] = torch.from_numpy(Z[9])
    codes[0, 0] = torch.from_numpy(CODES[9])
    rules = Rules(inferred=1, mmr_lambda=0.7, floors=NO_FLOORS)
    grounded = ground(latent, codes, torch.tensor([[3]]), WholeCatalogue(_known(), SURE), rules)
    assert grounded.items.tolist() == [[9]]
    assert score_catalogue(latent[0], _known(), SCALE).argmax().item() == 8


def test_an_item_with_just_the_codes_is_a_candidate_however_far_its_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlists, "SHORTLIST", 2)
    latent, codes = _world(1, users=1, slots=1)
    far = int((Z[1:] @ latent[0, 0].numpy()).argmin()) + 1
    codes[0, 0] = torch.from_numpy(CODES[far])
    items, score = _listed(latent, codes, torch.tensor([[0]]), _known(), Rules(1, 0.7, NO_FLOORS))
    assert far - 1 in items[0, 0].tolist()
    assert (score > -torch.inf).all()


def test_codes_are_told_apart_however_many_levels_there_are() -> None:
    """256 codes in each of 16 levels are more tuples than 64 bits."""
    codes = np.full((4, 16), 255)
    codes[2, -1], codes[3, 0] = 254, 254
    catalogue = Catalogue.known_before(np.arange(1, 4), Z[:4], codes, CATEGORY)
    asked = torch.from_numpy(np.stack([codes[1:], np.zeros((3, 16), np.int64)]))
    assert _with_codes(asked, catalogue).tolist() == [[0, 1, 2], [3, 3, 3]]


@pytest.mark.parametrize("asked", [0, 2])
def test_scores_of_candidates_are_those_of_the_whole_catalogue(asked: int) -> None:
    latent, codes = _world(4, users=2, slots=3)
    catalogue, rules = _known(), Rules(4, 0.7, NO_FLOORS, new_categories=asked)
    items, score = _listed(latent, codes, torch.tensor([[0], [5]]), catalogue, rules)
    whole = score_catalogue(latent.flatten(0, 1), catalogue, SCALE).view(2, 3, -1)
    listed = score > -torch.inf
    assert torch.allclose(whole.gather(2, items)[listed], score[listed], atol=1e-4)


def test_users_grounded_in_turn_get_what_they_get_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules(4, 0.7, NO_FLOORS, new_categories=2)
    history = torch.tensor([[1, 2], [3, 0], [4, 5]])
    together = ground(*_world(2), history, WholeCatalogue(_known(), SURE), rules)
    monkeypatch.setattr(shortlists, "MOST_LOGITS", 1)
    monkeypatch.setattr(grounding, "CHOSEN_AT_ONCE", 1)
    in_turn = ground(*_world(2), history, WholeCatalogue(_known(), SURE), rules)
    assert torch.equal(in_turn.items, together.items)
    assert torch.allclose(in_turn.confidence, together.confidence)


def test_rare_items_are_more_novel() -> None:
    novelty = _known(np.array([1, 1, 1, 1, 2, 2, 3])).novelty.tolist()
    assert novelty == sorted(novelty)
    assert novelty[-1] == 1.0


def test_the_two_floors_are_percentiles_over_real_pairs_apart_for_new_categories() -> None:
    items, offsets = np.array([1, 2, 5, 5, 4, 9, 2, 30, 7]), np.array([0, 5, 5, 9])
    category = CATEGORY.copy()
    category[30] = 0  # of no category, so of none that is new
    held, lacking = [], []
    for user in range(3):
        log = items[offsets[user] : offsets[user + 1]].tolist()
        for at in range(1, len(log)):
            mean = Z[log[:at]].mean(0)
            new = category[log[at]] > 0 and category[log[at]] not in category[log[:at]]
            (lacking if new else held).append(mean @ Z[log[at]] / np.linalg.norm(mean))
    assert (len(held), len(lacking)) == (3, 4)
    floors = consistency_floors(items, offsets, Z, category, 30.0)
    assert np.isclose(floors.held, np.percentile(held, 30.0), atol=1e-6)
    assert np.isclose(floors.lacking, np.percentile(lacking, 30.0), atol=1e-6)


def test_a_floor_without_pairs_lets_everything_through() -> None:
    assert consistency_floors(np.array([1]), np.array([0, 1]), Z, CATEGORY, 5.0) == Floors(-1.0, -1.0)
    alike = consistency_floors(np.array([1, 5]), np.array([0, 2]), Z, CATEGORY, 5.0)
    assert alike.lacking == -1.0 and alike.held == pytest.approx(float(Z[1] @ Z[5]), abs=1e-6)


def test_a_temperature_changes_how_sure_an_inference_is_and_not_what_a_single_slot_infers() -> None:
    latent, codes = _world(5, slots=1)
    history, rules = torch.zeros(3, 1, dtype=torch.long), Rules(1, 1.0, NO_FLOORS)
    whole = [WholeCatalogue(_known(), Posterior(SCALE, temperature)) for temperature in (1.0, 2.0)]
    plain, warm = (ground(latent, codes, history, each, rules) for each in whole)
    assert torch.equal(plain.items, warm.items)
    assert (warm.confidence < plain.confidence).all()

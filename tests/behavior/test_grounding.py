import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.behavior import grounding
from reaseq.behavior.grounding import Catalogue, Rules, consistency_floor, ground, score_catalogue
from tests.behavior.toys import LEVELS, SIZE, toy_tables

Z, CODES = toy_tables()
SCALE = 10.0


def _world(seed: int, users: int = 3, slots: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    latent = torch.nn.functional.normalize(torch.randn(users, slots, 128, generator=generator), dim=-1)
    log_probs = torch.randn(users, slots, LEVELS, SIZE, generator=generator).log_softmax(-1)
    return latent, log_probs, log_probs.argmax(-1)


@given(
    seed=st.integers(0, 10**6), known=st.integers(2, 30), logged=st.integers(1, 12), floor=st.sampled_from([-1.0, 0.0])
)
@settings(max_examples=60, deadline=None)
def test_only_known_items_that_are_new_to_the_user_are_chosen(seed: int, known: int, logged: int, floor: float) -> None:
    rng = np.random.default_rng(seed)
    events = rng.choice(np.arange(1, 31), size=known)
    history = rng.choice(np.unique(events), size=(3, logged))
    catalogue = Catalogue.known_before(events, Z, CODES)
    rules = Rules(inferred=5, mmr_lambda=0.7, consistency_floor=floor)
    grounded = ground(*_world(seed), torch.from_numpy(history), catalogue, SCALE, rules)
    for user in range(3):
        items = [i for i in grounded.items[user].tolist() if i]
        confidence = grounded.confidence[user].tolist()
        assert set(items) <= set(events.tolist()) - set(history[user].tolist())
        assert len(set(items)) == len(items)
        assert confidence == sorted(confidence, reverse=True)
        assert all(0 < c <= 1 for c in confidence[: len(items)])
        assert not any(confidence[len(items) :])
        mean = Z[history[user]].sum(0)
        assert all(Z[i] @ mean / np.linalg.norm(mean) >= floor - 1e-5 for i in items)
        assert len(set(grounded.slot[user, : len(items)].tolist())) == len(items)


def test_an_item_that_codes_and_latent_agree_on_comes_first() -> None:
    latent, log_probs, codes = _world(1, users=1, slots=1)
    latent[0, 0] = torch.from_numpy(Z[9])
    log_probs[:] = -8.0
    log_probs[0, 0, torch.arange(LEVELS), torch.from_numpy(CODES[9])] = -0.1
    catalogue = Catalogue.known_before(np.arange(1, 31), Z, CODES)
    rules = Rules(inferred=1, mmr_lambda=0.7, consistency_floor=-1.0)
    grounded = ground(latent, log_probs, codes, torch.tensor([[3]]), catalogue, SCALE, rules)
    assert grounded.items.tolist() == [[9]]
    assert score_catalogue(latent[0], log_probs[0], catalogue, SCALE).argmax().item() == 8


def test_an_item_with_just_the_codes_is_a_candidate_however_far_its_vector() -> None:
    latent, log_probs, codes = _world(1, users=1, slots=1)
    shortlist, grounding.SHORTLIST = grounding.SHORTLIST, 2
    try:
        far = int((Z[1:] @ latent[0, 0].numpy()).argmin()) + 1
        codes[0, 0] = torch.from_numpy(CODES[far])
        catalogue = Catalogue.known_before(np.arange(1, 31), Z, CODES)
        items, score = grounding._candidates(latent, log_probs, codes, torch.tensor([[0]]), catalogue, SCALE)
    finally:
        grounding.SHORTLIST = shortlist
    assert far - 1 in items[0, 0].tolist()
    assert (score > -torch.inf).all()


def test_scores_of_candidates_are_those_of_the_whole_catalogue() -> None:
    from reaseq.behavior.grounding import _candidates

    latent, log_probs, codes = _world(4, users=2, slots=3)
    catalogue = Catalogue.known_before(np.arange(1, 31), Z, CODES)
    items, score = _candidates(latent, log_probs, codes, torch.zeros(2, 1, dtype=torch.int64), catalogue, SCALE)
    whole = score_catalogue(latent.flatten(0, 1), log_probs.flatten(0, 1), catalogue, SCALE).view(2, 3, -1)
    listed = score > -torch.inf
    assert torch.allclose(whole.gather(2, items)[listed], score[listed], atol=1e-4)


def test_users_grounded_in_turn_get_what_they_get_together(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue, rules = Catalogue.known_before(np.arange(1, 31), Z, CODES), Rules(4, 0.7, -1.0)
    history = torch.tensor([[1, 2], [3, 0], [4, 5]])
    together = ground(*_world(2), history, catalogue, SCALE, rules)
    monkeypatch.setattr(grounding, "MOST_SIMILARITIES", 1)
    in_turn = ground(*_world(2), history, catalogue, SCALE, rules)
    assert torch.equal(in_turn.items, together.items)
    assert torch.allclose(in_turn.confidence, together.confidence)


def test_rare_items_are_more_novel() -> None:
    catalogue = Catalogue.known_before(np.array([1, 1, 1, 1, 2, 2, 3]), Z, CODES)
    novelty = catalogue.novelty.tolist()
    assert novelty == sorted(novelty)
    assert novelty[-1] == 1.0


def test_the_consistency_floor_is_a_percentile_over_real_pairs() -> None:
    items, offsets = np.array([1, 2, 3, 4, 5]), np.array([0, 3, 3, 5])
    expected = []
    for history, following in (([1], 2), ([1, 2], 3), ([4], 5)):
        mean = Z[history].mean(0)
        expected.append(mean @ Z[following] / np.linalg.norm(mean))
    assert np.isclose(consistency_floor(items, offsets, Z, 50.0), np.percentile(expected, 50.0), atol=1e-6)
    assert consistency_floor(np.array([1]), np.array([0, 1]), Z, 5.0) == -1.0

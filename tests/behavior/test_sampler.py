from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from reaseq.behavior.kept_history import Branches, Computed
from reaseq.behavior.noise import UserNoise
from reaseq.behavior.sampler import TIE_BREAK, Sampled, Sampler, _by_confidence
from reaseq.behavior.slots import Inserted, gather_sequences, insert_masks
from tests.behavior.toys import LEVELS, SIZE, toy_log, toy_model, toy_tables

SLOTS = 6
LENGTHS = [2, 17, 5, 9, 3, 11]
LOG, CODES = toy_log(LENGTHS), toy_tables()[1]


def _sampler(steps: int = 4, guidance: float = 1.0, temperature: float = 0.5, refresh: int = 1) -> Sampler:
    return Sampler(
        toy_model(), slots=SLOTS, steps=steps, guidance=guidance, temperature=temperature, seed=0, refresh=refresh
    )


def _inserted(users: list[int]) -> tuple[Inserted, np.ndarray]:
    sequences = gather_sequences(LOG, LOG.offsets[users], LOG.offsets[np.array(users) + 1])
    return insert_masks(sequences, CODES, SIZE, SLOTS), np.array([1000 + 37 * u for u in users])


def _sample(users: list[int], **settings: Any) -> tuple[Sampled, int]:
    sampler = _sampler(**settings)
    return sampler.sample(*_inserted(users)), sampler.forwards


@pytest.mark.parametrize("guidance", [0.0, 1.0])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_batch_of_one_equals_a_batch_of_many(guidance: float, temperature: float) -> None:
    many, _ = _sample(list(range(len(LENGTHS))), guidance=guidance, temperature=temperature)
    for user in range(len(LENGTHS)):
        one, _ = _sample([user], guidance=guidance, temperature=temperature)
        assert torch.equal(one.codes[0], many.codes[user])
        assert torch.allclose(one.latent[0], many.latent[user], atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_every_code_is_settled_after_the_last_step(steps: int) -> None:
    sampled, forwards = _sample([0, 1], steps=steps)
    assert ((sampled.codes >= 0) & (sampled.codes < SIZE)).all()
    assert torch.allclose(sampled.latent.norm(dim=-1), torch.ones(2, SLOTS), atol=1e-5)
    assert forwards == 2 * steps


@pytest.mark.parametrize("refresh", [1, 4])
def test_a_model_fitted_with_dropout_is_sampled_without(refresh: int) -> None:
    plain, dropping = _sampler(refresh=refresh), _sampler(refresh=refresh)
    dropping.model = toy_model(dropout=0.5)
    expected, sampled = plain.sample(*_inserted([4, 1, 2])), dropping.sample(*_inserted([4, 1, 2]))
    assert torch.equal(sampled.codes, expected.codes)
    assert torch.equal(sampled.latent, expected.latent)


def test_without_guidance_there_is_one_forward_a_step() -> None:
    assert _sample([0], guidance=0.0)[1] == 4


def test_codes_are_settled_in_order_of_confidence_and_settled_ones_stand_last() -> None:
    confidence = torch.tensor([[[-3.0, -1.0], [-2.0, -0.5]]])
    masked = torch.ones(1, 2, 2, dtype=torch.bool)
    assert _by_confidence(confidence, masked).tolist() == [[3, 1, 2, 0]]
    masked[0, 1] = False
    assert _by_confidence(confidence, masked).tolist() == [[1, 0, 2, 3]]


def test_like_slots_are_not_all_filled_in_alike_at_a_temperature() -> None:
    sampled, _ = _sample([1], temperature=1.0)
    assert len({tuple(c) for c in sampled.codes[0].tolist()}) > 1


def _recomputed(users: list[int], steps: int, guidance: float, temperature: float) -> Sampled:
    """Every step computes the whole sequence with `forward` alone: the sampler without anything kept."""
    model, noise = toy_model(), UserNoise((steps, SLOTS, LEVELS, SIZE), 0, torch.device("cpu"))
    inserted, keys = _inserted(users)
    batch, index = inserted.batch, inserted.index
    alone, rows = batch.take(index), torch.arange(len(users))[:, None]
    codes, latents = alone.codes, torch.zeros(len(users), SLOTS, model.config.vector_size)
    with torch.no_grad():
        for step in range(steps):
            masked, full = codes == SIZE, batch.codes.clone()
            full[rows, index] = codes
            hidden = model(replace(batch, codes=full), index)
            log_probs = model.code_logits(hidden).log_softmax(-1)
            if guidance > 0:
                free = model.code_logits(model(replace(alone, codes=codes))).log_softmax(-1)
                log_probs = ((1 + guidance) * log_probs - guidance * free).log_softmax(-1)
            drawn = noise.of(step, torch.from_numpy(keys))
            choice = (log_probs + temperature * drawn).argmax(-1)
            confidence = log_probs.gather(-1, choice[..., None])[..., 0] + TIE_BREAK * drawn[..., 0]
            order = _by_confidence(confidence, masked)
            kept = order.argsort(1).view_as(codes) < SLOTS * LEVELS * (step + 1) // steps - (~masked[0]).sum()
            codes = torch.where(kept, choice, codes)
            latents = torch.where(masked.all(-1)[..., None], model.latent(hidden), latents)
    return Sampled(codes, latents)


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_a_refresh_at_every_step_recomputes_everything_bit_for_bit(guidance: float) -> None:
    sampled, expected = _sample([4, 1, 2], guidance=guidance)[0], _recomputed([4, 1, 2], 4, guidance, 0.5)
    assert torch.equal(sampled.codes, expected.codes)
    assert torch.equal(sampled.latent, expected.latent)


@pytest.mark.parametrize("refresh", [2, 4])
def test_with_a_history_that_is_kept_a_batch_of_one_equals_a_batch_of_many(refresh: int) -> None:
    many, _ = _sample(list(range(len(LENGTHS))), refresh=refresh)
    for user in range(len(LENGTHS)):
        one, _ = _sample([user], refresh=refresh)
        assert torch.equal(one.codes[0], many.codes[user])
        assert torch.allclose(one.latent[0], many.latent[user], atol=1e-5)


@pytest.mark.parametrize("guided", [False, True])
def test_what_is_kept_is_exact_as_long_as_nothing_has_changed(guided: bool) -> None:
    """Both branches computed anew from what a dense step kept, without a code having been settled."""
    inserted, _ = _inserted([4, 1, 2])
    branches = Branches(toy_model(), inserted.batch, inserted.index, guided=guided, computed=Computed())
    every = torch.arange(SLOTS * LEVELS).expand(3, -1)
    with torch.no_grad():
        dense = branches.first(keep=True)
        assert len(dense) == 1 + guided
        assert torch.allclose(branches.dense(branches.inserted.codes, keep=True), dense, atol=1e-5)
        for wanted in (every[:, ::3], every):
            assert torch.allclose(branches.partial(branches.inserted.codes, wanted, settled=3), dense, atol=1e-5)


def test_a_kept_history_costs_what_its_tokens_say() -> None:
    """One user of 17 behaviours; R = 4 and refresh = 4: one dense step, then 24, 18 and 12 of 24 codes, twice.
    Of six of them, just settled, keys and values alone are computed in the last block."""
    sampler, tokens, inserted = _sampler(refresh=4), (17 + SLOTS) * LEVELS, SLOTS * LEVELS
    sampler.sample(*_inserted([1]))
    share = 2 * 32 / (4 * 32 + 3 * toy_model().config.intermediate_size)
    dense = (tokens + inserted + (tokens - inserted) * share) / (2 * tokens)  # two blocks, the last in part
    assert sampler.forwards == 8
    assert sampler.dense_forwards == pytest.approx(dense + (2 * (24 + 18 + 12) + 24 - 3 * 6 * (1 - share)) / tokens)


def test_recomputing_costs_every_step_the_same() -> None:
    kept, whole = _sampler(refresh=4), _sampler(refresh=1)
    for sampler in (kept, whole):
        sampler.sample(*_inserted([0, 1, 4]))
    assert whole.forwards == kept.forwards == 8
    assert whole.dense_forwards > kept.dense_forwards > 3  # of three users

import numpy as np
import pytest
import torch

from reaseq.behavior.sampler import Sampled, Sampler
from reaseq.behavior.slots import gather_sequences, insert_masks
from tests.behavior.toys import SIZE, toy_log, toy_model, toy_tables

SLOTS = 6
LENGTHS = [2, 17, 5, 9, 3, 11]
LOG, CODES = toy_log(LENGTHS), toy_tables()[1]


def _sample(users: list[int], steps: int = 4, guidance: float = 1.0, temperature: float = 0.5) -> tuple[Sampled, int]:
    sampler = Sampler(toy_model(), slots=SLOTS, steps=steps, guidance=guidance, temperature=temperature, seed=0)
    sequences = gather_sequences(LOG, LOG.offsets[users], LOG.offsets[np.array(users) + 1])
    keys = np.array([1000 + 37 * u for u in users])
    return sampler.sample(insert_masks(sequences, CODES, SIZE, SLOTS), keys), sampler.forwards


@pytest.mark.parametrize("guidance", [0.0, 1.0])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_batch_of_one_equals_a_batch_of_many(guidance: float, temperature: float) -> None:
    many, _ = _sample(list(range(len(LENGTHS))), guidance=guidance, temperature=temperature)
    for user in range(len(LENGTHS)):
        one, _ = _sample([user], guidance=guidance, temperature=temperature)
        assert torch.equal(one.codes[0], many.codes[user])
        assert torch.allclose(one.latent[0], many.latent[user], atol=1e-5)
        assert torch.allclose(one.log_probs[0], many.log_probs[user], atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
def test_every_code_is_settled_after_the_last_step(steps: int) -> None:
    sampled, forwards = _sample([0, 1], steps=steps)
    assert ((sampled.codes >= 0) & (sampled.codes < SIZE)).all()
    assert torch.allclose(sampled.log_probs.exp().sum(-1), torch.ones(2, SLOTS, 4), atol=1e-4)
    assert torch.allclose(sampled.latent.norm(dim=-1), torch.ones(2, SLOTS), atol=1e-5)
    assert forwards == 2 * steps


def test_without_guidance_there_is_one_forward_a_step() -> None:
    assert _sample([0], guidance=0.0)[1] == 4


def test_each_step_settles_the_most_confident_codes_and_keeps_them() -> None:
    """With one step more, what the first step settled is still what it was."""
    from reaseq.behavior.sampler import _most_confident

    confidence = torch.tensor([[[-3.0, -1.0], [-2.0, -0.5]]])
    masked = torch.ones(1, 2, 2, dtype=torch.bool)
    first = _most_confident(confidence, masked, 2)
    assert first.tolist() == [[[False, True], [False, True]]]
    second = _most_confident(confidence, masked & ~first, 3)
    assert second.tolist() == [[[False, False], [True, False]]]


def test_like_slots_are_not_all_filled_in_alike_at_a_temperature() -> None:
    sampled, _ = _sample([1], temperature=1.0)
    assert len({tuple(c) for c in sampled.codes[0].tolist()}) > 1

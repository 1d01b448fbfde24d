from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reaseq.behavior.autoregressive import Decoding, ReaSeqDecoder, ReaSeqDecoderConfig
from reaseq.behavior.catalogue import Catalogue, Posterior
from reaseq.behavior.corpus import Corpus
from reaseq.behavior.decoder_stage import decoding
from reaseq.behavior.denoiser import load_denoiser, load_model, save_denoiser
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.generation import Generator
from reaseq.behavior.grounding import Floors, Rules, ground
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.noise import UserNoise
from reaseq.behavior.sampler import Sampled
from reaseq.behavior.shortlists import WholeCatalogue
from reaseq.behavior.slots import SlotBatch, gather_sequences, insert_masks, slot_batch
from reaseq.behavior.training import fit
from reaseq.determinism import deterministic_torch
from reaseq.parallel import Ranks
from tests.behavior.test_training import CATEGORY as RING_CATEGORY
from tests.behavior.test_training import CODES as RING_CODES
from tests.behavior.test_training import CONFIG, LENGTH, TABLES, ring
from tests.behavior.test_training import Z as RING_Z
from tests.behavior.toys import LEVELS, SIZE, toy_categories, toy_log, toy_model, toy_tables

SLOTS = 5
LENGTHS = [2, 17, 5, 9]
LOG = toy_log(LENGTHS)
Z, CODES = toy_tables()


def toy_decoder(seed: int = 0) -> ReaSeqDecoder:
    torch.manual_seed(seed)
    of = toy_model().config
    shape = ReaSeqDecoderConfig(
        levels=of.levels, codebook_size=of.codebook_size, hidden_size=of.hidden_size, max_slots=of.max_slots,
        num_hidden_layers=of.num_hidden_layers, num_attention_heads=of.num_attention_heads,
        action_names=of.action_names,
    )  # fmt: skip
    return ReaSeqDecoder(shape).eval()


def _batch(length: int) -> SlotBatch:
    log = toy_log([length])
    return slot_batch(gather_sequences(log, log.offsets[:-1], log.offsets[1:]), CODES)


def _generate(
    users: list[int], guidance: float = 1.0, temperature: float = 0.5, model: ReaSeqDecoder | None = None
) -> tuple[Sampled, Generator]:
    generator = Generator(model or toy_decoder(), slots=SLOTS, guidance=guidance, temperature=temperature, seed=0)
    sequences = gather_sequences(LOG, LOG.offsets[users], LOG.offsets[np.array(users) + 1])
    keys = np.array([1000 + 37 * u for u in users])
    return generator.sample(insert_masks(sequences, CODES, SIZE, SLOTS, inside=0), keys), generator


def test_it_is_of_the_denoisers_size() -> None:
    shapes = [{name: p.shape for name, p in model.named_parameters()} for model in (toy_model(), toy_decoder())]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("slot", "level"), [(0, 0), (2, 1), (2, 3), (5, 3)])
def test_a_state_has_read_every_code_before_its_own_and_no_other(slot: int, level: int) -> None:
    model, batch = toy_decoder(), _batch(6)
    codes = batch.codes.clone()
    codes[0, slot, level] = (codes[0, slot, level] + 1) % SIZE
    with torch.no_grad():
        differs = (model(replace(batch, codes=codes)) - model(batch)).abs().amax(-1)[0] > 1e-6
    of_codes = differs[:, 1:].flatten()
    at = slot * LEVELS + level
    assert not of_codes[: at + 1].any()
    assert of_codes[at + 1 :].all()


def test_the_latent_of_a_slot_has_read_the_slots_before_it_and_none_of_its_own_codes() -> None:
    model, batch = toy_decoder(), _batch(6)
    codes = batch.codes.clone()
    codes[0, 3] = SIZE
    with torch.no_grad():
        latent, other = model.latent(model(batch)), model.latent(model(replace(batch, codes=codes)))
    assert torch.equal(latent[0, :4], other[0, :4])
    assert not torch.isclose(latent[0, 4:], other[0, 4:], atol=1e-5).all(-1).any()


def test_a_slot_is_predicted_from_its_gap_and_not_from_its_action() -> None:
    model, batch = toy_decoder(), _batch(6)
    gap, action = batch.gap.clone(), batch.action.clone()
    gap[0, 3], action[0, 3] = 20, 0
    with torch.no_grad():
        hidden = model(batch)
        later, acted = model(replace(batch, gap=gap)), model(replace(batch, action=action))
    for other, first in ((later, 3), (acted, 4)):
        assert torch.equal(hidden[0, :first], other[0, :first])
        assert not torch.isclose(hidden[0, first:], other[0, first:], atol=1e-5).all(-1).any()


def test_what_is_kept_in_the_cache_gives_what_a_whole_forward_does() -> None:
    """Histories of unequal length in one batch, every code of the slots after them read one by one."""
    model = toy_decoder()
    torch.nn.init.normal_(model.embedding.log_weight)
    starts, ends = LOG.offsets[:-1], LOG.offsets[1:]
    inserted = insert_masks(gather_sequences(LOG, starts, ends), CODES, SIZE, SLOTS, inside=0)
    rows = torch.arange(len(LENGTHS))[:, None]
    filled = inserted.batch.codes.clone()
    filled[rows, inserted.index] = torch.randint(0, SIZE, (len(LENGTHS), SLOTS, LEVELS))
    whole = replace(inserted.batch, codes=filled)
    history = replace(whole, present=torch.arange(filled.shape[1]) < torch.tensor(LENGTHS)[:, None])
    with torch.no_grad():
        expected = model(whole, inserted.index)
        course = Decoding(model, history, whole.take(inserted.index))
        for slot in range(SLOTS):
            for level in range(LEVELS):
                assert torch.allclose(course.opening, expected[:, slot, :1], atol=1e-5)
                assert torch.allclose(course.hidden, expected[:, slot, 1 + level], atol=1e-5)
                if (slot, level) != (SLOTS - 1, LEVELS - 1):
                    course.read(filled[rows[:, 0], inserted.index[:, slot], level], slot, level)


@pytest.mark.parametrize("guidance", [0.0, 1.0])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_batch_of_one_equals_a_batch_of_many(guidance: float, temperature: float) -> None:
    many, _ = _generate(list(range(len(LENGTHS))), guidance, temperature)
    for user in range(len(LENGTHS)):
        one, _ = _generate([user], guidance, temperature)
        assert torch.equal(one.codes[0], many.codes[user])
        assert torch.allclose(one.latent[0], many.latent[user], atol=1e-5)


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_every_code_generated_is_what_whole_forwards_choose_there(guidance: float) -> None:
    """Nothing kept: the finished rows are read whole, with their history and without, and each code is drawn anew."""
    users = list(range(len(LENGTHS)))
    sampled, generator = _generate(users, guidance, temperature=0.5)
    inserted = insert_masks(gather_sequences(LOG, LOG.offsets[:-1], LOG.offsets[1:]), CODES, SIZE, SLOTS, inside=0)
    codes = inserted.batch.codes.clone()
    codes[torch.arange(len(users))[:, None], inserted.index] = sampled.codes
    whole = replace(inserted.batch, codes=codes)
    noise = UserNoise((1, SLOTS, LEVELS, SIZE), 0, torch.device("cpu"))
    with torch.no_grad():
        hidden = generator.model(whole, inserted.index)
        log_probs = generator.model.code_logits(hidden).log_softmax(-1)
        free = generator.model.code_logits(generator.model(whole.take(inserted.index))).log_softmax(-1)
        guided = (1 + guidance) * log_probs - guidance * free
    choice = (guided.log_softmax(-1) + 0.5 * noise.of(0, torch.tensor([1000 + 37 * u for u in users]))).argmax(-1)
    assert torch.equal(choice, sampled.codes)
    assert torch.allclose(generator.model.latent(hidden), sampled.latent, atol=1e-5)


@pytest.mark.parametrize(("guidance", "branches"), [(0.0, 1), (1.0, 2)])
def test_generating_takes_one_forward_a_code_and_branch(guidance: float, branches: int) -> None:
    _, generator = _generate([0, 1], guidance)
    assert generator.sequential == SLOTS * LEVELS
    assert generator.forwards == branches * SLOTS * LEVELS
    lengths = np.array(LENGTHS[:2])  # each row is read once, the unconditional one from its start token
    assert generator.dense_forwards == pytest.approx((1 + (branches - 1) * SLOTS / (lengths + SLOTS)).sum())


def test_grounding_takes_what_was_generated() -> None:
    sampled, generator = _generate([0, 1, 2, 3])
    assert sampled.codes.shape == (4, SLOTS, LEVELS) and sampled.latent.shape == (4, SLOTS, 128)
    assert ((sampled.codes >= 0) & (sampled.codes < SIZE)).all()
    assert torch.allclose(sampled.latent.norm(dim=-1), torch.ones(4, SLOTS), atol=1e-5)
    history = torch.from_numpy(gather_sequences(LOG, LOG.offsets[:-1], LOG.offsets[1:]).items)
    catalogue = Catalogue.known_before(LOG.items, Z, CODES, toy_categories())
    whole = WholeCatalogue(catalogue, Posterior.of(generator.model))
    found = ground(sampled.latent, sampled.codes, history, whole, Rules(3, 0.7, Floors(-1.0, -1.0)))
    assert (found.items > 0).all()


def test_slots_between_behaviours_are_refused() -> None:
    sequences = gather_sequences(LOG, LOG.offsets[[1]], LOG.offsets[[2]])
    generator = Generator(toy_decoder(), slots=SLOTS, guidance=0.0, temperature=0.0, seed=0)
    with pytest.raises(BehaviorError, match="inside=0"):
        generator.sample(insert_masks(sequences, CODES, SIZE, SLOTS), np.zeros(1))


def test_fitting_finds_what_popularity_and_similarity_do_not(tmp_path: Path) -> None:
    log, model = ring(), toy_decoder()
    corpus = Corpus.of(log, np.random.default_rng(0))
    catalogue = Catalogue.known_before(log.items, RING_Z, RING_CODES, RING_CATEGORY)
    measure = Inpainting(corpus, catalogue, RING_CODES, LENGTH)
    similar = measure.recall(model, k=1)
    with deterministic_torch(threads=1, seed=0):
        state = fit(model, corpus, measure, TABLES, CONFIG, seed=0, scratch=tmp_path, objective=decoding)
    assert measure.recall(model, k=1) > 1.5 * max(similar, measure.popularity_recall(k=1))
    assert measure.recall(model) == pytest.approx(state.best_recall)


def test_several_processes_fit_no_decoder() -> None:
    log = ring()
    catalogue = Catalogue.known_before(log.items, RING_Z, RING_CODES, RING_CATEGORY)
    sequences = gather_sequences(log, log.offsets[:2], log.offsets[1:3])
    with pytest.raises(BehaviorError, match="one process"):
        decoding(toy_decoder(), sequences, TABLES, catalogue, CONFIG, np.random.default_rng(0), Ranks(0, 2))


def test_a_decoder_is_not_taken_for_a_denoiser(tmp_path: Path) -> None:
    save_denoiser(toy_decoder(), tmp_path)
    assert isinstance(load_model(tmp_path, ReaSeqDecoder), ReaSeqDecoder)
    with pytest.raises(BehaviorError, match="ReaSeqDecoder"):
        load_denoiser(tmp_path)

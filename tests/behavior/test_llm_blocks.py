"""A denoiser on the blocks of a pretrained decoder LLM: what it sees, what it keeps, what it computes in."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModel

from reaseq.behavior.blocks import KeysValues
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.denoiser import ReaSeqDenoiser, load_denoiser, place, save_denoiser
from reaseq.behavior.kept_history import Branches, Computed
from reaseq.behavior.loss import masked_loss
from reaseq.behavior.sampler import Sampled, Sampler
from reaseq.behavior.slots import SlotBatch, gather_sequences, insert_masks, slot_batch
from tests.behavior.llms import FAMILY, LAYERS, WORDS, llm_denoiser, stir, write_llm
from tests.behavior.toys import LEVELS, SIZE, toy_categories, toy_log, toy_model, toy_tables

SLOTS = 6
LENGTHS = [2, 17, 5, 9, 3, 11]
LOG, (Z, CODES) = toy_log(LENGTHS), toy_tables()


@pytest.fixture(scope="module", params=FAMILY)
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_llm(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_llm(tmp_path_factory.mktemp("qwen3"), "qwen3")


def _batch(lengths: list[int]) -> SlotBatch:
    log = toy_log(lengths)
    return slot_batch(gather_sequences(log, log.offsets[:-1], log.offsets[1:]), CODES)


def _with(batch: SlotBatch, slot: int, code: int) -> SlotBatch:
    codes = batch.codes.clone()
    codes[:, slot] = code
    return replace(batch, codes=codes)


def test_the_blocks_are_those_of_the_checkpoint(backbone: str) -> None:
    """Under a causal mask they say what the LLM itself says of the same embeddings."""
    model, llm = llm_denoiser(backbone), AutoModel.from_pretrained(backbone.removeprefix("hf:"))
    x = torch.randn(2, 12, model.config.hidden_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = llm(inputs_embeds=x).last_hidden_state
        assert torch.allclose(model.blocks.llm(inputs_embeds=x).last_hidden_state, expected, atol=1e-5)
        assert not torch.allclose(model.blocks(x, None), expected, atol=1e-2)
    assert not any(WORDS in p.shape for p in model.parameters())  # its words are dropped


def test_attention_looks_both_ways(backbone: str) -> None:
    """The first slot sees the last, farther away than a sliding window lets it, which under a causal mask it would
    not."""
    model, batch = llm_denoiser(backbone), _batch([9])
    with torch.no_grad():
        x, later, earlier = (
            model.embedding(b)[0].flatten(1, 2) for b in (batch, _with(batch, -1, 3), _with(batch, 0, 3))
        )
        causal, causal_later = (model.blocks.llm(inputs_embeds=each).last_hidden_state for each in (x, later))
        assert torch.equal(causal[0, 0], causal_later[0, 0])
        hidden = model.blocks(x, None)
        assert not torch.allclose(hidden[0, 0], model.blocks(later, None)[0, 0], atol=1e-4)
        assert not torch.allclose(hidden[0, -1], model.blocks(earlier, None)[0, -1], atol=1e-4)
        assert not torch.allclose(hidden[0, -1], causal[0, -1], atol=1e-3)  # what the last one reads has read ahead


def test_padding_changes_no_hidden_state_whatever_stands_in_it(backbone: str) -> None:
    model, batch = llm_denoiser(backbone), _batch([7])
    rest = _batch([5])
    wide = SlotBatch(*(torch.cat([getattr(b, f.name) for b in (batch, rest)], 1) for f in fields(SlotBatch)))
    wide = replace(wide, present=torch.arange(12)[None] < 7)
    with torch.no_grad():
        assert torch.allclose(model(wide)[:, :7], model(batch), atol=1e-4)


def test_slots_that_are_left_out_take_no_place(backbone: str) -> None:
    """The unconditional branch is fitted on rows with holes, and sampled on rows without."""
    model, batch = llm_denoiser(backbone), _batch([7])
    shown = torch.tensor([1, 3, 4])
    holes = replace(batch, present=torch.isin(torch.arange(7), shown)[None])
    with torch.no_grad():
        close = model(batch.take(shown[None]))
        assert torch.allclose(model(holes)[:, shown], close, atol=1e-4)


def test_a_sequence_does_not_feel_its_batch_mates(qwen3: str) -> None:
    model, lengths = llm_denoiser(qwen3), [3, 9, 1, 6]
    batch = _batch(lengths)
    with torch.no_grad():
        together = model(batch)
        for row, length in enumerate(lengths):
            one = SlotBatch(*(getattr(batch, f.name)[row : row + 1, :length] for f in fields(SlotBatch)))
            assert torch.allclose(model(one)[0], together[row, :length], atol=1e-4)


def test_asking_for_some_slots_gives_what_asking_for_all_does(qwen3: str) -> None:
    model, batch = llm_denoiser(qwen3), _batch([3, 9, 6])
    wanted = torch.tensor([[2, 0], [8, 3], [1, 5]])
    with torch.no_grad():
        assert torch.allclose(model(batch, wanted), model(batch)[torch.arange(3)[:, None], wanted], atol=1e-5)


@pytest.mark.parametrize(("rank", "bfloat16"), [(0, False), (4, True)])
def test_save_and_load_give_the_same_model(backbone: str, rank: int, bfloat16: bool, tmp_path: Path) -> None:
    """From one folder of safetensors: the checkpoint that it started from is not needed again."""
    model, batch = stir(llm_denoiser(backbone, rank=rank, bfloat16=bfloat16)), _batch([5, 3])
    save_denoiser(model, tmp_path)
    again = load_denoiser(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert backbone.removeprefix("hf:") not in (tmp_path / "config.json").read_text()
    kinds = [{n: (p.dtype, p.requires_grad) for n, p in each.named_parameters()} for each in (model, again)]
    assert kinds[0] == kinds[1]
    with torch.no_grad():
        assert torch.equal(again.code_logits(again(batch)), model.code_logits(model(batch)))
        assert torch.equal(again.latent(again(batch)), model.latent(model(batch)))


def _sample(model: ReaSeqDenoiser, users: list[int], refresh: int) -> tuple[Sampled, Sampler]:
    sampler = Sampler(model, slots=SLOTS, steps=4, guidance=1.0, temperature=0.5, seed=0, refresh=refresh)
    sequences = gather_sequences(LOG, LOG.offsets[users], LOG.offsets[np.array(users) + 1])
    keys = np.array([1000 + 37 * user for user in users])
    return sampler.sample(insert_masks(sequences, CODES, SIZE, SLOTS), keys), sampler


@pytest.mark.parametrize("refresh", [1, 2, 4])
def test_sampling_a_batch_of_one_equals_a_batch_of_many(qwen3: str, refresh: int) -> None:
    model = stir(llm_denoiser(qwen3, rank=2))
    many, _ = _sample(model, list(range(len(LENGTHS))), refresh)
    assert ((many.codes >= 0) & (many.codes < SIZE)).all()
    for user in range(len(LENGTHS)):
        one, _ = _sample(model, [user], refresh)
        assert torch.equal(one.codes[0], many.codes[user])
        assert torch.allclose(one.latent[0], many.latent[user], atol=1e-4)


def test_what_is_kept_is_exact_as_long_as_nothing_has_changed(backbone: str) -> None:
    """Keys are kept as the rotary positions of the whole sequence turned them."""
    model, users = llm_denoiser(backbone), [4, 1, 2]
    sequences = gather_sequences(LOG, LOG.offsets[users], LOG.offsets[np.array(users) + 1])
    inserted = insert_masks(sequences, CODES, SIZE, SLOTS)
    branches = Branches(model, inserted.batch, inserted.index, guided=True, computed=Computed())
    every = torch.arange(SLOTS * LEVELS).expand(3, -1)
    with torch.no_grad():
        dense = branches.first(keep=True).clone()
        for wanted in (every[:, ::2], every):
            assert torch.allclose(branches.partial(branches.inserted.codes, wanted, settled=3), dense, atol=1e-4)


def test_keys_and_values_of_every_layer_are_kept(qwen3: str) -> None:
    model, batch, kept = llm_denoiser(qwen3), _batch([3, 9]), list[KeysValues]()
    with torch.no_grad():
        assert torch.equal(model(batch, None, kept), model(batch))
    assert [k.keys.shape for k in kept] == [(2, 2, 9 * LEVELS, 16)] * LAYERS  # two heads of keys, each 16 wide


def test_all_tokens_of_a_dense_step_are_counted(qwen3: str) -> None:
    """One user of 17 behaviours; R = 4 and refresh = 4, guided: as of the denoiser's own blocks, but for the last."""
    _, sampler = _sample(llm_denoiser(qwen3), [1], refresh=4)
    inserted, tokens = SLOTS * LEVELS, (17 + SLOTS) * LEVELS
    assert sampler.dense_forwards == pytest.approx(1 + (inserted + 2 * (24 + 18 + 12)) / tokens)


def test_dropout_is_for_training_alone(qwen3: str) -> None:
    plain, dropping, batch = llm_denoiser(qwen3), llm_denoiser(qwen3, dropout=0.5), _batch([3, 9, 6])
    with torch.no_grad():
        assert torch.equal(dropping(batch), plain(batch))
        dropping.train()
        assert not torch.equal(dropping(batch)[0, 0], dropping(batch)[0, 0])
        assert torch.equal(dropping.eval()(batch), plain(batch))


def test_bfloat16_computes_nearly_the_same_and_holds_what_does_not_learn_in_it(qwen3: str) -> None:
    full, low = (stir(llm_denoiser(qwen3, rank=2, bfloat16=lower)) for lower in (False, True))
    batch = _batch([9, 4])
    held = {p.dtype for p in low.blocks.parameters() if not p.requires_grad}
    assert held == {torch.bfloat16}
    assert {p.dtype for p in low.parameters() if p.requires_grad} == {torch.float32}
    with torch.no_grad():
        exact, rounded = full(batch), low(batch)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded[0], exact[0])
    assert torch.allclose(rounded[0], exact[0], atol=0.05)
    sampled, _ = _sample(low, [0, 1], refresh=2)  # keys and values are kept in types of their own
    assert ((sampled.codes >= 0) & (sampled.codes < SIZE)).all()


def _gradients(model: ReaSeqDenoiser, device: str = "cpu") -> tuple[Tensor, dict[str, Tensor]]:
    """Losses of one batch with a few slots masked, and what they give each weight that learns."""
    place(model.train(), device)
    torch.manual_seed(5)  # of dropout
    sequences = gather_sequences(LOG, LOG.offsets[:-1], LOG.offsets[1:])
    batch, items = slot_batch(sequences, CODES).to(device), torch.from_numpy(sequences.items).to(device)
    masked = (batch.present & (torch.arange(batch.present.shape[1], device=device) % 2 == 0))[..., None]
    masked = masked.expand(-1, -1, LEVELS)
    catalogue = Catalogue.known_before(LOG.items, Z, CODES, toy_categories()).to(torch.device(device))
    loss = masked_loss(model, batch, masked, masked.float(), items, catalogue)
    (loss.code + loss.latent).backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return torch.stack([loss.code, loss.latent]).detach(), grads


MODELS: dict[str, Callable[[str], ReaSeqDenoiser]] = {
    "scratch": lambda _: toy_model(dropout=0.3),
    "all weights": lambda name: llm_denoiser(name, dropout=0.3),
    "adapters": lambda name: stir(llm_denoiser(name, rank=2, dropout=0.3)),
    "bfloat16": lambda name: stir(llm_denoiser(name, rank=2, bfloat16=True)),
}


@pytest.mark.parametrize("which", MODELS)
def test_gradient_checkpointing_leaves_losses_and_gradients_as_they_are(which: str, qwen3: str) -> None:
    plain, thrifty = MODELS[which](qwen3), MODELS[which](qwen3)
    thrifty.activation_checkpointing_enable({"use_reentrant": False})
    block = thrifty.blocks.llm.layers[0].input_layernorm if which != "scratch" else thrifty.blocks[0].mlp_norm
    calls = []
    block.register_forward_hook(lambda *_: calls.append(1))
    losses, gradients = _gradients(plain)
    again, recomputed = _gradients(thrifty)
    assert len(calls) == 2  # once forward, once more for the gradient
    assert torch.allclose(losses, again, rtol=1e-6)
    assert gradients.keys() == recomputed.keys()
    assert all(torch.allclose(gradients[name], recomputed[name], atol=1e-6) for name in gradients)


@pytest.mark.parametrize("rank", [0, 2])
def test_what_learns_is_all_or_adapters_and_the_parts_of_the_codes(rank: int, qwen3: str) -> None:
    model = llm_denoiser(qwen3, rank=rank)
    gradients = _gradients(stir(model))[1]
    of_llm = {name for name in gradients if name.startswith("blocks.")}
    assert {name for name, _ in model.named_parameters() if not name.startswith("blocks.")} <= gradients.keys()
    assert of_llm == {n for n, _ in model.named_parameters() if n.startswith("blocks.") and ("lora_" in n or not rank)}
    assert len(of_llm) == (2 * 7 * LAYERS if rank else 11 * LAYERS + 1)


@pytest.mark.gpu
@pytest.mark.parametrize("rank", [0, 2])
def test_bfloat16_and_checkpointing_on_a_gpu(rank: int, qwen3: str) -> None:
    losses, gradients = _gradients(stir(llm_denoiser(qwen3, rank=rank)))
    model = stir(llm_denoiser(qwen3, rank=rank, bfloat16=True))
    model.activation_checkpointing_enable({"use_reentrant": False})
    again, recomputed = _gradients(model, "cuda")
    assert torch.allclose(losses, again.cpu(), rtol=0.02)
    assert gradients.keys() == recomputed.keys()
    assert all(torch.isfinite(g).all() for g in recomputed.values())
    sampled, _ = _sample(model.eval(), [0, 1], refresh=2)
    assert ((sampled.codes >= 0) & (sampled.codes < SIZE)).all()

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reaseq.behavior.denoiser import load_denoiser, save_denoiser
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.slots import SlotBatch, gather_sequences, slot_batch
from tests.behavior.toys import LEVELS, SIZE, toy_log, toy_model, toy_tables


def _batch(lengths: list[int]) -> SlotBatch:
    log = toy_log(lengths)
    return slot_batch(gather_sequences(log, log.offsets[:-1], log.offsets[1:]), toy_tables()[1])


def test_padding_changes_no_hidden_state_whatever_stands_in_it() -> None:
    model, batch = toy_model(), _batch([7])
    generator = torch.Generator().manual_seed(1)

    def padded(tensor: torch.Tensor, high: int) -> torch.Tensor:
        rest = torch.randint(0, high, (1, 5, *tensor.shape[2:]), generator=generator)
        return torch.cat([tensor, rest.to(tensor.dtype)], 1)

    wide = SlotBatch(
        padded(batch.codes, SIZE), padded(batch.recency, 5), padded(batch.gap, 5), padded(batch.action, 2),
        torch.arange(12)[None] < 7,
    )  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(model(wide)[:, :7], model(batch), atol=1e-5)


def test_a_sequence_does_not_feel_its_batch_mates() -> None:
    model, lengths = toy_model(), [3, 9, 1, 6]
    batch = _batch(lengths)
    with torch.no_grad():
        together = model(batch)
        for row, length in enumerate(lengths):
            one = SlotBatch(*(getattr(batch, name)[row : row + 1, :length] for name in SlotBatch.__dataclass_fields__))
            assert torch.allclose(model(one)[0], together[row, :length], atol=1e-5)


def test_asking_for_some_slots_gives_what_asking_for_all_does() -> None:
    model, batch = toy_model(), _batch([3, 9, 6])
    wanted = torch.tensor([[2, 0], [8, 3], [1, 5]])
    with torch.no_grad():
        assert torch.allclose(model(batch, wanted), model(batch)[torch.arange(3)[:, None], wanted], atol=1e-5)


def test_dropout_is_for_training_alone() -> None:
    plain, dropping, batch = toy_model(), toy_model(dropout=0.5), _batch([3, 9, 6])
    with torch.no_grad():
        assert torch.equal(dropping(batch), plain(batch))
        dropping.train()
        assert not torch.allclose(dropping(batch)[0, 0], plain(batch)[0, 0], atol=1e-2)
        assert not torch.equal(dropping(batch)[0, 0], dropping(batch)[0, 0])
        assert torch.equal(dropping.eval()(batch), plain(batch))


def test_attention_looks_both_ways() -> None:
    model, batch = toy_model(), _batch([6])
    last, first = batch.codes.clone(), batch.codes.clone()
    last[0, -1] = (last[0, -1] + 1) % SIZE
    first[0, 0] = (first[0, 0] + 1) % SIZE
    with torch.no_grad():
        hidden = model(batch)
        assert not torch.allclose(model(replace(batch, codes=last))[0, 0], hidden[0, 0], atol=1e-5)
        assert not torch.allclose(model(replace(batch, codes=first))[0, -1], hidden[0, -1], atol=1e-5)


def test_slots_of_one_recency_bucket_keep_their_codes_apart() -> None:
    """Ranks 3 and 4 share a bucket; swapping one code between them must be seen."""
    model, batch = toy_model(), _batch([6])
    batch = replace(batch, gap=torch.zeros_like(batch.gap))
    codes = batch.codes.clone()
    codes[0, 1], codes[0, 2] = torch.tensor([0, 1, 2, 3]), torch.tensor([4, 5, 6, 7])
    swapped = codes.clone()
    swapped[0, 1, 0], swapped[0, 2, 0] = codes[0, 2, 0], codes[0, 1, 0]
    with torch.no_grad():
        one, other = model(replace(batch, codes=codes)), model(replace(batch, codes=swapped))
    assert not torch.allclose(one[0, -1], other[0, -1], atol=1e-5)


def test_save_and_load_give_the_same_model(tmp_path: Path) -> None:
    model, batch = toy_model(), _batch([5, 3])
    save_denoiser(model, tmp_path)
    again = load_denoiser(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert again.config.to_diff_dict() | {"_name_or_path": ""} == model.config.to_diff_dict() | {"_name_or_path": ""}
    with torch.no_grad():
        assert torch.equal(again(batch), model(batch))
        assert torch.equal(again.code_logits(again(batch)), model.code_logits(model(batch)))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BehaviorError, match="no ReaSeqDenoiser"):
        load_denoiser(tmp_path)


def test_code_embeddings_start_from_the_codebook() -> None:
    """Inner products of centroids survive the rotation into R^d, up to one scale per level."""
    model = toy_model()
    centroids = torch.from_numpy(np.random.default_rng(0).normal(size=(LEVELS, SIZE, 32)).astype(np.float32))
    model.start_from_codebook(centroids, torch.eye(128), torch.Generator().manual_seed(0))
    for level in range(LEVELS):
        code, center = model.embedding.code[level, :SIZE], centroids[level] - centroids[level].mean(0)
        gram, expected = code @ code.T, center @ center.T
        assert torch.allclose(gram / gram.trace(), expected / expected.trace(), atol=1e-5)


def test_a_codebook_of_another_shape_is_refused() -> None:
    with pytest.raises(BehaviorError, match="codebook_size"):
        toy_model().start_from_codebook(torch.zeros(LEVELS, SIZE + 1, 32), torch.eye(128), torch.Generator())


def test_a_folder_that_lacks_a_weight_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_denoiser(toy_model(), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["code_bias"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BehaviorError, match="code_bias"):
        load_denoiser(tmp_path)

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reaseq.behavior import training
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.corpus import Corpus, equal_batches
from reaseq.behavior.denoiser import ReaSeqDenoiser, save_denoiser
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.loss import masked_loss
from reaseq.behavior.masking import SUFFIX, draw_masking
from reaseq.behavior.slots import gather_sequences, slot_batch
from reaseq.behavior.training import Tables, fit
from reaseq.config import load
from reaseq.determinism import deterministic_torch
from tests.behavior.toys import DAY, LEVELS, ToyLog, toy_log, toy_model, toy_tables

ITEMS, USERS, LENGTH = 17, 120, 8
Z, CODES = toy_tables(ITEMS)
CATEGORY = np.ones(ITEMS + 1, np.int64)
TABLES = Tables(CODES, CATEGORY)
CONFIG = load(
    "tiny",
    overrides={
        "behavior.epochs": 80,
        "behavior.lr": 6e-3,
        "behavior.batch_slots": 128,
        "behavior.longest_suffix": 5,  # of 8
    },
).behavior


def ring() -> ToyLog:
    """Everybody walks a ring of items, two steps at a time, from a place of their own: nothing like popularity or
    similarity of vectors tells what comes next."""
    start = np.random.default_rng(0).integers(0, ITEMS, size=USERS)
    items = 1 + (start[:, None] + 2 * np.arange(LENGTH)) % ITEMS
    times = np.tile(np.arange(1, LENGTH + 1) * DAY, USERS)
    offsets = np.arange(USERS + 1) * LENGTH
    return ToyLog(offsets, items.ravel(), times, np.zeros(USERS * LENGTH, np.int8))


def _catalogue(log: ToyLog) -> Catalogue:
    return Catalogue.known_before(log.items, Z, CODES, CATEGORY)


def _suffix_loss(model: ReaSeqDenoiser, log: ToyLog) -> float:
    sequences = gather_sequences(log, log.offsets[:-1], log.offsets[1:])
    masking = draw_masking(
        sequences.present,
        sequences.present,
        LEVELS,
        np.random.default_rng(0),
        floor=0.1,
        history_drop=0.0,
        longest_suffix=5,
        kinds=(SUFFIX,),
    )
    known = sequences.present & ~masking.masked.all(2)
    batch, items = slot_batch(sequences, CODES, known), torch.from_numpy(sequences.items)
    masked, weight = torch.from_numpy(masking.masked), torch.from_numpy(masking.weight)
    with torch.no_grad():
        return masked_loss(model, batch, masked, weight, items, _catalogue(log)).code.item()


def test_fitting_lowers_the_loss_and_finds_what_popularity_and_similarity_do_not(tmp_path: Path) -> None:
    log, model = ring(), toy_model()
    corpus = Corpus.of(log, np.random.default_rng(0))
    inpainting = Inpainting(corpus, _catalogue(log), CODES, LENGTH)
    before, similar = _suffix_loss(model, log), inpainting.recall(model, k=1)
    with deterministic_torch(threads=1, seed=0):
        state = fit(model, corpus, inpainting, TABLES, CONFIG, seed=0, scratch=tmp_path)
    assert _suffix_loss(model, log) < 0.5 * before
    assert inpainting.recall(model, k=1) > 1.5 * max(similar, inpainting.popularity_recall(k=1), 1 / (ITEMS - LENGTH))
    assert inpainting.recall(model) == pytest.approx(state.best_recall)


class Killed(Exception):
    """Stands for the end of the process."""


def _fitted(folder: Path, dropout: float = 0.3) -> bytes:
    """Weights of a fit of a few epochs, saved; `folder` keeps the checkpoints."""
    log, model = ring(), toy_model(dropout=dropout)
    inpainting = Inpainting(Corpus.of(log, np.random.default_rng(0)), _catalogue(log), CODES, LENGTH)
    few = CONFIG.model_copy(update={"epochs": 3})
    (folder / "scratch").mkdir(exist_ok=True, parents=True)
    with deterministic_torch(threads=1, seed=0):
        fit(model, inpainting.corpus, inpainting, TABLES, few, seed=0, scratch=folder / "scratch")
    assert not model.training
    save_denoiser(model, folder)
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("saves", [1, 2, 4])
def test_a_fit_with_dropout_that_was_killed_ends_in_the_same_bytes(
    saves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an epoch and at the end of one; what was drawn in the process before does not matter either."""
    monkeypatch.setattr(training, "LOG_STEPS", 2)
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 2)
    whole, real, places = _fitted(tmp_path / "whole"), training.save_checkpoint, []

    def save_and_die(*args: Any) -> None:
        real(*args)
        places.append(args[-1]["batch"])
        if len(places) == saves:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_checkpoint", save_and_die)
        with pytest.raises(Killed):
            _fitted(tmp_path / "killed")
    torch.rand(17)
    assert _fitted(tmp_path / "killed") == whole
    assert _fitted(tmp_path / "without", dropout=0.0) != whole
    assert any(places)  # some checkpoint stood within an epoch


def test_recall_is_measured_without_dropout_and_training_goes_on_with_it() -> None:
    log = ring()
    inpainting = Inpainting(Corpus.of(log, np.random.default_rng(0)), _catalogue(log), CODES, LENGTH)
    plain, dropping = toy_model(), toy_model(dropout=0.5).train()
    assert inpainting.recall(dropping) == inpainting.recall(plain)
    assert dropping.training


def test_held_out_events_are_in_no_window() -> None:
    log = toy_log([3, 9, 1, 30, 6] * 10)
    corpus = Corpus.of(log, np.random.default_rng(0))
    assert len(corpus.held_at) > 0
    for epoch in range(3):
        starts, ends = corpus.windows(8, np.random.default_rng(epoch))
        seen = {event for start, end in zip(starts, ends, strict=True) for event in range(start, end)}
        assert not seen & set(corpus.held_at.tolist())
        users = np.searchsorted(log.offsets, starts, side="right"), np.searchsorted(log.offsets, ends - 1, side="right")
        assert (users[0] == users[1]).all()
        assert (ends - starts <= 8).all()


def test_windows_cover_every_event_that_may_be_learned_from() -> None:
    log = toy_log([20, 40, 7])
    corpus = Corpus(log, log.offsets[:-1], log.offsets[1:], np.zeros(0, np.int64), np.zeros(0, np.int64))
    starts, ends = corpus.windows(10, np.random.default_rng(1))
    assert len(log.items) - (ends - starts).sum() <= 4  # windows of one event are left out


def test_batches_hold_equal_lengths_and_no_more_slots_than_asked() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(2, 50, size=300))
    ranges = list(equal_batches(lengths, 256))
    assert [low for low, _ in ranges] == [0, *(high for _, high in ranges[:-1])]
    assert ranges[-1][1] == len(lengths)
    assert all(lengths[high - 1] * (high - low) <= 256 for low, high in ranges)
    padding = 1 - lengths.sum() / sum(lengths[high - 1] * (high - low) for low, high in ranges)
    assert padding < 0.1

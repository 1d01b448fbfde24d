"""A small model and small logs, made by hand."""

from dataclasses import dataclass

import numpy as np
import torch

from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.denoiser import ReaSeqDenoiser

LEVELS, SIZE = 4, 8
DAY = 86_400_000_000


@dataclass(frozen=True)
class ToyLog:
    offsets: np.ndarray
    items: np.ndarray
    timestamps: np.ndarray
    actions: np.ndarray


def toy_log(lengths: list[int], items: int = 30, seed: int = 0) -> ToyLog:
    """Users with these many events at random times, items 1…items."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    times = np.concatenate([np.sort(rng.integers(1, 400 * DAY, size=n)) for n in lengths])
    total = int(offsets[-1])
    return ToyLog(offsets, rng.integers(1, items + 1, size=total), times, np.zeros(total, np.int8))


def toy_tables(items: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """z float32 [V+1, 128] and codes int64 [V+1, L], row 0 as the item vectors have it."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(items + 1, 128))
    z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
    z[0] = 0
    codes = rng.integers(0, SIZE, size=(items + 1, LEVELS))
    codes[0] = -1
    return z, codes


def toy_categories(items: int = 30, number: int = 4) -> np.ndarray:
    """int64 [V+1]: category 1…number of each item in turn, 0 for row 0."""
    category = 1 + (np.arange(items + 1) - 1) % number
    category[0] = 0
    return category


def toy_model(seed: int = 0, max_slots: int = 40, dropout: float = 0.0) -> ReaSeqDenoiser:
    torch.manual_seed(seed)
    config = ReaSeqDenoiserConfig(
        levels=LEVELS,
        codebook_size=SIZE,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_slots=max_slots,
        action_names=("click",),
        dropout=dropout,
    )
    return ReaSeqDenoiser(config).eval()

"""The trainer: next-item cross-entropy over the catalogue, Adam, and early stopping by NDCG@10 of the validation items.

Everything random follows from (seed, epoch, batch), so a run that was killed goes on from its last epoch's checkpoint
to the very same weights.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reaseq import progress
from reaseq.behavior.checkpoint import load_checkpoint, save_checkpoint
from reaseq.config import SequentialConfig
from reaseq.data.dataset import Dataset
from reaseq.ranking.errors import RankingError
from reaseq.ranking.scoring import CatalogueRanks
from reaseq.ranking.sequential.full_ranking import Score, Targets, mean_ndcg, rank_targets
from reaseq.ranking.sequential.loss import catalogue_cross_entropy
from reaseq.ranking.sequential.model import SasRec
from reaseq.ranking.sequential.rows import Rows, last_events

ORDER, DROPOUT = 53, 54  # streams of random numbers drawn from the run's seed


@dataclass
class Progress:
    """Where training stands; JSON in the checkpoint."""

    epoch: int = 0
    step: int = 0
    positions: int = 0
    best_ndcg: float = -1.0
    best_epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)  # {"epoch", "step", "loss", "valid_ndcg_at_10"}
    seconds: float = 0.0  # of training and validation, over all starts


def fit(
    model: SasRec, rows: Rows, data: Dataset, valid: Targets, config: SequentialConfig, *, seed: int, scratch: Path
) -> Progress:
    """Train the model in place; it ends with the weights of its best epoch.

    Args:
        model: freshly initialised.
        rows: of training events alone.
        data: whose log `valid` points into.
        valid: what training stops by.
        config: batch, learning rate, epochs, patience.
        seed: of order, dropout and ties.
        scratch: where checkpoints live; one that is there is resumed.

    Raises:
        RankingError: the loss is no longer a number.
    """
    on_cpu = model.device.type == "cpu"  # where the fused step takes an eighth of the time; resuming it needs no more
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=on_cpu)
    done, best = Progress(), {}
    found = load_checkpoint(scratch, model, optimizer)
    if found is not None:
        best, done = found[0], Progress(**found[1])
        progress.note(f"SASRec: resumed after epoch {done.epoch}")
    started, before = time.perf_counter(), done.seconds
    for epoch in progress.track(_epochs(done, config), "training SASRec", total=config.epochs, done=done.epoch):
        loss = _epoch(model, optimizer, rows, config, seed, done)
        ndcg = mean_ndcg(rank_held_out(model, data, valid, seed))
        done.epoch = epoch + 1
        if ndcg > done.best_ndcg:
            done.best_ndcg, done.best_epoch = ndcg, done.epoch
            best = {name: value.detach().clone() for name, value in model.state_dict().items()}
        point = {"epoch": done.epoch, "step": done.step, "loss": round(loss, 6), "valid_ndcg_at_10": round(ndcg, 6)}
        done.curve.append(point)
        done.seconds = before + time.perf_counter() - started
        save_checkpoint(scratch, model, optimizer, best, vars(done))
    model.load_state_dict(best)
    model.eval()
    return done


def rank_held_out(model: SasRec, data: Dataset, targets: Targets, seed: int) -> CatalogueRanks:
    """Full ranking of the targets by the model, which is left in evaluation mode."""
    return rank_targets(data, targets, next_item_scores(model, data), seed)


def next_item_scores(model: SasRec, data: Dataset) -> Score:
    """The model, put in evaluation mode, as what scores all items after a history."""
    model.eval()
    with torch.no_grad():
        candidates = model.candidates()

    def score(start: np.ndarray, end: np.ndarray) -> np.ndarray:
        width = int(np.clip((end - start).max(initial=1), 1, model.spec.history))
        read = torch.from_numpy(last_events(data.log.items, start, end, width)).to(model.device)
        scores: np.ndarray = model.scores(read, candidates).cpu().numpy()
        return scores

    return score


def _epochs(done: Progress, config: SequentialConfig) -> Iterator[int]:
    while done.epoch < config.epochs and done.epoch - done.best_epoch < config.patience:
        yield done.epoch


def _epoch(
    model: SasRec, optimizer: torch.optim.Optimizer, rows: Rows, config: SequentialConfig, seed: int, done: Progress
) -> float:
    """Mean loss per position."""
    model.train()
    total, positions = 0.0, 0
    batches = rows.batches(config.batch_positions, np.random.default_rng([seed, ORDER, done.epoch]))
    for number, batch in enumerate(batches):
        draw = np.random.default_rng([seed, DROPOUT, done.epoch, number]).integers(1 << 62)
        torch.manual_seed(int(draw))
        read, target = (torch.from_numpy(part).to(model.device) for part in rows.gather(batch))
        loss = _loss(model, read, target, config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        count = int((target > 0).sum())
        total, positions, done.step = total + float(loss.detach()) * count, positions + count, done.step + 1
    done.positions += positions
    mean = total / positions
    if not np.isfinite(mean):
        raise RankingError(
            f"SASRec's loss is {mean} in epoch {done.epoch + 1}: training diverged. Lower sequential.lr ({config.lr})."
        )
    return mean


def _loss(model: SasRec, read: Tensor, target: Tensor, config: SequentialConfig) -> Tensor:
    wanted = target > 0
    hidden = model(read)[wanted]
    return catalogue_cross_entropy(hidden, model.candidates(), target[wanted] - 1, bfloat16=config.bfloat16)


def facts(done: Progress) -> dict[str, Any]:
    """What an artifact tells of its training."""
    return {
        "best_epoch": done.best_epoch,
        "epochs": done.epoch,
        "steps": done.step,
        "valid_ndcg_at_10": done.best_ndcg,
        "training_positions": done.positions,
        "positions_per_second": round(done.positions / done.seconds, 1),
        "training_seconds": round(done.seconds, 1),
    }

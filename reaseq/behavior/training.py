"""Fitting the denoiser: length-bucketed batches, AdamW, warm-up and cosine, best epoch by inpainting recall.

All randomness is drawn from (seed, epoch, batch), so a fit that resumes from its last checkpoint ends in the same bytes
as one that was never stopped.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from reaseq import progress
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.checkpoint import FILE, learned_state, load_checkpoint, restore, save_checkpoint
from reaseq.behavior.corpus import Corpus
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.loss import Loss, masked_loss
from reaseq.behavior.masking import draw_masking
from reaseq.behavior.sharding import clip_gradients
from reaseq.behavior.slots import Sequences, SlotBatch, gather_sequences, slot_batch
from reaseq.config import BehaviorConfig
from reaseq.parallel import Ranks

STAGE = 4_001  # keeps these draws apart from those of other stages
WARM_UP = 0.05  # share of the fit
GRADIENT_NORM = 1.0
WEIGHT_DECAY = 0.05
SCALAR_PACE = 10.0  # learning rate of gains and scales over that of matrices: an Adam step moves each entry alike
LLM_PACE = 0.1  # of a pretrained LLM's weights and adapters: they are near to where they should be
LOG_STEPS = 20
CHECKPOINT_STEPS = 200  # and at the end of every epoch


@dataclass(frozen=True)
class Tables:
    """What an item index stands for: codes int64 [V+1, L], category int64 [V+1]."""

    codes: np.ndarray
    category: np.ndarray


@dataclass
class Progress:
    """Where a fit is; JSON in the checkpoint."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    slots: int = 0
    best_recall: float = -1.0
    best_epoch: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)


class Objective(Protocol):
    """What a batch of windows costs; of several processes, each one's rows. `catalogue` is on the model's device, `rng`
    is this batch's own."""

    def __call__(
        self,
        model: Any,
        sequences: Sequences,
        tables: Tables,
        catalogue: Catalogue,
        config: BehaviorConfig,
        rng: np.random.Generator,
        ranks: Ranks,
    ) -> Loss: ...


def denoising(
    model: ReaSeqDenoiser,
    sequences: Sequences,
    tables: Tables,
    catalogue: Catalogue,
    config: BehaviorConfig,
    rng: np.random.Generator,
    ranks: Ranks = Ranks(),
) -> Loss:
    """The denoiser's objective: windows masked as `draw_masking` draws it. Of several processes each gives its rows'
    part."""
    masking = draw_masking(
        sequences.present,
        tables.category[sequences.items],
        tables.codes.shape[1],
        rng,
        floor=config.weight_floor,
        history_drop=config.history_drop,
        longest_suffix=config.longest_suffix,
    )
    whole = slot_batch(sequences, tables.codes, sequences.present & ~masking.masked.all(2))
    visible = torch.from_numpy(masking.visible)
    batch = SlotBatch(whole.codes, whole.recency, whole.gap, whole.action, visible).to(model.device)
    masked, weight = torch.from_numpy(masking.masked), torch.from_numpy(masking.weight)
    items = torch.from_numpy(sequences.items)
    return masked_loss(
        model, batch, masked.to(model.device), weight.to(model.device), items.to(model.device), catalogue, ranks
    )


def fit(
    model: ReaSeqDenoiser,
    corpus: Corpus,
    inpainting: Inpainting,
    tables: Tables,
    config: BehaviorConfig,
    *,
    seed: int,
    scratch: Path,
    objective: Objective = denoising,
    named: str = "denoiser",
    ranks: Ranks = Ranks(),
) -> Progress:
    """Fit the model in place; it ends with the weights of its best epoch.

    Args:
        inpainting: measures the model after each epoch.
        objective: what a batch costs. named: the model, to people.
        scratch: where checkpoints live; one that is there is resumed.
        ranks: the processes that fit together, each with a model of the same weights.
    """
    sharded = config.shard_weights and not ranks.alone  # whole and sharded weights can't share one call
    optimizer = torch.optim.AdamW(_groups(model), lr=config.lr, betas=(0.9, 0.98), foreach=False if sharded else None)
    state, best = Progress(), {}
    ranks.copy_file(scratch / FILE)
    written = scratch if ranks.leads else None
    found = load_checkpoint(scratch, model, optimizer)
    if found is not None:
        best, state = found[0], Progress(**found[1])
        progress.note(f"fitting the {named}: resumed at epoch {state.epoch + 1}, step {state.step}")
    catalogue = inpainting.catalogue.to(model.device)
    epochs = range(state.epoch, config.epochs)
    for epoch in progress.track(epochs, f"fitting the {named}", total=config.epochs, done=state.epoch):
        batches = corpus.batches(config.max_slots, config.batch_slots, np.random.default_rng([seed, STAGE, epoch]))
        model.train()
        totals: list[tuple[float, float]] = []
        for number in range(state.batch, len(batches)):
            done = (epoch + number / len(batches)) / config.epochs
            draws = np.random.SeedSequence([seed, STAGE, epoch, number])
            torch.manual_seed(int(draws.generate_state(1)[0]))  # of dropout
            losses, slots = _step(
                model, optimizer, objective, corpus, batches[number], tables, catalogue, config, done,
                np.random.default_rng(draws), ranks,
            )  # fmt: skip
            totals.append(losses)
            state.step, state.batch, state.slots = state.step + 1, number + 1, state.slots + slots
            if state.step % LOG_STEPS == 0 or number + 1 == len(batches):
                code, latent = np.mean(totals, axis=0)
                state.log.append(_line(step=state.step, epoch=epoch + 1, code_loss=code, latent_loss=latent))
                totals = []
                if state.step % CHECKPOINT_STEPS == 0 and number + 1 < len(batches):
                    save_checkpoint(written, model, optimizer, best, vars(state))
        recall = ranks.agree_on(inpainting.recall(model))
        state.log.append(_line(step=state.step, epoch=epoch + 1, inpainting_recall_at_10=recall))
        state.epoch, state.batch = epoch + 1, 0
        if recall >= state.best_recall:  # of equal ones the one fitted longer
            state.best_recall, state.best_epoch = recall, epoch + 1
            best = {name: value.detach().clone() for name, value in learned_state(model).items()}
        save_checkpoint(written, model, optimizer, best, vars(state))
    restore(model, best)
    model.eval()
    return state


def _step(
    model: ReaSeqDenoiser,
    optimizer: torch.optim.AdamW,
    objective: Objective,
    corpus: Corpus,
    windows: tuple[np.ndarray, np.ndarray],
    tables: Tables,
    catalogue: Catalogue,
    config: BehaviorConfig,
    done: float,
    rng: np.random.Generator,
    ranks: Ranks,
) -> tuple[tuple[float, float], int]:
    sequences = gather_sequences(corpus.log, *windows)
    loss = objective(model, sequences, tables, catalogue, config, rng, ranks)
    for group in optimizer.param_groups:
        group["lr"] = config.lr * group["pace"] * _schedule(done)
    optimizer.zero_grad(set_to_none=True)
    (loss.code + config.latent_weight * loss.latent).backward()
    ranks.sum_gradients([p for p in model.parameters() if p.requires_grad and not isinstance(p, DTensor)])
    clip_gradients(list(model.parameters()), GRADIENT_NORM)
    optimizer.step()
    code, latent = ranks.sum(torch.stack([loss.code.detach(), loss.latent.detach()])).tolist()
    return (code, latent), int(sequences.present.sum())


def _schedule(done: float) -> float:
    """Factor of the learning rate at this share of the fit: linear warm-up, then cosine to a twentieth."""
    if done < WARM_UP:
        return (done + 1e-3) / (WARM_UP + 1e-3)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def _groups(model: ReaSeqDenoiser) -> list[dict[str, Any]]:
    """Weight decay for matrices of the blocks; none for embeddings, norms, biases and scales, and none for what was
    pretrained, which would be pulled away from what it knows. Weights that do not learn are in no group."""
    groups: dict[str, dict[str, Any]] = {
        "matrices": {"params": [], "weight_decay": WEIGHT_DECAY, "pace": 1.0},
        "vectors": {"params": [], "weight_decay": 0.0, "pace": 1.0},
        "scalars": {"params": [], "weight_decay": 0.0, "pace": SCALAR_PACE},
        "llm": {"params": [], "weight_decay": 0.0, "pace": LLM_PACE},
    }
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("blocks.llm."):
            groups["llm"]["params"].append(parameter)
        elif name in ("context_gain", "log_scale", "embedding.log_weight"):
            groups["scalars"]["params"].append(parameter)
        elif parameter.ndim == 2 and not name.startswith("embedding."):
            groups["matrices"]["params"].append(parameter)
        else:
            groups["vectors"]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def _line(**values: float) -> dict[str, Any]:
    return {k: v if isinstance(v, int) else round(float(v), 6) for k, v in values.items()}

"""How long to train a baseline: as long as validation AUC, looked at twice an epoch, rises; kept are the best weights.

A baseline that overfits, as ids do within two epochs, or that is stopped while it still learns, as title vectors do for
many, must not lose by that: the gain over it would be worth nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score

from reaseq.artifacts import whole, write_text
from reaseq.config import RunConfig
from reaseq.ranking.baselines.din import Din
from reaseq.ranking.batches import Contexts
from reaseq.ranking.shards import Shards
from reaseq.ranking.stage import check_labels, fit
from reaseq.ranking.training import predict_shards

CHECKS, BEST = "checks.json", "best.safetensors"
CHECKS_PER_EPOCH = 2
PATIENCE = 2
"""Checks in a row that better nothing, after which training stops."""


@dataclass(frozen=True)
class Selection:
    """What validation chose."""

    epochs: float  # of the weights that are kept
    valid_auc: list[float]  # at each check
    seconds: list[float]  # of training, from check to check
    impressions: int  # trained on, over all epochs


def fit_best(
    model: Din,
    shards: Mapping[str, Shards],
    contexts: Contexts,
    config: RunConfig,
    scratch: Path,
    device: torch.device,
) -> Selection:
    """Train at most `baselines.most_epochs` epochs, stop when `PATIENCE` checks are no better, keep the best weights.

    Goes on from `scratch` to the same weights if it was killed. The split "test" is not read.

    Args:
        model: freshly initialised, on the device.
        shards: those of the splits "train" and "valid".
        contexts: user tensors.
        config: section `baselines`, and what `baseline_run` makes of it in `ranking`.
        scratch: for the checkpoint and the best weights.
        device: where the model is.

    Raises:
        RankingError: a split lacks a label, or the loss diverges.
    """
    check_labels(shards["valid"], "validation", "nothing says when a baseline has learned enough")
    told = scratch / CHECKS
    aucs, seconds, seen = json.loads(told.read_text()) if told.is_file() else ([], [], 0)
    most = config.baselines.most_epochs
    whole_run = config.model_copy(update={"ranking": config.ranking.model_copy(update={"epochs": most})})
    while len(aucs) < most * CHECKS_PER_EPOCH and len(aucs) - _best(aucs) < PATIENCE:
        until = (len(aucs) + 1) / CHECKS_PER_EPOCH
        done = fit(model, shards["train"], contexts, whole_run, scratch, device, until=until)
        scores, labels = predict_shards(model, shards["valid"], contexts, config.ranking.batch, "baseline validation")
        aucs.append(float(roc_auc_score(labels, scores)))
        seconds.append(done.seconds - sum(seconds))
        seen = done.impressions
        if aucs[-1] == max(aucs):
            with whole(scratch / BEST) as partial:
                save_file({name: p.detach().contiguous() for name, p in model.named_parameters()}, partial)
        write_text(told, json.dumps([aucs, seconds, seen]))
    model.load_state_dict(load_file(scratch / BEST), strict=False)  # buffers are the caller's tables
    return Selection(_best(aucs) / CHECKS_PER_EPOCH, aucs, seconds, seen)


def _best(aucs: list[float]) -> int:
    """Number of the last best check, from 1; 0 before there is one."""
    return max((number for number, auc in enumerate(aucs, start=1) if auc == max(aucs)), default=0)

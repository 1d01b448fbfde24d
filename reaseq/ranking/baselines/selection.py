"""How long to train a baseline: until an epoch no longer betters validation AUC; kept are the weights of the best.

A baseline that overfits, as ids do within two epochs, must not lose by that: the gain over it would be worth nothing.
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
from reaseq.ranking.stage import fit
from reaseq.ranking.training import predict_shards

EPOCHS, BEST = "epochs.json", "best.safetensors"


@dataclass(frozen=True)
class Selection:
    """What validation chose."""

    epochs: int  # of the weights that are kept
    valid_auc: list[float]  # after each epoch that was trained
    seconds: list[float]  # of each one's training
    impressions: int  # of one epoch


def fit_best(
    model: Din,
    shards: Mapping[str, Shards],
    contexts: Contexts,
    config: RunConfig,
    scratch: Path,
    device: torch.device,
) -> Selection:
    """Train at most `baselines.most_epochs` epochs, stop after the first that is no better, keep the best weights.

    Goes on from `scratch` to the same weights if it was killed. The split "test" is not read.

    Args:
        model: freshly initialised, on the device.
        shards: those of the splits "train" and "valid", which holds both labels.
        contexts: user tensors.
        config: section `baselines`, and what `baseline_run` makes of it in `ranking`.
        scratch: for the checkpoint and the best weights.
        device: where the model is.
    """
    told = scratch / EPOCHS
    aucs, seconds = json.loads(told.read_text()) if told.is_file() else ([], [])
    size = config.ranking.batch
    while len(aucs) < config.baselines.most_epochs and (len(aucs) < 2 or aucs[-1] > max(aucs[:-1])):
        ranking = config.ranking.model_copy(update={"epochs": len(aucs) + 1})
        done = fit(model, shards["train"], contexts, config.model_copy(update={"ranking": ranking}), scratch, device)
        scores, labels = predict_shards(model, shards["valid"], contexts, size, "baseline validation")
        aucs.append(float(roc_auc_score(labels, scores)))
        seconds.append(done.seconds - sum(seconds))
        if aucs[-1] == max(aucs):
            with whole(scratch / BEST) as partial:
                save_file({name: p.detach().contiguous() for name, p in model.named_parameters()}, partial)
        write_text(told, json.dumps([aucs, seconds]))
    model.load_state_dict(load_file(scratch / BEST), strict=False)  # buffers are the caller's tables
    return Selection(aucs.index(max(aucs)) + 1, aucs, seconds, shards["train"].rows)

"""A checkpoint of a fit: one safetensors file, so weights, moments and progress appear together or not at all.

Weights that do not learn are in none: the model that is put together anew for the next start has them.
Tensors are named `model/…`, `best/…` and `adam/<parameter>/<moment>`; the progress is JSON in the file's metadata.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reaseq.artifacts import whole
from reaseq.behavior.sharding import placed_like, whole_tensor

FILE = "denoiser.checkpoint.safetensors"


def learned_state(model: nn.Module) -> dict[str, Tensor]:
    """The part of the model's state that fitting it can change."""
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: whole_tensor(value) for name, value in model.state_dict().items() if name not in fixed}


def restore(model: nn.Module, learned: dict[str, Tensor]) -> None:
    """Put a `learned_state` back."""
    state = model.state_dict()
    fixed = {name: parameter for name, parameter in model.named_parameters() if not parameter.requires_grad}
    model.load_state_dict(fixed | {name: placed_like(state[name], value) for name, value in learned.items()})


def save_checkpoint(
    folder: Path | None,
    model: nn.Module,
    optimizer: torch.optim.AdamW,
    best: dict[str, Tensor],
    progress: dict[str, Any],
) -> None:
    """`folder` None: another process writes it, and needs this one's parts of sharded weights."""
    tensors = {f"model/{name}": value for name, value in learned_state(model).items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for name, parameter in model.named_parameters():
        for moment, value in optimizer.state[parameter].items():
            tensors[f"adam/{name}/{moment}"] = whole_tensor(value)
    if folder is None:
        return
    contiguous = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    with whole(folder / FILE) as partial:
        save_file(contiguous, partial, metadata={"progress": json.dumps(progress)})


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.AdamW
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Put a checkpoint into the model and the optimizer; gives (best weights, progress), or None: there is none."""
    path = folder / FILE
    if not path.is_file():
        return None
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "adam": {}}
    with safe_open(path, framework="pt") as file:
        progress = json.loads(file.metadata()["progress"])
        for key in file.keys():  # noqa: SIM118 (safe_open is no mapping)
            group, name = key.split("/", 1)
            groups[group][name] = file.get_tensor(key)
    restore(model, groups["model"])
    for name, parameter in model.named_parameters():
        moments = {
            key.rsplit("/", 1)[1]: value for key, value in groups["adam"].items() if key.rsplit("/", 1)[0] == name
        }
        if moments:
            placed = {m: v if m == "step" else placed_like(parameter, v) for m, v in moments.items()}
            optimizer.state[parameter] = placed
    return groups["best"], progress

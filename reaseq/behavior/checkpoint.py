"""A checkpoint of a fit: one safetensors file, so weights, moments and progress appear together or not at all.

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

FILE = "denoiser.checkpoint.safetensors"


def save_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.AdamW, best: dict[str, Tensor], progress: dict[str, Any]
) -> None:
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    for name, parameter in model.named_parameters():
        for moment, value in optimizer.state[parameter].items():
            tensors[f"adam/{name}/{moment}"] = value
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
    model.load_state_dict(groups["model"])
    for name, parameter in model.named_parameters():
        moments = {
            key.rsplit("/", 1)[1]: value for key, value in groups["adam"].items() if key.rsplit("/", 1)[0] == name
        }
        if moments:
            placed = {m: v if m == "step" else v.to(parameter.device) for m, v in moments.items()}
            optimizer.state[parameter] = placed
    return groups["best"], progress

"""Trains the alignment head on co-consumption. A killed run goes on from its last checkpoint, bit for bit.

Each step draws its batch from a generator of its own, seeded with (seed, step), so no sampler state needs to be kept:
weights, Adam's moments and the losses so far are all there is, in one safetensors file that appears by one rename.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from reaseq import progress
from reaseq.artifacts import whole
from reaseq.representation.aligner import Aligner
from reaseq.representation.behaviors import CoConsumption
from reaseq.representation.contrast import AlignmentLoss

STAGE = 31
"""Second word of this stage's random seeds."""
FEWEST_PAIRS = 100
"""With fewer distinct pairs nothing is learnt and z stays PCA(title)."""
_WARM_UP = 0.05  # share of the steps over which the learning rate rises; then it falls as a cosine
_WEIGHT_DECAY = 0.01


@dataclass(frozen=True)
class AlignmentPlan:
    steps: int
    batch: int
    lr: float
    checkpoint_steps: int
    seed: int
    device: str


class PairSampler:
    """Batches of pairs, each pair drawn by its weight and in a random direction.

    Args:
        positives: the known pairs, at least one.
        items: number of items V.
    """

    def __init__(self, positives: CoConsumption, items: int, batch: int, seed: int):
        self._pairs = positives.pairs
        self._cumulative = np.cumsum(positives.weights)
        self._seed = seed
        self.batch = min(batch, len(positives.pairs))
        ends = self._pairs.ravel()
        drawn = np.bincount(ends, np.repeat(positives.weights, 2), minlength=items)
        self.log_share = np.log(np.maximum(drawn / drawn.sum(), 1e-12)).astype(np.float32)  # [V]
        both = np.concatenate([self._pairs, self._pairs[:, ::-1]])
        ones = np.ones(len(both), bool)
        self._known = csr_matrix((ones, (both[:, 0], both[:, 1])), shape=(items, items))

    def draw(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The batch of a step: items int64 [U], each once; pairs int64 [B, 2] as positions in `items`; known bool
        [U, U], true for positives and for an item with itself."""
        rng = np.random.default_rng([self._seed, STAGE, step])
        where = np.searchsorted(self._cumulative, rng.random(self.batch) * self._cumulative[-1], side="right")
        pairs = self._pairs[np.minimum(where, len(self._pairs) - 1)]
        pairs = np.where(rng.random((self.batch, 1)) < 0.5, pairs, pairs[:, ::-1])
        items, positions = np.unique(pairs, return_inverse=True)
        known = self._known[items][:, items].toarray()
        np.fill_diagonal(known, True)
        return items, positions.reshape(pairs.shape), known


def align(
    aligner: Aligner, texts: np.ndarray, positives: CoConsumption, plan: AlignmentPlan, scratch: Path
) -> list[float]:
    """Train `aligner`'s u in place and return the loss of every step.

    Args:
        aligner: a head fresh from `Aligner.from_titles`; the u that it gives now is z⁰ of the loss.
        texts: float32 [V, views, text_dim].
        positives: at least `FEWEST_PAIRS` pairs, from training events only.
        scratch: where checkpoints are kept and found.
    """
    before = torch.from_numpy(aligner.to(plan.device).embed_aligned(texts)).to(plan.device)
    inputs = torch.from_numpy(texts)
    sampler = PairSampler(positives, len(texts), plan.batch, plan.seed)
    log_share = torch.from_numpy(sampler.log_share).to(plan.device)
    loss = AlignmentLoss().to(plan.device)
    model = nn.ModuleDict({"aligner": aligner, "loss": loss})
    groups: list[dict[str, Any]] = [
        {"params": [*aligner.parameters()]},
        {"params": [*loss.parameters()], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=plan.lr, weight_decay=_WEIGHT_DECAY)
    checkpoint = scratch / "alignment.safetensors"
    losses = _restore(checkpoint, model, optimizer, plan) if checkpoint.exists() else []
    if losses:
        progress.note(f"alignment goes on after step {len(losses)} of {plan.steps}")
    steps = range(len(losses), plan.steps)
    for step in progress.track(steps, "aligning items to behaviour", total=plan.steps, done=len(losses)):
        for group in optimizer.param_groups:
            group["lr"] = plan.lr * _schedule(step, plan.steps)
        drawn, pairs, known = (torch.from_numpy(part) for part in sampler.draw(step))
        z = aligner.aligned(inputs[drawn].to(plan.device))
        drawn, known, (i, j) = drawn.to(plan.device), known.to(plan.device), pairs.to(plan.device).T
        z0, share = before[drawn], log_share[drawn]
        value = loss(z[i], z[j], z0[i], z0[j], share[i], share[j], known[i][:, j], known[i][:, i])
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
        if (step + 1) % plan.checkpoint_steps == 0:
            _keep(checkpoint, model, optimizer, losses)
    aligner.eval().cpu()
    return losses


def _schedule(step: int, steps: int) -> float:
    rise = max(1, round(_WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _keep(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, losses: list[float]) -> None:
    tensors = {f"model.{name}": t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{name}": t.detach().cpu().contiguous() for name, t in state.items()}
    with whole(path) as partial:
        save_file(tensors, partial, {"losses": json.dumps(losses)})


def _restore(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, plan: AlignmentPlan) -> list[float]:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        losses: list[float] = json.loads(file.metadata()["losses"])
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam."):
            _, index, field = name.split(".")
            state.setdefault(int(index), {})[field] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return losses

"""The trainer: binary cross-entropy, Adam for dense parameters and SparseAdam for the id table, exact resume.

Everything random follows from (seed, epoch, step), so a run that was killed goes on from its checkpoint to the very
same weights, and several processes share every batch without a word on which rows are whose (`parallel`). The item
assets (z, codes) and inferences are frozen. On a GPU the network runs in bfloat16 where autocast deems it safe; weights
and the loss stay float32.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from reaseq import progress
from reaseq.artifacts import whole
from reaseq.config import RankingConfig
from reaseq.parallel import Ranks
from reaseq.ranking.batches import Batch, Contexts, Epochs, RequestBatches, localise, share
from reaseq.ranking.errors import RankingError
from reaseq.ranking.features import Tensors
from reaseq.ranking.model import ID_STD, Candidates, ItemTable, Users
from reaseq.ranking.shards import Shards

ORDER, DROPOUT, RENEWAL = 31, 32, 33  # streams of random numbers drawn from the run's seed
LOG_POINTS = 100
CHECKPOINT = "checkpoint.safetensors"


class Network(Protocol):
    """What the trainer and the scorer ask of a network: `Ranker`, and the baselines of `reaseq.ranking.baselines`."""

    ids: nn.Embedding
    """[V+1, …] the item embeddings, with sparse gradients."""

    def encode(self, items: Tensor) -> ItemTable: ...
    def forget(self, candidates: Candidates, forgotten: Tensor) -> Candidates: ...
    def score(self, table: ItemTable, users: Users, candidates: Candidates, valid: Tensor | None = None) -> Tensor: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def train(self, mode: bool = True) -> Any: ...
    def eval(self) -> Any: ...


@dataclass
class Progress:
    """Where training stands."""

    step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)  # {"step", "impressions", "loss"}, no timings
    loss_sum: float = 0.0  # since the last point of the curve
    loss_count: int = 0
    impressions: int = 0
    seconds: float = 0.0  # of training, over all starts


class Trainer:
    """Trains a ranker on the batches of the training split.

    Args:
        model: freshly initialised.
        epochs: the training impressions.
        config: learning rates, batch, epochs, ID dropout.
        seed: of order and dropout.
        scratch: where the checkpoint lives.
        device: where the model is.
        ranks: the processes that train together; each holds the same model and the same `epochs`.
    """

    def __init__(
        self,
        model: Network,
        epochs: Epochs,
        config: RankingConfig,
        *,
        seed: int,
        scratch: Path,
        device: torch.device,
        ranks: Ranks = Ranks(),
    ):
        self.model = model
        self.epochs = epochs
        self.config = config
        self.seed = seed
        self.checkpoint = scratch / CHECKPOINT
        self.device = device
        self.ranks = ranks
        sparse = [model.ids.weight]
        self._dense = [p for name, p in model.named_parameters() if name != "ids.weight"]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "dense": torch.optim.Adam(self._dense, lr=config.lr_dense, fused=True),
            "sparse": torch.optim.SparseAdam(sparse, lr=config.lr_sparse),
        }
        self._place = np.zeros(model.ids.num_embeddings, np.int64)

    def run(self, until: int | None = None) -> Progress:
        """Train all epochs, going on from the checkpoint if there is one.

        Args:
            until: step to stop before, as a killed run would but for its checkpoint; None: the last epoch's end.

        Raises:
            RankingError: the loss is no longer a number.
        """
        done = self._restore()
        length = self.config.epochs * self.epochs.about()
        steps = min(length, until or sys.maxsize)
        every = max(1, steps // LOG_POINTS)
        started, before = time.perf_counter(), done.seconds
        if done.step and self.ranks.leads:
            progress.note(f"ranker training goes on at step {done.step} of about {steps}")
        self.model.train()
        batches: Iterator[Batch] = islice(
            self._remaining(done.step), None if until is None else max(0, until - done.step)
        )
        if self.ranks.leads:
            batches = progress.track(batches, "ranker training", total=steps, done=done.step)
        for batch in batches:
            self._set_rate(done.step / length)
            loss = self._step(batch, done.step)
            done.step += 1
            done.impressions += len(batch.labels)
            done.loss_sum += loss * len(batch.labels)
            done.loss_count += len(batch.labels)
            if done.step % every == 0:
                self._log(done)
            done.seconds = before + time.perf_counter() - started
            if done.step % self.config.checkpoint_steps == 0:
                self._save(done)
        if done.loss_count:
            self._log(done)
        self._save(done)  # what follows training may be killed too, and more epochs may be wanted
        self.model.eval()
        return done

    def _set_rate(self, share: float) -> None:
        """Learning rate of the dense parameters after this share of the training."""
        factor = 1 - (1 - self.config.lr_final) * min(share, 1.0)
        for group in self.optimizers["dense"].param_groups:
            group["lr"] = self.config.lr_dense * factor

    def _step(self, batch: Batch, step: int) -> float:
        forgotten = np.random.default_rng([self.seed, DROPOUT, step]).random(batch.valid.shape) < self.config.id_dropout
        mine, forgotten = share(batch, forgotten, self.ranks)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.device)
        if len(mine.labels):  # a small batch may have no row for this process
            loss = self._loss(mine, forgotten) / len(batch.labels)
            loss.backward()
        self.ranks.sum_gradients(self._dense, self.model.ids.weight)
        for optimizer in self.optimizers.values():
            optimizer.step()
        return float(self.ranks.sum(loss.detach()))

    def _loss(self, batch: Batch, forgotten: np.ndarray) -> Tensor:
        """Summed over the batch's impressions."""
        items, local = localise(batch, self._place)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            table = self.model.encode(self._put(items))
            candidates = table.candidates(self._put(local.candidates))
            if batch.rate is not None:
                candidates = candidates._replace(rate=self._put(batch.rate))
            candidates = self.model.forget(candidates, self._put(forgotten))
            logits = self.model.score(table, users_of(local.users, self.device), candidates, self._put(local.valid))
        return F.binary_cross_entropy_with_logits(logits.float(), self._put(local.labels), reduction="sum")

    def _remaining(self, step: int) -> Iterator[Batch]:
        """The batches from this step on. Pools that an earlier start finished are planned again, for their random
        numbers and their length, and cost no more than that."""
        for epoch in range(self.config.epochs):
            if epoch and not step and self.config.fresh_ids:
                self._renew_ids(epoch)
            for pool, plan in self.epochs.pools(np.random.default_rng([self.seed, ORDER, epoch])):
                for rows in plan[step:]:
                    yield pool.batch(rows)
                    self.epochs.contexts.release()  # at once: the pages of a whole pool are most of a small file
                step = max(0, step - len(plan))

    def _renew_ids(self, epoch: int) -> None:
        """Forget what the last epoch wrote into the id embeddings, so that they meet each impression once only.

        Click models overfit at the very start of a second epoch (arXiv 2209.06053), and the ids are where; with fresh
        ones the rest of the network learns from several epochs (MEDA, arXiv 2305.19531). The unknown item stays: every
        batch holds it. A training that goes on right before an epoch draws the same numbers once more.
        """
        fresh = np.random.default_rng([self.seed, RENEWAL, epoch]).normal(0.0, ID_STD, self.model.ids.weight.shape)
        with torch.no_grad():
            self.model.ids.weight[1:] = self._put(fresh[1:].astype(np.float32))
        self.optimizers["sparse"].state.clear()

    def _put(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _log(self, done: Progress) -> None:
        loss = done.loss_sum / done.loss_count
        if not np.isfinite(loss):
            raise RankingError(
                f"the ranker's loss is {loss} at step {done.step}: training diverged. Lower ranking.lr_dense "
                f"({self.config.lr_dense}) or ranking.lr_sparse ({self.config.lr_sparse})."
            )
        done.curve.append({"step": done.step, "impressions": done.impressions, "loss": loss})
        done.loss_sum, done.loss_count = 0.0, 0

    def _save(self, done: Progress) -> None:
        """One file that appears by a rename: tensors, and the rest as JSON in its header."""
        if not self.ranks.leads:
            return
        tensors = {f"model/{name}": parameter.detach() for name, parameter in self.model.named_parameters()}
        for kind, optimizer in self.optimizers.items():
            for place, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{kind}/{place}/{name}": torch.as_tensor(value) for name, value in state.items()}
        header = {"progress": json.dumps(vars(done))}
        with whole(self.checkpoint) as partial:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata=header)

    def _restore(self) -> Progress:
        self.ranks.copy_file(self.checkpoint)
        if not self.checkpoint.is_file():
            return Progress()
        states: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in self.optimizers}
        with safe_open(self.checkpoint, "pt") as file:
            done = Progress(**json.loads(file.metadata()["progress"]))
            parameters = dict(self.model.named_parameters())
            for name in sorted(file.keys()):
                kind, rest = name.split("/", 1)
                if kind == "model":
                    parameters[rest].data.copy_(file.get_tensor(name))
                else:
                    place, field_name = rest.split("/")
                    value = file.get_tensor(name)
                    if kind == "sparse" and field_name == "step":
                        value = int(value)
                    states[kind].setdefault(int(place), {})[field_name] = value
        for kind, optimizer in self.optimizers.items():
            optimizer.load_state_dict({"state": states[kind], "param_groups": optimizer.state_dict()["param_groups"]})
        return done


def users_of(tensors: Tensors, device: torch.device) -> Users:
    """The user tensors of `assemble_users` on the device."""
    return Users(*(torch.from_numpy(tensors[name]).to(device) for name in Users._fields))


@torch.no_grad()
def predict(model: Network, table: ItemTable, batches: RequestBatches, size: int, description: str = "") -> np.ndarray:
    """Probabilities of all impressions, float32 [N] in table order.

    Args:
        model: in evaluation mode.
        table: the whole catalogue's, `model.encode(arange(V+1))`.
        batches: the impressions.
        size: impressions per batch.
        description: shown beside a progress bar; empty: none is shown.
    """
    scores = np.zeros(len(batches), np.float32)
    device = table.x.device
    plan = batches.plan(size, None)
    for rows in progress.track(plan, description) if description else plan:
        batch = batches.batch(rows)
        candidates = torch.from_numpy(batch.candidates).to(device)
        valid = torch.from_numpy(batch.valid).to(device)
        logits = model.score(table, users_of(batch.users, device), table.candidates(candidates), valid)
        scores[batch.rows] = torch.sigmoid(logits).cpu().numpy()
        batches.contexts.release()
    return scores


def predict_shards(
    model: Network, shards: Shards, contexts: Contexts, size: int, description: str
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a split, float32 [N], and its labels, int8 [N], block by block; arguments as for `predict`."""
    table = catalogue(model)
    scores: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for block in progress.track(shards.each(), description, total=len(shards)):
        scores.append(predict(model, table, RequestBatches(block.impressions, contexts), size))
        labels.append(block.impressions.label)
    return np.concatenate([np.zeros(0, np.float32), *scores]), np.concatenate([np.zeros(0, np.int8), *labels])


def catalogue(model: Network) -> ItemTable:
    """The encoded catalogue, [V+1, …], without gradients."""
    with torch.no_grad():
        return model.encode(torch.arange(model.ids.num_embeddings, device=model.ids.weight.device))

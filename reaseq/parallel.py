"""One training in several processes: each takes its share of every batch, and all end with the weights of one process.

Every process draws the same batches and the same dropout from the seed, computes its own rows, and the sum of all
gradients is what each of them steps with; so W processes are W times the compute of one and nothing else changes, but
for the order of float sums. Gloo carries the gradients between CPUs, NCCL between GPUs.

Dense gradients are summed as one flat tensor. Gradients of the id table are sparse: rows and values are gathered, so
what travels is what the batch touched and never the table.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from reaseq.artifacts import whole

T = TypeVar("T")
PIECE = 1 << 26
"""Bytes of a file that are sent at once: a checkpoint may be larger than a GPU has room for."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this one writes checkpoints and artifacts."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there is nobody to send anything to."""
        return self.world == 1

    def rows(self, total: int) -> np.ndarray:
        """This process's rows of a batch, int64: every W-th, so that lengths even out; maybe none."""
        return np.arange(self.rank, total, self.world)

    def places(self, total: int) -> np.ndarray:
        """Of each row of a batch, where it stands among this process's, int64; -1: another one's."""
        places = np.full(total, -1, np.int64)
        places[self.rows(total)] = np.arange(len(self.rows(total)))
        return places

    def sum_gradients(self, dense: Sequence[nn.Parameter], sparse: Tensor | None = None) -> None:
        """Replace gradients by their sums over all processes; a parameter without one anywhere keeps none."""
        if self.alone:
            return
        every = [*dense] if sparse is None else [*dense, sparse]
        touched = torch.tensor([p.grad is not None for p in every], device=_carrier(), dtype=torch.int32)
        dist.all_reduce(touched, dist.ReduceOp.MAX)
        used = [bool(each) for each in touched.tolist()]
        self._sum_dense([p for p, live in zip(dense, used, strict=False) if live])
        if sparse is not None and used[-1]:
            sparse.grad = self._gathered(sparse)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if not self.alone:
            dist.all_reduce(value)
        return value

    def agree(self, value: int) -> int:
        """The leading process's value."""
        return int(self._told(value, torch.int64))

    def agree_on(self, value: float) -> float:
        """As `agree`, of a number with a fraction."""
        return float(self._told(value, torch.float64))

    @contextmanager
    def announcing(self, work: Callable[[T], None]) -> Iterator[Callable[[T], None]]:
        """The work, of which the others hear in `called` when it begins; or, if the block ends without it, that there
        is none: what it makes was there already."""
        begun = False

        def announced(given: T) -> None:
            nonlocal begun
            begun = bool(self.agree(1))
            work(given)

        yield announced
        if not begun:
            self.agree(0)

    def called(self) -> bool:
        """Whether there is work; asked by those who do not lead, once for each `announcing` of the one who does."""
        return bool(self.agree(0))

    def _told(self, value: float, dtype: torch.dtype) -> float:
        if self.alone:
            return value
        told = torch.tensor([value], dtype=dtype, device=_carrier())
        dist.broadcast(told, 0)
        return told.item()

    def copy_file(self, path: Path) -> None:
        """Give every process the leading one's file, at the same path or, where paths differ, at its own; or none."""
        if self.alone:
            return
        size = self.agree(path.stat().st_size if self.leads and path.is_file() else 0)
        pieces = [min(PIECE, size - sent) for sent in range(0, size, PIECE)]
        if self.leads and size:
            with path.open("rb") as file:
                _send(file, pieces)
        elif size:
            with whole(path) as partial, partial.open("wb") as file:
                _receive(file, pieces)
        elif not self.leads:
            path.unlink(missing_ok=True)

    def wait(self) -> None:
        """Until every process is here."""
        if not self.alone:
            dist.barrier()

    def _sum_dense(self, parameters: Sequence[nn.Parameter]) -> None:
        if not parameters:
            return
        parts = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(flat)
        for p, summed in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            p.grad = summed.view_as(p)

    def _gathered(self, parameter: Tensor) -> Tensor:
        """The sparse gradients of all processes as one; padded to the longest, since a gather wants equal shapes."""
        width = parameter.shape[1]
        rows = torch.zeros(0, dtype=torch.int64, device=parameter.device)
        values = torch.zeros(0, width, dtype=parameter.dtype, device=parameter.device)
        if parameter.grad is not None:
            own = parameter.grad.coalesce()
            rows, values = own.indices()[0], own.values()
        sizes = [torch.zeros(1, dtype=torch.int64, device=parameter.device) for _ in range(self.world)]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=parameter.device))
        counts = [int(size) for size in sizes]
        longest = max(counts)
        all_rows = [torch.zeros(longest, dtype=rows.dtype, device=rows.device) for _ in counts]
        all_values = [torch.zeros(longest, width, dtype=values.dtype, device=values.device) for _ in counts]
        dist.all_gather(all_rows, torch.cat([rows, rows.new_zeros(longest - len(rows))]))
        dist.all_gather(all_values, torch.cat([values, values.new_zeros(longest - len(values), width)]))
        indices = torch.cat([part[:count] for part, count in zip(all_rows, counts, strict=True)])
        summed = torch.cat([part[:count] for part, count in zip(all_values, counts, strict=True)])
        return torch.sparse_coo_tensor(
            indices.unsqueeze(0), summed, parameter.shape, is_coalesced=False, check_invariants=False
        ).coalesce()


def _carrier() -> torch.device:
    """Where tensors must lie to travel: NCCL takes those of the GPU only."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def _send(file: BinaryIO, pieces: Sequence[int]) -> None:
    for size in pieces:
        dist.broadcast(torch.frombuffer(bytearray(file.read(size)), dtype=torch.uint8).to(_carrier()), 0)


def _receive(file: BinaryIO, pieces: Sequence[int]) -> None:
    for size in pieces:
        piece = torch.empty(size, dtype=torch.uint8, device=_carrier())
        dist.broadcast(piece, 0)
        file.write(piece.cpu().numpy().tobytes())


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started (WORLD_SIZE, RANK, LOCAL_RANK); alone where there is one or none.

    Args:
        device: "cpu" or "cuda".
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), world)
    finally:
        dist.destroy_process_group()

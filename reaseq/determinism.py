"""The same seed gives the same bytes: torch is told so for the length of a stage, and put back as it was."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def deterministic_torch(threads: int, seed: int) -> Iterator[None]:
    """`threads` matters to the bytes, since sums depend on how they are split."""
    memory: Any = torch.utils.deterministic
    before, was_deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filled = memory.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[]):
        make_deterministic(threads)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was_deterministic)
            memory.fill_uninitialized_memory = filled
            torch.set_num_threads(before)


def make_deterministic(threads: int) -> None:
    """As `deterministic_torch`, of what does not draw from the global generator, and from now on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what determinism asks of cuBLAS
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    memory: Any = torch.utils.deterministic
    memory.fill_uninitialized_memory = False  # nothing here reads what it did not write

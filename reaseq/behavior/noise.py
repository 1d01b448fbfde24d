"""Gumbel noise of a sampler: one table, which each user reads from a place of its own, so that a user's noise depends
on the seed and the user's key alone and not on who else is in the batch."""

import numpy as np
import torch
from torch import Tensor

STREAM = 4_002  # keeps these draws apart from those of other stages


class UserNoise:
    """Noise of R steps × S' slots × L levels × K codes."""

    def __init__(self, shape: tuple[int, int, int, int], seed: int, device: torch.device):
        uniform = np.random.default_rng([seed, STREAM]).random(shape, dtype=np.float32)
        self._table = torch.from_numpy(-np.log(-np.log(np.clip(uniform, 1e-7, 1 - 1e-7)))).to(device)

    def of(self, step: int, keys: Tensor) -> Tensor:
        """[B, S', L, K] for keys int64 [B]: slots and codes of the table are rotated by the key."""
        noise = self._table[step]
        slots, _, size = noise.shape
        slot = (torch.arange(slots, device=keys.device) + keys[:, None] // size) % slots
        code = (torch.arange(size, device=keys.device) + keys[:, None]) % size
        return noise[slot].gather(3, code[:, None, None].expand(len(keys), *noise.shape))

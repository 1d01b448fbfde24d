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
        noise = torch.from_numpy(-np.log(-np.log(np.clip(uniform, 1e-7, 1 - 1e-7)))).to(device)
        _, self._slots, self._levels, self._size = shape
        self._windows = torch.cat([noise, noise], -1).flatten(1).unfold(1, self._size, 1)  # [R, S'·L·2K - K + 1, K]

    def of(self, step: int, keys: Tensor) -> Tensor:
        """[B, S', L, K] for keys int64 [B]: slots and codes of the table are rotated by the key."""
        slot, level = (torch.arange(number, device=keys.device) for number in (self._slots, self._levels))
        return self.at(step, keys[:, None, None], slot[:, None], level)

    def at(self, step: int, keys: Tensor, slot: Tensor, level: int | Tensor) -> Tensor:
        """[…, K] of the user with the key, in a slot, at a level; all int64 […]."""
        row = (slot + keys // self._size) % self._slots * self._levels + level
        return self._windows[step][2 * self._size * row + keys % self._size]

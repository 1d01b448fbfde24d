"""Gumbel noise of a sampler: one table, which each user reads from a place of its own, so that a user's noise depends
on the seed and the user's key alone and not on who else is in the batch."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

STREAM = 4_002  # keeps these draws apart from those of other stages


class UserNoise:
    """Noise of R steps × S' slots × L levels × K codes."""

    def __init__(self, shape: tuple[int, int, int, int], seed: int, device: torch.device):
        uniform = np.random.default_rng([seed, STREAM]).random(shape, dtype=np.float32)
        table = torch.from_numpy(-np.log(-np.log(np.clip(uniform, 1e-7, 1 - 1e-7)))).to(device)
        self.slots, self.size = shape[1], shape[3]
        # Every rotation of a row of codes is K successive entries of the row and itself again: [R, S', K, L, K], a view
        self._rotated = torch.cat([table, table[..., :-1]], -1).unfold(-1, self.size, 1).transpose(2, 3)

    def of(self, step: int, keys: Tensor) -> Tensor:
        """[B, S', L, K] for keys int64 [B]: slots and codes of the table are rotated by the key."""
        return self.of_users(keys)(step)

    def of_users(self, keys: Tensor) -> Callable[[int], Tensor]:
        """As `of`, for the steps of one sampling."""
        slot = (torch.arange(self.slots, device=keys.device) + keys[:, None] // self.size) % self.slots
        rotation = keys[:, None] % self.size
        return lambda step: self._rotated[step][slot, rotation]

"""Dropout of a batch that several processes share: each draws for all rows and takes its own, so that together they
drop what one process would."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """As `nn.Dropout`, of x [B, …], until `take_rows` says that x is some rows of a larger batch."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.total, self.rows = 0, np.zeros(0, np.int64)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p or len(self.rows) == self.total:
            return F.dropout(x, self.p, self.training)
        return x * F.dropout(x.new_ones(self.total, *x.shape[1:]), self.p)[self.rows]


def take_rows(model: nn.Module, total: int, rows: np.ndarray) -> None:
    """From here on the model's batches are these rows (int [B']) of batches of `total`."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.total, module.rows = total, rows

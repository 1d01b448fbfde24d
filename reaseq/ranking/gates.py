"""How far a ranker trusts inferred behaviours: the gate's ω for every impression of a split.

ω is not an output of the network, so it is taken from `model.gate` by a forward hook while the impressions are scored.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from reaseq.ranking.batches import Batch, RequestBatches
from reaseq.ranking.model import ItemTable, Ranker
from reaseq.ranking.training import predict


@dataclass(frozen=True)
class GateValues:
    """Row-aligned with the split's impressions."""

    omega: np.ndarray  # [N] float32 in (0, 1), what the inferred branch is multiplied by
    inferred: np.ndarray  # [N] int64, inferred behaviours that the impression saw; with 0, ω multiplies nothing


def predict_with_gate(
    model: Ranker, table: ItemTable, batches: RequestBatches, size: int, description: str = ""
) -> tuple[np.ndarray, GateValues]:
    """`training.predict`, and ω of each impression."""
    count = len(batches)
    values = GateValues(np.zeros(count, np.float32), np.zeros(count, np.int64))
    watched = _LastBatch(batches.impressions, batches.contexts, batches.rate)

    def keep(module: Any, inputs: Any, omega: Tensor) -> None:  # [U, C, 1] over the grid, of which some cells are empty
        batch = watched.last
        values.omega[batch.rows] = omega.squeeze(-1).cpu().numpy()[batch.valid]
        seen = (batch.users["inferred"] > 0).sum(axis=1)
        values.inferred[batch.rows] = np.broadcast_to(seen[:, None], batch.valid.shape)[batch.valid]

    hook = model.gate.register_forward_hook(keep)
    try:
        return predict(model, table, watched, size, description), values
    finally:
        hook.remove()


class _LastBatch(RequestBatches):
    """Remembers the batch that was made last, so that a hook knows which rows the network is looking at."""

    last: Batch

    def batch(self, rows: np.ndarray, trim: bool = True) -> Batch:
        self.last = super().batch(rows, trim)
        return self.last

"""KAR's recipe (arXiv 2306.10933): frozen knowledge vectors through a hybrid-expert adaptor into a click model.

KAR asks a language model for factual knowledge of the item and for the user's preferences, encodes both, and lets an
adaptor of shared and dedicated experts fit them to the recommender, here DIN over ids. The item's knowledge is its
vector z; the user's is the mean of z over the short history, since no text is written per user. Adapted item knowledge
depends on the item alone, so it is kept in the item table, as KAR prestores it.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reaseq.config import BaselineConfig
from reaseq.ranking.baselines.din import Din
from reaseq.ranking.model import Candidates, ItemTable, Users
from reaseq.schema import VECTOR_DIM


class HybridExperts(nn.Module):
    """Mixture of experts that both kinds of knowledge share and experts of each kind's own, weighed by a softmax gate.

    Args:
        config: width d of the output and number of experts of each group.
    """

    def __init__(self, config: BaselineConfig):
        super().__init__()
        self.shared = _experts(config)
        self.dedicated = nn.ModuleDict({"item": _experts(config), "user": _experts(config)})
        self.gates = nn.ModuleDict({kind: nn.Linear(VECTOR_DIM, 2 * config.experts) for kind in self.dedicated})

    def forward(self, kind: str, knowledge: Tensor) -> Tensor:
        """[n, 128] knowledge of this kind ("item" or "user") → [n, d]."""
        experts = [*self.shared, *self.dedicated[kind]]  # type: ignore[misc]
        adapted = torch.stack([expert(knowledge) for expert in experts], dim=1)
        return (torch.softmax(self.gates[kind](knowledge), dim=-1).unsqueeze(1) @ adapted).squeeze(1)


class Kar(Din):
    """DIN over ids, whose MLP also sees adapted knowledge of the item and of the user; arguments as for `Din`."""

    def __init__(self, config: BaselineConfig, z: np.ndarray, counts: np.ndarray):
        super().__init__(config, z, counts, ids=True, vectors=False, extra=2 * config.d)
        self.experts = HybridExperts(config)

    def encode(self, items: Tensor) -> ItemTable:
        """`Din`'s table with adapted knowledge appended to x, and z for the users' means."""
        table, knowledge = super().encode(items), self.z[items]
        return table._replace(x=torch.cat([table.x, self.experts("item", knowledge)], dim=-1), z=knowledge)

    def extras(self, table: ItemTable, users: Users, candidates: Candidates) -> list[Tensor]:
        there = (users.history > 0).sum(1, keepdim=True).clamp(min=1)
        known = F.embedding_bag(users.history, table.z, mode="sum") / there  # row 0 of z is zeros
        adapted = self.experts("user", known).unsqueeze(1).expand(-1, candidates.x.shape[1], -1)
        return [candidates.x[..., -self.width :], adapted]


def _experts(config: BaselineConfig) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Sequential(nn.Linear(VECTOR_DIM, 2 * config.d), nn.ReLU(), nn.Linear(2 * config.d, config.d))
        for _ in range(config.experts)
    )

"""DIN (arXiv 1706.06978): attention of the target over the short history, and an MLP. What every gain is measured from.

As published, attention weights go through no softmax, so that the strength of an interest is kept. Their sum is divided
by the square root of the history's length: test histories are longer than those trained on, and a plain sum drifts with
them; validation preferred it to a plain sum and to a softmax. Left out: the user's id, other profile features, Dice
(ReLU stands for it) and mini-batch-aware regularisation. Nothing but the target and the short history is read.

The activation unit's first layer is linear in [q, k, q - k, q⊙k] and so falls apart: what belongs to one item is made
once per distinct item of a batch (`encode`), and of a pair only q⊙k is left, as one small matrix per candidate,
`diag(q)·W_product + W_key`, applied to all behaviours.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reaseq.config import BaselineConfig
from reaseq.ranking.model import Candidates, ItemTable, Users


class Din(nn.Module):
    """DIN over ids, over frozen vectors, or over their sum.

    Args:
        config: sizes.
        z: [V+1, w] float32 of any width, row 0 zeros; frozen.
        counts: [V+1] int64, times an item occurs in the training period. One that never does has no id: zeros.
        ids: whether an item's learned id embedding is part of its input.
        vectors: whether P·z is.
        extra: width of what a derived network appends to an item's row and to the MLP's input, see `extras`.
    """

    z: Tensor
    known: Tensor

    def __init__(
        self,
        config: BaselineConfig,
        z: np.ndarray,
        counts: np.ndarray,
        *,
        ids: bool,
        vectors: bool,
        extra: int = 0,
    ):
        super().__init__()
        width = self.width = config.d
        self.has_ids = ids
        self.register_buffer("z", torch.from_numpy(np.ascontiguousarray(z, np.float32)))
        self.register_buffer("known", torch.from_numpy((counts > 0).astype(np.float32)[:, None]))
        self.ids = nn.Embedding(len(z), width, sparse=True)
        nn.init.normal_(self.ids.weight, std=config.init)
        self.projection = nn.Linear(z.shape[1], width, bias=False) if vectors else None
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, std=0.5)  # z is of unit length; with 0.1 one epoch hardly moves it
        self.query = nn.Linear(width, config.attention)
        self.key = nn.Parameter(torch.empty(width, config.attention))
        self.product = nn.Parameter(torch.empty(width, config.attention))
        for weight in (self.key, self.product):
            nn.init.xavier_uniform_(weight)
        self.strength = nn.Linear(config.attention, 1)
        sizes = [3 * width + extra, *config.hidden]
        layers: list[nn.Module] = []
        for inner, outer in pairwise(sizes):
            layers += [nn.Linear(inner, outer), nn.ReLU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def encode(self, items: Tensor) -> ItemTable:
        """The table of these items (int64 [n], 0 = none): x [n, d + attention], the item's input and its query part."""
        x = self.content(items)
        return ItemTable(torch.cat([x, self.query(x)], dim=-1), x.new_zeros(len(x), 0), x.new_zeros(len(x)))

    def content(self, items: Tensor) -> Tensor:
        """[n, d]: what an item is; zeros for none, so that padding adds nothing to an unnormalised sum."""
        parts = []
        if self.has_ids:
            parts.append(self.ids(items) * self.known[items])
        if self.projection is not None:
            parts.append(self.projection(self.z[items]))
        return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]

    def forget(self, candidates: Candidates, forgotten: Tensor) -> Candidates:
        """As they are: published DIN has no ID dropout."""
        return candidates

    def score(self, table: ItemTable, users: Users, candidates: Candidates, valid: Tensor | None = None) -> Tensor:
        """Logits, as `Ranker.score`: [U, C], or [N] of the valid cells."""
        x = candidates.x[..., : self.width]
        behaviors = F.embedding(users.history, table.x[:, : self.width].contiguous())
        query = candidates.x[..., self.width : self.width + self.key.shape[1]]
        length = (users.history > 0).sum(1).clamp(min=1).view(-1, 1, 1)
        interest = self.attention(x, query, behaviors) @ behaviors / length.sqrt()
        features = torch.cat([x, interest, x * interest, *self.extras(table, users, candidates)], dim=-1)
        if valid is not None:
            features = features[valid]
        return self.mlp(features).squeeze(-1)

    def attention(self, x: Tensor, query: Tensor, behaviors: Tensor) -> Tensor:
        """The activation unit: strength [U, C, T] of [U, T, d] behaviours for targets x [U, C, d].

        Args:
            x: the targets' inputs.
            query: [U, C, a] the part of the first layer that is the targets' alone, bias included.
            behaviors: zeros where there is none.
        """
        contexts, count, width = x.shape
        units = self.key.shape[1]
        by_input = x.reshape(-1, width).T.unsqueeze(-1)  # [d, U·C, 1]
        # A product of matrices rather than of elements: its gradients are too, and those are three times as fast.
        pair = torch.baddbmm(self.key.unsqueeze(1), by_input, self.product.unsqueeze(1))  # [d, U·C, a]
        pair = pair.view(width, contexts, count * units).transpose(0, 1)
        hidden = torch.baddbmm(query.reshape(contexts, 1, count * units), behaviors, pair).relu_()
        return self.strength(hidden.view(contexts, -1, count, units)).squeeze(-1).transpose(1, 2)

    def extras(self, table: ItemTable, users: Users, candidates: Candidates) -> list[Tensor]:
        """What else enters the MLP, [U, C, ·] each."""
        return []

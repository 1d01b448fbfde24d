"""The parts of the ranker's branches: similarity-aware attention, the similarity histogram and the gate.

Shapes: U contexts, C candidates of each (a grid; at serving U = 1), T behaviours of a branch, D width of an item.
Behaviours are shared by a context's candidates ([U, T, D]) or, after a search, each candidate's own ([U, C, T, D]).
"""

import math

import torch
from torch import Tensor, nn

BINS = 22


class SemanticAttention(nn.Module):
    """Target attention fused with semantic similarity, after MUSE's SA-TA (arXiv 2512.07216).

    Logits are `γ1·α + γ2·r/τ + γ3·α⊙(r/τ)`, where α is a scaled bilinear product of target and behaviour and r their
    cosine. γ are learned, starting at 1, 1, 0; τ is fixed. A softmax over the behaviours that are there weighs them; a
    context without any gets zeros.
    """

    def __init__(self, width: int, attention: int, temperature: float, aged: bool = False):
        super().__init__()
        self.query = nn.Linear(width, attention)
        self.key = nn.Linear(attention, width, bias=False)  # applied to the query, so that behaviours stay as they are
        self.scale = 1 / math.sqrt(attention)
        self.temperature = temperature
        self.fusion = nn.Parameter(torch.tensor([1.0, 1.0, 0.0]))
        self.recency = nn.Linear(attention, 1) if aged else None

    def forward(
        self,
        target: Tensor,  # [U, C, D]
        behaviors: Tensor,  # [U, T, D] or [U, C, T, D]
        similarity: Tensor,  # [U, C, T] r
        there: Tensor,  # [U, 1, T] or [U, C, T], 1.0 where there is a behaviour
        age: Tensor | None = None,  # [U, T] log1p hours
        bias: Tensor | None = None,  # [U, T] added to the logits
    ) -> Tensor:  # [U, C, D]
        hidden = self.query(target)
        query = self.key(hidden) * self.scale
        if behaviors.dim() == 3:
            alpha = query @ behaviors.transpose(1, 2)
        else:
            alpha = (behaviors @ query.unsqueeze(-1)).squeeze(-1)
        if age is not None and self.recency is not None:
            alpha = alpha + self.recency(hidden) * age.unsqueeze(1)
        scaled = similarity / self.temperature
        logits = self.fusion[0] * alpha + self.fusion[1] * scaled + self.fusion[2] * alpha * scaled
        if bias is not None:
            logits = logits + bias.unsqueeze(1)
        weights = torch.softmax(logits.masked_fill(there == 0, -1e9), dim=-1) * there
        if behaviors.dim() == 3:
            return weights @ behaviors
        return (weights.unsqueeze(-2) @ behaviors).squeeze(-2)


def similarity_histogram(similarity: Tensor, there: Tensor) -> Tensor:
    """SimTier: how many behaviours lie at which similarity to the target (arXiv 2407.19467; MUSE, arXiv 2512.07216).

    Each r is shared between the two nearest of 22 centres that are spread evenly over [-1, 1], in proportion to its
    closeness. With hard bins a rounding difference between two runtimes would move a whole count at an edge, and the
    scores with it.

    Args:
        similarity: [U, C, T] r in [-1, 1].
        there: [U, 1, T] or [U, C, T], 1.0 where there is a behaviour.

    Returns:
        [U, C, 22] log(1 + count).
    """
    place = ((similarity + 1) * ((BINS - 1) / 2)).clamp(0, BINS - 1)
    low = place.floor().clamp(max=BINS - 2)
    upper = (place - low) * there
    lower = there - upper
    counts = torch.zeros(*similarity.shape[:-1], BINS, dtype=similarity.dtype, device=similarity.device)
    low = low.long()
    counts = counts.scatter_add(-1, low, lower.expand_as(similarity)).scatter_add(-1, low + 1, upper)
    return counts.log1p()


class InferenceGate(nn.Module):
    """How far the inferred branch is trusted: ω = sigmoid(w·[v_short, v_inferred, mean confidence, log length]).

    The bias starts at -2, so that the branch is nearly closed until it has shown its worth.
    """

    def __init__(self, width: int, bias: float):
        super().__init__()
        self.linear = nn.Linear(2 * width + 2, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, short: Tensor, inferred: Tensor, confidence: Tensor, length: Tensor) -> Tensor:
        """[U, C, D], [U, C, D], [U] and [U] → ω [U, C, 1]."""
        state = torch.stack([confidence, length], dim=-1).unsqueeze(1).expand(-1, short.shape[1], -1)
        return torch.sigmoid(self.linear(torch.cat([short, inferred, state], dim=-1)))

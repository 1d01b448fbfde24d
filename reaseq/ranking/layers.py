"""The parts of the ranker's branches: similarity-aware attention, the similarity histogram and the gate.

Shapes: U contexts, C candidates of each (a grid; at serving U = 1), T behaviours of a branch, D width of an item.
A context's candidates share its behaviours; which of them a search found for a candidate is a mask [U, C, T], since
giving each candidate vectors of its own would cost more than weighing those that it doesn't use by zero.
"""

import math

import torch
from torch import Tensor, nn

BINS = 22
NEVER = -1e9  # a logit that leaves no weight


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
        behaviors: Tensor,  # [U, T, D]
        similarity: Tensor,  # [U, C, T] r
        there: Tensor,  # [U, 1, T], 1.0 where there is a behaviour
        found: Tensor | None = None,  # [U, C, T] bool, which of them a candidate attends to; None: all
        age: Tensor | None = None,  # [U, T] log1p hours
        bias: Tensor | None = None,  # [U, T] added to the logits
    ) -> Tensor:  # [U, C, D]
        alpha = self._products(target, behaviors, age)
        scaled = similarity / self.temperature
        logits = self.fusion[0] * alpha + self.fusion[1] * scaled + self.fusion[2] * alpha * scaled
        absence = (1 - there) * NEVER
        logits = logits + (absence if bias is None else absence + bias.unsqueeze(1))
        if found is not None:
            logits = logits.masked_fill(~found, NEVER)
        # Where nothing is there at all, the softmax weighs padding, which is zeros.
        return torch.softmax(logits, dim=-1) @ (behaviors * there.transpose(1, 2))

    def _products(self, target: Tensor, behaviors: Tensor, age: Tensor | None) -> Tensor:
        """α [U, C, T]. Its matrices are applied to whichever are fewer, targets or behaviours; an exported graph is for
        requests, which hold many targets."""
        if not (torch.compiler.is_exporting() or target.shape[1] > behaviors.shape[1]):
            hidden = self.query(target)
            alpha = (self.key(hidden) * self.scale) @ behaviors.transpose(1, 2)
            return alpha if age is None or self.recency is None else alpha + self.recency(hidden) * age.unsqueeze(1)
        keys = (behaviors @ self.key.weight) * self.scale  # [U, T, A]
        offset = keys @ self.query.bias  # [U, T]
        if age is not None and self.recency is not None:
            keys = keys + age.unsqueeze(-1) * self.recency.weight
            offset = keys @ self.query.bias + age * self.recency.bias
        return target @ (keys @ self.query.weight).transpose(1, 2) + offset.unsqueeze(1)


def similarity_counts(similarity: Tensor, there: Tensor) -> Tensor:
    """SimTier: how many behaviours lie at which similarity to the target (arXiv 2407.19467; MUSE, arXiv 2512.07216).

    Each r is shared between the two nearest of 22 centres that are spread evenly over [-1, 1], in proportion to its
    closeness. With hard bins a rounding difference between two runtimes would move a whole count at an edge, and the
    scores with it.

    Args:
        similarity: [U, C, T] r in [-1, 1].
        there: [U, 1, T] or [U, C, T], 1.0 where there is a behaviour.

    Returns:
        [U, C, 22] counts; the network reads log(1 + count).
    """
    place = ((similarity + 1) * ((BINS - 1) / 2)).clamp(0, BINS - 1)
    low = place.floor().clamp(max=BINS - 2)
    upper = (place - low) * there
    lower = there - upper
    counts = torch.zeros(*similarity.shape[:-1], BINS, dtype=similarity.dtype, device=similarity.device)
    low = low.long()
    return counts.scatter_add(-1, low, lower.expand_as(similarity)).scatter_add(-1, low + 1, upper)


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

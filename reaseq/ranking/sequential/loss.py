"""Cross-entropy over the whole catalogue at every position, in pieces of bounded memory.

The gradient of softmax cross-entropy is known in closed form (p - 1 at the target), so it is taken while a piece's
logits are still in cache, and no logits are kept for the backward pass. Over plain autograd this saves the memory of
[positions, items] and, on a CPU, about half of the time.
"""

from typing import Any

import torch
from torch import Tensor

PIECE = 256  # positions; 256 × 12,000 logits stay within a server core's share of the cache


class CatalogueCrossEntropy(torch.autograd.Function):
    """Mean over positions of -log softmax(h · eᵀ)[target]."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, items: Tensor, target: Tensor, bfloat16: bool) -> Tensor:
        """
        Args:
            hidden: [N, d] float32.
            items: [V, d] float32, the embeddings scored against.
            target: [N] int64 in [0, V).
            bfloat16: take the products in bfloat16; sums over pieces stay in float32.
        """
        kind = torch.bfloat16 if bfloat16 else torch.float32
        table = items.to(kind)
        of_hidden, of_items = torch.empty_like(hidden), torch.zeros_like(items)
        loss = hidden.new_zeros(())
        for start in range(0, len(hidden), PIECE):
            piece = slice(start, start + PIECE)
            h, place = hidden[piece].to(kind), target[piece]
            p = torch.softmax(h @ table.T, dim=1)
            line = torch.arange(len(h), device=h.device)
            own = p[line, place]
            loss -= own.float().clamp_min(torch.finfo(torch.float32).tiny).log().sum()
            p[line, place] = own - 1
            of_hidden[piece] = p @ table
            of_items += p.T @ h
        ctx.save_for_backward(of_hidden.div_(len(hidden)), of_items.div_(len(hidden)))
        return loss / len(hidden)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_hidden, of_items = ctx.saved_tensors
        return gradients[0] * of_hidden, gradients[0] * of_items, None, None


def catalogue_cross_entropy(hidden: Tensor, items: Tensor, target: Tensor, *, bfloat16: bool = False) -> Tensor:
    """Scalar loss; arguments as for `CatalogueCrossEntropy.forward`. Differentiable once."""
    loss: Tensor = CatalogueCrossEntropy.apply(hidden, items, target, bfloat16)  # type: ignore[no-untyped-call]
    return loss

"""The alignment's loss: three symmetric InfoNCE terms over a batch of co-consumed pairs (FORGE, arXiv 2509.20904).

    L = [ ℓ(z_i, z_j) + ℓ(z_i, z⁰_j) + ℓ(z_i, z⁰_i) ] / 3

z⁰ is the vector before alignment, PCA(title), and does not move: the second and third term tie z to what the text says.
The other pairs of the batch are the negatives. An item is drawn into a batch as often as it is popular, so log of its
share among the draws is subtracted from its logits (Yi et al., RecSys 2019); what is known to be a positive is no
negative.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_LARGEST = math.log(100.0)


class AlignmentLoss(nn.Module):
    """Holds the learnable scale of the cosines: starts at 1/0.07 and never exceeds 100 (CLIP, arXiv 2103.00020)."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(
        self,
        first: Tensor,  # [B, 128] z_i
        second: Tensor,  # [B, 128] z_j
        first_before: Tensor,  # [B, 128] z⁰_i
        second_before: Tensor,  # [B, 128] z⁰_j
        log_share_first: Tensor,  # [B] log of i's share among the draws
        log_share_second: Tensor,  # [B]
        known_across: Tensor,  # [B, B] bool: (i of row, j of column) is a positive or one item
        known_among_first: Tensor,  # [B, B] bool: (i of row, i of column), likewise
    ) -> Tensor:
        scale = self.log_scale.clamp(max=_LARGEST).exp()
        pair = info_nce(scale * first @ second.T, log_share_first, log_share_second, known_across)
        to_text = info_nce(scale * first @ second_before.T, log_share_first, log_share_second, known_across)
        to_self = info_nce(scale * first @ first_before.T, log_share_first, log_share_first, known_among_first)
        return (pair + to_text + to_self) / 3


def info_nce(logits: Tensor, log_share_rows: Tensor, log_share_columns: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of the diagonal of `logits` [B, B], by rows and by columns, averaged."""
    others = known & ~torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(others, -torch.inf)
    targets = torch.arange(len(logits), device=logits.device)
    by_rows = functional.cross_entropy(logits - log_share_columns, targets)
    by_columns = functional.cross_entropy(logits.T - log_share_rows, targets)
    return (by_rows + by_columns) / 2

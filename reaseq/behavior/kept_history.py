"""Keys and values of the history, kept between reverse steps: only inserted slots change from one step to the next.

A dense step computes every token and keeps each block's keys and values; a partial one computes the inserted codes
that were masked at the step before and lets them attend to what is kept, where their own keys and values replace the
old ones. So a code that was just settled is read once as what it is, and is then left alone. What is kept is exact only
at a dense step, since without a causal mask the history's states depend on the inserted codes, too (after Fast-dLLM,
arXiv 2505.22618, which keeps the prefix, and dKV-Cache, arXiv 2505.15781, which keeps settled tokens, a step late).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reaseq.behavior.blocks import KeysValues
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.embedding import LEAST_WEIGHT
from reaseq.behavior.slots import SlotBatch


@dataclass
class Work:
    """What a call computed: forwards, and token-layers, per user `per_token`·T + `fixed` if its sequence has T tokens.

    A token-layer is one token going through one block. One of which keys and values alone are computed counts as their
    share of a block's weights.
    """

    forwards: int = 0
    per_token: float = 0.0
    fixed: float = 0.0

    def dense_forwards(self, tokens: Tensor, layers: int) -> float:
        """In units of a forward of each user's whole sequence, summed over users; `tokens` int64 [B]."""
        inverse = (1.0 / tokens.double()).sum().item()
        return (self.per_token * len(tokens) + self.fixed * inverse) / layers


class Branch:
    """One branch of a sampling: gives the hidden states of inserted slots, [B, S', L, d], as their codes change.

    Args:
        model: in eval mode.
        batch: slots [B, S], the inserted ones all [MASK].
        index: int64 [B, S'], where the inserted ones are; None: they are all there is.
        work: what is computed is added to it.
    """

    def __init__(self, model: ReaSeqDenoiser, batch: SlotBatch, index: Tensor | None, work: Work):
        self.model, self.batch, self.index, self.work = model, batch, index, work
        self._kept: list[KeysValues] = []
        self._hidden: Tensor = model.code_bias  # of the last step; there is none yet
        if index is not None:  # inserted slots are all [MASK] in the batch, so these sums are the history's
            _, self._before, self._count = model.embedding.sums(batch)

    def dense(self, codes: Tensor, *, keep: bool) -> Tensor:
        """Compute all from the inserted slots' codes int64 [B, S', L]; keys and values are kept if so asked."""
        batch, index = self.batch, self.index
        full = codes
        if index is not None:
            full = batch.codes.clone()
            full[torch.arange(len(full), device=full.device)[:, None], index] = codes
        self._kept = []
        self._hidden = self.model(replace(batch, codes=full), index, self._kept if keep else None)
        self._count_dense(codes, 1.0)
        return self._hidden

    def first(self, codes: Tensor, *, keep: bool) -> Tensor:
        """As `dense`, of a branch without history while all is masked: users with the same buckets share one row."""
        buckets = torch.cat([self.batch.recency, self.batch.gap], 1)
        _, row, number = torch.unique(buckets, dim=0, return_inverse=True, return_counts=True)
        shared = self.batch.rows(row.argsort(stable=True)[number.cumsum(0) - number])
        self._kept = []
        hidden = self.model(shared, None, self._kept if keep else None)
        self._kept = [KeysValues(kept.keys[row], kept.values[row]) for kept in self._kept]
        self._hidden = hidden[row]
        self._count_dense(codes, len(number) / len(codes))
        return self._hidden

    def partial(self, codes: Tensor, recent: Tensor, number: int) -> Tensor:
        """Compute the codes that are `recent` bool [B, S', L], `number` in each row, from what is kept."""
        model, batch, index = self.model, self.batch, self.index
        users, slots, levels = codes.shape
        alone = batch if index is None else batch.take(index)
        h0, total, known = model.embedding.sums(replace(alone, codes=codes))
        if index is not None:
            total, known = total + self._before, known + self._count
        wanted = recent.flatten(1).nonzero()[:, 1].view(users, number)
        places = wanted
        if index is not None:
            places = index.gather(1, wanted // levels) * levels + wanted % levels
        row = torch.arange(users, device=codes.device)[:, None]
        token = (row * (slots * levels) + wanted).flatten()  # of all users' tokens in one column
        x = h0.flatten(0, 2)[token].view(users, number, -1)
        context = model.context_gain * (total / known.clamp(min=LEAST_WEIGHT))  # [B, 1, L, d]
        x = model.resumed(x, context[row, 0, wanted % levels], self._kept, places, batch)
        self._hidden = self._hidden.flatten(0, 2).index_copy(0, token, x.flatten(0, 1)).view(users, slots, levels, -1)
        self.work.forwards += 1
        self.work.fixed += number * model.blocks.depth
        return self._hidden

    def _count_dense(self, codes: Tensor, rows: float) -> None:
        self.work.forwards += 1
        layers, inserted = self.model.blocks.depth, codes.shape[1] * codes.shape[2]
        if self.index is None:
            self.work.fixed += rows * layers * inserted
        else:  # the inserted slots alone are asked for
            unasked = self.model.blocks.unasked
            self.work.per_token += layers - 1 + unasked
            self.work.fixed += (1 - unasked) * inserted

"""Keys and values of the history, kept between reverse steps: only inserted slots change from one step to the next.

A dense step computes every token and keeps each block's keys and values; a partial one computes the inserted codes
that were masked at the step before and lets them attend to what is kept, where their own keys and values replace the
old ones. So a code that was just settled is read once as what it is, and is then left alone. What is kept is exact only
at a dense step, since without a causal mask the history's states depend on the inserted codes, too (after Fast-dLLM,
arXiv 2505.22618, which keeps the prefix, and dKV-Cache, arXiv 2505.15781, which keeps settled tokens, a step late).

Of one user a partial step is a few dozen tokens, and calls take its time, not sums. So both branches are computed in
one go, and what doesn't change between steps is made once.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reaseq.behavior.blocks import Kept, KeysValues
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.embedding import LEAST_WEIGHT
from reaseq.behavior.slots import SlotBatch


@dataclass
class Computed:
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


class Branches:
    """A sampling's G branches: hidden states of the inserted slots, [G, B, S', L, d], as their codes change.

    The first branch reads the history; the second one, where it is guided, the inserted slots alone.

    Args:
        model: in eval mode.
        batch: slots [B, S], the inserted ones all [MASK].
        index: int64 [B, S'], where the inserted ones are.
        computed: what a call computes is added to it.
    """

    def __init__(self, model: ReaSeqDenoiser, batch: SlotBatch, index: Tensor, *, guided: bool, computed: Computed):
        self.model, self.computed = model, computed
        self.inserted = batch.take(index)
        self._about = model.embedding.about(self.inserted)
        given = _Given(model, batch, index, computed)
        self._branches: list[_Given | _Free] = [given, _Free(model, self.inserted, computed)] if guided else [given]
        _, total, known = model.embedding.sums(batch)  # of the history: inserted slots are all [MASK]
        nothing = len(self._branches) - 1
        self._total = torch.stack([total, *[torch.zeros_like(total)] * nothing])  # [G, B, 1, L, d]
        self._known = torch.stack([known, *[torch.zeros_like(known)] * nothing])  # [G, B, 1, L, 1]
        self._hidden: Tensor = total  # of the last step; there is none yet

    def first(self, *, keep: bool) -> Tensor:
        """Compute all while the inserted slots are [MASK]; keys and values are kept if so asked."""
        return self._stacked([branch.first(keep) for branch in self._branches])

    def dense(self, codes: Tensor, *, keep: bool) -> Tensor:
        """As `first`, from the inserted slots' codes int64 [B, S', L]."""
        return self._stacked([branch.dense(codes, keep) for branch in self._branches])

    def partial(self, codes: Tensor, wanted: Tensor, settled: int) -> Tensor:
        """Compute codes anew from what is kept; what the step before gave is overwritten.

        Args:
            codes: int64 [B, S', L].
            wanted: int64 [B, n], places in S'·L of all whose keys and values are to be replaced; hidden states are
                computed of all but the first `settled`, which keep those of the step before.
        """
        model, number, levels = self.model, len(self._branches), codes.shape[2]
        h0, total, known = model.embedding.sums_of(codes, self._about)
        width = h0.shape[-1]
        x = h0.flatten(1, 2).gather(1, wanted[..., None].expand(-1, -1, width))
        context = (self._total + total) / (self._known + known).clamp(min=LEAST_WEIGHT)
        context = (model.context_gain * context).squeeze(2)  # [G, B, L, d]
        masked = wanted[:, settled:, None].expand(number, -1, -1, width)
        context = context.gather(2, masked % levels)
        kept = [branch.kept(wanted) for branch in self._branches]
        hidden = model.resumed(x.repeat(number, 1, 1), context.flatten(0, 1), kept, settled)
        self._hidden.flatten(2, 3).scatter_(2, masked, hidden.view_as(context))
        self.computed.forwards += number
        silent = settled * (1 - model.blocks.unasked)
        self.computed.fixed += number * (wanted.shape[1] * model.blocks.depth - silent)
        return self._hidden

    def _stacked(self, hidden: list[Tensor]) -> Tensor:
        self._hidden = torch.stack(hidden)
        return self._hidden


class _Given:
    """The branch that reads the history."""

    def __init__(self, model: ReaSeqDenoiser, batch: SlotBatch, index: Tensor, computed: Computed):
        self.model, self.batch, self.index, self.computed = model, batch, index, computed
        self._present = batch.present_tokens
        levels = model.config.levels
        self._places = (index[..., None] * levels + torch.arange(levels, device=index.device)).flatten(1)
        self._kept: list[KeysValues] = []

    def first(self, keep: bool) -> Tensor:
        return self.dense(self.batch.take(self.index).codes, keep)

    def dense(self, codes: Tensor, keep: bool) -> Tensor:
        index = self.index[..., None].expand_as(codes)
        full = replace(self.batch, codes=self.batch.codes.scatter(1, index, codes))
        self._kept = []
        hidden: Tensor = self.model(full, self.index, self._kept if keep else None)
        layers, unasked = self.model.blocks.depth, self.model.blocks.unasked  # the inserted slots alone are asked for
        self.computed.forwards += 1
        self.computed.per_token += layers - 1 + unasked
        self.computed.fixed += (1 - unasked) * codes[0].numel()
        return hidden

    def kept(self, wanted: Tensor) -> Kept:
        return Kept(self._kept, self._places.gather(1, wanted), self._present)


class _Free:
    """The branch that reads the inserted slots alone."""

    def __init__(self, model: ReaSeqDenoiser, inserted: SlotBatch, computed: Computed):
        self.model, self.inserted, self.computed = model, inserted, computed
        self._kept: list[KeysValues] = []

    def first(self, keep: bool) -> Tensor:
        """Users with the same buckets share one row."""
        batch = self.inserted
        if len(batch.codes) == 1:
            return self.dense(batch.codes, keep)
        buckets = torch.cat([batch.recency, batch.gap], 1)
        _, row, number = torch.unique(buckets, dim=0, return_inverse=True, return_counts=True)
        hidden = self._computed(batch.rows(row.argsort(stable=True)[number.cumsum(0) - number]), keep)
        self._kept = [KeysValues(kept.keys[row], kept.values[row]) for kept in self._kept]
        return hidden[row]

    def dense(self, codes: Tensor, keep: bool) -> Tensor:
        return self._computed(replace(self.inserted, codes=codes), keep)

    def kept(self, wanted: Tensor) -> Kept:
        return Kept(self._kept, wanted, None)

    def _computed(self, batch: SlotBatch, keep: bool) -> Tensor:
        self._kept = []
        hidden: Tensor = self.model(batch, None, self._kept if keep else None)
        tokens = batch.codes.numel() / len(self.inserted.codes)  # a user
        self.computed.forwards += 1
        self.computed.fixed += self.model.blocks.depth * tokens
        return hidden

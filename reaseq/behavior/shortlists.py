"""Shortlists: which items of a catalogue are a slot's candidates, and how probable they are.

Two ways to them, chosen by the catalogue's size (`behavior.exact_items`): here every item is looked at;
`approximate_shortlists` looks at those that lie near.

Both need the most probable items twice, of the whole catalogue and of categories that a log lacks. Here the items stand
in groups of one category each. One pass takes the maximum of every group; the best n groups by their maxima hold the
best n items, and which categories are asked for is decided on groups, of which there are a sixteenth as many.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from reaseq.behavior.catalogue import Catalogue, Posterior

SHORTLIST = 32
"""Most probable items of a slot that are candidates; as many again of categories that the log lacks."""
GROUP = 16
MOST_LOGITS = 1 << 20
"""Held at once: as many as a CPU's caches hold, since each is looked at several times."""


class Shortlist(NamedTuple):
    """N candidates for each slot of B users, [B, S, N]: positions in the catalogue int64, and log-posteriors float32,
    -inf where there is none. `total` float32 [B, S, 1]: what was subtracted of logits to make log-posteriors."""

    items: Tensor
    score: Tensor
    total: Tensor


class Shortlists(Protocol):
    """Finds them in a catalogue for a model's ẑ."""

    catalogue: Catalogue
    posterior: Posterior

    def of(self, latent: Tensor, known: Tensor, held: Tensor, *, fresh: bool) -> Shortlist:
        """The candidates of every slot.

        Args:
            latent: ẑ float32 [B, S, 128].
            known: int64 [B, N], different positions of what may not be listed; C for none.
            held: bool [B, categories], those that a log holds; 0, no category, always is.
            fresh: whether the most probable items of categories that are not held are listed besides. An item is listed
                once: as one of these, where it is.
        """


class WholeCatalogue:
    """Looks at every item."""

    def __init__(self, catalogue: Catalogue, posterior: Posterior):
        self.catalogue, self.posterior = catalogue, posterior
        size, device = len(catalogue.items), catalogue.z.device
        order = catalogue.category.argsort(stable=True)
        count = torch.bincount(catalogue.category)
        groups = (count + GROUP - 1) // GROUP
        within = torch.arange(size, device=device) - (count.cumsum(0) - count)[catalogue.category[order]]
        group = (groups.cumsum(0) - groups)[catalogue.category[order]] + within // GROUP
        self._groups = int(groups.sum()) + 1  # the last one is empty: the place of what is not there
        place = within % GROUP * self._groups + group  # the members of a group are strided: maxima run along rows
        self._place = torch.full((size + 1,), self._groups - 1, device=device)
        self._place[order] = place
        self._item = torch.zeros(GROUP * self._groups, dtype=torch.long, device=device)
        self._item[place] = order
        self._category = torch.zeros(self._groups, dtype=torch.long, device=device)
        self._category[group] = catalogue.category[order]
        vectors = torch.zeros(GROUP * self._groups, catalogue.z.shape[1] + 1, device=device)
        vectors[:, -1] = -torch.inf
        vectors[place] = torch.cat([posterior.scale * catalogue.z, catalogue.log_prior[:, None]], 1)[order]
        self._vectors = vectors.T.contiguous() / posterior.temperature  # [128 + 1, places]

    def of(self, latent: Tensor, known: Tensor, held: Tensor, *, fresh: bool) -> Shortlist:
        users = max(1, MOST_LOGITS // (latent.shape[1] * len(self._item)))
        blocks = (latent.split(users), known.split(users), held.split(users))
        parts = [self._of_block(*block, fresh=fresh) for block in zip(*blocks, strict=True)]
        return Shortlist(*(torch.cat(column).unflatten(0, latent.shape[:2]) for column in zip(*parts, strict=True)))

    def _of_block(self, latent: Tensor, known: Tensor, held: Tensor, *, fresh: bool) -> tuple[Tensor, Tensor, Tensor]:
        slots = latent.shape[1]
        asked = latent.flatten(0, 1)
        logits = torch.cat([asked, asked.new_ones(len(asked), 1)], 1) @ self._vectors  # [n, places]
        places = self._place[known].repeat_interleave(slots, 0)
        of_known = logits.gather(1, places)
        logits.scatter_(1, places, -torch.inf)
        groups = logits.view(len(logits), GROUP, -1).amax(1)
        lists = [self._best(logits, groups)]
        if fresh:
            old = held[:, self._category].repeat_interleave(slots, 0)
            lists.append(self._best(logits, groups.masked_fill(old, -torch.inf)))
            items, score = lists[0]
            new = ~held.repeat_interleave(slots, 0).gather(1, self.catalogue.category[items])
            lists[0] = items, score.masked_fill(new, -torch.inf)
        most = torch.maximum(groups.amax(1), of_known.amax(1))[:, None]
        mass = logits.sub_(most).exp_().sum(1, keepdim=True) + (of_known - most).exp().sum(1, keepdim=True)
        total = most + mass.log()
        items, score = (torch.cat(column, 1) for column in zip(*lists, strict=True))
        return items, score - total, total

    def _best(self, logits: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Catalogue positions and logits of the best items [n, SHORTLIST] in groups, by the groups' maxima [n, G]."""
        maxima, group = groups.topk(min(SHORTLIST, groups.shape[1]), dim=1)
        members = logits.view(len(logits), GROUP, -1).gather(2, group[:, None].expand(-1, GROUP, -1))
        members = members.masked_fill((maxima == -torch.inf)[:, None], -torch.inf).flatten(1)
        score, place = members.topk(min(SHORTLIST, members.shape[1]), dim=1)
        best = group.shape[1]
        return self._item[place // best * self._groups + group.gather(1, place % best)], score

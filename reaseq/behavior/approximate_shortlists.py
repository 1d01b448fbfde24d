"""Shortlists of a large catalogue, by an index (faiss) of compressed vectors instead of the vectors themselves.

A logit is an inner product: of (ẑ, 1) and (z, log prior / scale). The index holds the latter in four bits for every two
coordinates (PQ fast scan: André et al., VLDB 2015), fetches more items than are asked for, and scores those exactly.
Items are clustered, each category by itself, so that every list of the index is of one category: the most probable
items of categories that a log lacks are looked for in the lists of such categories. A list far from ẑ is left out. ẑ
lies near no item in particular, so many lists are looked through, and it is compression that saves the time.

What is subtracted of logits, the logarithm of their exponentials' sum over the whole catalogue, is exact for what was
fetched and estimated for the rest: from items drawn, list by list, as often as their prior says, each of which stands
for as much prior as the next. Its error moves all confidences of a slot alike.
"""

import math
from typing import Any

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq.behavior.catalogue import Catalogue, Posterior
from reaseq.behavior.shortlists import SHORTLIST, Shortlist
from reaseq.representation.faiss_threads import faiss_threads

LIST = 1024
"""Mean number of items of a list."""
PROBED = 0.5
"""Share of the lists that is looked through for a shortlist."""
FETCHED, ONE_OF = 256, 500
"""Items fetched and scored exactly, besides as many as a log has: 256, or one of 500 of the catalogue, since the closer
items lie together, the more of them compression confuses."""
DRAWN = 4096
"""Draws by which the rest of the sum is estimated."""
_ITERATIONS = 10  # of k-means
_POINTS = 64  # per centroid, at most, that k-means learns from
_QUANTIZED = 65_536  # items, at most, that quantization learns from
_BITS = 4  # for every two coordinates
_ALIGNED = 8  # a vector's width is a multiple of it


class NearItems:
    """Looks at the items of the nearest lists.

    Args:
        catalogue, posterior: what is looked for, and for which model.
        seed: of clustering and of the draws; the same one gives the same shortlists.
        probed: share of the lists that is looked through.
    """

    def __init__(self, catalogue: Catalogue, posterior: Posterior, *, seed: int = 0, probed: float = PROBED):
        self.catalogue, self.posterior = catalogue, posterior
        self._fetched = max(FETCHED, len(catalogue.items) // ONE_OF)
        vectors = _padded(catalogue.z, catalogue.log_prior[:, None] / posterior.scale)
        centroids, self._category, number = _cluster(vectors, catalogue.category.numpy(), seed)
        self._centroids = torch.from_numpy(centroids)
        self._index: Any = _index(vectors, centroids, number, seed)  # faiss's stubs tell of C++, not of Python
        self._index.nprobe = math.ceil(probed * len(centroids))
        order = torch.from_numpy(number.argsort(kind="stable"))
        drawn, weight = _draw(catalogue.log_prior[order].double() / posterior.temperature, seed)
        self._drawn, self._log_weight = catalogue.z[order[drawn]], weight.log().float()
        self._draw_of = torch.full((len(catalogue.items) + 1,), len(drawn))
        self._draw_of[order[drawn]] = torch.arange(len(drawn))

    def of(self, latent: Tensor, known: Tensor, held: Tensor, *, fresh: bool) -> Shortlist:
        with faiss_threads(torch.get_num_threads()):
            parts = [self._of_user(*user, fresh=fresh) for user in zip(latent, known, held, strict=True)]
        return Shortlist(*(torch.stack(column) for column in zip(*parts, strict=True)))

    def _of_user(self, latent: Tensor, known: Tensor, held: Tensor, *, fresh: bool) -> Shortlist:
        """Each user by themselves: how many items are fetched depends on the user's own log."""
        query = _padded(latent, latent.new_ones(len(latent), 1))
        near = torch.from_numpy(query) @ self._centroids.T  # [S, lists]
        number = self._fetched + int((known < len(self.catalogue.items)).sum())
        if fresh:
            own = held[self._category]
            found = [
                self._fetch(latent, query, near.masked_fill(~own, -torch.inf), number),
                self._fetch(latent, query, near.masked_fill(own, -torch.inf), self._fetched),
            ]
        else:
            found = [self._fetch(latent, query, near, number)]
        total = self._total(latent, *(torch.cat(column, 1) for column in zip(*found, strict=True)))
        found[0] = found[0][0], _without(*found[0], known)
        best = [_best(items, logits) for items, logits in found]
        if fresh:  # of its own categories no more than come before all others
            items, logits = best[0]
            least = torch.cat([logits for _, logits in best], 1).topk(SHORTLIST, dim=1).values[:, -1:]
            best[0] = items, logits.masked_fill(logits < least, -torch.inf)
        items, logits = (torch.cat(column, 1) for column in zip(*best, strict=True))
        return Shortlist(items.clamp(max=len(self.catalogue.items) - 1), logits - total, total)

    def _fetch(self, asked: Tensor, query: np.ndarray, near: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Positions [S, number], C where there is none, and logits of the best items in the lists nearest by `near`
        [S, lists]; one at -inf is left out."""
        nearness, lists = near.topk(self._index.nprobe, dim=1)
        lists = lists.masked_fill(nearness == -torch.inf, -1)
        _, found = self._index.search_preassigned(query, number, lists.numpy(), nearness.numpy())
        items = torch.from_numpy(found)
        none = items < 0
        logits = self.posterior.logits(asked, self.catalogue, items.clamp(min=0))
        return items.masked_fill(none, len(self.catalogue.items)), logits.masked_fill(none, -torch.inf)

    def _total(self, asked: Tensor, items: Tensor, logits: Tensor) -> Tensor:
        """Logarithm [S, 1] of the sum over the catalogue, of which `items` [S, N], C for none, have these logits."""
        rest = asked.new_full((len(asked), len(self._drawn) + 1), -torch.inf)  # the last one: what was not drawn
        scale = self.posterior.scale / self.posterior.temperature
        rest[:, :-1] = torch.addmm(self._log_weight, asked, self._drawn.T, alpha=scale)
        rest.scatter_(1, self._draw_of[items], -torch.inf)
        return torch.cat([logits, rest], 1).logsumexp(1, keepdim=True)


def _padded(vectors: Tensor, last: Tensor) -> np.ndarray:
    """float32 [n, 128 + 1 + …]: vectors [n, 128], a last coordinate [n, 1], and zeros up to an aligned width."""
    width = vectors.shape[1] + 1
    return F.pad(torch.cat([vectors, last], 1), (0, -width % _ALIGNED)).contiguous().numpy()


def _cluster(vectors: np.ndarray, category: np.ndarray, seed: int) -> tuple[np.ndarray, Tensor, np.ndarray]:
    """Centroids [lists, width], the category int64 [lists] of each list, and the list int64 [C] of each item."""
    centroids: list[Any] = []
    categories: list[int] = []
    number = np.zeros(len(vectors), np.int64)
    with faiss_threads(1):
        for each in np.unique(category):
            members = np.flatnonzero(category == each)
            first, lists = len(categories), -(-len(members) // LIST)
            means = faiss.Kmeans(
                vectors.shape[1], lists, niter=_ITERATIONS, seed=seed,
                min_points_per_centroid=1, max_points_per_centroid=_POINTS,
            )  # fmt: skip
            means.train(vectors[members])
            number[members] = first + means.index.search(vectors[members], 1)[1][:, 0]
            centroids.append(means.centroids)
            categories += [int(each)] * lists
    return np.concatenate(centroids), torch.tensor(categories), number


def _index(vectors: np.ndarray, centroids: np.ndarray, number: np.ndarray, seed: int) -> "faiss.IndexIVFPQFastScan":
    """The vectors [C, width] in the lists that they belong to; what lists are near is found out by whoever asks."""
    width = vectors.shape[1]
    index = faiss.IndexIVFPQ(
        faiss.IndexFlatIP(width), width, len(centroids), width // 2, _BITS, faiss.METRIC_INNER_PRODUCT
    )
    index.by_residual, index.pq.cp.seed, index.pq.cp.min_points_per_centroid = False, seed, 1
    sample = np.random.default_rng(seed).permutation(len(vectors))[:_QUANTIZED]
    with faiss_threads(1):
        index.pq.train(vectors[sample])
        index.is_trained = True
        ids = np.arange(len(vectors))
        index.add_core(len(vectors), *(faiss.swig_ptr(part) for part in (vectors, ids, number)))
        return faiss.IndexIVFPQFastScan(index)


def _draw(log_prior: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Systematic draws: different ones, int64 [n], each with the share of the prior that it stands for."""
    reached = log_prior.exp().cumsum(0)
    step = reached[-1] / DRAWN
    start = torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    drawn = torch.searchsorted(reached, (torch.arange(DRAWN) + start) * step).clamp(max=len(reached) - 1)
    different, times = drawn.unique(return_counts=True)
    return different, times * step


def _without(items: Tensor, logits: Tensor, known: Tensor) -> Tensor:
    """Logits [S, N] with those of known items, int64 [N'], left out."""
    ordered = known.sort().values
    place = torch.searchsorted(ordered, items).clamp(max=len(ordered) - 1)
    return logits.masked_fill(ordered[place] == items, -torch.inf)


def _best(items: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    logits, place = logits.topk(SHORTLIST, dim=1)
    return items.gather(1, place), logits

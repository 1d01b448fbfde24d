"""The three-branch ranker: target, short history, searched long history, inferred behaviours → a click probability.

Items enter through a table of vectors (`ItemTable`): training encodes the items of a batch, export and scoring encode
the catalogue once, so that a request costs look-ups and no projections. Scores are computed on a grid [U, C] of
contexts and their candidates; a request is the grid with U = 1.

The design is this project's, from published parts: SA-TA and SimTier (MUSE, arXiv 2512.07216), code embeddings and ID
dropout for cold items (after SaviorRec, arXiv 2508.01375), a separate branch for generated behaviours behind a gate.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from reaseq.ranking.features import PROFILE
from reaseq.ranking.layers import BINS, InferenceGate, SemanticAttention, similarity_counts
from reaseq.schema import VECTOR_DIM


class Fed(NamedTuple):
    """Which inputs a variant is fed."""

    vectors: bool  # item vectors and their codes
    inferences: bool  # inferred behaviours
    attributes: bool = True  # what is known of an item besides its id and its text: category and click rate


VARIANTS: dict[str, Fed] = {
    "full": Fed(vectors=True, inferences=True),
    "rer": Fed(vectors=True, inferences=False),
    "gbr": Fed(vectors=False, inferences=True),
    "id": Fed(vectors=False, inferences=False),
    "bare": Fed(vectors=False, inferences=False, attributes=False),
}
"""Ablations. An ablation zeroes inputs and keeps every parameter, so that all variants are equally large and start from
the same weights."""
ID_STD = 0.05  # of fresh id embeddings
RECENCY_TIE = 1e-6  # per place in the long history, so that among equally similar behaviours the recent ones are found
FARTHEST = 8.0  # taken from the similarity of padding, so that it is found last
PROFILE_SCALE = 1 / 8  # profile features are logarithms of counts and days, mostly below 8


Pooled = tuple[Tensor, Tensor]  # of a branch: attention's [U, C, D] and the similarity histogram [U, C, 22]


class RankerSpec(BaseModel):
    """All that is needed to build the network; stored in `ranker.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int  # V
    categories: int
    levels: int
    codebook_size: int
    id_dim: int
    content_dim: int
    attention_dim: int
    hidden: tuple[int, ...]
    long_top: int
    temperature: float
    gate_bias: float
    variant: str

    @property
    def width(self) -> int:
        """D, width of an item's vector."""
        return self.id_dim + self.content_dim


class Candidates(NamedTuple):
    """What is scored: C candidates of each of U contexts."""

    x: Tensor  # [U, C, D]
    z: Tensor  # [U, C, 128]
    rate: Tensor  # [U, C]


class ItemTable(NamedTuple):
    """Encoded items; row 0 is padding."""

    x: Tensor  # [n, D] id part, then content part
    z: Tensor  # [n, 128] for similarities; zeros in a variant without item vectors
    rate: Tensor  # [n] click rate of the training period, as `statistics.click_rate` gives it

    def candidates(self, place: Tensor) -> Candidates:
        """The items in these rows, int64 [U, C]."""
        return Candidates(F.embedding(place, self.x), F.embedding(place, self.z), self.rate[place])


class Users(NamedTuple):
    """User tensors of U contexts (see `features.assemble_users`); item indices are rows of the `ItemTable` in use."""

    history: Tensor  # [U, T] int64
    history_age: Tensor  # [U, T]
    long_history: Tensor  # [U, H] int64, H ≥ T; begins with `history`
    inferred: Tensor  # [U, M] int64
    inferred_vectors: Tensor  # [U, M, 128]
    inferred_confidence: Tensor  # [U, M]
    profile: Tensor  # [U, 4]


class Ranker(nn.Module):
    """The network, of one of `VARIANTS`.

    Args:
        spec: sizes and variant.
        z: [V+1, 128] float32, row 0 zeros.
        codes: [V+1, L] int64, -1 for none.
        category: [V+1] int64 in 0..categories.
        counts: [V+1] int64, times an item occurs in the training period (a statistic without labels). An item that
            never does shares the embedding of the unknown item, which ID dropout trains.
        rate: [V+1] float32, the items' click rates at the end of training.
    """

    z: Tensor
    codes: Tensor
    category: Tensor
    id_row: Tensor
    log_count: Tensor
    rate: Tensor
    knows: Tensor
    infers: Tensor
    describes: Tensor

    def __init__(
        self,
        spec: RankerSpec,
        z: np.ndarray,
        codes: np.ndarray,
        category: np.ndarray,
        counts: np.ndarray,
        rate: np.ndarray,
    ):
        super().__init__()
        self.spec = spec
        rows = np.arange(spec.items + 1)
        self.register_buffer("z", torch.from_numpy(np.ascontiguousarray(z, np.float32)))
        self.register_buffer("codes", torch.from_numpy(np.ascontiguousarray(codes, np.int64)))
        self.register_buffer("category", torch.from_numpy(np.ascontiguousarray(category, np.int64)))
        self.register_buffer("id_row", torch.from_numpy(np.where(counts > 0, rows, 0).astype(np.int64)))
        self.register_buffer("log_count", torch.from_numpy(np.log1p(counts).astype(np.float32)))
        self.register_buffer("rate", torch.from_numpy(np.ascontiguousarray(rate, np.float32)))
        fed = VARIANTS[spec.variant]
        self.register_buffer("knows", torch.tensor(float(fed.vectors)))
        self.register_buffer("infers", torch.tensor(float(fed.inferences)))
        # Follows from the spec; not among the weights, so that bundles from before it still load.
        self.register_buffer("describes", torch.tensor(float(fed.attributes)), persistent=False)
        self.ids = nn.Embedding(spec.items + 1, spec.id_dim, sparse=True)
        nn.init.normal_(self.ids.weight, std=ID_STD)
        self.trust = nn.Parameter(torch.tensor([0.0, 1.0]))
        self.categories = nn.Embedding(spec.categories + 1, spec.content_dim)
        nn.init.normal_(self.categories.weight, std=0.1)
        self.code_vectors = nn.Embedding(spec.levels * spec.codebook_size, spec.content_dim)
        nn.init.zeros_(self.code_vectors.weight)
        self.projection = nn.Linear(VECTOR_DIM, spec.content_dim, bias=False)
        nn.init.normal_(self.projection.weight, std=0.5)
        width = spec.width
        self.short = SemanticAttention(width, spec.attention_dim, spec.temperature, aged=True)
        self.long = SemanticAttention(width, spec.attention_dim, spec.temperature)
        self.inferred = SemanticAttention(width, spec.attention_dim, spec.temperature)
        self.beta = nn.Parameter(torch.tensor(1.0))
        self.wide = nn.Parameter(torch.tensor(1.0))
        self.gate = InferenceGate(width, spec.gate_bias)
        sizes = [6 * width + 3 * BINS + len(PROFILE) + 1, *spec.hidden]
        layers: list[nn.Module] = []
        for inner, outer in pairwise(sizes):
            layers += [nn.Linear(inner, outer), nn.ReLU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def encode(self, items: Tensor) -> ItemTable:
        """The table of these items (int64 [n], 0 = none)."""
        z = self.z[items] * self.knows
        content = self.content(z, self.codes[items], self.category[items])
        return ItemTable(torch.cat([self.id_part(items), content], dim=-1), z, self.rate[items] * self.describes)

    def encode_cold(self, z: Tensor, codes: Tensor, category: Tensor) -> ItemTable:
        """The table of items newer than the model: [K, 128], [K, L], [K]; their id is the unknown item's."""
        z = z * self.knows
        unknown = self.unknown().expand(z.shape[0], -1)
        return ItemTable(torch.cat([unknown, self.content(z, codes, category)], dim=-1), z, torch.zeros_like(z[:, 0]))

    def id_part(self, items: Tensor) -> Tensor:
        """Id embeddings weighed by trust = sigmoid(a + b·log(1 + training count)): a rarely seen id knows little."""
        trust = torch.sigmoid(self.trust[0] + self.trust[1] * self.log_count[items])
        return self.ids(self.id_row[items]) * trust.unsqueeze(-1)

    def unknown(self) -> Tensor:
        """[1, id_dim]: what stands for an id that training never saw."""
        return self.ids(self.id_row[:1]) * torch.sigmoid(self.trust[0])

    def content(self, z: Tensor, codes: Tensor, category: Tensor) -> Tensor:
        """What is known of items besides their id: P·z + Σ_l A_l[c_l] + category → [n, content_dim]."""
        offsets = torch.arange(self.spec.levels, device=codes.device) * self.spec.codebook_size
        there = (codes >= 0).unsqueeze(-1) * self.knows
        coded = (self.code_vectors(codes.clamp(min=0) + offsets) * there).sum(dim=-2)
        return self.projection(z) + coded + self.categories(category) * self.describes

    def forget(self, candidates: Candidates, forgotten: Tensor) -> Candidates:
        """ID dropout: where `forgotten` [U, C], what only the log knows of a candidate is the unknown item's."""
        identity, content = candidates.x.split([self.spec.id_dim, self.spec.content_dim], dim=-1)
        identity = torch.where(forgotten.unsqueeze(-1), self.unknown(), identity)
        rate = candidates.rate.masked_fill(forgotten, 0.0)
        return Candidates(torch.cat([identity, content], dim=-1), candidates.z, rate)

    def score(self, table: ItemTable, users: Users, candidates: Candidates, valid: Tensor | None = None) -> Tensor:
        """Logits of the candidates.

        Args:
            table: where the users' item indices point.
            users: U contexts.
            candidates: C of each.
            valid: [U, C] bool, cells of the grid that hold a candidate; None: all do.

        Returns:
            [U, C], or [N] of the valid cells in order of the grid.
        """
        x, z, rate = candidates
        there = (users.history > 0).to(x.dtype).unsqueeze(1)
        similarity = z @ F.embedding(users.long_history, table.z).transpose(1, 2)
        near = similarity[..., : users.history.shape[1]]
        short = self.short(x, F.embedding(users.history, table.x), near, there, age=users.history_age)
        counts = similarity_counts(near, there)
        long, long_tiers = self._long(table, users, x, similarity, counts)
        inferred, inferred_tiers, inferred_there = self._inferred(table, users, x, z)
        confidence = (users.inferred_confidence * inferred_there).sum(-1) / inferred_there.sum(-1).clamp(min=1)
        omega = self.gate(short, inferred, confidence, there.sum((1, 2)).log1p())
        profile = (users.profile * PROFILE_SCALE).unsqueeze(1).expand(-1, x.shape[1], -1)
        parts = [x, short, short * x, long, long * x, inferred * omega]
        parts += [counts.log1p(), long_tiers, inferred_tiers * omega, profile]
        parts.append(rate.unsqueeze(-1))
        features = torch.cat(parts, dim=-1)
        if valid is None:
            return self.mlp(features.flatten(0, 1)).view_as(rate) + self.wide * rate
        return self.mlp(features[valid]).squeeze(-1) + self.wide * rate[valid]

    def _long(
        self, table: ItemTable, users: Users, x: Tensor, similarity: Tensor, recent: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The `long_top` behaviours most similar to each candidate → pooled [U, C, D] and histogram [U, C, 22].

        `similarity` is [U, C, H], `recent` the histogram's counts [U, C, 22] of the short history, with which the long
        one begins.
        """
        history, top, short = users.long_history, self.spec.long_top, users.history.shape[1]
        there = (history > 0).to(x.dtype).unsqueeze(1)
        if not torch.compiler.is_exporting() and x.shape[1] * top < history.shape[1]:
            return self._search_for_few(table, history, x, similarity, there)

        def take_all(x: Tensor, behaviors: Tensor, similarity: Tensor, there: Tensor, recent: Tensor) -> Pooled:
            older = similarity_counts(similarity[..., short:], there[..., short:])
            return self.long(x, behaviors, similarity, there), (recent + older).log1p()

        operands = (x, F.embedding(history, table.x), similarity, there, recent)
        return either(history.shape[1] > top, self._search, take_all, operands)

    def _search(self, x: Tensor, behaviors: Tensor, similarity: Tensor, there: Tensor, recent: Tensor) -> Pooled:
        """For many candidates: each attends to the whole history, behind a mask of what was found for it."""
        wanted = wish(similarity, there)
        nearest = wanted.topk(self.spec.long_top, dim=-1, sorted=False)
        found = wanted >= nearest.values.amin(-1, keepdim=True)
        counts = similarity_counts(*granted(*nearest))
        return self.long(x, behaviors, similarity, there, found), counts.log1p()

    def _search_for_few(
        self, table: ItemTable, history: Tensor, x: Tensor, similarity: Tensor, there: Tensor
    ) -> Pooled:
        """For fewer candidates than would fill the history with what they find: each gets vectors of its own."""
        nearest = wish(similarity, there).topk(self.spec.long_top, dim=-1, sorted=False)
        similarity, there = granted(*nearest)
        items = history.unsqueeze(1).expand(-1, x.shape[1], -1).gather(-1, nearest.indices)
        behaviors = F.embedding(items.flatten(0, 1), table.x)
        target, near, held = (part.flatten(0, 1).unsqueeze(1) for part in (x, similarity, there))
        return self.long(target, behaviors, near, held).view_as(x), similarity_counts(similarity, there).log1p()

    def _inferred(self, table: ItemTable, users: Users, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pooled inferred behaviours [U, C, D], their histogram [U, C, 22] and which there are [U, M].

        A behaviour is its item's vector, with P·ẑ beside P·z: what the denoiser meant and what the catalogue offers.
        """
        there = (users.inferred > 0).to(x.dtype) * self.infers
        vectors = users.inferred_vectors * (there * self.knows).unsqueeze(-1)
        behaviors = F.embedding(users.inferred, table.x)
        behaviors = behaviors + F.pad(self.projection(vectors), (self.spec.id_dim, 0))
        similarity = z @ vectors.transpose(1, 2)
        bias = self.beta * torch.where(there > 0, users.inferred_confidence, 1.0).clamp(min=1e-6).log()
        pooled = self.inferred(x, behaviors, similarity, there.unsqueeze(1), bias=bias)
        return pooled, similarity_counts(similarity, there.unsqueeze(1)).log1p(), there


def wish(similarity: Tensor, there: Tensor) -> Tensor:
    """What a search sorts by, [U, C, H]: similarity, then recency; padding comes last."""
    ties = torch.arange(similarity.shape[-1], device=similarity.device) * RECENCY_TIE
    return similarity - (ties + (1 - there) * FARTHEST)


def granted(wished: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Of what a search found, [U, C, k] each: `similarity`, and `there`, which is 0.0 at padding."""
    return wished + place * RECENCY_TIE, (wished > -FARTHEST / 2).to(wished.dtype)


def either(
    condition: bool, then: Callable[..., Any], otherwise: Callable[..., Any], operands: tuple[Tensor, ...]
) -> Any:
    """`then(*operands)` or `otherwise(*operands)`; an exported graph holds both and chooses by its inputs' shapes."""
    if torch.compiler.is_exporting():
        return torch.cond(condition, then, otherwise, operands)
    return (then if condition else otherwise)(*operands)


def build_ranker(spec: RankerSpec, seed: int, tables: dict[str, Any]) -> Ranker:
    """A freshly initialised ranker; the same seed gives the same weights, whatever the variant."""
    torch.manual_seed(seed)
    return Ranker(spec, **tables)

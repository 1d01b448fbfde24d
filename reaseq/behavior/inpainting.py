"""Inpainting Recall@10: the last behaviour before the cut becomes a [MASK] slot; is its item among the ten best?"""

from dataclasses import dataclass

import numpy as np
import torch

from reaseq.behavior.catalogue import Catalogue, score_catalogue
from reaseq.behavior.corpus import Corpus
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.slots import SlotBatch, gather_sequences, slot_batch

BATCH = 64  # users; their scores of the whole catalogue are in memory at once


@dataclass(frozen=True)
class Inpainting:
    """The held-out users of a corpus, against the catalogue known before the cut."""

    corpus: Corpus
    catalogue: Catalogue
    codes: np.ndarray
    longest: int

    def recall(self, model: ReaSeqDenoiser, k: int = 10) -> float:
        """Share of held-out items ranked in the first k of those the user has not had."""
        if len(self.corpus.held_at) == 0:
            return 0.0
        was_training = model.training
        model.eval()
        hits = sum(self._hits(model, low, k) for low in range(0, len(self.corpus.held_at), BATCH))
        model.train(was_training)
        return hits / len(self.corpus.held_at)

    def popularity_recall(self, k: int = 10) -> float:
        """The same for ranking by number of events."""
        if len(self.corpus.held_at) == 0:
            return 0.0
        hits = 0
        for start, at in zip(self.corpus.held_start, self.corpus.held_at, strict=True):
            score = self.catalogue.log_prior.clone()[None]
            hits += self._count(score, np.array([start]), np.array([at]), k)
        return hits / len(self.corpus.held_at)

    def _hits(self, model: ReaSeqDenoiser, low: int, k: int) -> int:
        starts, ends = self.corpus.held_start[low : low + BATCH], self.corpus.held_at[low : low + BATCH]
        return self._count(self.scores(model, starts, ends).cpu(), starts, ends, k)

    @torch.no_grad()
    def scores(self, model: ReaSeqDenoiser, starts: np.ndarray, at: np.ndarray) -> torch.Tensor:
        """[n, C] of the catalogue's items for the behaviours at these events, whose history starts there."""
        windows = gather_sequences(self.corpus.log, np.maximum(starts, at + 1 - self.longest), at + 1)
        batch = slot_batch(windows, self.codes, windows.rank > 0)
        rows, last = torch.arange(len(starts)), batch.present.sum(1) - 1
        codes, action = batch.codes.clone(), batch.action.clone()
        codes[rows, last], action[rows, last] = model.config.mask_code, 0
        noisy = SlotBatch(codes, batch.recency, batch.gap, action, batch.present).to(model.device)
        hidden = model(noisy)[rows, last]
        return score_catalogue(model.latent(hidden), self.catalogue.to(model.device), model.latent_scale)

    def without_logged(self, score: torch.Tensor, starts: np.ndarray, at: np.ndarray) -> torch.Tensor:
        """The scores [n, C], in place, with -inf for the items that each history [start, at) holds."""
        items = self.corpus.log.items
        for row, (start, end) in enumerate(zip(starts, at, strict=True)):
            logged = self.catalogue.position(torch.from_numpy(items[start:end].astype(np.int64)))
            score[row, logged[logged < score.shape[1]]] = -torch.inf
        return score

    def _count(self, score: torch.Tensor, starts: np.ndarray, at: np.ndarray, k: int) -> int:
        items = self.corpus.log.items
        score = self.without_logged(score, starts, at)
        target = self.catalogue.position(torch.from_numpy(items[at].astype(np.int64)))
        best = score.topk(min(k, score.shape[1]), dim=1).indices
        return int((best == target[:, None]).any(1).sum())

"""What may be inferred: the items of a catalogue, and how probable one is in a slot."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq.behavior.denoiser import ReaSeqDenoiser


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Items that may be inferred, in ascending order of their index.

    items int64 [C]; z float32 [C, 128], unit length; codes int64 [C, L]; category int64 [C], 0 for none; log_prior
    float32 [C], logarithm of the item's share of events; novelty float32 [C] in (0, 1].
    """

    items: Tensor
    z: Tensor
    codes: Tensor
    category: Tensor
    log_prior: Tensor
    novelty: Tensor

    @classmethod
    def known_before(cls, items: np.ndarray, z: np.ndarray, codes: np.ndarray, category: np.ndarray) -> "Catalogue":
        """The items that occur in a log (`items` int [E], of events before the snapshot); `z`, `codes` and `category`
        are of all items, [V+1, …].

        Novelty is self-information relative to that of an item seen once (Zhou et al., PNAS 2010), (0, 1].
        """
        seen, count = np.unique(items, return_counts=True)
        total = max(int(count.sum()), 2)
        novelty = np.log2(total / count) / np.log2(total)
        return cls(
            items=torch.from_numpy(seen.astype(np.int64)),
            z=torch.from_numpy(np.ascontiguousarray(z[seen])),
            codes=torch.from_numpy(np.ascontiguousarray(codes[seen])),
            category=torch.from_numpy(category[seen].astype(np.int64)),
            log_prior=torch.from_numpy(np.log(count / total).astype(np.float32)),
            novelty=torch.from_numpy(np.maximum(novelty, 1e-3).astype(np.float32)),
        )

    def position(self, items: Tensor) -> Tensor:
        """Position of item indices in the catalogue; C where it does not have them."""
        if len(self.items) == 0:
            return torch.zeros_like(items)
        place = torch.searchsorted(self.items, items).clamp(max=len(self.items) - 1)
        return torch.where(self.items[place] == items, place, len(self.items))

    def to(self, device: torch.device | str) -> "Catalogue":
        return Catalogue(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def score_catalogue(latent: Tensor, catalogue: Catalogue, scale: float | Tensor) -> Tensor:
    """Log-posterior [n, C] of every item in n slots, as it was learned; latent [n, 128]."""
    return F.log_softmax(scale * latent @ catalogue.z.T + catalogue.log_prior, -1)


@dataclass(frozen=True)
class Posterior:
    """How a model's ẑ become the log-posteriors that confidence is told by: those of `score_catalogue`, whose logits
    are divided by the temperature that `calibration` chose."""

    scale: float
    temperature: float = 1.0

    def logits(self, latent: Tensor, catalogue: Catalogue, positions: Tensor) -> Tensor:
        """Of the items at `positions` int64 [..., N], for each ẑ [..., 128]."""
        cosine = (F.embedding(positions, catalogue.z) @ latent[..., None])[..., 0]
        return (self.scale * cosine + catalogue.log_prior[positions]) / self.temperature

    @classmethod
    def of(cls, model: ReaSeqDenoiser) -> "Posterior":
        return cls(model.latent_scale.item(), model.config.posterior_temperature)

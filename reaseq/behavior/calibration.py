"""How sure the denoiser may say it is: a temperature for its posterior over items, fitted on held-out behaviours.

The confidence of an inferred behaviour is the posterior of its item (see `grounding`), and the ranker reads it. Softmax
posteriors of a fitted network are often too sure; dividing their logits by one temperature, chosen by likelihood on
behaviours that were not learned from, repairs most of it and leaves the order within a slot as it is (Guo et al., ICML
2017, arXiv 1706.04599). What is measured is one masked last behaviour, as in `inpainting`; inference masks several
slots at once and keeps the temperature.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.inpainting import BATCH, Inpainting
from reaseq.config import Json

TEMPERATURES = np.geomspace(0.25, 4.0, 65)
"""Among these one is chosen: 1 is one of them, and neighbours differ by 4 %."""
FEWEST = 50
"""With fewer held-out behaviours in either half the temperature stays 1."""
BINS = 15


@dataclass(frozen=True)
class Calibration:
    """A temperature, and the expected calibration error of the first choice without it and with it, measured on
    held-out behaviours that it was not chosen by; nan where there are too few."""

    temperature: float
    error_before: float
    error: float
    behaviors: int

    def as_json(self) -> Json:
        return {name: None if value != value else round(value, 6) for name, value in asdict(self).items()}


def calibrate(model: ReaSeqDenoiser, inpainting: Inpainting) -> Calibration:
    """Choose the temperature by the likelihood of every other held-out behaviour, and measure it on the rest."""
    loss, confidence, hit = _observed(model, inpainting)
    chosen_by = np.arange(len(hit)) % 2 == 0
    rest = ~chosen_by
    if rest.sum() < FEWEST:
        return Calibration(1.0, float("nan"), float("nan"), int(rest.sum()))
    plain, best = len(TEMPERATURES) // 2, int(loss[chosen_by].mean(0).argmin())
    return Calibration(
        temperature=float(TEMPERATURES[best]),
        error_before=expected_error(confidence[rest, plain], hit[rest]),
        error=expected_error(confidence[rest, best], hit[rest]),
        behaviors=int(rest.sum()),
    )


def expected_error(confidence: np.ndarray, hit: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: mean gap between confidence [n] and share of hits, bool [n], over bins of (nearly)
    equally many, which leaves none empty where most confidences are low."""
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    gaps = [len(part) * abs(confidence[part].mean() - hit[part].mean()) for part in parts]
    return float(sum(gaps) / len(order))


@torch.no_grad()
def _observed(model: ReaSeqDenoiser, inpainting: Inpainting) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every held-out behaviour, under each temperature: -log posterior of its item and posterior of the first
    choice, float [n, G]; and whether the first choice is its item, bool [n]."""
    was_training = model.training
    model.eval()
    corpus, catalogue = inpainting.corpus, inpainting.catalogue
    loss, confidence, hits = [], [], []
    for low in range(0, len(corpus.held_at), BATCH):
        starts, at = corpus.held_start[low : low + BATCH], corpus.held_at[low : low + BATCH]
        score = inpainting.scores(model, starts, at).cpu().double()
        target = catalogue.position(torch.from_numpy(corpus.log.items[at].astype(np.int64)))
        there = score.gather(1, target[:, None])[:, 0]
        best, first = inpainting.without_logged(score.clone(), starts, at).max(1)
        total = torch.stack([(score / t).logsumexp(1) for t in TEMPERATURES], 1)  # [b, G]
        inverse = torch.from_numpy(1 / TEMPERATURES)
        loss.append((total - there[:, None] * inverse).numpy())
        confidence.append((best[:, None] * inverse - total).exp().numpy())
        hits.append((first == target).numpy())
    model.train(was_training)
    if not hits:
        none = np.zeros((0, len(TEMPERATURES)))
        return none, none, np.zeros(0, bool)
    return np.concatenate(loss), np.concatenate(confidence), np.concatenate(hits)

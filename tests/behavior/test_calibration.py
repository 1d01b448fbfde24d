"""A model that is twice as sure as it should be is found out, and told so."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from reaseq.behavior.calibration import calibrate, expected_error
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.corpus import Corpus
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.inpainting import Inpainting
from tests.behavior.toys import toy_categories, toy_log, toy_model, toy_tables

ITEMS = 30


@dataclass(frozen=True)
class Oversure(Inpainting):
    """Held-out items are drawn from a softmax, and scores are its logits, `times` as large."""

    times: float = 1.0

    def scores(self, model: ReaSeqDenoiser, starts: np.ndarray, at: np.ndarray) -> torch.Tensor:
        rng = np.random.default_rng(int(at[0]))
        logits = rng.normal(0, 1.5, (len(at), len(self.catalogue.items)))
        drawn = (logits + rng.gumbel(size=logits.shape)).argmax(1)
        target = self.catalogue.position(torch.from_numpy(self.corpus.log.items[at].astype(np.int64))).numpy()
        rows = np.arange(len(at))
        logits[rows, drawn], logits[rows, target] = logits[rows, target], logits[rows, drawn].copy()
        return torch.from_numpy(self.times * logits).log_softmax(1)


def oversure(users: int, times: float) -> Oversure:
    log = toy_log([3] * users, items=ITEMS)
    codes, z = toy_tables(ITEMS)
    corpus = Corpus.of(log, np.random.default_rng(0))
    return Oversure(corpus, Catalogue.known_before(log.items, z, codes, toy_categories(ITEMS)), codes, 10, times)


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_what_the_scores_exaggerate(times: float) -> None:
    found = calibrate(toy_model(), oversure(6000, times))
    assert found.temperature == pytest.approx(times, rel=0.1)
    assert found.error < 0.04
    if times != 1:
        assert found.error_before > 2 * found.error


def test_with_few_held_out_behaviours_nothing_is_fitted_and_nothing_claimed() -> None:
    found = calibrate(toy_model(), oversure(60, 2.0))
    assert found.temperature == 1.0
    assert found.as_json()["error"] is None


def test_expected_error_of_who_is_right_half_of_the_time_and_says_so() -> None:
    hit = np.arange(300) % 2 == 0
    assert expected_error(np.full(300, 0.5), hit) == pytest.approx(0.0, abs=0.03)
    assert expected_error(np.full(300, 0.9), hit) == pytest.approx(0.4, abs=1e-9)

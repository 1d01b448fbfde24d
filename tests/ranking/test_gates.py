"""ω of every impression is that of a request made for it alone."""

import numpy as np
import pytest
import torch

from reaseq.artifacts import Artifact
from reaseq.ranking.gates import GateValues
from reaseq.ranking.scoring import Scorer
from reaseq.ranking.training import users_of
from tests.ranking.conftest import World


@pytest.fixture(scope="module")
def values(full: Artifact, world: World) -> GateValues:
    return Scorer(full, *world.inputs).impressions_with_gate("test")[1]


def test_each_impression_has_the_omega_of_its_own_request(full: Artifact, world: World, values: GateValues) -> None:
    scorer = Scorer(full, *world.inputs)
    shown = scorer.data.impressions("test")
    assert len(values.omega) == len(shown)
    for row in np.linspace(0, len(shown) - 1, 12).astype(int):
        one = slice(row, row + 1)
        tensors = scorer.contexts.tensors(shown.user[one], shown.end[one], shown.timestamp[one])
        found: list[float] = []
        hook = scorer.model.gate.register_forward_hook(lambda module, inputs, omega, to=found: to.append(omega.item()))
        with torch.no_grad():
            item = torch.from_numpy(scorer.place[shown.item[one]]).unsqueeze(0)
            scorer.model.score(scorer.table, users_of(tensors, torch.device("cpu")), scorer.table.candidates(item))
        hook.remove()
        assert values.omega[row] == pytest.approx(found[0], abs=1e-6)
        assert values.inferred[row] == (tensors["inferred"] > 0).sum()


def test_omega_is_a_share_and_training_has_moved_it(values: GateValues) -> None:
    assert (values.omega > 0).all()
    assert (values.omega < 1).all()
    assert values.omega.std() > 0
    assert values.inferred.max() > 0


def test_a_lag_hides_inferences_and_scores_are_as_before(full: Artifact, world: World) -> None:
    scorer = Scorer(full, *world.inputs)
    before = scorer.impressions("test")

    assert scorer.impressions_with_gate("test")[0].equals(before)
    assert scorer.impressions("test").equals(before), "the hook is gone"
    late = Scorer(full, *world.inputs, lag_hours=24 * 365.0).impressions_with_gate("test")[1]
    assert not late.inferred.any()

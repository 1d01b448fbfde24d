"""C10 on the small world: what is measured, what stale inferences do, and the rule."""

import numpy as np
import polars as pl
import pytest

from reaseq.artifacts import Workspace
from reaseq.config import load
from reaseq.data import Dataset
from reaseq.evaluation.claims.serving_cost import (
    CANDIDATES,
    LEAN,
    MISSING,
    WITH,
    Request,
    draw_requests,
    export_lean,
    headroom,
    judge,
    staleness,
    stays_cheap,
)
from reaseq.evaluation.metrics import auc, gauc
from reaseq.ranking.bundle import Bundle, onnx_session
from reaseq.ranking.features import UserRow
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.scoring import Scorer
from reaseq.ranking.stage import train_ranker
from tests import smallworld

CONFIG = load(
    "tiny",
    overrides={
        "ranking.short_history": 6,
        "ranking.long_history": 12,
        "ranking.long_top": 4,
        "ranking.golden_candidates": 8,
        "ranking.golden_requests": 8,
        "evaluation.bootstrap": 40,
    },
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("cost") / "workspace")


@pytest.fixture(scope="module")
def sources(workspace):
    dataset = smallworld.write_dataset(workspace.root / "dataset", workspace)
    vectors = smallworld.write_item_vectors(workspace.root / "vectors", dataset, workspace)
    inferred = smallworld.write_inferred_behaviors(workspace.root / "inferred", dataset, vectors, workspace)
    return dataset, vectors, inferred


@pytest.fixture(scope="module")
def ranker(sources, workspace):
    return train_ranker(CONFIG, *sources, workspace.root / "ranker", workspace)


@pytest.fixture(scope="module")
def evidence(sources, workspace):
    return stays_cheap(CONFIG, *sources, workspace, requests=10)


def test_every_arm_is_measured_at_every_size(evidence):
    for count in CANDIDATES:
        table = evidence.figures[f"{count} candidates"]
        assert set(table) == {WITH, MISSING, LEAN}
        assert all(row["p99 ms"] >= row["p50 ms"] > 0 and row["requests/s"] > 0 for row in table.values())
    assert [c.base for c in evidence.comparisons if c.decides] == [LEAN, LEAN]
    assert {"when", "machine", "cores"} <= set(evidence.figures["measured"])


def test_stale_and_missing_inferences_are_scored_as_the_scorer_does(evidence, sources, ranker):
    quality = evidence.figures["stale and missing inferences, test split"]

    assert list(quality) == ["lag 0 h", "lag 24 h", "lag 72 h", "lag 168 h", "none"]
    for lag in (0.0, 72.0):
        table = Scorer(ranker, *sources, lag_hours=lag).impressions("test")
        expected = auc(table.column("label").to_numpy(), table.column("score").to_numpy())
        assert quality[f"lag {lag:.0f} h"]["auc"] == pytest.approx(expected, abs=1e-9)


def test_users_without_any_event_are_not_taken_for_one_user(sources, ranker, workspace):
    dataset, *assets = sources
    renamed = pl.when(pl.col("split") == "test").then(pl.format("stranger {}", "user_id")).otherwise("user_id")
    strangers = smallworld.with_impressions(
        dataset, workspace.root / "strangers", workspace, lambda shown: shown.with_columns(renamed.alias("user_id"))
    )

    quality, changes = staleness(CONFIG, Dataset.open(strangers), *assets, ranker)

    table = Scorer(ranker, strangers, *assets).impressions("test")
    users, labels, scores = (table.column(name).to_numpy() for name in ("user_id", "label", "score"))
    assert quality["lag 0 h"]["gauc"] == pytest.approx(gauc(users, labels, scores).value, abs=1e-9)
    assert all(change.users > 1 for change in changes)


def test_measured_figures_are_taken_over_and_not_measured_again(evidence, sources, workspace):
    assert stays_cheap(CONFIG, *sources, workspace, requests=10) == evidence


def test_requests_are_those_of_test_users_without_events_of_the_future(sources, ranker):
    data = Dataset.open(sources[0])
    table = InferenceTable.read(sources[2], data, 0.0)

    drawn = draw_requests(data, Bundle.open(ranker), table, requests=30, candidates=100, seed=1)

    for request in drawn:
        assert request.now >= smallworld.TEST_START and len(request.candidates) == 100
        assert all(moment < request.now for moment in request.row.history_times)
    assert any(request.row.inferred_items for request in drawn)
    assert not any(request.without_assets().row.inferred_items for request in drawn)


def test_the_lean_network_reads_neither_vectors_nor_inferences_nor_the_long_history(ranker):
    exported, limits = export_lean(Bundle.open(ranker))

    used = {each.name for each in onnx_session(exported).get_inputs()}

    assert {"candidates", "history", "history_age", "profile"} <= used
    assert limits.inferred == 1 and limits.long == limits.short
    first, second = (_scores(exported, limits, value) for value in (0.0, 1.0))
    np.testing.assert_array_equal(first, second)


def _scores(exported, limits, value):
    """Of candidates 1 … 3, with everything that the assets feed set to `value`."""
    session = onnx_session(exported)
    sizes = {"C": 3, "K": 1, "T": limits.short, "H": limits.long, "M": limits.inferred}
    fed = {}
    for name, dtype, shape in limits.specs():
        fed[name] = np.zeros([sizes.get(size, size) for size in shape], dtype)
        if name in ("long_history", "inferred", "inferred_vectors", "inferred_confidence"):
            fed[name] += np.array(value, dtype)
    fed["candidates"][:] = [1, 2, 3]
    return session.run(["scores"], {each.name: fed[each.name] for each in session.get_inputs()})[0]


def test_the_bound_is_ten_per_cent_of_the_base():
    base = np.full(50, 10.0)

    within = headroom(100, LEAN, np.full(50, 10.9), base, 20, 0)
    beyond = headroom(100, LEAN, np.full(50, 11.1), base, 20, 0)
    noisy = headroom(100, LEAN, np.append(np.full(99, 10.0), 13.0), np.full(100, 10.0), 200, 0)

    assert within.better and within.decides and judge([within])[0] == "holds"
    assert beyond.worse and judge([within, beyond])[0] == "does not hold"
    assert not noisy.better and not noisy.worse and judge([noisy])[0] == "not testable here"
    assert judge([])[0] == "not testable here"


def test_a_request_keeps_everything_but_the_inferences():
    row = UserRow(["i1"], [5], 1, 1, 5, 5, ["i2"], np.ones((1, 128), np.float32), [0.5])

    bare = Request(row, ["i3"], 9).without_assets().row

    assert bare.history_items == row.history_items and bare.events == 1
    assert not bare.inferred_items and not bare.inferred_confidence and bare.inferred_vectors.shape == (0, 128)

"""The evaluation stage on the small world, with rankers that were never trained."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from reaseq import config as configuration
from reaseq import schema
from reaseq.artifacts import Workspace, open_artifact
from reaseq.evaluation import stage
from reaseq.evaluation.errors import EvaluationError
from reaseq.evaluation.scorecard import ScoredSplit, lift, notes, score, verdict
from reaseq.ranking.scoring import CatalogueRanks
from tests.evaluation import standins
from tests.evaluation.hostile import rewritten

CONFIG = configuration.load("tiny", overrides={"evaluation.bootstrap": 60, "evaluation.ks": (5, 10)})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An evaluation made once: its artifact, the inputs and the workspace."""
    root = tmp_path_factory.mktemp("evaluation")
    workspace = Workspace(root / "workspace")
    inputs = standins.write_all(root, workspace)
    with pytest.MonkeyPatch.context() as monkeypatch:
        standins.stand_in(monkeypatch)
        artifact = stage.evaluate(CONFIG, **inputs, out=root / "out", workspace=workspace)
    return artifact, inputs, root


def test_both_models_and_both_yardsticks_stand_side_by_side(made):
    metrics = made[0].json("metrics.json")

    for split in ("valid", "test"):
        assert list(metrics[split]) == ["full", "id", "item_mean", "popularity"]
    assert set(metrics["test"]["id"]) == set(metrics["test"]["popularity"]) == set(metrics["valid"]["full"])
    assert {"auc", "gauc", "gauc_users", "logloss", "hr@10", "ndcg@10", "mrr"} <= set(metrics["test"]["full"])
    assert set(metrics) == {
        "valid", "test", "lift", "buckets", "knowledge", "representation", "behaviors", "denoiser", "notes", "omega",
    }  # fmt: skip


def test_the_better_model_shows_a_lift_that_excludes_zero(made):
    metrics = made[0].json("metrics.json")

    for name in ("auc", "gauc", "ndcg@10"):
        assert metrics["lift"][name]["low"] > 0
    assert metrics["lift"]["logloss"]["high"] < 0
    assert metrics["lift"]["auc"]["effect"] == pytest.approx(
        metrics["test"]["full"]["auc"] - metrics["test"]["id"]["auc"]
    )
    assert any("better than ID-only on AUC" in note for note in metrics["notes"])


def test_undefined_metrics_are_null_with_a_reason(made):
    metrics = made[0].json("metrics.json")

    assert metrics["test"]["popularity"]["logloss"] is None
    assert metrics["test"]["popularity"]["undefined"]["logloss"] == "scores are not probabilities"
    assert "not ranked" in metrics["valid"]["full"]["undefined"]["hr@10"]


def test_json_holds_no_nan(made):
    def refuse(word):
        raise AssertionError(word)

    json.loads(made[0].file("metrics.json").read_text(), parse_constant=refuse)


def test_predictions_are_kept_for_later_pairing(made):
    artifact = made[0]

    for name in ("id", "full"):
        table = artifact.table(f"predictions_{name}.parquet")
        assert table.schema.equals(schema.PREDICTIONS)
        assert set(table.column("split").to_pylist()) == {"test"}


def test_the_same_inputs_give_the_same_bytes(made, tmp_path, monkeypatch):
    artifact, inputs, _ = made
    standins.stand_in(monkeypatch)

    again = stage.evaluate(CONFIG, **inputs, out=tmp_path / "again", workspace=Workspace(tmp_path / "other"))

    assert again.digest == artifact.digest
    assert open_artifact(tmp_path / "again", "evaluation").file("report.html").read_bytes() == (
        artifact.file("report.html").read_bytes()
    )


def test_each_ranker_is_opened_once_over_one_opened_dataset(made, tmp_path, monkeypatch):
    opened = []

    class Counted(standins.Scorer):
        def __init__(self, bundle, data, *rest):
            super().__init__(bundle, data, *rest)
            opened.append((bundle.manifest.name, data))

    def enough(*_):
        raise EvaluationError("all is scored")

    standins.stand_in(monkeypatch, Counted)
    monkeypatch.setattr(stage, "render", enough)

    with pytest.raises(EvaluationError, match="all is scored"):
        stage.evaluate(CONFIG, **made[1], out=tmp_path / "out", workspace=Workspace(tmp_path / "workspace"))

    assert [name for name, _ in opened] == ["ranker_id", "ranker_full"]
    assert opened[0][1] is opened[1][1]


def test_a_test_split_without_impressions_is_evaluated_to_nothing(made, tmp_path, monkeypatch):
    """Ingestion refuses such a dataset; one that was made before it did must not cost the run its other results."""
    inputs, workspace = made[1], Workspace(tmp_path / "workspace")
    dataset = rewritten(
        inputs["dataset"], "impressions.parquet", schema.IMPRESSIONS,
        lambda table: table.filter(pc.not_equal(table.column("split"), "test")), tmp_path / "dataset", workspace,
    )  # fmt: skip
    standins.stand_in(monkeypatch)

    metrics = stage.evaluate(CONFIG, **inputs | {"dataset": dataset}, out=tmp_path / "out", workspace=workspace).json(
        "metrics.json"
    )

    assert metrics["test"]["full"]["impressions"] == 0
    assert metrics["test"]["full"]["auc"] is None
    assert metrics["valid"]["full"]["auc"] > 0.5


def test_predictions_of_other_rows_are_refused(made, tmp_path, monkeypatch):
    _, inputs, _ = made

    class Slipped(standins.Scorer):
        def impressions(self, split: str) -> pa.Table:
            return super().impressions(split).slice(1)

    standins.stand_in(monkeypatch, Slipped)

    with pytest.raises(EvaluationError, match=r"don't follow the valid rows"):
        stage.evaluate(CONFIG, **inputs, out=tmp_path / "out", workspace=Workspace(tmp_path / "workspace"))


def test_rankers_that_ranked_other_positives_are_refused(made, tmp_path, monkeypatch):
    _, inputs, _ = made

    class Shifted(standins.Scorer):
        def ranks(self, split: str, *, users: int, seed: int) -> CatalogueRanks:
            found = super().ranks(split, users=users, seed=seed)
            full = self.bundle.manifest.name == "ranker_full"
            return replace(found, item_id=np.roll(found.item_id, 1)) if full else found

    standins.stand_in(monkeypatch, Shifted)

    with pytest.raises(EvaluationError, match="different positives"):
        stage.evaluate(CONFIG, **inputs, out=tmp_path / "out", workspace=Workspace(tmp_path / "workspace"))


def split_of(id_scores, full_scores, labels, users):
    scores = {"id": np.array(id_scores), "full": np.array(full_scores)}
    zeros = np.zeros(len(labels), np.int64)
    return ScoredSplit(np.array(users), zeros + 1, np.array(labels, np.int8), zeros, scores)


def test_an_effect_that_did_not_show_is_said_in_plain_words():
    rng = np.random.default_rng(0)
    labels, users = rng.integers(0, 2, 200), np.repeat(np.arange(20), 10)
    split = split_of(rng.random(200), rng.random(200), labels, users)

    effects = lift(split, (), replicates=100, seed=0)
    said = notes(score(split, ()), effects, {})

    assert any(note.startswith("No effect shown, the interval includes 0") for note in said)


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "expected"),
    [
        (0.1, 0.3, False, "better"),
        (-0.3, -0.1, False, "worse"),
        (0.1, 0.3, True, "worse"),
        (-0.3, -0.1, True, "better"),
        (0.0, 0.3, False, "open"),
        (None, None, False, "unsure"),
    ],
)
def test_a_difference_is_judged_by_where_its_interval_lies(low, high, lower_is_better, expected):
    effect = 0.2 if low is None else (low + high) / 2

    assert verdict({"effect": effect, "low": low, "high": high}, lower_is_better) == expected


def test_a_yardstick_that_wins_is_named():
    split = split_of([0.2, 0.1] * 4, [0.2, 0.1] * 4, [0, 1] * 4, np.repeat(np.arange(4), 2))
    split = replace(split, scores=split.scores | {"popularity": np.array([0.0, 1.0] * 4)})

    said = notes(score(split, ()), lift(split, (), replicates=20, seed=0), {})

    assert any(note.startswith("The popularity alone does no worse") for note in said)


def test_a_split_of_one_class_is_evaluated_without_auc():
    split = split_of([0.2, 0.1], [0.3, 0.1], [0, 0], [1, 2])

    figures = score(split, (10,))
    effects = lift(split, (10,), replicates=20, seed=0)

    assert figures["full"]["auc"] is None
    assert figures["full"]["undefined"]["auc"] == "no positive impression"
    assert any("No interval can be given" in note for note in notes(figures, effects, {}))


def test_users_without_any_event_are_not_taken_for_one_user(made, tmp_path):
    dataset = made[1]["dataset"]
    data = stage.Dataset.open(dataset)
    shown = data.impressions("test")
    strangers = pa.table(
        {
            "user_id": [f"stranger {n}" for n in range(len(shown))],
            "item_id": [data.item_ids[i - 1] for i in shown.item],
            "score": pa.array(np.full(len(shown), 0.5), pa.float32()),
        }
    )

    lined = stage._line_up(data, "test", {"id": strangers, "full": strangers}, np.zeros(61, np.int64))

    assert len(np.unique(lined.users)) == len(shown)

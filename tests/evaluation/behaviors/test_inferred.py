"""Which events count for and against an inference."""

import numpy as np
import pytest

from reaseq import schema
from reaseq.artifacts import Workspace, build
from reaseq.evaluation.behaviors.inferred import Inferred, diversity, known
from reaseq.evaluation.claims.cases import Cases, novelty
from reaseq.evaluation.errors import EvaluationError


def counted_by_hand(inferred, data):
    """What is known of each inferred behaviour and each row, in loops."""
    log, top = data.log, ["", *data.top_categories]
    marks = {"new_item": [], "new_category": [], "taken": [], "same_category": []}
    events = []
    for row, (user, snapshot) in enumerate(zip(inferred.user, inferred.snapshot, strict=True)):
        span = slice(log.offsets[user], log.offsets[user + 1])
        later = inferred.snapshots[inferred.snapshots > snapshot]
        end = later[0] if len(later) else np.inf
        seen, window = [], []
        for item, time, train in zip(log.items[span], log.timestamps[span], log.train[span], strict=True):
            if time < snapshot and (train or data.split_kind != "leave_one_out"):
                seen.append(item)
            elif time < end:
                window.append(item)
        events.append(len(window))
        for item in inferred.item[inferred.row == row]:
            marks["new_item"].append(item not in seen)
            marks["new_category"].append(top[item] not in {top[i] for i in seen})
            marks["taken"].append(item in window)
            marks["same_category"].append(top[item] in {top[i] for i in window})
    return marks, events


@pytest.mark.parametrize("kind", ["time", "leave_one_out"])
def test_history_and_window_are_those_of_a_loop(inferred, data, kind):
    data.split_kind = kind

    facts = known(inferred, data)

    marks, events = counted_by_hand(inferred, data)
    for name, values in marks.items():
        assert getattr(facts, name).tolist() == values, name
    assert facts.events.tolist() == events
    assert facts.taken.any() and facts.new_category.any()


def test_novelty_and_diversity_are_those_that_the_claims_measure(inferred, data, vectors):
    last = inferred.only(inferred.snapshot == inferred.snapshots[-1])
    items = np.zeros((len(last.user), 10), np.int64)
    for row in range(len(last.user)):
        found = last.item[last.row == row]
        items[row, : len(found)] = found
    nothing = np.zeros((len(last.user), len(data.item_ids) + 1), bool)
    before = data.log.before(int(last.snapshots[-1]))
    cases = Cases(before, last.user, items, np.zeros((*items.shape, 128), np.float32), nothing, nothing)

    facts, theirs = known(last, data), novelty(cases, data, vectors)

    np.testing.assert_allclose(last.mean_of_rows(facts.new_item), theirs["new_items"])
    np.testing.assert_allclose(last.mean_of_rows(facts.new_category), theirs["new_categories"])
    np.testing.assert_allclose(diversity(last, vectors.z), theirs["diversity"], atol=1e-6)


def test_what_the_world_knows_beyond_the_log_is_marked(inferred, data):
    had = {(row["user_id"], row["item_id"]) for row in data.beyond_log().select(["user_id", "item_id"]).to_pylist()}

    marked = known(inferred, data).beyond

    pairs = [
        (data.log.user_ids[inferred.user[row]], data.item_ids[item - 1])
        for row, item in zip(inferred.row, inferred.item, strict=True)
    ]
    assert marked.tolist() == [pair in had for pair in pairs]


def test_where_the_world_knows_nothing_nothing_is_claimed(inferred, data, monkeypatch):
    monkeypatch.setattr(data, "beyond_log", lambda: None)

    assert known(inferred, data).beyond is None


def test_a_run_without_inferences_is_refused_with_a_remedy(data, tmp_path):
    empty = build(
        tmp_path / "none",
        kind="inferred_behaviors",
        config={},
        inputs={},
        write=lambda draft: draft.write_table(
            "inferred_behaviors.parquet", schema.INFERRED_BEHAVIORS.empty_table(), schema.INFERRED_BEHAVIORS
        ),
        workspace=Workspace(tmp_path / "workspace"),
    )

    with pytest.raises(EvaluationError, match=r"no inferred behaviours: .*behavior\.min_events"):
        Inferred.read(empty, data)

"""Cases are picked by rule."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from reaseq.data.dataset import Dataset
from reaseq.evaluation.cases import changed_cases, item_cases, user_cases
from reaseq.evaluation.scorecard import ScoredSplit
from tests import smallworld

CATALOGUE = {f"i{n}": (f"Title {n}", "") for n in range(1, 20)}


def test_the_largest_changes_come_first_and_each_user_once():
    users = np.repeat([0, 1, 2], 6)
    labels = np.tile([1, 1, 0, 0, 0, 0], 3).astype(np.int8)
    low, middle, high = [0.1, 0.1], [0.5, 0.5], [0.9, 0.9]
    negatives = [0.2, 0.3, 0.6, 0.7]
    split = ScoredSplit(
        users=users,
        items=np.arange(1, 19),
        labels=labels,
        history=np.where(users == 0, 4, 0),
        scores={
            "id": np.array([*low, *negatives, *middle, *negatives, *high, *negatives]),
            "full": np.array([*high, *negatives, *high, *negatives, *low, *negatives]),
        },
    )

    knowledge = pa.table({"status": ["ok", *["fallback"] * 18], "item_text": [f"Text {n}" for n in range(1, 20)]})
    log = SimpleNamespace(items=np.array([9, 8, 7, 6, 5]))

    helped, hurt = changed_cases(
        split,
        [f"u{u}" for u in users],
        list(CATALOGUE),
        CATALOGUE,
        np.zeros(20, np.int64),
        knowledge=knowledge,
        log=log,
        ends=np.where(users == 0, 4, 0),
    )

    assert [(case.user_id, case.full - case.id) for case in helped] == [("u0", 1.0), ("u1", 0.5)]
    assert [(case.user_id, case.full - case.id) for case in hurt] == [("u2", -1.0)]
    assert helped[0].recent == ("Title 6", "Title 7", "Title 8"), "most recent first, none after the impression"
    assert (helped[0].item_text, helped[1].item_text) == ("Text 1", ""), "a fallback's text is its title"
    assert helped[1].recent == ()


def test_new_items_are_shown_before_seen_ones(tmp_path, workspace):
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    knowledge = smallworld.write_knowledge(tmp_path / "knowledge", dataset, workspace).table("knowledge.parquet")
    data = Dataset.open(dataset)
    events = np.array([0, *([5] * 54), *([0] * 6)])

    shown = item_cases(knowledge, data.titles, data.top_categories, events, np.arange(1, 61))

    assert [case.training_events for case in shown] == [0, 0, 0, 5, 5, 5]
    assert shown[0].demand_text.endswith("who want to look fresh.")


def test_a_split_that_shows_nothing_has_no_item_cases(tmp_path, workspace):
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    knowledge = smallworld.write_knowledge(tmp_path / "knowledge", dataset, workspace).table("knowledge.parquet")
    data = Dataset.open(dataset)

    assert item_cases(knowledge, data.titles, data.top_categories, np.zeros(61, int), np.zeros(0, np.int64)) == []


def test_a_users_log_ends_at_the_snapshot(tmp_path, workspace):
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    data = Dataset.open(dataset)
    catalogue = dict(zip(data.item_ids, zip(data.titles, data.top_categories, strict=True), strict=True))
    log = data.log
    user = 3
    span = slice(log.offsets[user], log.offsets[user + 1])
    cut = int(log.timestamps[span][6])  # the seventh event is the first that may not be shown
    later = data.item_ids[log.items[span][6] - 1]
    inferred = pa.table(
        {
            "user_id": [log.user_ids[user], "stranger"],
            "snapshot": pa.array([cut, cut], pa.timestamp("us", tz="UTC")),
            "item_ids": [[later, "not in the catalogue"], [later]],
            "confidence": [[0.9, 0.5], [0.9]],
        }
    )

    (case,) = user_cases(inferred, data, catalogue)

    before = [int(i) for t, i in zip(log.timestamps[span], log.items[span], strict=True) if t < cut]
    assert case.events == len(before)
    assert [title for title, _ in case.log] == [data.titles[i - 1] for i in before[::-1]][:8]
    assert [(found.title, found.truth) for found in case.inferred] == [(catalogue[later][0], "taken later")]


def test_what_leave_one_out_holds_out_was_taken_later(tmp_path, workspace):
    data = Dataset.open(smallworld.write_dataset(tmp_path / "dataset", workspace))
    data.split_kind = "leave_one_out"  # the snapshot lies after all training events, and maybe after held-out ones
    catalogue = dict(zip(data.item_ids, zip(data.titles, data.top_categories, strict=True), strict=True))
    log, user = data.log, 3
    span = slice(log.offsets[user], log.offsets[user + 1])
    items, train = log.items[span], log.train[span]
    held_out = next(int(i) for i in items[~train] if i not in items[train])
    inferred = pa.table(
        {
            "user_id": [log.user_ids[user]],
            "snapshot": pa.array([int(log.timestamps.max()) + 1], pa.timestamp("us", tz="UTC")),
            "item_ids": [[data.item_ids[held_out - 1]]],
            "confidence": [[0.9]],
        }
    )

    (case,) = user_cases(inferred, data, catalogue)

    assert case.events == train.sum() < len(train)
    assert [title for title, _ in case.log] == [data.titles[i - 1] for i in items[train][::-1]][:8]
    assert [found.truth for found in case.inferred] == ["taken later"]


def test_what_the_synthetic_world_hides_is_marked(tmp_path, workspace):
    data = Dataset.open(smallworld.write_dataset(tmp_path / "dataset", workspace))
    catalogue = dict(zip(data.item_ids, zip(data.titles, data.top_categories, strict=True), strict=True))
    user, end = str(data.log.user_ids[0]), int(data.log.timestamps.max()) + 1
    inferred = pa.table(
        {
            "user_id": [user],
            "snapshot": pa.array([end], pa.timestamp("us", tz="UTC")),
            "item_ids": [["i001", "i002"]],
            "confidence": [[0.9, 0.5]],
        }
    )
    beyond = pa.table({"user_id": [user, "another"], "item_id": ["i002", "i001"]})

    (case,) = user_cases(inferred, data, catalogue, beyond)

    assert [found.truth for found in case.inferred] == ["", "taken beyond the log"]


def test_no_inferences_give_no_user_cases():
    empty = pa.table({"user_id": [], "snapshot": [], "item_ids": [], "confidence": []})

    assert user_cases(empty, None, {}) == []

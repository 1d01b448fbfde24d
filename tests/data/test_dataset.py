"""Reading a dataset: one numbering of items, a log by user, nothing that two readers could mix up."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from reaseq.data import DataError, Dataset
from tests import smallworld


@pytest.fixture
def small(tmp_path, workspace):
    return Dataset.open(smallworld.write_dataset(tmp_path / "dataset", workspace))


def test_item_index_is_the_row_plus_one_and_zero_is_unknown(small):
    assert small.index_of(["i001", "i060", "nothing"]).tolist() == [1, 60, 0]
    assert small.index_of(np.array(["i002"], object)).dtype == np.int64
    assert small.index_of(pa.chunked_array([["i003"], ["i004"]])).tolist() == [3, 4]
    assert small.index_of([]).tolist() == []


def test_categories_are_numbered_from_one(small):
    assert small.category_names == ["Fragrance", "Hair Care", "Makeup", "Skin Care"]
    assert small.category_index[0] == 0
    assert [small.category_names[c - 1] for c in small.category_index[1:]] == small.top_categories


def test_the_log_holds_each_users_events_oldest_first(small):
    log = small.log
    table = small.artifact.table("interactions.parquet").to_pylist()
    assert len(log.items) == len(table) == log.offsets[-1]
    for user, name in enumerate(log.user_ids):
        mine = [row for row in table if row["user_id"] == name]
        part = slice(log.offsets[user], log.offsets[user + 1])
        assert [small.item_ids[i - 1] for i in log.items[part]] == [row["item_id"] for row in mine]
        assert (np.diff(log.timestamps[part]) >= 0).all()
        assert log.train[part].tolist() == [row["split"] == "train" for row in mine]
    assert {log.action_names[a] for a in log.actions} == {"click"}
    assert (log.items.dtype, log.timestamps.dtype, log.actions.dtype) == (np.int32, np.int64, np.int8)


def test_a_cut_log_keeps_its_users(small):
    before = small.log.before(small.test_start)
    assert before.timestamps.max() < small.test_start
    assert len(before.items) == (small.log.timestamps < small.test_start).sum()
    assert before.offsets[-1] == len(before.items)
    assert (before.user_ids == small.log.user_ids).all()
    assert small.log.only_train().train.all()
    assert (before.users == np.repeat(np.arange(len(before.user_ids)), np.diff(before.offsets))).all()


@pytest.mark.parametrize("kind", ["time", "leave_one_out"])
def test_inference_may_read_the_whole_log_but_for_what_leave_one_out_holds_out(small, kind):
    small.split_kind = kind
    expected = small.log.train if kind == "leave_one_out" else np.ones(len(small.log.items), bool)

    assert small.visible.tolist() == expected.tolist()
    assert small.visible_log().items.tolist() == small.log.items[expected].tolist()
    assert small.visible_log().user_ids is small.log.user_ids


def test_actions_are_renumbered_by_the_names_that_a_reader_knows(small):
    log = small.log
    known, unknown = log.with_actions(["buy", "click"]), log.with_actions(["buy"])
    assert (known.action_names, set(known.actions)) == (("buy", "click"), {1})
    assert set(unknown.actions) == {-1}
    assert known.actions.dtype == np.int8


def test_users_are_found_by_id(small):
    assert small.log.user_index(["u03", "nobody", "u00"]).tolist() == [3, -1, 0]


def test_only_ratings_that_are_behaviours_reach_the_log(ingested, folder):
    header, *lines = (folder / "interactions.csv").read_text().splitlines()
    rated = [f"{header},rating", *(f"{line},{(3, 4, '')[n % 3]}" for n, line in enumerate(lines))]
    (folder / "interactions.csv").write_text("\n".join(rated) + "\n")
    dataset = Dataset.open(ingested())
    assert len(dataset.log.items) == sum(n % 3 > 0 for n in range(len(lines)))
    shown = dataset.artifact.table("impressions.parquet")
    assert sum(shown.column("label").to_pylist()) == len(dataset.log.items)


def test_an_unknown_split_is_refused(small):
    with pytest.raises(DataError, match="'future' is unknown"):
        small.impressions("future")


def test_a_log_without_truth_has_no_beyond_log(small):
    assert small.beyond_log() is None


def test_reading_a_dataset_imports_no_torch():
    code = "import sys, reaseq.data, reaseq.data.stage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0

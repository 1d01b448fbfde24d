"""What a refresh promises: who gets one, from what it is inferred, and that the way it is made changes no byte."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.behavior import BehaviorError
from reaseq.behavior.refresh import Recipe, Shard, Worker, in_this_process
from reaseq.config import load
from reaseq.data import Dataset
from reaseq.schema import INFERRED_BEHAVIORS
from tests import smallworld
from tests.behavior.refreshes import END, SMALL, Made, make, with_other_items_from


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def refreshed(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return made.refresh(tmp_path_factory.mktemp("refreshed"))


def nobody(recipe: Recipe, shards: Sequence[Shard]) -> Iterator[Shard]:
    raise AssertionError("there is nothing to infer")
    yield from shards


def bytes_of(artifact: Artifact) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in artifact.manifest.files.items()}


def by_user(artifact: Artifact) -> dict[str, dict]:
    return {row["user_id"]: row for row in artifact.table("users.parquet").to_pylist()}


def test_users_with_new_events_have_a_row_at_the_snapshot_and_others_have_none(made: Made, refreshed: Artifact) -> None:
    rows = refreshed.table("inferred_behaviors.parquet")
    log = Dataset.open(made.dataset).log
    new = {
        user: int((log.timestamps[log.offsets[n] : log.offsets[n + 1]] >= smallworld.TEST_START).sum())
        for n, user in enumerate(log.user_ids)
    }
    due = sorted(user for user, count in new.items() if count >= 2)
    assert 0 < len(due) < smallworld.USERS
    assert rows["user_id"].to_pylist() == due
    assert rows["snapshot"].cast(pa.int64()).unique().to_pylist() == [END]
    assert rows["version"].unique().to_pylist() == [made.known.facts["version"]]
    users = by_user(refreshed)
    assert {user: row["new_events"] for user, row in users.items()} == new
    assert [user for user, row in users.items() if row["outcome"] == "refreshed"] == due
    assert refreshed.facts["outcomes"] == {
        "refreshed": len(due),
        "nothing_found": 0,
        "fresh_enough": smallworld.USERS - len(due),
        "too_few_events": 0,
    }


def test_users_with_a_short_history_get_none_and_are_counted(made: Made, tmp_path: Path) -> None:
    config = load("tiny", overrides=SMALL | {"refresh.min_events": 13, "refresh.older_than_days": 0.1})
    cold = made.refresh(tmp_path, config=config, run_shards=nobody)
    assert cold.table("inferred_behaviors.parquet").num_rows == 0
    assert cold.facts["outcomes"]["too_few_events"] == smallworld.USERS


def test_an_old_inference_is_made_again_without_new_events(made: Made, tmp_path: Path) -> None:
    config = load("tiny", overrides=SMALL | {"refresh.events": 100, "refresh.older_than_days": 6})
    assert made.refresh(tmp_path, config=config).facts["outcomes"]["refreshed"] == smallworld.USERS


def test_at_a_snapshot_of_the_run_it_infers_what_the_run_did(made: Made, tmp_path: Path) -> None:
    now = smallworld.TEST_START

    def write(draft: Draft) -> None:
        table = made.known.table("inferred_behaviors.parquet")
        draft.write_table(
            "inferred_behaviors.parquet", table.filter(_times(table) < now), INFERRED_BEHAVIORS
        )  # as if the run had not come that far

    workspace = Workspace(tmp_path / "w")
    earlier = build(
        tmp_path / "known", kind="inferred_behaviors", config={}, inputs={}, write=write, workspace=workspace
    )
    config = load("tiny", overrides=SMALL | {"refresh.min_events": 2, "refresh.older_than_days": 0.01})
    again = made.refresh(tmp_path, config=config, snapshot=now, known=earlier).table("inferred_behaviors.parquet")
    of_run = made.known.table("inferred_behaviors.parquet")
    assert again.to_pylist() == of_run.filter(pc.equal(_times(of_run), now)).to_pylist()


@settings(max_examples=6)
@given(st.integers(smallworld.TEST_START // smallworld.DAY * 24, END // smallworld.DAY * 24 + 24))
def test_no_event_at_or_after_the_snapshot_changes_a_refresh(
    made: Made, tmp_path_factory: pytest.TempPathFactory, hour: int
) -> None:
    snapshot, folder = hour * smallworld.DAY // 24, tmp_path_factory.mktemp("canary")
    changed = with_other_items_from(snapshot, made.dataset, folder / "dataset")
    theirs = made.refresh(folder, snapshot=snapshot, dataset=changed)
    ours = made.refresh(folder, snapshot=snapshot)
    assert bytes_of(theirs) == bytes_of(ours)


def test_whoever_infers_the_shards_the_bytes_are_the_same(made: Made, refreshed: Artifact, tmp_path: Path) -> None:
    def two_workers_from_the_end(recipe: Recipe, shards: Sequence[Shard]) -> Iterator[Shard]:
        assert len(shards) > 1
        workers = (Worker(recipe), Worker(recipe))
        for number, shard in enumerate(reversed(shards)):
            workers[number % 2].infer(shard)
            yield shard

    again = made.refresh(tmp_path, run_shards=two_workers_from_the_end)
    assert bytes_of(again) == bytes_of(refreshed)
    assert again.facts == refreshed.facts


def test_a_killed_refresh_repeats_no_finished_shard_and_ends_in_the_same_bytes(
    made: Made, refreshed: Artifact, tmp_path: Path
) -> None:
    seen: list[Path] = []

    def dying_after_the_first(recipe: Recipe, shards: Sequence[Shard]) -> Iterator[Shard]:
        for shard in in_this_process(recipe, shards):
            seen.append(shard.path)
            yield shard
            raise InterruptedError

    def noting(recipe: Recipe, shards: Sequence[Shard]) -> Iterator[Shard]:
        for shard in in_this_process(recipe, shards):
            seen.append(shard.path)
            yield shard

    with pytest.raises(InterruptedError):
        made.refresh(tmp_path, run_shards=dying_after_the_first)
    again = made.refresh(tmp_path, run_shards=noting)
    assert len(seen) == len(set(seen)) == refreshed.facts["shards"] > 1
    assert bytes_of(again) == bytes_of(refreshed)


def test_a_refresh_at_the_same_snapshot_is_taken_over(made: Made, tmp_path: Path) -> None:
    first = made.refresh(tmp_path)
    assert made.refresh(tmp_path, run_shards=nobody).digest == first.digest


def test_the_next_refresh_goes_on_from_the_one_before(made: Made, refreshed: Artifact, tmp_path: Path) -> None:
    """Nothing happens after END: whoever was due was served, also those for whom nothing was found."""
    later = made.refresh(tmp_path, snapshot=END + smallworld.DAY, known=refreshed, run_shards=nobody)
    assert later.facts["outcomes"]["fresh_enough"] == smallworld.USERS
    before, after = by_user(refreshed), by_user(later)
    assert {user: row["inferred_at"] for user, row in after.items()} == {
        user: row["inferred_at"] for user, row in before.items()
    }


def test_a_user_for_whom_nothing_is_found_is_counted_and_not_tried_again(made: Made, tmp_path: Path) -> None:
    def finding_nothing(recipe: Recipe, shards: Sequence[Shard]) -> Iterator[Shard]:
        for shard in in_this_process(recipe, shards):
            pq.write_table(INFERRED_BEHAVIORS.empty_table(), shard.path)
            yield shard

    first = made.refresh(tmp_path, run_shards=finding_nothing)
    assert first.facts["outcomes"]["refreshed"] == 0
    assert first.facts["outcomes"]["nothing_found"] > 0
    made.refresh(tmp_path, snapshot=END + 1, known=first, run_shards=nobody)


def test_a_snapshot_from_before_the_denoiser_was_fitted_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(BehaviorError, match="Choose a later snapshot"):
        made.refresh(tmp_path, snapshot=made.denoiser.facts["cut"] - 1)


def test_a_shard_that_did_not_arrive_is_an_error(made: Made, tmp_path: Path) -> None:
    def elsewhere(recipe: Recipe, shards: Sequence[Shard]) -> Iterator[Shard]:
        yield from shards

    with pytest.raises(BehaviorError, match="a volume that they share"):
        made.refresh(tmp_path, run_shards=elsewhere)


def _times(table: pa.Table) -> np.ndarray:
    return table["snapshot"].cast(pa.int64()).to_numpy()

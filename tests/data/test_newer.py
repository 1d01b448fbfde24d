"""A dataset whose log goes on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reaseq.artifacts import Artifact, Workspace
from reaseq.config import RunConfig
from reaseq.data import BadRowsError, Dataset, MissingColumnError, SourceMissingError, stage
from reaseq.data.newer import extend
from tests.data.conftest import DAY, START

LATER = START + 30 * DAY
HEADER = "user_id,item_id,timestamp\n"


@pytest.fixture
def dataset(configured: Callable[..., RunConfig], tmp_path: Path, workspace: Workspace) -> Artifact:
    return stage.ingest(configured(), tmp_path / "dataset", workspace)


@pytest.fixture
def extended(
    configured: Callable[..., RunConfig], dataset: Artifact, tmp_path: Path, workspace: Workspace
) -> Callable[..., Artifact]:
    """The dataset with the events of a CSV text."""

    def extend_by(text: str, **settings: object) -> Artifact:
        (tmp_path / "newer.csv").write_text(text)
        return extend(configured(**settings), dataset, tmp_path / "newer.csv", tmp_path / "extended", workspace)

    return extend_by


def test_new_events_stand_behind_the_old_ones_and_new_users_among_the_others(
    dataset: Artifact, extended: Callable[..., Artifact]
) -> None:
    old = Dataset.open(dataset)
    new = Dataset.open(extended(f"{HEADER}u0,i3,{LATER}\nu0,i5,{LATER + 1}\nu00,i1,{LATER}\n"))
    assert new.log.user_ids.tolist() == sorted([*old.log.user_ids, "u00"])
    u0 = slice(*new.log.offsets[:2])
    assert new.log.items[u0][-2:].tolist() == new.index_of(["i3", "i5"]).tolist()
    assert new.log.timestamps[u0][-2:].tolist() == [LATER * 1_000_000, (LATER + 1) * 1_000_000]
    assert len(new.log.items) == len(old.log.items) + 3
    before = new.log.before(LATER * 1_000_000)
    assert np.array_equal(before.items, old.log.items)
    assert np.array_equal(before.train, old.log.train)
    assert not new.log.train[new.log.timestamps >= LATER * 1_000_000].any()


def test_events_that_the_log_has_already_are_left_out(
    dataset: Artifact, extended: Callable[..., Artifact], folder: Path
) -> None:
    again = extended((folder / "interactions.csv").read_text() + f"u0,i3,{LATER}\n")
    assert again.facts["extended"]["added"] == 1
    assert again.facts["extended"]["there_already"] == dataset.table("interactions.parquet").num_rows
    assert again.manifest.files["items.parquet"] == dataset.manifest.files["items.parquet"]


def test_bad_rows_are_set_aside_with_their_reason_or_refused(extended: Callable[..., Artifact]) -> None:
    text = f"{HEADER}u0,i3,{LATER}\nu0,unheard-of,{LATER}\nu0,i3,never\n"
    made = extended(text)
    assert made.facts["extended"] == {
        "rows": 3,
        "added": 1,
        "there_already": 0,
        "quarantined": {"bad_timestamp": 1, "unknown_item": 1},
    }
    assert made.file("quarantine.jsonl").read_text().count("newer.csv") == 2
    with pytest.raises(BadRowsError, match=r"interactions: 2 of 3 rows are bad"):
        extended(text, bad_rows_limit=0.1)


def test_a_missing_file_or_column_is_named(
    extended: Callable[..., Artifact], configured: Callable[..., RunConfig], dataset: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(MissingColumnError, match="item_id"):
        extended("user_id,timestamp\nu0,1\n")
    with pytest.raises(SourceMissingError, match=r"nowhere\.csv is not there"):
        extend(configured(), dataset, tmp_path / "nowhere.csv", tmp_path / "out", Workspace(tmp_path / "w"))

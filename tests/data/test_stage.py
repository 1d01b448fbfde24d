"""The stage: keyed by what the files hold, repeatable to the byte."""

import os

import numpy as np
import pytest

from reaseq import artifacts
from reaseq.data import Dataset, stage
from reaseq.data.sources.amazon_beauty import TOP_CATEGORIES


def test_ingesting_twice_gives_the_same_bytes(configured, tmp_path):
    digests = {
        stage.ingest(configured(), tmp_path / name, artifacts.Workspace(tmp_path / f"w-{name}")).digest
        for name in ("a", "b")
    }
    assert len(digests) == 1


def test_a_changed_file_makes_a_new_dataset_and_a_moved_folder_none(configured, folder, tmp_path, workspace):
    first = stage.ingest(configured(), tmp_path / "a", workspace)
    moved = folder.rename(tmp_path / "moved")
    second = stage.ingest(configured(source=str(moved)), tmp_path / "b", workspace)
    assert second.manifest.key == first.manifest.key
    with (moved / "items.csv").open("a") as file:
        file.write("i8,Another,Hair,Brand 2,3\n")
    third = stage.ingest(configured(source=str(moved)), tmp_path / "c", workspace)
    assert third.manifest.key != first.manifest.key
    assert third.facts["counts"]["items"] == 9


def test_the_hash_seed_changes_nothing(folder, tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from reaseq import artifacts, config; from reaseq.data import stage\n"
        "c = config.load('tiny', overrides={'data.dataset': 'files', 'data.source': sys.argv[1]})\n"
        "print(stage.ingest(c, sys.argv[2] + '/out', artifacts.Workspace(sys.argv[2] + '/w')).digest)"
    )
    digests = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, str(folder), str(tmp_path / seed)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        digests.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests) == 1


def test_dates_in_the_configuration_win(ingested):
    artifact = ingested(valid_start="2020-09-25", test_start="2020-09-28T12:00:00")
    assert artifact.facts["split"]["times"] == "configured dates"
    splits = artifact.table("interactions.parquet", ["timestamp", "split"]).to_pylist()
    assert {row["split"] for row in splits if row["timestamp"].day < 25 and row["timestamp"].month == 9} == {"train"}


EXPECTED = {
    "amazon-beauty": (22_363, 12_101, 198_502, 198_502, 992_510, 1_394_150_400, 1_400_025_600),
    "ml-100k": (943, 1_682, 100_000, 55_375, 100_000, 889_237_269, 891_382_309),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_data_is_complete_and_split_as_published(real_data, configured, tmp_path, workspace, name):
    users, items, events, behaviors, shown, valid_start, test_start = EXPECTED[name]
    if not (real_data / name).is_dir():
        pytest.skip(f"{name} is not in {real_data}")
    config = configured(dataset=name, source=str(real_data / name))
    artifact = stage.ingest(config, tmp_path / "dataset", workspace)
    counts = artifact.facts["counts"]
    assert (counts["users"], counts["items"], counts["interactions"]) == (users, items, events)
    assert (counts["behaviors"], counts["impressions"]) == (behaviors, shown)
    split = artifact.facts["split"]
    assert (split["valid_start"], split["test_start"]) == (valid_start * 1_000_000, test_start * 1_000_000)
    assert artifact.facts["quarantined"] == ({"empty_title": 7} if name == "amazon-beauty" else {})
    dataset = Dataset.open(artifact)
    assert len(dataset.log.items) == behaviors
    test = dataset.impressions("test")
    last = test.end - 1
    known = last >= dataset.log.offsets[test.user]
    assert (dataset.log.timestamps[last[known]] < test.timestamp[known]).all()
    if name == "amazon-beauty":
        assert dataset.category_names == list(TOP_CATEGORIES)
        requests, sizes = np.unique(test.request_id.astype(str), return_counts=True)
        assert set(sizes) == {5}
        assert test.label.sum() == len(requests)


def test_leave_one_out_on_beauty_keeps_the_published_order(real_data, configured, tmp_path, workspace):
    if not (real_data / "amazon-beauty").is_dir():
        pytest.skip(f"amazon-beauty is not in {real_data}")
    config = configured(
        dataset="amazon-beauty", source=str(real_data / "amazon-beauty"), split="leave_one_out", negatives=1
    )
    artifact = stage.ingest(config, tmp_path / "dataset", workspace)
    counts = artifact.facts["counts"]["behaviors_by_split"]
    assert (counts["valid"], counts["test"]) == (22_363, 22_363)
    dataset = Dataset.open(artifact)
    log = dataset.log
    last = log.offsets[1:] - 1
    ties = (log.timestamps[last] == log.timestamps[last - 1]).mean()
    assert round(float(ties), 3) == 0.435
    test = dataset.impressions("test")
    positive = test.label == 1
    assert (test.end[positive] == last[test.user[positive]]).all()

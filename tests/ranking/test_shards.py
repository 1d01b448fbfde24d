"""Training from disk: blocks of whole requests, click rates as they stood, vectors that are mapped and not loaded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reaseq import schema
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.data.dataset import Dataset
from reaseq.ranking import shards as shards_module
from reaseq.ranking.batches import Contexts, Epochs
from reaseq.ranking.features import FeatureLimits
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.shards import Shards, item_counts
from reaseq.ranking.statistics import SMOOTHING, click_rate
from tests.ranking.conftest import World


@pytest.fixture
def data(world: World) -> Dataset:
    return Dataset.open(world.dataset)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "SMALLEST", 40)


def leave_one_out(world: World, root: Path) -> Dataset:
    """The small world split by sequence: the same tables, with `end` decided per request."""
    tables = {name: world.dataset.table(f"{name}.parquet") for name in ("items", "interactions", "impressions")}

    def write(draft: Draft) -> None:
        for name, table in tables.items():
            draft.write_table(f"{name}.parquet", table, getattr(schema, name.upper()))
        (draft.path / "quarantine.jsonl").write_text("")
        draft.facts.update(world.dataset.facts | {"split": world.dataset.facts["split"] | {"kind": "leave_one_out"}})

    made = build(root / "loo", kind="dataset", config={}, inputs={}, write=write, workspace=Workspace(root / "ws"))
    return Dataset.open(made)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ["time", "leave_one_out"])
def test_blocks_hold_every_impression_in_order_and_whole_requests(world: World, tmp_path: Path, kind: str) -> None:
    data = Dataset.open(world.dataset) if kind == "time" else leave_one_out(world, tmp_path)
    shown = data.impressions("train")
    shards = Shards.of(data, "train", tmp_path)
    blocks = [block.impressions for block in shards.each()]
    assert len(blocks) == len(shards) > 5
    assert shards.rows == len(shown) == data.rows("train")
    for name in ("user", "item", "timestamp", "label", "end"):
        joined = np.concatenate([getattr(block, name) for block in blocks])
        np.testing.assert_array_equal(joined, getattr(shown, name), err_msg=name)
    requests = np.concatenate([block.request_id for block in blocks])
    np.testing.assert_array_equal(np.diff(requests) != 0, shown.request_id[1:] != shown.request_id[:-1])
    assert sum(len(np.unique(block.request_id)) for block in blocks) == len(np.unique(requests))


@pytest.mark.usefixtures("small_blocks")
def test_blocks_are_read_by_number_and_made_once(data: Dataset, tmp_path: Path) -> None:
    shards = Shards.of(data, "train", tmp_path)
    written = shards.path.stat().st_mtime_ns
    each = list(shards.each())
    chosen = Shards.of(data, "train", tmp_path).read([4, 0])
    np.testing.assert_array_equal(
        chosen.impressions.item, np.concatenate([each[4].impressions.item, each[0].impressions.item])
    )
    np.testing.assert_array_equal(chosen.rate, np.concatenate([each[4].rate, each[0].rate]))
    assert shards.path.stat().st_mtime_ns == written


@pytest.mark.usefixtures("small_blocks")
def test_a_row_sees_the_click_rates_of_the_blocks_before_its_own(data: Dataset, tmp_path: Path) -> None:
    shards = Shards.of(data, "train", tmp_path)
    size = len(data.item_ids) + 1
    before, taken = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for block in shards.each():
        rows = block.impressions
        np.testing.assert_array_equal(block.rate, click_rate(before, taken)[rows.item])
        np.add.at(before, rows.item, 1)
        np.add.at(taken, rows.item, rows.label)
    assert not next(shards.each()).rate.any()
    for counted, expected in zip(item_counts(shards, size - 1), (before, taken), strict=True):
        np.testing.assert_array_equal(counted, expected)


@pytest.mark.usefixtures("small_blocks")
def test_no_label_reaches_a_rate_of_its_own_block(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = list(Shards.of(data, "train", tmp_path).each())
    blocks = Dataset.impression_blocks

    def flipped(self: Dataset, split: str, rows: int):  # type: ignore[no-untyped-def]
        for number, shown in enumerate(blocks(self, split, rows)):
            yield replace(shown, label=1 - shown.label) if number == 3 else shown

    monkeypatch.setattr(Dataset, "impression_blocks", flipped)
    (tmp_path / "other").mkdir()
    changed = list(Shards.of(data, "train", tmp_path / "other").each())
    for number in range(4):
        np.testing.assert_array_equal(changed[number].rate, honest[number].rate)
    assert (changed[4].rate != honest[4].rate).any()


def test_click_rates_are_smoothed_log_odds_around_the_global_rate() -> None:
    shown, taken = np.array([0, 10, 0, 1000]), np.array([0, 5, 0, 100])
    rate = click_rate(shown, taken)
    prior = 105 / 1010
    smoothed = (5 + SMOOTHING * prior) / (10 + SMOOTHING)
    assert rate[1] == pytest.approx(np.log(smoothed / (1 - smoothed)) - np.log(prior / (1 - prior)), rel=1e-5)
    assert rate[0] == rate[2] == 0 > rate[3] > -0.1
    assert not click_rate(shown, shown).any() and not click_rate(shown, 0 * shown).any()


@pytest.mark.usefixtures("small_blocks")
def test_an_epoch_draws_every_impression_once_by_the_seed(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reaseq.ranking.batches.POOL_BLOCKS", 3)
    contexts = Contexts(data.log, data.category_index, None, FeatureLimits(4, 9, 5))
    epochs = Epochs(Shards.of(data, "train", tmp_path), contexts, 30)

    def drawn(seed: int) -> list[tuple[int, int, int]]:
        rows: list[tuple[int, int, int]] = []
        for pool, plan in epochs.pools(np.random.default_rng(seed)):
            for chosen in plan:
                batch = pool.batch(chosen)
                shown = pool.impressions
                requests = shown.request_id[batch.rows]
                rows += zip(requests, shown.item[batch.rows], batch.labels, strict=True)
        return rows

    everything = [
        row
        for block in epochs.shards.each()
        for row in zip(block.impressions.request_id, block.impressions.item, block.impressions.label, strict=True)
    ]
    assert len(list(epochs.pools(np.random.default_rng(0)))) > 1
    assert sorted(drawn(0)) == sorted(everything)
    assert drawn(0) == drawn(0) != drawn(1)


def test_mapped_inferences_are_those_that_are_loaded(world: World, data: Dataset, tmp_path: Path) -> None:
    loaded = InferenceTable.read(world.inferred, data, 2.0)
    for _ in range(2):  # unpacked, then found
        mapped = InferenceTable.read(world.inferred, data, 2.0, tmp_path)
        assert isinstance(mapped.vectors, np.memmap)
        for name in ("items", "vectors", "confidence", "offsets", "snapshots", "keys"):
            np.testing.assert_array_equal(getattr(mapped, name), getattr(loaded, name), err_msg=name)
    mapped.release()
    np.testing.assert_array_equal(mapped.vectors, loaded.vectors)
    shown = data.impressions("test")
    tensors = [
        Contexts(data.log, data.category_index, table, FeatureLimits(4, 9, 5)).tensors(
            shown.user, shown.end, shown.timestamp
        )
        for table in (loaded, mapped)
    ]
    for name, values in tensors[0].items():
        np.testing.assert_array_equal(tensors[1][name], values, err_msg=name)


def test_an_artifact_without_inferences_is_mapped_too(world: World, data: Dataset, tmp_path: Path) -> None:
    table = world.inferred.table("inferred_behaviors.parquet").slice(0, 0)
    nobody = pa.table(table.columns, schema=table.schema)

    def write(draft: Draft) -> None:
        draft.write_table("inferred_behaviors.parquet", nobody, schema.INFERRED_BEHAVIORS)

    empty: Artifact = build(
        tmp_path / "none",
        kind="inferred_behaviors",
        config={},
        inputs={},
        write=write,
        workspace=Workspace(tmp_path / "ws"),
    )
    read = InferenceTable.read(empty, data, 0.0, tmp_path)
    start, end = read.spans(np.array([0, -1]), np.array([10**18, 10**18]))
    assert not (end - start).any()

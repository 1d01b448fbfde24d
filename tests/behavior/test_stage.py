"""The two stages on the small world: what they promise of leakage, of restarts and of bytes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.behavior import BehaviorError, fit_denoiser, infer_behaviors, load_denoiser
from reaseq.config import BehaviorConfig, RunConfig, load
from reaseq.data import Dataset
from reaseq.schema import INFERRED_BEHAVIORS, INTERACTIONS
from tests import smallworld

SMALL = {
    "threads": 1,
    "behavior.d_model": 32,
    "behavior.epochs": 6,
    "behavior.batch_slots": 64,
    "behavior.lr": 4e-3,
    "behavior.infer_batch": 16,
    "behavior.inferred": 5,
    "behavior.spare_slots": 1,
    "behavior.reverse_steps": 2,
}
CONFIG = load("tiny", overrides=SMALL)


@pytest.fixture(scope="module")
def denoiser(home: Path, world: tuple[Artifact, Artifact]) -> Artifact:
    return fit_denoiser(CONFIG, *world, home / "denoiser", Workspace(home / "workspace"))


@pytest.fixture(scope="module")
def inferred(home: Path, world: tuple[Artifact, Artifact], denoiser: Artifact) -> Artifact:
    return infer_behaviors(CONFIG, *world, denoiser, home / "inferred", Workspace(home / "workspace"))


def _bytes(artifact: Artifact) -> dict[str, str]:
    return {name: entry.sha256 for name, entry in artifact.manifest.files.items()}


def _changed(
    dataset: Artifact, out: Path, change: Callable[[pa.Table], pa.Table], **facts: dict[str, object]
) -> Artifact:
    """The dataset with another log."""

    def write(draft: Draft) -> None:
        for name in ("items.parquet", "impressions.parquet", "quarantine.jsonl"):
            (draft.path / name).write_bytes(dataset.file(name).read_bytes())
        draft.write_table("interactions.parquet", change(dataset.table("interactions.parquet")), INTERACTIONS)
        draft.facts.update(dataset.facts | facts)

    workspace = Workspace(out.parent / f"{out.name}-workspace")
    return build(out, kind="dataset", config={"changed": out.name}, inputs={}, write=write, workspace=workspace)


def test_the_denoiser_is_a_hugging_face_folder_with_a_loss_curve(denoiser: Artifact) -> None:
    of_one = {"config.json", "model.safetensors", "training.jsonl"}
    assert set(denoiser.manifest.files) == of_one | {f"refit/{name}" for name in of_one}
    lines = [json.loads(line) for line in denoiser.file("training.jsonl").read_text().splitlines()]
    assert sum("inpainting_recall_at_10" in line for line in lines) == CONFIG.behavior.epochs
    assert lines[-1]["step"] == denoiser.facts["steps"]
    fitted = load_denoiser(denoiser.path)
    assert fitted.config.codebook_size == 8
    assert fitted.config.dropout == CONFIG.behavior.dropout > 0 and not fitted.training


def test_inpainting_beats_popularity_where_users_have_a_taste(tmp_path: Path, workspace: Workspace) -> None:
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    vectors = smallworld.write_item_vectors(tmp_path / "vectors", dataset, workspace)
    config = load("tiny", overrides=SMALL | {"behavior.fit_share": 1.0, "behavior.epochs": 15})
    scores = []
    for seed in range(3):
        run = RunConfig.model_validate(config.model_dump() | {"seed": seed})
        made = fit_denoiser(run, dataset, vectors, tmp_path / f"denoiser-{seed}", workspace)
        scores.append((made.facts["inpainting"]["recall_at_10"], made.facts["inpainting"]["popularity_recall_at_10"]))
    ours, popular = np.mean(scores, axis=0)
    assert ours > popular
    assert ours > 10 / 54  # what a random ten of the items known would reach


def test_inferred_items_match_the_users_taste(world: tuple[Artifact, Artifact], inferred: Artifact) -> None:
    """User u likes category u % 4 four times out of five; a random item is of it once out of four."""
    table = inferred.table("inferred_behaviors.parquet")
    data = Dataset.open(world[0])
    liked = [
        data.category_index[index] == data.category_index[1 + int(user[1:]) % 4]
        for user, items in zip(table.column("user_id").to_pylist(), table.column("item_ids").to_pylist(), strict=True)
        for index in data.index_of(items)
    ]
    assert np.mean(liked) > 0.4


def test_rows_keep_to_the_schema_and_to_the_snapshot(world: tuple[Artifact, Artifact], inferred: Artifact) -> None:
    table, log = inferred.table("inferred_behaviors.parquet"), Dataset.open(world[0]).log
    data = Dataset.open(world[0])
    assert table.schema.names == INFERRED_BEHAVIORS.names
    keys = list(
        zip(table.column("user_id").to_pylist(), table.column("snapshot").cast(pa.int64()).to_pylist(), strict=True)
    )
    assert keys == sorted(set(keys))
    assert {snapshot for _, snapshot in keys} == set(inferred.facts["snapshots"])
    for (user, snapshot), row in zip(keys, table.to_pylist(), strict=True):
        before = log.before(snapshot)
        index = log.user_index([user])[0]
        history = before.items[before.offsets[index] : before.offsets[index + 1]]
        chosen = data.index_of(row["item_ids"])
        assert len(history) >= CONFIG.behavior.min_events
        assert not set(chosen) & set(history)
        assert set(chosen) <= set(before.items)
        assert 1 <= len(chosen) <= CONFIG.behavior.inferred
        assert len(row["vectors"]) == len(row["confidence"]) == len(row["slot_times"]) == len(chosen)
        assert row["confidence"] == sorted(row["confidence"], reverse=True)
        assert 0 < row["confidence"][-1] <= row["confidence"][0] <= 1
        assert np.allclose(np.linalg.norm(np.array(row["vectors"], np.float32), axis=1), 1, atol=1e-2)


def test_every_user_with_enough_events_is_inferred_for_at_the_last_snapshot(
    world: tuple[Artifact, Artifact], inferred: Artifact
) -> None:
    log = Dataset.open(world[0]).log.before(smallworld.TEST_START)
    able = int((np.diff(log.offsets) >= CONFIG.behavior.min_events).sum())
    table = inferred.table("inferred_behaviors.parquet")
    last = table.column("snapshot").cast(pa.int64()).to_numpy() == smallworld.TEST_START
    assert last.sum() == able
    assert inferred.facts["pairs_wanted"] - inferred.facts["pairs_without_row"] == table.num_rows


@pytest.mark.parametrize("which", [0, 1, 2])
def test_no_event_at_or_after_a_snapshot_changes_its_inferences(
    which: int, tmp_path: Path, world: tuple[Artifact, Artifact], denoiser: Artifact, inferred: Artifact
) -> None:
    """Canary: give every event from the snapshot on another item; rows up to the snapshot must stay as they are."""
    snapshot = inferred.facts["snapshots"][which]

    def swap(table: pa.Table) -> pa.Table:
        times = table.column("timestamp").cast(pa.int64()).to_numpy()
        items = np.array(table.column("item_id").to_pylist(), object)
        items[times >= snapshot] = smallworld.item_id(7)
        return table.set_column(1, "item_id", pa.array(items.tolist(), pa.string()))

    changed = _changed(world[0], tmp_path / "changed", swap)
    again = infer_behaviors(CONFIG, changed, world[1], denoiser, tmp_path / "inferred", Workspace(tmp_path / "w"))
    assert again.facts["snapshots"] == inferred.facts["snapshots"]

    def seen(artifact: Artifact) -> list[dict[str, object]]:
        table = artifact.table("inferred_behaviors.parquet").drop(["version"])
        early = table.column("snapshot").cast(pa.int64()).to_numpy() <= snapshot
        return table.filter(pa.array(early)).to_pylist()

    assert seen(again) == seen(inferred)


@pytest.mark.parametrize("name", ["", "refit/"])
def test_no_event_at_or_after_its_cut_changes_a_denoiser(
    name: str, tmp_path: Path, world: tuple[Artifact, Artifact], denoiser: Artifact
) -> None:
    """The refitted one has a later cut: the start of validation."""
    cut = denoiser.facts["refit"]["cut"] if name else denoiser.facts["cut"]
    assert (cut == smallworld.VALID_START) == bool(name)

    def swap(table: pa.Table) -> pa.Table:
        times = table.column("timestamp").cast(pa.int64()).to_numpy()
        items = np.array(table.column("item_id").to_pylist(), object)
        items[times >= cut] = smallworld.item_id(7)
        return table.set_column(1, "item_id", pa.array(items.tolist(), pa.string()))

    changed = _changed(world[0], tmp_path / "changed", swap)
    again = fit_denoiser(CONFIG, changed, world[1], tmp_path / "denoiser", Workspace(tmp_path / "w"))
    of_one = {f"{name}{file}" for file in ("config.json", "model.safetensors", "training.jsonl")}
    ours, theirs = _bytes(again), _bytes(denoiser)
    assert {file: ours[file] for file in of_one} == {file: theirs[file] for file in of_one}


def test_snapshots_before_validation_are_inferred_by_the_denoiser_that_knew_nothing_of_training_after_its_cut(
    tmp_path: Path, world: tuple[Artifact, Artifact], denoiser: Artifact, inferred: Artifact
) -> None:
    """Without a refit the earlier snapshots come out the same, and the later ones don't."""
    run = load("tiny", overrides=SMALL | {"behavior.refit_epochs": 0})
    workspace = Workspace(tmp_path / "w")
    alone = fit_denoiser(run, *world, tmp_path / "denoiser", workspace)
    assert "refit" not in alone.facts
    again = infer_behaviors(run, *world, alone, tmp_path / "inferred", workspace)

    def rows(artifact: Artifact, early: bool) -> list[dict[str, object]]:
        table = artifact.table("inferred_behaviors.parquet").drop(["version"])
        times = table.column("snapshot").cast(pa.int64()).to_numpy()
        return table.filter(pa.array((times < smallworld.VALID_START) == early)).to_pylist()

    assert rows(again, early=True) == rows(inferred, early=True) != []
    assert rows(again, early=False) != rows(inferred, early=False)


def test_the_same_seed_gives_the_same_bytes(
    tmp_path: Path, world: tuple[Artifact, Artifact], denoiser: Artifact, inferred: Artifact
) -> None:
    workspace = Workspace(tmp_path / "w")
    fitted = fit_denoiser(CONFIG, *world, tmp_path / "denoiser", workspace)
    assert _bytes(fitted) == _bytes(denoiser)
    again = infer_behaviors(CONFIG, *world, fitted, tmp_path / "inferred", workspace)
    assert _bytes(again) == _bytes(inferred)


def test_what_only_inference_reads_neither_changes_a_fit_nor_starts_another(
    tmp_path: Path, home: Path, world: tuple[Artifact, Artifact], denoiser: Artifact
) -> None:
    others = {
        "snapshots": 2, "reverse_steps": 3, "cache_refresh": 2, "guidance": 0.0, "temperature": 0.0, "infer_batch": 4,
        "exact_items": 7, "mmr_lambda": 0.1, "new_category_share": 0.0, "consistency_percentile": 50.0, "min_events": 3,
    }  # fmt: skip
    assert set(others) == BehaviorConfig.of_inference
    other = load("tiny", overrides=SMALL | {f"behavior.{name}": value for name, value in others.items()})
    anew = fit_denoiser(other, *world, tmp_path / "anew", Workspace(tmp_path / "workspace"))
    assert _bytes(anew) == _bytes(denoiser)
    taken_over = fit_denoiser(other, *world, tmp_path / "denoiser", Workspace(home / "workspace"))
    assert taken_over.manifest == denoiser.manifest


def test_leave_one_out_sees_training_events_only(tmp_path: Path, world: tuple[Artifact, Artifact]) -> None:
    """The last two events of each user are held out; whatever they are, the inferences stay."""

    def held_out(item: str | None) -> Callable[[pa.Table], pa.Table]:
        def change(table: pa.Table) -> pa.Table:
            users, items = table.column("user_id").to_pylist(), table.column("item_id").to_pylist()
            left = [users[row:].count(user) for row, user in enumerate(users)]
            splits = [{1: "test", 2: "valid"}.get(n, "train") for n in left]
            if item is not None:
                items = [item if split != "train" else own for own, split in zip(items, splits, strict=True)]
            table = table.set_column(1, "item_id", pa.array(items, pa.string()))
            return table.set_column(table.schema.names.index("split"), "split", pa.array(splits, pa.string()))

        return change

    rows = []
    for name, item in (("as it was", None), ("other", smallworld.item_id(7))):
        split = {"kind": "leave_one_out", "valid_start": 0, "test_start": 0}
        dataset = _changed(world[0], tmp_path / name, held_out(item), split=split)
        workspace = Workspace(tmp_path / f"{name}-w")
        model = fit_denoiser(CONFIG, dataset, world[1], tmp_path / f"{name}-denoiser", workspace)
        made = infer_behaviors(CONFIG, dataset, world[1], model, tmp_path / f"{name}-inferred", workspace)
        rows.append(made.table("inferred_behaviors.parquet").drop(["version"]).to_pylist())
        trained = Dataset.open(dataset).log.only_train()
        assert made.facts["snapshots"][-1] == trained.timestamps.max() + 1
    assert rows[0] == rows[1]


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("saves", [1, 3])
def test_a_fit_that_was_killed_ends_in_the_same_bytes(
    saves: int, tmp_path: Path, world: tuple[Artifact, Artifact], denoiser: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reaseq.behavior import training

    monkeypatch.setattr(training, "LOG_STEPS", 2)  # so that checkpoints stand within epochs, too
    monkeypatch.setattr(training, "CHECKPOINT_STEPS", 2)
    workspace, real, count = Workspace(tmp_path / "w"), training.save_checkpoint, 0

    def save_and_die(*args: object) -> None:
        nonlocal count
        real(*args)  # type: ignore[arg-type]
        count += 1
        if count == saves:
            raise Killed

    whole = fit_denoiser(CONFIG, *world, tmp_path / "whole", Workspace(tmp_path / "other"))
    with monkeypatch.context() as patch:
        patch.setattr(training, "save_checkpoint", save_and_die)
        with pytest.raises(Killed):
            fit_denoiser(CONFIG, *world, tmp_path / "denoiser", workspace)
    resumed = fit_denoiser(CONFIG, *world, tmp_path / "denoiser", workspace)
    assert _bytes(resumed) == _bytes(whole)
    assert _bytes(resumed)["model.safetensors"] == _bytes(denoiser)["model.safetensors"]


def test_an_inference_that_was_killed_repeats_no_finished_chunk_and_ends_in_the_same_bytes(
    tmp_path: Path,
    world: tuple[Artifact, Artifact],
    denoiser: Artifact,
    inferred: Artifact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from reaseq.behavior.inference import Inferrer

    workspace, real, count = Workspace(tmp_path / "w"), Inferrer.infer, 0

    def infer_and_die(self: Inferrer, *args: object) -> pa.Table:
        nonlocal count
        count += 1
        if count == 4:
            raise Killed
        return real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Inferrer, "infer", infer_and_die)
    with pytest.raises(Killed):
        infer_behaviors(CONFIG, *world, denoiser, tmp_path / "inferred", workspace)
    again = infer_behaviors(CONFIG, *world, denoiser, tmp_path / "inferred", workspace)
    chunks = inferred.facts["forwards"] // (2 * CONFIG.behavior.reverse_steps)
    assert count == chunks + 1  # all of them once, and the one that died twice
    assert _bytes(again) == _bytes(inferred)
    assert again.facts == inferred.facts


def test_vectors_of_another_catalogue_are_refused(
    tmp_path: Path, workspace: Workspace, world: tuple[Artifact, Artifact]
) -> None:
    def write(draft: Draft) -> None:
        table = world[1].table("item_vectors.parquet").slice(0, 50)
        draft.write_table("item_vectors.parquet", table, table.schema)
        (draft.path / "codebook.safetensors").write_bytes(world[1].file("codebook.safetensors").read_bytes())

    short = build(tmp_path / "v", kind="item_vectors", config={}, inputs={}, write=write, workspace=workspace)
    with pytest.raises(BehaviorError, match="50 rows"):
        fit_denoiser(CONFIG, world[0], short, tmp_path / "denoiser", workspace)


def test_too_few_events_before_the_cut_are_refused(
    tmp_path: Path, workspace: Workspace, world: tuple[Artifact, Artifact]
) -> None:
    config = load("tiny", overrides=SMALL | {"behavior.fit_share": 0.001})
    with pytest.raises(BehaviorError, match="fit_share"):
        fit_denoiser(config, *world, tmp_path / "denoiser", workspace)

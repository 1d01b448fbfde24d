"""No stage learns from the future: events and texts that must not be known are planted, and nothing may sing.

The worlds are one source folder each, taken through every stage from raw files to the ranker:

    plain     40 users, 60 items, 60 days; dates in the configuration cut it into training, validation and test
    future    the same, and events after the split: by known users and by a newcomer, of known and of new items, of an
              action never seen before, and two items taken together by the same users
    late      the same, but for the last training event of one user, after the snapshots, which is of another item
    early     the events of `future`, dated in training: the control, for a canary that can't sing proves nothing

Each test names the stage and what it may know. Reviews have no place in the schema, so their text is lost at ingestion;
but a catalogue is taken at its word: what somebody writes into an item's title or description is catalogue text, and
nothing tells when it was written. Whoever brings a catalogue has to bring one that is as old as the split.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from reaseq import config
from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior import fit_denoiser, infer_behaviors
from reaseq.data import Dataset
from reaseq.data.errors import SplitError
from reaseq.data.stage import ingest
from reaseq.evaluation import yardsticks
from reaseq.ranking.batches import Contexts
from reaseq.ranking.features import FeatureLimits
from tests import smallworld
from tests.canaryworld import (
    REVIEW,
    SECOND,
    SETTINGS,
    TOGETHER,
    Event,
    World,
    history,
    planted,
    write_amazon,
    write_source,
)
from tests.smallworld import DAY, START, TEST_START, VALID_START, item_id


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    root = tmp_path_factory.mktemp("canary")
    events = history(root)
    last = max(range(len(events)), key=lambda n: (events[n].time < VALID_START, events[n].time))
    late = [replace(e, item=item_id(44)) if n == last else e for n, e in enumerate(events)]
    sources = {
        "plain": events,
        "future": events + planted(VALID_START + DAY) + planted(TEST_START + DAY),
        "late": late,
        "early": events + planted(START + 2 * DAY),
    }
    return {name: World(root / name, write_source(root / name / "source", rows)) for name, rows in sources.items()}


def split_rows(artifact: Artifact, name: str, *splits: str) -> pa.Table:
    table = artifact.table(name)
    return table.filter(pc.is_in(table.column("split"), value_set=pa.array(splits)))


def contents(artifact: Artifact, *names: str) -> dict[str, str]:
    return {name: artifact.manifest.files[name].sha256 for name in names or artifact.manifest.files}


def inferences(artifact: Artifact) -> dict[tuple[str, int], dict[str, object]]:
    """Rows by user and snapshot (µs)."""
    table = artifact.table("inferred_behaviors.parquet").drop(["version"])
    moments = table.column("snapshot").cast(pa.int64()).to_pylist()
    return {(row["user_id"], moment): row for row, moment in zip(table.to_pylist(), moments, strict=True)}


def before(moment: int, artifact: Artifact) -> dict[tuple[str, int], dict[str, object]]:
    return {key: row for key, row in inferences(artifact).items() if key[1] < moment}


def popularity(world: World) -> object:
    """What the yardsticks of the report know: training events and click rates of each item."""
    data = Dataset.open(world.dataset)
    shown, count = data.impressions("train"), len(data.item_ids)
    events = yardsticks.item_events(data.log.only_train().items, count)
    return events.tolist(), yardsticks.item_mean(shown.item, shown.label, count).tolist()


LEARNED: dict[str, Callable[[World], object]] = {
    "ingest: training events": lambda w: split_rows(w.dataset, "interactions.parquet", "train").to_pylist(),
    "ingest: training impressions": lambda w: split_rows(w.dataset, "impressions.parquet", "train").to_pylist(),
    "knowledge: prompts": lambda w: w.prompts,
    "knowledge: records": lambda w: contents(w.knowledge),
    "representation: vectors, codebook and aligner": lambda w: contents(w.vectors),
    "behavior: denoiser": lambda w: contents(w.denoiser),
    "behavior: inferences of the training period": lambda w: before(VALID_START, w.inferred),
    "ranking: weights, ONNX model and loss curve": lambda w: contents(
        w.ranker, "model.safetensors", "model.onnx", "training.jsonl"
    ),
    "evaluation: popularity and item mean": popularity,
}
"""What each stage makes of the training period, to be compared between worlds."""


@pytest.mark.parametrize("what", LEARNED)
def test_events_after_the_split_change_nothing_that_is_learned(worlds: dict[str, World], what: str) -> None:
    assert LEARNED[what](worlds["future"]) == LEARNED[what](worlds["plain"])


@pytest.mark.parametrize("what", LEARNED)
def test_the_same_events_before_the_split_do(worlds: dict[str, World], what: str) -> None:
    assert LEARNED[what](worlds["early"]) != LEARNED[what](worlds["plain"])


def test_the_held_out_periods_hold_them(worlds: dict[str, World]) -> None:
    """They are there to be predicted: it is not for want of them that training does not see them."""
    plain, future = (
        split_rows(worlds[name].dataset, "interactions.parquet", "valid", "test") for name in ("plain", "future")
    )

    assert future.num_rows == plain.num_rows + 2 * len(planted(0))


def test_inferences_at_the_split_know_no_event_after_it(worlds: dict[str, World]) -> None:
    """Users with planted events may have a row more (their impressions look one up), but none has another one."""
    plain, future = (inferences(worlds[name].inferred) for name in ("plain", "future"))
    at_the_split = {key: row for key, row in plain.items() if key[1] == VALID_START}

    assert at_the_split
    assert {key: future[key] for key in at_the_split} == at_the_split
    assert not any(user == "a newcomer" and moment <= VALID_START for user, moment in future)


def test_an_event_after_a_snapshot_changes_neither_denoiser_nor_inferences_of_that_snapshot(
    worlds: dict[str, World], tmp_path: Path, workspace: Workspace
) -> None:
    """It lies in training, so that vectors may know it; they are held fixed here."""
    plain, late = worlds["plain"], worlds["late"]
    user, moment = changed_event(plain.dataset, late.dataset)
    inputs = late.dataset, plain.vectors

    denoiser = fit_denoiser(late.config, *inputs, tmp_path / "denoiser", workspace)
    inferred = infer_behaviors(late.config, *inputs, denoiser, tmp_path / "inferred", workspace)

    earlier = before(moment + 1, plain.inferred)
    assert plain.denoiser.facts["cut"] < moment < VALID_START
    assert {snapshot for _, snapshot in earlier} >= set(plain.inferred.facts["snapshots"][:2])
    ours, theirs = contents(denoiser), contents(plain.denoiser)  # a refit serves from the start of validation on alone
    assert {k: v for k, v in ours.items() if "refit/" not in k} == {
        k: v for k, v in theirs.items() if "refit/" not in k
    }
    assert before(moment + 1, inferred) == earlier
    assert inferences(inferred)[user, TEST_START] != inferences(plain.inferred)[user, TEST_START]


def changed_event(first: Artifact, second: Artifact) -> tuple[str, int]:
    """User and time (µs) of the one event that differs."""
    rows = (a.table("interactions.parquet").to_pylist() for a in (first, second))
    (pair,) = [(a, b) for a, b in zip(*rows, strict=True) if a != b]
    return pair[0]["user_id"], round(pair[0]["timestamp"].timestamp() * SECOND)


@pytest.mark.parametrize("name", ["plain", "future", "late", "early"])
def test_a_rankers_history_holds_the_raw_events_strictly_before_the_impression(
    worlds: dict[str, World], name: str
) -> None:
    world = worlds[name]
    data = Dataset.open(world.dataset)
    contexts = Contexts(data.log, data.category_index, None, FeatureLimits(100, 100, 1, 4))
    raw = pa.csv.read_csv(Path(world.config.data.source) / "interactions.csv").to_pylist()
    index = {item: place for place, item in enumerate(data.item_ids, start=1)}
    for split in ("train", "valid", "test"):
        shown = data.impressions(split)
        history = contexts.tensors(shown.user, shown.end, shown.timestamp)["history"]
        for row in range(len(shown)):
            user = data.log.user_ids[shown.user[row]]
            known = [e for e in raw if e["user_id"] == user and e["timestamp"] * SECOND < shown.timestamp[row]]
            assert sorted(history[row][history[row] > 0]) == sorted(index[e["item_id"]] for e in known)


def test_titles_bought_together_are_those_of_the_training_period(worlds: dict[str, World]) -> None:
    def shown_together(world: World) -> bool:
        titles = dict(
            zip(*Dataset.open(world.dataset).items.select(["item_id", "title"]).to_pydict().values(), strict=True)
        )
        first, second = (f'"{titles[item]}"' for item in TOGETHER)
        return any(first in prompt and second in prompt for prompt in world.prompts)

    assert not shown_together(worlds["future"])
    assert shown_together(worlds["early"])


@pytest.mark.parametrize("source", ["files", "amazon-reviews 2014", "amazon-reviews 2023"])
def test_no_text_of_a_review_reaches_a_table_or_a_prompt(worlds: dict[str, World], tmp_path: Path, source: str) -> None:
    """In the interactions, in a column of its own in the catalogue, in both releases of Amazon's reviews."""
    world = worlds["plain"]
    if source != "files":
        folder = write_amazon(tmp_path / "source", Path(world.config.data.source), source.split()[1])
        world = World(tmp_path, folder, **{"data.dataset": "amazon-reviews"})
    written = "".join(path.read_text() for path in Path(world.config.data.source).iterdir())

    tables = [world.dataset.table(f"{name}.parquet").to_pylist() for name in ("items", "interactions", "impressions")]
    read = json.dumps([tables, world.knowledge.table("knowledge.parquet").to_pylist(), world.prompts], default=str)

    assert written.count(REVIEW) > 100
    assert len(world.prompts) > smallworld.ITEMS
    assert "CANARY" not in read
    assert "newborn" not in read


def test_impressions_that_call_the_future_training_are_refused(tmp_path: Path, workspace: Workspace) -> None:
    source = write_source(tmp_path / "source", [Event("u01", item_id(1), START + hour * DAY) for hour in range(9)])
    rows = [("train", 10), ("train", 55), ("valid", 50), ("test", 58)]
    lines = [f"u01,i001,{(START + day * DAY) // SECOND},1,{split}" for split, day in rows]
    (source / "impressions.csv").write_text("\n".join(["user_id,item_id,timestamp,label,split", *lines]))
    free = {"data.source": str(source), "data.valid_start": "", "data.test_start": ""}

    with pytest.raises(SplitError, match="leaks the future into training"):
        ingest(config.load("tiny", overrides=SETTINGS | free), tmp_path / "dataset", workspace)
    assert not (tmp_path / "dataset").exists()

"""Impressions: negatives that the user never took, requests whose order says nothing, histories without the future."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from reaseq import artifacts, config
from reaseq.data import Dataset, negatives, stage
from reaseq.data.errors import SplitError
from reaseq.data.impressions import from_source
from tests.data.conftest import DAY, START, log


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_negatives_are_distinct_and_never_taken_by_the_user(events, count, seed):
    users, items = np.array(events).T
    taken = negatives.taken_keys(users, items, 10)
    drawn = negatives.sample(users, items, taken, 10, count, np.random.default_rng(seed))
    mine = {user: {item for u, item in events if u == user} for user, _ in events}
    for user, row in zip(users, drawn, strict=True):
        found = [item for item in row if item >= 0]
        assert len(found) == len(set(found))
        assert not set(found) & mine[user]
        assert set(found) <= set(items)


def test_negatives_come_from_the_neighbourhood_in_time():
    count = 5000
    users, items = np.arange(count), np.arange(count)
    taken = negatives.taken_keys(users, items, count)
    drawn = negatives.sample(users, items, taken, count, 4, np.random.default_rng(0))
    assert np.abs(drawn - items[:, None]).max() <= negatives.window_of(count)


def test_uniform_negatives_are_any_items_that_the_user_never_took():
    users, items = np.repeat(np.arange(2000), 2), np.tile([0, 1], 2000)
    taken = negatives.taken_keys(users, items, 50)
    drawn = negatives.sample_uniformly(users, taken, 50, 4, np.random.default_rng(0))
    assert drawn.min() == 2
    counts = np.bincount(drawn.ravel(), minlength=50)[2:]
    assert np.abs(counts / counts.mean() - 1).max() < 0.25
    assert all(len(set(row)) == 4 for row in drawn.tolist())


def test_the_manifest_says_where_negatives_were_drawn_from(ingested):
    contemporary, uniform = ingested(), ingested(negative_sampling="uniform")
    assert "nearest in time" in contemporary.facts["sampling"]["negatives"]
    assert "window_events" in contemporary.facts["sampling"]
    assert "uniformly" in uniform.facts["sampling"]["negatives"]
    assert "window_events" not in uniform.facts["sampling"]


def test_popularity_ranks_sampled_impressions_at_chance(world):
    popularity = np.bincount(world.log.items, minlength=len(world.item_ids) + 1)
    shown = world.impressions("train")
    assert abs(roc_auc_score(shown.label, popularity[shown.item]) - 0.5) < 0.03


def test_the_place_of_the_positive_says_nothing(world):
    frame = pl.DataFrame(world.artifact.table("impressions.parquet"))
    frame = frame.with_columns(place=pl.int_range(pl.len()).over("request_id"))
    places = frame.filter(pl.col("label") == 1).group_by("place").len().sort("place")["len"].to_numpy()
    assert len(places) == 5
    assert np.abs(places / places.sum() - 0.2).max() < 0.02


def test_each_behaviour_makes_one_request_of_its_split(ingested):
    artifact = ingested(negatives=2)
    shown, events = pl.DataFrame(artifact.table("impressions.parquet")), artifact.table("interactions.parquet")
    positives = shown.filter(pl.col("label") == 1).select("user_id", "item_id", "timestamp", "split")
    wanted = pl.DataFrame(events).select(positives.columns)
    assert positives.sort(pl.all()).equals(wanted.sort(pl.all()))
    assert shown["request_id"].n_unique() == positives.height
    assert shown.select("timestamp", "request_id").equals(shown.select("timestamp", "request_id").sort(pl.all()))


def test_tiny_logs_have_requests_with_fewer_negatives_and_say_so(ingested, folder):
    lines = [f"u{u},i{u % 2},{START + u * DAY}" for u in range(20)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    artifact = ingested(negatives=4)
    assert artifact.facts["sampling"]["negatives_missing"] == 20 * 4 - (
        artifact.manifest.files["impressions.parquet"].rows - 20
    )
    assert artifact.facts["sampling"]["negatives_missing"] > 0


def shown_in_blocks() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user_id": ["b", "b", "b", "b", "a", "a"],
            "item_id": ["1", "2", "3", "4", "5", "6"],
            "timestamp": [7, 7, 7, 7, 7, 7],
            "label": [1, 0, 1, 0, 1, 0],
            "split": ["train"] * 6,
            "row": [1, 2, 3, 4, 5, 6],
        }
    )


@pytest.mark.parametrize(
    ("rule", "requests"),
    [("positive_first", [{"5", "6"}, {"1", "2"}, {"3", "4"}]), ("user_time", [{"5", "6"}, {"1", "2", "3", "4"}])],
)
def test_given_impressions_are_grouped_by_the_rule_of_the_source(rule, requests):
    table = from_source(shown_in_blocks(), rule, np.random.default_rng(0))
    groups = table.group_by("request_id", maintain_order=True).agg("item_id")
    assert groups["request_id"].to_list() == [f"r{n:09d}" for n in range(len(requests))]
    assert [set(items) for items in groups["item_id"]] == requests


def test_given_impressions_and_their_splits_are_taken_as_they_are(ingested, folder):
    splits = ["train"] * 4 + ["valid"] * 2 + ["test"] * 2
    rows = [f"q{n // 2},u1,i{n},{START + (n + 10) * DAY},{n % 2},{split}" for n, split in enumerate(splits)]
    (folder / "impressions.csv").write_text("\n".join(["request_id,user_id,item_id,timestamp,label,split", *rows]))
    artifact = ingested()
    assert artifact.facts["split"]["valid_start"] == (START + 14 * DAY) * 1_000_000
    assert artifact.facts["split"]["test_start"] == (START + 16 * DAY) * 1_000_000
    table = pl.DataFrame(artifact.table("impressions.parquet")).sort("item_id")
    assert table["split"].to_list() == splits
    assert table["request_id"].to_list() == [f"q{n // 2}" for n in range(8)]


@pytest.mark.parametrize(("days", "part"), [((5, 16), "test"), ((5, 19), "valid"), ((16, 19), "train"), ((), "train")])
def test_given_impressions_that_leave_a_part_without_any_are_refused(ingested, folder, days, part):
    rows = [f"u1,i1,{START + day * DAY},0" for day in days]
    (folder / "impressions.csv").write_text("\n".join(["user_id,item_id,timestamp,label", *rows]) + "\n")
    dates = {"valid_start": "2020-09-28", "test_start": "2020-10-01"}  # days 15 and 18 of the log
    with pytest.raises(SplitError, match=rf"gives {len(days)}, none of them for the {part} part .*data\.test_start"):
        ingested(**dates)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(["time", "leave_one_out"]))
def test_no_history_holds_the_present_or_the_future(tmp_path_factory, seed, kind):
    folder = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(seed)
    (folder / "items.csv").write_text("item_id,title\n" + "".join(f"i{n},Product {n}\n" for n in range(12)))
    # Whole days, so that many events tie.
    lines = [f"u{rng.integers(6)},i{rng.integers(12)},{START + rng.integers(25) * DAY}" for _ in range(90)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    settings_ = {"dataset": "files", "source": str(folder), "split": kind, "bad_rows_limit": 1.0, "negatives": 2}
    made = stage.ingest(
        config.load("tiny", overrides={f"data.{k}": v for k, v in settings_.items()}),
        folder / "out",
        artifacts.Workspace(folder / "workspace"),
    )
    dataset = Dataset.open(made)
    sequence = {user: [] for user in dataset.log.user_ids}
    for user, item, time in (
        pl.DataFrame(made.table("interactions.parquet")).select("user_id", "item_id", "timestamp").rows()
    ):
        sequence[user].append((int(item[1:]) + 1, int(time.timestamp()) * 1_000_000))
    for split in ("train", "valid", "test"):
        shown = dataset.impressions(split)
        positives = {r: i for r, i, label in zip(shown.request_id, shown.item, shown.label, strict=True) if label}
        for row in range(len(shown)):
            events = sequence[dataset.log.user_ids[shown.user[row]]]
            length = shown.end[row] - dataset.log.offsets[shown.user[row]]
            if kind == "time":
                assert length == sum(time < shown.timestamp[row] for _, time in events)
            else:
                assert events[length] == (positives[shown.request_id[row]], shown.timestamp[row])
                assert {"valid": len(events) - 2, "test": len(events) - 1}.get(split, length) == length


def test_impressions_of_users_without_a_behaviour_have_an_empty_history(ingested, folder):
    (folder / "interactions.csv").write_text(log())
    rows = [f"{user},i1,{START + day * DAY},0" for user in ("u1", "stranger") for day in (5, 17, 19)]
    (folder / "impressions.csv").write_text("\n".join(["user_id,item_id,timestamp,label", *rows]) + "\n")
    dataset = Dataset.open(ingested())
    shown = dataset.impressions("train")
    stranger = int(np.flatnonzero(shown.user == -1)[0])
    assert len(dataset.log.items[dataset.log.offsets[shown.user[stranger]] : shown.end[stranger]]) == 0

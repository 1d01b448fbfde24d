"""Feature assembly: online equals offline, nothing of the future, shapes and refusals."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.data.dataset import Dataset
from reaseq.ranking import ColdItem, FeatureLimits, RankingError, UserRow, Vocabulary, assemble
from reaseq.ranking.batches import Contexts
from reaseq.ranking.features import DAY, HOUR, Histories, Inferences, Profiles, assemble_users
from reaseq.ranking.golden import user_row
from reaseq.ranking.inferences import InferenceTable
from tests.ranking.conftest import World

LIMITS = FeatureLimits(short=4, long=9, inferred=3)
NOW = 1_700_000_000_000_000


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary([f"i{n}" for n in range(1, 30)], ["Hair", "Skin"])


def row_of(count: int) -> UserRow:
    return UserRow(
        history_items=[f"i{n + 1}" for n in range(count)],
        history_times=[NOW - (n + 1) * HOUR for n in range(count)],
        events=count,
        categories=2,
        first_time=NOW - 10 * DAY,
        last_time=NOW - HOUR,
    )


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_online_and_offline_features_of_every_context_are_equal(world: World, split: str) -> None:
    data = Dataset.open(world.dataset)
    inferences = InferenceTable.read(world.inferred, data, 0.0)
    limits = FeatureLimits(short=3, long=7, inferred=5)
    contexts = Contexts(data.log, data.category_index, inferences, limits)
    vocabulary = Vocabulary(data.item_ids, data.category_names)
    shown = data.impressions(split)

    offline = contexts.tensors(shown.user, shown.end, shown.timestamp, trim=False)

    for place in range(0, len(shown), 3):
        user, end, now = int(shown.user[place]), int(shown.end[place]), int(shown.timestamp[place])
        row = user_row(data, inferences, user, end, now, reach=limits.long)
        online = assemble(row, ["i001"], now=now, vocabulary=vocabulary, limits=limits, cold={})
        for name, values in offline.items():
            np.testing.assert_array_equal(online[name][0], values[place], err_msg=name)


def test_trimmed_tensors_are_the_untrimmed_ones_without_padding(world: World) -> None:
    data = Dataset.open(world.dataset)
    contexts = Contexts(
        data.log, data.category_index, InferenceTable.read(world.inferred, data, 0.0), FeatureLimits(3, 50, 8)
    )
    shown = data.impressions("train")
    whole = contexts.tensors(shown.user, shown.end, shown.timestamp, trim=False)
    trimmed = contexts.tensors(shown.user, shown.end, shown.timestamp, trim=True)

    for name, values in trimmed.items():
        width = values.shape[1]
        np.testing.assert_array_equal(whole[name][:, :width], values)
        assert not whole[name][:, width:].any()
    assert trimmed["long_history"].shape[1] < 50
    assert trimmed["inferred"].shape[1] == 5


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_batch_of_contexts_equals_its_contexts_one_by_one(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(0, 14), min_size=1, max_size=6))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    end = np.cumsum(lengths)
    start = end - lengths
    items = rng.integers(1, 50, int(end[-1]))
    times = np.sort(rng.integers(NOW - 100 * DAY, NOW, int(end[-1])))
    vectors = rng.normal(size=(len(items), 128)).astype(np.float16)
    confidence = rng.random(len(items)).astype(np.float32)
    now = rng.integers(NOW, NOW + 5 * DAY, len(lengths))

    def build(chosen: slice, trim: bool) -> dict[str, np.ndarray]:
        a, b = start[chosen], end[chosen]
        events = b - a
        stamp = times if len(times) else np.zeros(1, np.int64)
        first, last = stamp[np.where(events > 0, a, 0)], stamp[np.where(events > 0, b - 1, 0)]
        return assemble_users(
            Histories(items, times, a, b),
            Profiles(events, np.minimum(events, 3), first, last),
            Inferences(items, vectors, confidence, a, b),
            now[chosen],
            LIMITS,
            trim,
        )

    together = build(slice(None), trim=False)
    for place in range(len(lengths)):
        alone = build(slice(place, place + 1), trim=False)
        for name in together:
            np.testing.assert_array_equal(together[name][place], alone[name][0], err_msg=name)
    assert all(np.isfinite(values).all() for values in together.values())
    assert (together["history"][:, 0] > 0).tolist() == [length > 0 for length in lengths]
    np.testing.assert_array_equal(together["history"], together["long_history"][:, : LIMITS.short])
    assert (build(slice(None), trim=True)["history_age"] >= 0).all()


def test_no_event_at_or_after_the_impression_is_visible(world: World) -> None:
    data = Dataset.open(world.dataset)
    log, limits = data.log, FeatureLimits(100, 100, 1)
    contexts = Contexts(log, data.category_index, None, limits)
    for split in ("train", "valid", "test"):
        shown = data.impressions(split)
        tensors = contexts.tensors(shown.user, shown.end, shown.timestamp, trim=False)
        for place in range(0, len(shown), 5):
            user = shown.user[place]
            mine = slice(log.offsets[user], log.offsets[user + 1])
            earlier = log.items[mine][log.timestamps[mine] < shown.timestamp[place]]
            np.testing.assert_array_equal(tensors["history"][place][: len(earlier)], earlier[::-1])
            assert not tensors["history"][place][len(earlier) :].any()
            assert tensors["profile"][place, 0] == np.float32(np.log1p(len(earlier)))
            assert tensors["profile"][place, 3] == np.float32(np.log1p(len(set(data.category_index[earlier]))))


def test_a_planted_future_event_is_left_out_of_a_request(vocabulary: Vocabulary) -> None:
    row = row_of(3)
    canary = UserRow(["i20", *row.history_items], [NOW + HOUR, *row.history_times], 3, 2, row.first_time, row.last_time)
    seen = assemble(row, ["i1"], now=NOW, vocabulary=vocabulary, limits=LIMITS, cold={})
    with_canary = assemble(canary, ["i1"], now=NOW, vocabulary=vocabulary, limits=LIMITS, cold={})
    for name, values in seen.items():
        np.testing.assert_array_equal(with_canary[name], values)


def test_an_impression_sees_the_latest_snapshot_that_is_old_enough(world: World) -> None:
    data = Dataset.open(world.dataset)
    snapshots = world.inferred.facts["snapshots"]
    users = np.zeros(5, np.int64)
    times = np.array([snapshots[0] - 1, snapshots[0], snapshots[1] + HOUR, snapshots[2] - 1, snapshots[2] + 30 * DAY])
    expected = {0: None, 1: 0, 2: 1, 3: 1, 4: 2}
    table = InferenceTable.read(world.inferred, data, 0.0)
    lagged = InferenceTable.read(world.inferred, data, lag_hours=2.0)
    rows = world.inferred.table("inferred_behaviors.parquet").to_pylist()

    start, end = table.spans(users, times)

    for place, snapshot in expected.items():
        held = [data.item_ids[i - 1] for i in table.items[start[place] : end[place]]]
        assert held == ([] if snapshot is None else rows[snapshot]["item_ids"])
    lagged_start, lagged_end = lagged.spans(users, times)
    assert lagged_end[1] == lagged_start[1]  # at the snapshot itself, two hours too early
    assert lagged_start[2] == start[1]
    assert not table.spans(np.array([-1]), times[4:])[1].any()


def test_inputs_have_the_names_types_and_shapes_of_the_contract(vocabulary: Vocabulary) -> None:
    cold = {"new": ColdItem(np.ones(128, np.float32), [1, 2, 3, 4], "Skin")}
    inputs = assemble(row_of(2), ["i3", "new", "nobody"], now=NOW, vocabulary=vocabulary, limits=LIMITS, cold=cold)
    sizes = {"C": 3, "K": 2}
    assert list(inputs) == [name for name, _, _ in LIMITS.specs()]
    for name, dtype, shape in LIMITS.specs():
        assert inputs[name].dtype == np.dtype(dtype), name
        assert inputs[name].shape == tuple(sizes.get(size, size) for size in shape), name


def test_trimmed_inputs_end_where_a_user_s_behaviours_do_and_hold_the_same(vocabulary: Vocabulary) -> None:
    limits = replace(LIMITS, trimmed=True)
    assert {size for _, _, shape in limits.specs() for size in shape if isinstance(size, str)} == set("CKTHM")
    for user, length in ((None, 1), (row_of(2), 2)):
        padded, trimmed = (
            assemble(user, ["i3"], now=NOW, vocabulary=vocabulary, limits=each, cold={}) for each in (LIMITS, limits)
        )
        assert trimmed["history"].shape == trimmed["history_age"].shape == trimmed["long_history"].shape == (1, length)
        for name, values in trimmed.items():
            part = tuple(slice(size) for size in values.shape)
            np.testing.assert_array_equal(padded[name][part], values)
            assert np.count_nonzero(padded[name]) == np.count_nonzero(values)


def test_cold_rows_begin_at_one_and_unknown_candidates_point_at_zeros(vocabulary: Vocabulary) -> None:
    cold = {
        "new": ColdItem(np.full(128, 0.5, np.float32), [1, 2, 3, -1], "Skin"),
        "newer": ColdItem(np.ones(128, np.float32), [5, 6, 7, 8], "Garden"),
    }
    names = ["newer", "i5", "nobody", "new", "newer"]
    inputs = assemble(None, names, now=NOW, vocabulary=vocabulary, limits=LIMITS, cold=cold)
    assert inputs["candidates"].tolist() == [0, 5, 0, 0, 0]
    assert inputs["cold_index"].tolist() == [1, 0, 0, 2, 1]
    assert inputs["cold_category"].tolist() == [0, 0, 2]
    assert inputs["cold_codes"].tolist() == [[-1] * 4, [5, 6, 7, 8], [1, 2, 3, -1]]
    assert not inputs["cold_vectors"][0].any()


def test_a_user_of_whom_nothing_is_known_is_all_padding(vocabulary: Vocabulary) -> None:
    inputs = assemble(None, ["i1"], now=NOW, vocabulary=vocabulary, limits=LIMITS, cold={})
    user = [name for name, _, shape in LIMITS.specs() if shape[0] == 1]
    assert not any(inputs[name].any() for name in user)


def test_items_that_the_vocabulary_lacks_leave_no_hole(vocabulary: Vocabulary) -> None:
    row = UserRow(
        history_items=["gone", "i2", "gone", "i4"],
        history_times=[NOW - n * HOUR for n in range(1, 5)],
        inferred_items=["gone", "i7"],
        inferred_vectors=np.stack([np.zeros(128), np.ones(128)]),
        inferred_confidence=[0.9, 0.4],
    )
    inputs = assemble(row, ["i1"], now=NOW, vocabulary=vocabulary, limits=LIMITS, cold={})
    assert inputs["history"].tolist() == [[2, 4, 0, 0]]
    assert inputs["inferred"].tolist() == [[7, 0, 0]]
    assert inputs["inferred_vectors"][0, 0].all()
    assert inputs["inferred_confidence"][0, 0] == np.float32(0.4)


def test_lists_that_do_not_belong_together_are_refused(vocabulary: Vocabulary) -> None:
    def ask(row: UserRow | None, names: list[str], cold: dict[str, ColdItem] | None = None) -> None:
        assemble(row, names, now=NOW, vocabulary=vocabulary, limits=LIMITS, cold=cold or {})

    with pytest.raises(RankingError, match="candidates"):
        ask(None, [])
    with pytest.raises(RankingError, match="history_times"):
        ask(UserRow(history_items=["i1"]), ["i1"])
    with pytest.raises(RankingError, match="inferred_vectors"):
        ask(UserRow(inferred_items=["i1"], inferred_confidence=[0.5]), ["i1"])
    with pytest.raises(RankingError, match="cold item 'new'"):
        ask(None, ["new"], {"new": ColdItem(np.zeros(64), [1, 2, 3, 4])})


def test_a_request_of_a_thousand_candidates_is_assembled_within_milliseconds() -> None:
    import time

    vocabulary = Vocabulary([f"i{n}" for n in range(20_000)], ["A"])
    limits = FeatureLimits(50, 1000, 10)
    row = UserRow([f"i{n}" for n in range(1000)], [NOW - n for n in range(1000)], 1000, 1, NOW - DAY, NOW - HOUR)
    names = [f"i{n * 7}" for n in range(1000)]
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        assemble(row, names, now=NOW, vocabulary=vocabulary, limits=limits, cold={})
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.003


@pytest.mark.parametrize("module", ["reaseq.ranking", "reaseq.ranking.features", "reaseq.ranking.bundle"])
def test_the_request_path_does_not_import_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0

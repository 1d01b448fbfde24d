import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.behavior.configuration import FUTURE_BUCKETS
from reaseq.behavior.slots import DEFAULT_GAP, gap_bucket, gather_sequences, insert_masks, recency_bucket, slot_batch
from tests.behavior.toys import DAY, SIZE, ToyLog, toy_log, toy_tables

CODES = toy_tables()[1]


def test_buckets_are_those_of_the_method() -> None:
    assert (recency_bucket(np.arange(8)) - FUTURE_BUCKETS).tolist() == [0, 2, 3, 4, 4, 5, 5, 6]
    assert recency_bucket(-np.array([1, 2, 3, 4, 8, 10_000])).tolist() == [0, 2, 3, 4, 6, FUTURE_BUCKETS - 1]
    assert gap_bucket(np.array([0, 60_000_000, DAY])).tolist() == [1, 2, 11]


def test_gaps_look_back_into_the_log_but_not_to_another_user() -> None:
    log = toy_log([4, 4])
    late = gather_sequences(log, np.array([2, 4]), np.array([4, 8]))
    assert late.gap[0, 0] == gap_bucket(log.timestamps[2] - log.timestamps[1])
    assert late.gap[1, 0] == 0


@given(
    lengths=st.lists(st.integers(2, 20), min_size=1, max_size=6), seed=st.integers(0, 1000), slots=st.integers(1, 14)
)
@settings(max_examples=60, deadline=None)
def test_inserted_slots_leave_the_history_as_it_is(lengths: list[int], seed: int, slots: int) -> None:
    log = toy_log(lengths, seed=seed)
    inserted = insert_masks(gather_sequences(log, log.offsets[:-1], log.offsets[1:]), CODES, SIZE, slots)
    batch = inserted.batch
    masked = (batch.codes == SIZE).all(2) & batch.present
    assert (batch.present.sum(1) == torch.tensor(lengths) + slots).all()
    assert (masked.sum(1) == slots).all()
    assert masked.gather(1, inserted.index).all()
    assert (np.diff(inserted.times, axis=1) >= 0).all()
    for row, (start, end) in enumerate(zip(log.offsets, log.offsets[1:], strict=False)):
        kept = batch.codes[row][batch.present[row] & ~masked[row]].numpy()
        assert (kept == CODES[log.items[start:end]]).all()
        after = (inserted.times[row] > log.timestamps[end - 1]).sum()
        assert (
            after == max(slots - min(slots // 3, end - start - 1), 0) or (np.diff(log.timestamps[start:end]) == 0).any()
        )


def test_slots_go_into_the_largest_gaps_and_after_the_end() -> None:
    times = np.array([0, 1, 11, 12, 32, 33]) * DAY
    log = ToyLog(np.array([0, 6]), np.arange(1, 7), times, np.zeros(6, np.int8))
    inserted = insert_masks(gather_sequences(log, np.array([0]), np.array([6])), CODES, SIZE, 6)
    assert (inserted.times[0] / DAY).tolist() == [6, 22, 34, 35, 36, 37]
    assert (
        inserted.batch.recency[0, inserted.index[0]].tolist()
        == recency_bucket(np.array([5, 2, -1, -2, -3, -4])).tolist()
    )


def test_a_history_reads_the_same_however_many_slots_come_after_it() -> None:
    log = toy_log([5, 9])
    whole = gather_sequences(log, log.offsets[:-1], log.offsets[1:])
    alone = slot_batch(whole, CODES)
    for slots in (1, 14):
        batch = insert_masks(whole, CODES, SIZE, slots, inside=0).batch
        for name in ("codes", "recency", "gap"):
            assert torch.equal(getattr(batch, name)[:, :5], getattr(alone, name)[:, :5])
    masked = slot_batch(whole, CODES, whole.rank > 2)  # the last three are not known
    assert masked.recency[1, 3:9].tolist() == recency_bucket(np.array([2, 1, 0, -1, -2, -3])).tolist()


def test_slots_after_the_end_stand_at_or_after_now() -> None:
    log = ToyLog(np.array([0, 3]), np.arange(1, 4), np.arange(3) * DAY, np.zeros(3, np.int8))
    row = gather_sequences(log, np.array([0]), np.array([3]))
    assert (insert_masks(row, CODES, SIZE, 3, inside=0, now=50 * DAY).times[0] / DAY).tolist() == [50, 51, 52]
    assert (insert_masks(row, CODES, SIZE, 3, inside=0, now=DAY).times[0] / DAY).tolist() == [3, 4, 5]


def test_a_user_with_one_moment_gets_slots_after_the_end_only() -> None:
    log = ToyLog(np.array([0, 3]), np.arange(1, 4), np.array([DAY] * 3), np.zeros(3, np.int8))
    inserted = insert_masks(gather_sequences(log, np.array([0]), np.array([3])), CODES, SIZE, 3)
    assert inserted.times[0].tolist() == [DAY + DEFAULT_GAP * (1 + k) for k in range(3)]

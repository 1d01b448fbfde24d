"""One user's log and inferences in one order of time."""

import numpy as np

from reaseq.evaluation.behaviors.inferred import known
from reaseq.evaluation.behaviors.timeline import BEYOND, LATER, Entry, shortened, timeline


def test_log_and_inferences_stand_in_one_order_newest_first(inferred, data, vectors):
    found = timeline(data, vectors, inferred, 3)

    times = [entry.time for entry in found.entries]
    assert times == sorted(times, reverse=True)
    span = slice(data.log.offsets[3], data.log.offsets[4])
    assert len(found.of("log")) + len(found.of("later")) == span.stop - span.start
    assert all(entry.time < found.snapshot for entry in found.of("log"))
    assert all(entry.time >= found.snapshot for entry in found.of("later"))


def test_inferences_are_those_of_the_users_last_snapshot_in_their_slots(inferred, data, vectors):
    found = timeline(data, vectors, inferred, 3)

    mine = inferred.only((inferred.user == 3) & (inferred.snapshot == found.snapshot))
    assert found.snapshot == inferred.snapshot[inferred.user == 3].max()
    expected = {
        (data.item_ids[item - 1], time, confidence)
        for item, time, confidence in zip(mine.item.tolist(), mine.slot.tolist(), mine.confidence.tolist(), strict=True)
    }
    assert {(entry.item_id, entry.time, entry.confidence) for entry in found.of("inferred")} == expected


def test_novelty_is_told_of_each_and_in_sum(inferred, data, vectors):
    found = timeline(data, vectors, inferred, 3)

    held = {entry.category for entry in found.of("log")}
    marks = [entry.new_category for entry in found.of("inferred")]
    assert marks == [entry.category not in held for entry in found.of("inferred")]
    assert found.new_categories == np.mean(marks)
    assert found.new_items == 1.0
    assert 0 < found.diversity < 2


def test_what_the_user_really_had_is_marked(inferred, data, vectors):
    facts = known(inferred, data)
    last = inferred.snapshot[inferred.row] == inferred.snapshots[-1]
    (place, *_) = np.flatnonzero(last & facts.taken)
    (other, *_) = np.flatnonzero(last & facts.beyond & ~facts.taken)

    for n, word in ((place, LATER), (other, BEYOND)):
        found = timeline(data, vectors, inferred, int(inferred.user[inferred.row[n]]))
        (entry,) = [e for e in found.of("inferred") if e.item_id == data.item_ids[inferred.item[n] - 1]]
        assert entry.truth == word
        assert found.beyond == 1


def test_a_user_of_whom_nothing_was_inferred_has_a_log_alone(inferred, data, vectors):
    found = timeline(data, vectors, inferred.only(inferred.user != 3), 3)

    assert found.snapshot is None and found.diversity is None
    assert {entry.kind for entry in found.entries} == {"log"}


def test_a_long_log_is_left_out_but_for_its_end_and_what_stands_beside_inferences():
    def entry(n: int, kind: str) -> Entry:
        return Entry(100 - n, kind, f"i{n}", "", "")

    kinds = ["later"] * 5 + ["inferred"] + ["log"] * 20 + ["inferred"] + ["log"] * 10
    entries = [entry(n, kind) for n, kind in enumerate(kinds)]

    shown = shortened(entries, 4)

    expected = [3, entries[3], entries[4], *entries[5:10], 15, *entries[25:28], 9]
    assert shown == expected
    assert sum(each if isinstance(each, int) else 1 for each in shown) == len(entries)

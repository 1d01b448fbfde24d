"""Recall by reverse steps and guidance, with a denoiser that was really fitted."""

import pytest

from reaseq.behavior import inference
from reaseq.evaluation.behaviors.sweep import sweep
from tests.evaluation.behaviors.world import CONFIG

CONFIGURED = (CONFIG.behavior.reverse_steps, CONFIG.behavior.guidance)


def swept(artifacts, snapshot, **options):
    options = {"users": 100, "steps": [1, CONFIGURED[0]], "guidance": [0.0, CONFIGURED[1]]} | options
    return sweep(CONFIG, artifacts["dataset"], artifacts["item_vectors"], artifacts["denoiser"], snapshot, **options)


def test_the_runs_own_setting_finds_what_the_run_inferred(artifacts, inferred, data):
    last = int(inferred.snapshots[-1])

    found = swept(artifacts, last)

    log, recalls = data.log, []
    for user in range(len(log.user_ids)):
        span = slice(log.offsets[user], log.offsets[user + 1])
        items, later = log.items[span], log.timestamps[span] >= last
        truth = set(items[later].tolist()) - set(items[~later].tolist())
        mine = inferred.only((inferred.user == user) & (inferred.snapshot == last))
        if truth and (~later).sum() >= CONFIG.behavior.min_events:
            recalls.append(len(truth & set(mine.item.tolist())) / len(truth))
    assert found.configured == CONFIGURED
    assert found.users == len(recalls)
    assert found.cells[CONFIGURED].mean == pytest.approx(sum(recalls) / len(recalls))


def test_every_pair_is_measured_and_the_same_seed_finds_the_same(artifacts, inferred):
    last = int(inferred.snapshots[-1])

    first, again = (swept(artifacts, last, users=12) for _ in range(2))

    assert first == again
    assert set(first.cells) == {(r, w) for r in (1, CONFIGURED[0]) for w in (0.0, CONFIGURED[1])}
    assert first.users == 12
    assert all(0 <= cell.low <= cell.mean <= cell.high for cell in first.cells.values())
    assert set(first.yardsticks) == {"popularity", "item-to-item, recent first"}


def test_shortlists_are_made_once_for_all_pairs(artifacts, inferred, monkeypatch):
    made, real = [], inference.open_shortlists
    monkeypatch.setattr(inference, "open_shortlists", lambda *args: made.append(real(*args)) or made[-1])

    swept(artifacts, int(inferred.snapshots[-1]), users=4)

    assert len(made) == 1


def test_without_a_future_there_is_nothing_to_recall(artifacts, data):
    assert swept(artifacts, int(data.log.timestamps.max()) + 1) is None

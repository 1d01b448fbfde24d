import json
from pathlib import Path

import pytest

from reaseq import progress
from reaseq.errors import ReaSeqError


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "progress.jsonl"
    monkeypatch.setenv(progress.ENV, str(target))
    return lambda: [json.loads(line) for line in target.read_text().splitlines()]


def test_a_stage_reports_its_start_and_end(events) -> None:
    with progress.stage("ingest"):
        pass
    assert [e["event"] for e in events()] == ["stage_started", "stage_finished"]


def test_a_failed_stage_reports_its_reason_and_still_raises(events) -> None:
    with pytest.raises(ReaSeqError), progress.stage("ingest"):
        raise ReaSeqError("column 'x' is missing")
    assert events()[-1] | {"time": 0} == {
        "event": "stage_failed",
        "time": 0,
        "stage": "ingest",
        "type": "ReaSeqError",
        "message": "column 'x' is missing",
    }


def test_tracking_yields_everything_and_ends_at_the_total(events) -> None:
    assert list(progress.track([1, 2, 3], "items", done=2)) == [1, 2, 3]
    assert events()[-1]["done"] == events()[-1]["total"] == 5


def test_without_a_progress_file_a_log_is_kept_quiet(monkeypatch, capsys) -> None:
    monkeypatch.delenv(progress.ENV, raising=False)
    assert list(progress.track(iter("ab"), "letters")) == ["a", "b"]
    assert capsys.readouterr().out == ""

"""`reaseq show user` and `reaseq show behaviors` over a finished run, in this process."""

import json
import sys
from pathlib import Path

import pytest

from pipelines.local import OUTPUTS
from reaseq import schema
from reaseq.artifacts import Workspace
from reaseq.cli import console, main
from reaseq.data import Dataset
from tests.evaluation.behaviors import world
from tests.evaluation.hostile import HOSTILE, filled, rewritten

QUICK = ("--users", "10", "--steps", "1,2", "--guidance", "0")


def make_run(runs: Path, name: str, artifacts: dict) -> Path:
    """A finished run as `reaseq run` leaves it, as far as `show` reads it."""
    folder = runs / name
    for output, (task, place) in OUTPUTS.items():
        path = folder / "pipeline" / "p1" / task / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if output in artifacts:
            path.symlink_to(artifacts[output].path)
        else:
            path.mkdir()
    (folder / "run.json").write_text(json.dumps({"id": name, "state": "finished"}))
    (folder / "summary.json").write_text(json.dumps({"config": world.CONFIG.model_dump(mode="json")}))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with the runs `plain`, `hostile` (its titles) and `bare` (without inferences)."""
    root = tmp_path_factory.mktemp("show")
    workspace = Workspace(root / "workspace")
    artifacts = world.write_all(root)

    def change(file, table_schema, how, of):
        return rewritten(artifacts[of], file, table_schema, how, root / f"changed-{of}", workspace)

    titles = change(
        "items.parquet", schema.ITEMS, lambda t: filled(t, "title", text="\x1b[31m[bold]" + HOSTILE), "dataset"
    )
    nothing = change(
        "inferred_behaviors.parquet", schema.INFERRED_BEHAVIORS, lambda t: t.slice(0, 0), "inferred_behaviors"
    )
    folder = root / "runs"
    make_run(folder, "plain", artifacts)
    make_run(folder, "hostile", artifacts | {"dataset": titles})
    make_run(folder, "bare", artifacts | {"inferred_behaviors": nothing})
    return folder


@pytest.fixture
def reaseq(runs, monkeypatch, capsys):
    """Runs the command and gives (status, standard output, standard error)."""
    monkeypatch.setattr(console.out, "width", 240)  # not by COLUMNS, which is read when the console is made
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_PROGRESS_BARS", "FEAST_USAGE", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "1")  # `main` sets them for good

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["reaseq", *words, "--runs", str(runs)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_a_users_log_and_inferences_are_one_timeline(reaseq, runs):
    status, out, _ = reaseq("show", "user", "u03", "--run", "plain")

    assert status == 0
    lines = out.splitlines()
    data = Dataset.open(runs / "plain" / "pipeline" / "p1" / "ingest" / "dataset")
    logged = data.log.items[data.log.offsets[3] : data.log.offsets[4]]
    assert sum(any(data.titles[item - 1] in line for line in lines) for item in set(logged.tolist())) == len(
        set(logged.tolist())
    )
    inferred = [line for line in lines if line.startswith("+")]
    assert 0 < len(inferred) <= world.CONFIG.behavior.inferred
    assert any("new category" in line for line in inferred)
    days = [word for line in lines for word in line.split() if word.startswith("2020-") and len(word) == 10][1:]
    assert days == sorted(days, reverse=True)
    assert "diversity" in out


def test_the_timeline_can_be_had_as_a_page(reaseq, tmp_path):
    page = tmp_path / "user.html"

    status, out, _ = reaseq("show", "user", "u03", "--run", "plain", "--html", str(page))

    assert status == 0
    assert str(page) in out
    assert "<svg" in page.read_text()


def test_hostile_titles_reach_neither_terminal_nor_page(reaseq, tmp_path):
    page = tmp_path / "user.html"

    status, out, _ = reaseq("show", "user", "u03", "--run", "hostile", "--html", str(page))

    assert status == 0
    assert "\x1b" not in out
    assert "[bold]<script>" in out, "shown as it is written"
    assert "<script>" not in page.read_text()


def test_a_run_is_measured_and_its_page_lies_beside_its_report(reaseq, runs):
    status, out, _ = reaseq("show", "behaviors", "--run", "plain", *QUICK)

    assert status == 0
    page = runs / "plain" / "behaviors.html"
    assert str(page) in out
    assert "Recall@10" in page.read_text()
    for words in ("in a gap of the log", "after its end", "ECE", "R = 2", "w = 0", "popularity"):
        assert words in out


REFUSED = {
    "unknown user": (("user", "nobody"), ["'nobody'", "u00"]),
    "folder that is not there": (("user", "u03", "--html", "/no/such/folder/page.html"), ["/no/such/folder", "--html"]),
    "page over a folder": (("user", "u03", "--html", "/"), ["--html", "Is a directory"]),
    "page of a run over a folder": (("behaviors", "--html", "/"), ["--html", "Is a directory"]),
    "steps that are none": (("behaviors", "--steps", "1,two"), ["--steps", "1,two"]),
    "guidance below 0": (("behaviors", "--guidance", "-1"), ["--guidance", "below 0"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_paragraph(reaseq, case):
    words, expected = REFUSED[case]

    assert_refused(reaseq("show", *words, "--run", "plain"), expected)


@pytest.mark.parametrize("words", [("user", "u03"), ("behaviors",)])
def test_a_run_without_inferences_says_so(reaseq, words):
    assert_refused(reaseq("show", *words, "--run", "bare"), ["no inferred behaviours", "behavior.min_events"])


def test_a_file_that_can_not_be_written_is_refused(reaseq, tmp_path):
    page = tmp_path / ("x" * 300 + ".html")

    assert_refused(reaseq("show", "user", "u03", "--run", "plain", "--html", str(page)), ["can't be written"])


def assert_refused(told: tuple[int, str, str], expected: list[str]) -> None:
    status, _, err = told
    assert status == 1
    assert err.startswith("error: ") and "\n\n" not in err.strip()
    text = " ".join(err.split())
    for part in expected:
        assert part in text

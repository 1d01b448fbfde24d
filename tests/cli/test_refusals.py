"""Bad input at the command line: one paragraph that names the field and the remedy, status 1, no traceback."""

import json
from pathlib import Path

import pytest

from reaseq.cli.answering import parse_candidates
from reaseq.cli.claims import read_results
from reaseq.cli.settings import configured
from reaseq.errors import ConfigError
from reaseq.evaluation.claims.study import RESULTS_VERSION
from reaseq.evaluation.errors import EvaluationError
from tests.cli.main_job import reaseq

CASES = {
    "unknown preset": (["--preset", "huge"], ["'huge'", "tiny, small, base, large"]),
    "unknown dataset": (["--dataset", "netflix"], ["netflix", "synthetic"]),
    "unknown setting": (["--set", "behavior.depth=3"], ["behavior.depth", "config.py"]),
    "malformed setting": (["--set", "behavior.layers"], ["behavior.layers", "section.name=value"]),
    "missing folder": (["--dataset", "files", "--source", "/no/such/folder"], ["/no/such/folder"]),
    "no source": (["--dataset", "ml-100k"], ["--source", "ml-100k"]),
    "unreachable endpoint": (
        ["--set", "llm.backend=openai", "--set", "llm.base_url=http://127.0.0.1:9/v1", "--set", "llm.retries=0"],
        ["http://127.0.0.1:9/v1", "llm.base_url"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_paragraph(tmp_path: Path, name: str) -> None:
    words, expected = CASES[name]
    told = reaseq("run", "--runs", str(tmp_path / "runs"), *words)
    assert_refused(told, expected)
    assert not (tmp_path / "runs").exists(), "nothing is begun that can't be finished"


def test_an_unknown_bench_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    told = reaseq("bench", "recall", "--runs", str(tmp_path / "runs"))
    assert_refused(told, ["'recall'", "beyond-log, consistency, denoising, infer"])
    assert not (tmp_path / "runs").exists()


def test_impressions_that_are_set_are_those_of_the_claims(tmp_path: Path) -> None:
    words = ["--set", "data.impressions=/no/such/shown.csv", "--only", "C11"]
    told = reaseq("claims", "--preset", "tiny", "--runs", str(tmp_path / "runs"), *words)
    assert_refused(told, ["/no/such/shown.csv"])


def test_results_of_another_version_are_refused_by_name(tmp_path: Path) -> None:
    (old := tmp_path / "old.json").write_text('{"version": 0}')
    (tmp_path / "new.json").write_text(json.dumps({"version": RESULTS_VERSION}))

    with pytest.raises(EvaluationError, match=f"{old}.* version 0.*Run that study again"):
        read_results(tmp_path)

    assert read_results(tmp_path, but=old) == [{"version": RESULTS_VERSION}]


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [("data.dataset", "ml-100k", "--dataset"), ("data.source", "/shop", "--source"), ("preset", "small", "--preset")],
)
def test_a_setting_that_an_option_would_override_is_refused(name: str, value: str, option: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.* {option}"):
        configured("synthetic", "", "tiny", 0, {name: value})


def test_a_list_of_candidates_may_be_longer_than_the_name_of_a_file(tmp_path: Path) -> None:
    ids = tuple(f"B{number:09d}" for number in range(60))
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(ids))

    assert parse_candidates(",".join(ids)) == parse_candidates(str(file)) == ids


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,name\ni1,Soap\n")
    (tmp_path / "interactions.csv").write_text("user_id,item_id,timestamp\nu1,i1,1600000000\n")
    told = reaseq("run", "--dataset", "files", "--source", str(tmp_path), "--runs", str(tmp_path / "runs"))
    assert_refused(told, ["title", "items.csv", "name"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--workers", "2"], ["--workers", "add --ray"]),
        (["--events", "0"], ["--events 0"]),
        (["--older-than", "-1"], ["--older-than -1", "days"]),
        (["--snapshot", "yesterday"], ["--snapshot", "yesterday", "ISO"]),
        ([], ["'latest'", "make demo"]),
    ],
)
def test_a_refresh_is_refused_in_one_paragraph(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    assert_refused(reaseq("refresh", "--runs", str(tmp_path / "runs"), *words), expected)


def assert_refused(told, expected: list[str]) -> None:
    assert told.returncode == 1, told.stdout + told.stderr
    assert told.stderr.startswith("error: ")
    assert "Traceback" not in told.stderr + told.stdout
    assert "\n\n" not in told.stderr.strip(), "one paragraph"
    text = " ".join(told.stderr.split())
    for part in expected:
        assert part in text

"""The page says what the results say, and nothing in it is markup that the data wrote."""

from typing import Any

import pytest

from reaseq.config import load
from reaseq.evaluation.claims import page
from reaseq.evaluation.claims.evidence import Comparison, Evidence
from reaseq.evaluation.provenance import portable_config


def results(dataset: str, verdict: Any = "holds") -> dict[str, Any]:
    nan = float("nan")
    compared = (
        Comparison("GAUC", "id+rer", "id", 0.7, 0.6, 0.1, 0.05, 0.15, 5, 100, decides=True),
        Comparison("GAUC, items with >20 training events", "id+rer", "id", nan, nan, nan, nan, nan, 5, 0, note="none"),
    )
    evidence = Evidence("C1", verdict, "above 0", compared, {"share": 0.5, "by <b>history</b>": {"0": {"ω": 0.1}}})
    row = {"AUC": 0.7, "AUC sd": 0.01, "GAUC": 0.7, "GAUC sd": 0.01, "LogLoss": 0.5, "GAUC 0": nan}
    return {
        "dataset": dataset,
        "preset": "tiny",
        "seeds": [0, 1],
        "asset_seed": 0,
        "assets": {"item_vectors, rer": {"digest": "abc", "made": "2026-01-01", "elsewhere": dataset == "ml-100k"}},
        "config": {"preset": "tiny", "note": "</script><b>"},
        "counts": {
            "users": 10,
            "items": 20,
            "behaviors": 30,
            "impressions_by_split": {"train": 100, "valid": 10, "test": 20},
        },
        "sampling": {"impressions": "as the source gives them"},
        "arms": {"id": row, "id+rer": row},
        "evidence": [evidence.as_json()],
        "seconds": {"assets": {"dataset": 1.0}, "arms": 10.0, "arms trained": 4},
        "training": {"id": {"examples_per_second": 1000.0, "training_seconds": 1.0}},
        "trained_on": [{"arms": 5, "cpus": 2, "python": "3.11.7", "torch": "2.13.0"}],
        "versions": {"python": "3.11", "torch": "2.13"},
        "machine": {"cpus": 2, "memory_gib": 8.0, "system": "Linux"},
    }


@pytest.mark.parametrize("render", [page.markdown, page.html])
def test_a_page_shows_every_dataset_its_verdicts_and_its_command(render: Any) -> None:
    text = render([results("synthetic"), results("ml-100k", "does not hold")])
    assert "does not hold" in text
    assert "reaseq claims --dataset synthetic --preset tiny --seeds 2 --only C1<" in text.replace("`", "<")
    assert "--dataset ml-100k --source FOLDER --preset tiny --seeds 2 --only C1 --assets FOLDER" in text
    assert "+0.1000 [+0.0500, +0.1500]" in text
    assert "<b>" not in text
    assert "nan" not in text


def test_the_command_says_what_was_set_otherwise_than_in_the_preset() -> None:
    found = results("synthetic")
    config = portable_config(load("tiny", overrides={"ranking.epochs": 3, "ranking.hidden": [8, 4]}))
    text = page.markdown([found | {"config": config}])
    assert "--seeds 2 --only C1 --set ranking.hidden=[8,4] --set ranking.epochs=3`" in text


def test_the_command_says_the_seed_of_the_assets() -> None:
    config = portable_config(load("tiny", seed=3))
    text = page.markdown([results("synthetic") | {"config": config, "asset_seed": 3}])
    assert "`reaseq claims --dataset synthetic --preset tiny --seed 3 --seeds 2 --only C1`" in text


def test_what_a_configuration_leaves_out_is_told_where_the_preset_has_it() -> None:
    config = portable_config(load("tiny", overrides={"representation.title_dim": 0}))
    text = page.markdown([results("synthetic") | {"config": config}])
    assert "--only C1 --set representation.title_dim=0`" in text


def test_two_studies_of_one_dataset_are_told_apart_by_their_settings() -> None:
    config = portable_config(load("tiny", overrides={"ranking.epochs": 3}))
    text = page.markdown([results("ml-100k"), results("synthetic"), results("synthetic") | {"config": config}])
    assert "| ml-100k | synthetic, preset | synthetic, epochs 3 |" in text


def test_two_studies_of_one_dataset_are_told_apart_by_seed_and_by_preset() -> None:
    plain, seeded = (portable_config(load("tiny", seed=seed)) for seed in (0, 3))
    studies = [results("synthetic") | {"config": plain}, results("synthetic") | {"config": seeded, "asset_seed": 3}]
    small = results("synthetic") | {"config": portable_config(load("small")), "preset": "small"}
    assert "| synthetic, preset | synthetic, seed 3 |" in page.markdown(studies)
    assert "| synthetic, tiny | synthetic, tiny, seed 3 | synthetic, small |" in page.markdown([*studies, small])


def test_markdown_tables_are_whole() -> None:
    text = page.markdown([results("synthetic"), results("ml-100k")])
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if set(line) <= set("|-") and line.startswith("|"):
            assert lines[place - 1].count("|") == line.count("|")
            assert lines[place + 1].startswith("|")


def test_html_draws_the_intervals() -> None:
    assert page.html([results("synthetic")]).count("<svg") == 1

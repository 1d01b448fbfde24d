"""The report: self-contained, deterministic, and deaf to hostile text."""

import re

import numpy as np
import pytest

from reaseq import config as configuration
from reaseq import schema
from reaseq.artifacts import Workspace
from reaseq.evaluation import figures, stage
from tests.evaluation import standins
from tests.evaluation.hostile import HOSTILE, Page, filled, rewritten

CONFIG = configuration.load("tiny", overrides={"evaluation.bootstrap": 40})


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The report of the plain small world, and of the same with hostile text wherever text can be."""
    root = tmp_path_factory.mktemp("report")
    workspace = Workspace(root / "workspace")
    plain = standins.write_all(root, workspace)
    hostile = plain | {
        "dataset": rewritten(
            plain["dataset"], "items.parquet", schema.ITEMS, lambda t: filled(t, "title", "category", "brand"),
            root / "hostile_dataset", workspace,
        ),
        "knowledge": rewritten(
            plain["knowledge"], "knowledge.parquet", schema.KNOWLEDGE,
            lambda t: filled(t, "item_text", "demand_text", "reasoning"), root / "hostile_knowledge", workspace,
        ),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as monkeypatch:
        standins.stand_in(monkeypatch)
        return [
            stage.evaluate(CONFIG, **inputs, out=root / name, workspace=workspace).file("report.html").read_text()
            for name, inputs in (("plain", plain), ("hostile", hostile))
        ]


def test_hostile_text_stays_text(pages):
    plain, hostile = (Page(text) for text in pages)

    assert set(hostile.tags) == set(plain.tags)
    assert "script" not in hostile.tags
    assert not [name for name, _ in hostile.attributes if name.startswith("on")]
    assert HOSTILE in hostile.text


def test_the_page_is_balanced(pages):
    for text in pages:
        assert Page(text).open == []


def test_the_page_fetches_nothing_and_forbids_scripts(pages):
    plain = pages[0]
    page = Page(plain)

    assert not re.search(r"https?://|url\((?!#)|@import", plain)
    assert all(value.startswith("#") for name, value in page.attributes if name in ("src", "href", "xlink:href"))
    assert "default-src 'none'" in plain
    assert not {"link", "img", "iframe", "object"} & set(page.tags)


def test_ids_within_the_page_are_unique_and_references_resolve(pages):
    page = Page(pages[0])
    ids = [value for name, value in page.attributes if name == "id"]
    used = (
        {value[1:] for name, value in page.attributes if name == "href" and value.startswith("#")}
        | set(re.findall(r"url\(#([^)]+)\)", pages[0]))
        | {value[1:] for name, value in page.attributes if name == "xlink:href"}
    )

    assert len(ids) == len(set(ids))
    assert used == set(ids)


def test_the_page_says_what_was_run_and_every_plot_is_there(pages):
    text = Page(pages[0]).text

    for words in ("synthetic", "tiny", "GAUC", "ID-only", "popularity", "Helped", "Hurt", "one seed"):
        assert words.lower() in text.lower()
    assert pages[0].count("<svg") == 11


def test_a_plot_has_the_same_bytes_twice_and_follows_the_page_colours():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 50), {"id": rng.random(50), "full": rng.random(50)}

    first, second = (figures.roc(labels, scores) for _ in range(2))

    assert first == second
    assert "currentColor" in first
    assert first.startswith("<svg")


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.ones(3, int), np.zeros(0, int)])
def test_plots_stand_a_split_without_both_classes(labels):
    scores = {"id": np.full(len(labels), 0.5), "full": np.full(len(labels), 0.2)}

    assert "<svg" in figures.roc(labels, scores)
    assert "<svg" in figures.reliability(labels, scores)

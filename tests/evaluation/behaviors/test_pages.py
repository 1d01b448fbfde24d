"""Both pages: self-contained, the same twice, and deaf to hostile text."""

import re

import pytest

from reaseq import schema
from reaseq.artifacts import Workspace
from reaseq.data import Dataset
from reaseq.evaluation.behaviors import run_page, user_page
from reaseq.evaluation.behaviors.inferred import Inferred
from reaseq.evaluation.behaviors.measures import measure
from reaseq.evaluation.behaviors.sweep import Recall, Sweep
from reaseq.evaluation.behaviors.timeline import timeline
from reaseq.representation import ItemVectors
from tests.evaluation.hostile import HOSTILE, Page, filled, rewritten

LONG = "\x1b[31m\u202e" + HOSTILE + " very" * 500
CELLS = {(r, w): Recall(0.1 * r, 0.1, 0.3) for r in (1, 2) for w in (0.0, 1.0)}
SWEPT = Sweep(
    0, 20, 1.5, 0.9, CELLS, {"popularity": Recall(0.1, 0, 0.2), "item-to-item": Recall(0.2, 0, 0.3)}, (2, 1.0)
)


def rendered(artifacts, dataset):
    data = Dataset.open(dataset)
    inferred = Inferred.read(artifacts["inferred_behaviors"], data)
    vectors = ItemVectors.open(artifacts["item_vectors"])
    return {
        "user": user_page.render("r1", timeline(data, vectors, inferred, 3)),
        "run": run_page.render("r1", "synthetic", "tiny", 0, measure(inferred, data, vectors), SWEPT),
    }


@pytest.fixture(scope="module")
def plain(artifacts):
    return rendered(artifacts, artifacts["dataset"])


@pytest.fixture(scope="module")
def hostile(artifacts, tmp_path_factory):
    root = tmp_path_factory.mktemp("hostile")

    def change(table):
        return filled(table, "title", "category", text=LONG)

    dataset = rewritten(
        artifacts["dataset"], "items.parquet", schema.ITEMS, change, root / "out", Workspace(root / "workspace")
    )
    return rendered(artifacts, dataset)


@pytest.mark.parametrize("name", ["user", "run"])
def test_hostile_text_stays_text_and_is_cut(plain, hostile, name):
    page = Page(hostile[name])

    assert set(page.tags) == set(Page(plain[name]).tags)
    assert "script" not in page.tags and "img" not in page.tags
    assert not [attribute for attribute, _ in page.attributes if attribute.startswith("on")]
    assert '<script>alert("x")</script>' in page.text, "it is shown as it is written"
    assert "\x1b" not in hostile[name] and "\u202e" not in hostile[name]
    assert "very very very very very very very very" not in hostile[name]


@pytest.mark.parametrize("name", ["user", "run"])
def test_a_page_is_balanced_and_fetches_nothing(plain, name):
    page = Page(plain[name])

    assert page.open == []
    assert not re.search(r"https?://|url\((?!#)|@import", plain[name])
    assert "default-src 'none'" in plain[name]
    assert not {"link", "img", "iframe", "object", "script"} & set(page.tags)
    ids = [value for attribute, value in page.attributes if attribute == "id"]
    assert len(ids) == len(set(ids))


def test_the_same_user_has_the_same_page(plain, data, inferred, vectors):
    assert user_page.render("r1", timeline(data, vectors, inferred, 3)) == plain["user"]


def test_the_users_page_shows_titles_confidences_and_what_they_really_had(artifacts, plain, data, inferred, vectors):
    found, text = timeline(data, vectors, inferred, 3), Page(plain["user"]).text

    for entry in found.of("inferred"):
        assert text.count(entry.title) >= 2, "in the plot and in the table"
        assert f"{entry.confidence:.3f}" in text
    assert "known to be right" in text and "which this synthetic world knows" in text
    assert plain["user"].count("<svg") == 1


def test_the_runs_page_says_which_events_count_and_has_every_plot(plain):
    text = " ".join(Page(plain["run"]).text.split())

    assert "the events from its snapshot to the run’s next one" in text
    for words in ("ECE", "in a gap of the log", "after its end", "Skin Care", "R = 2", "w = 1", "popularity"):
        assert words in text
    assert plain["run"].count("<svg") == 6


def test_without_a_sweep_the_page_says_that_it_was_not_measured(data, inferred, vectors):
    page = run_page.render("r1", "synthetic", "tiny", 0, measure(inferred, data, vectors), None)

    assert "Not measured" in page and page.count("<svg") == 5


def test_a_user_without_inferences_has_a_page(data, inferred, vectors):
    page = user_page.render("r1", timeline(data, vectors, inferred.only(inferred.user != 3), 3))

    assert "Nothing was inferred of this user" in page and Page(page).open == []

"""The report: self-contained, deterministic, and deaf to hostile text."""

import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from reaseq import config as configuration
from reaseq import schema
from reaseq.artifacts import Workspace, build
from reaseq.evaluation import figures, stage
from tests.evaluation import standins

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> $\\frac{1}{0}$ {{ 7*7 }} "\' & </style></title>'
CONFIG = configuration.load("tiny", overrides={"evaluation.bootstrap": 40})


class Page(HTMLParser):
    """Tags, attributes and text of a page, and whether its tags are balanced."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def rewritten(artifact, file, table_schema, change, out, workspace):
    """A copy of an artifact with one table changed."""

    def write(draft):
        for name in artifact.manifest.files:
            (draft.path / name).write_bytes(artifact.file(name).read_bytes())
        draft.write_table(file, change(artifact.table(file)), table_schema)
        draft.facts.update(artifact.facts)

    kind = artifact.manifest.kind
    return build(out, kind=kind, name="hostile", config={}, inputs={}, write=write, workspace=workspace)


def filled(table, *columns):
    """The table with hostile text in these columns."""
    for name in columns:
        old = table.schema.field(name)
        value = [HOSTILE] if pa.types.is_list(old.type) else HOSTILE
        values = pa.array([value] * table.num_rows, old.type)
        table = table.set_column(table.schema.get_field_index(name), old, values)
    return table


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

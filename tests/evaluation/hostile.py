"""Hostile text in a dataset, and a parser that sees whether a page took it for more than text."""

from html.parser import HTMLParser

import pyarrow as pa

from reaseq.artifacts import build

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)> $\\frac{1}{0}$ {{ 7*7 }} "\' & </style></title>'


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


def filled(table, *columns, text=HOSTILE):
    """The table with hostile text in these columns."""
    for name in columns:
        old = table.schema.field(name)
        value = [text] if pa.types.is_list(old.type) else text
        values = pa.array([value] * table.num_rows, old.type)
        table = table.set_column(table.schema.get_field_index(name), old, values)
    return table

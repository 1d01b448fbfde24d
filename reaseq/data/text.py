"""Making text from outside safe to store, show and put into a prompt, without changing what it says.

Catalogue text is data, never instruction; what a reader can't see must not reach a model either. So control characters,
invisible characters and direction overrides go, entities become characters, and lengths are capped.
"""

import html

import polars as pl

TITLE_LENGTH = 500
"""Characters. Marketplaces cap titles at 200 to 500; a longer one is a description, or an attack on the prompt."""
DESCRIPTION_LENGTH = 4000
"""Characters; the reasoning agents read 512 tokens, about half of this, so nothing that counts is lost."""
PART_LENGTH = 200
"""Characters of a brand, a category or an attribute."""
PARTS = 32
"""Categories or attributes of one item."""
ID_LENGTH = 256
"""Characters of an id; keys of online stores and file names stay sane."""

# Control characters (but for white space, which becomes a blank), zero-width characters, direction overrides, the
# byte-order mark and the invisible "tag" letters that can spell out a hidden prompt. Joiners (U+200C, U+200D) stay:
# Persian and Indic words and emoji need them.
INVISIBLE = (
    r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u{00ad}\u{200b}\u{200e}\u{200f}\u{202a}-\u{202e}\u{2060}-\u{2064}"
    r"\u{2066}-\u{206f}\u{feff}\u{e0000}-\u{e007f}]"
)


def clean(column: pl.Expr, length: int) -> pl.Expr:
    """Entities decoded, invisible characters removed, white space folded, cut to `length`; null if nothing is left."""
    text = decode_entities(column).str.replace_all(INVISIBLE, "").str.replace_all(r"\s+", " ").str.strip_chars()
    text = text.str.slice(0, length).str.strip_chars()
    return pl.when(text.str.len_bytes() > 0).then(text)


def clean_lists(column: pl.Series) -> pl.Series:
    """The same for each string in a column of lists; empty parts go, null becomes the empty list."""
    rows = pl.DataFrame({"place": pl.int_range(len(column), eager=True), "part": column})
    parts = rows.explode("part").with_columns(clean(pl.col("part"), PART_LENGTH)).drop_nulls("part")
    lists = parts.group_by("place").agg(pl.col("part").head(PARTS))
    whole = rows.select("place").join(lists, on="place", how="left", maintain_order="left")
    return whole.select(pl.col("part").fill_null(pl.lit([], pl.List(pl.String))).alias(column.name)).to_series()


def decode_entities(column: pl.Expr) -> pl.Expr:
    """`L&#39;Oreal` → `L'Oreal`; Python is called for the few values that hold an ampersand."""
    return column.map_batches(_unescape, return_dtype=pl.String)


def _unescape(column: pl.Series) -> pl.Series:
    if not column.str.contains("&", literal=True).any():
        return column
    return pl.Series(column.name, [html.unescape(v) if v and "&" in v else v for v in column.to_list()], pl.String)

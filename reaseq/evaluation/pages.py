"""Pages for people: one file each, with nothing to fetch, and all text from the data escaped."""

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from reaseq.evaluation.scorecard import signed

SHOWN = 120
"""Characters of a title that a page shows."""
_JOINERS = "\u200c\u200d"  # Persian and Indic words and emoji need them
_INVISIBLE = {"Cc", "Cf", "Cs"}  # control characters, direction overrides and the like, halves of characters


def displayed(text: str, length: int = SHOWN) -> str:
    """Text from the data as one line for a person: nothing invisible in it, cut to `length` characters. It is not yet
    escaped.

    Ingestion cleans what it reads, too (`reaseq.data.text`); a page or a terminal doesn't rely on that.
    """
    kept = (c for c in text[: 8 * length] if c.isspace() or c in _JOINERS or unicodedata.category(c) not in _INVISIBLE)
    line = " ".join("".join(kept).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def template(name: str) -> Template:
    """A template of this folder, with autoescape and the filters `number`, `signed`, `count`, `percent`, `interval`
    and `displayed`.

    Markdown is escaped as well: entities are Markdown too, and what the data wrote must not become a tag in it.
    """
    environment = Environment(
        loader=PackageLoader("reaseq.evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "signed": _signed, "count": _count, "percent": _percent}
    environment.filters |= {"interval": _interval, "displayed": displayed}
    return environment.get_template(name)


def _number(value: float | None, places: int = 4) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{places}f}"


def _signed(value: float | None, places: int = 4) -> str:
    return "–" if value is None else signed(value, places)


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _percent(value: float | None, places: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{places}f} %"


def _interval(change: Mapping[str, Any]) -> str:
    """An effect with its interval, or the reason why there is none."""
    if change["effect"] is None or math.isnan(change["effect"]):
        return change.get("note") or "–"
    shown = signed(change["effect"])
    if change["low"] is None or math.isnan(change["low"]):
        return shown
    return f"{shown} [{signed(change['low'])}, {signed(change['high'])}]"

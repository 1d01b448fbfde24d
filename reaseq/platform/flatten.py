"""Trees of settings and figures → the flat names that MLflow takes."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from reaseq.platform.errors import TrackingError

_LONGEST_LIST = 4
"""A longer list of figures is a curve, and belongs to the report."""
_SPELLED = {"@": "_at_", "%": "_percent", ">": "over_", "<": "under_", "–": "-", "≥": "from_", "≤": "to_"}
_FORBIDDEN = re.compile(r"[^\w\-. :/]")


def parameters(tree: Mapping[str, Any]) -> dict[str, str]:
    """Leaves of a configuration as text, by dotted name."""
    return {name: _text(value) for name, value in _leaves(tree, ()) if value is not None}


def figures(tree: Mapping[str, Any]) -> dict[str, float]:
    """Finite numbers of a tree by dotted name, in the letters that MLflow allows (`hr@10` → `hr_at_10`).

    Raises:
        TrackingError: two names become the same.
    """
    flat: dict[str, float] = {}
    sources: dict[str, str] = {}
    for source, value in _leaves(tree, (), longest=_LONGEST_LIST):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            continue
        name = "".join(_SPELLED.get(letter, letter) for letter in source)
        name = _FORBIDDEN.sub("_", name)[:250]
        if name in sources:
            raise TrackingError(f"metrics {sources[name]!r} and {source!r} would both be called {name!r}; rename one.")
        flat[name], sources[name] = float(value), source
    return flat


def _leaves(value: Any, path: tuple[str, ...], longest: int = 0) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name in value:
            yield from _leaves(value[name], (*path, str(name)), longest)
    elif longest and isinstance(value, list | tuple):
        if len(value) <= longest:
            for position, part in enumerate(value):
                yield from _leaves(part, (*path, str(position)), longest)
    else:
        yield ".".join(path), value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)

"""The offline arbiter: chooses, from what passed the critic, the fields of the record, most telling first."""

from collections.abc import Mapping
from typing import Any

from reaseq.llm.offline.ontology import content_words

_ALIKE = 0.6  # Jaccard overlap of content words from which two statements count as one
_LIMITS = {"function": 4, "style": 3, "key_attributes": 8}
_DEMANDS = 4


def arbitrate(candidates: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the fields to keep. A statement that repeats an earlier one of its facet goes."""
    keep: list[str] = []
    said: dict[str, list[set[str]]] = {}
    taken: dict[str, int] = {}
    needs: set[str] = set()
    repeated = 0
    for field, given in candidates.items():
        value = given if isinstance(given, str) else ""
        view, facet, *_ = field.split(".")
        if view == "demand":
            number, name = field.split(".")[1:3]
            if name == "need":
                if len(needs) == _DEMANDS or _repeats(value, said.setdefault("need", [])):
                    repeated += 1
                    continue
                needs.add(number)
            elif number not in needs:
                continue
        elif facet in _LIMITS:
            if taken.get(facet, 0) == _LIMITS[facet] or (
                facet == "function" and _repeats(value, said.setdefault(facet, []))
            ):
                repeated += 1
                continue
            taken[facet] = taken.get(facet, 0) + 1
        keep.append(field)
    thought = f"Kept {len(keep)} of {len(candidates)} fields; {repeated} repeated others or were too many."
    return {"reasoning": thought, "keep": keep}


def _repeats(value: str, said: list[set[str]]) -> bool:
    """Whether a statement says what an earlier one said; remembers it if not."""
    words = set(content_words(value))
    if any(words and len(words & other) / len(words | other) >= _ALIKE for other in said):
        return True
    said.append(words)
    return False

"""The offline critic: judges each field of a draft against the item itself, whoever wrote the draft.

Relevance: the item, or what is known of its kind, speaks of it. Consistency: it contradicts neither the item nor the
rest of the draft. Specificity: it says more than the category does. Validity: it is a claim that can be true, and a
stated attribute stands in the input. The four criteria are COSMO's questions to its annotators, reworded (SIGMOD 2024).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reaseq.llm.offline.analysis import Analysis
from reaseq.llm.offline.experts import _TIERS
from reaseq.llm.offline.ontology import content_words, load_ontology
from reaseq.llm.offline.phrases import phrase

CRITERIA = ("relevance", "consistency", "specificity", "validity")

_OPPOSED = (
    (
        frozenset({"men", "man", "father", "him", "male"}),
        frozenset({"women", "woman", "mother", "her", "bride", "female"}),
    ),
    (frozenset({"baby", "babie", "infant", "toddler"}), frozenset({"adult", "teenager", "office", "worker", "senior"})),
    (frozenset({"children", "child"}), frozenset({"adult", "office", "senior"})),
)
_VAGUE = frozenset(
    phrase(text)
    for text in (
        "high quality", "good quality", "great product", "everyday use", "daily use", "everyone", "anyone", "anywhere",
        "any time", "any occasion", "any place", "various", "general use", "multi purpose", "n/a", "none", "unknown",
        "not specified", "good", "nice", "best", "product", "item", "useful", "all",
    )
)  # fmt: skip
_EMPTY_WORDS = frozenset(
    {"care", "help", "product", "item", "good", "thing", "best", "quality", "great", "nice", "look"}
)
_IMPOSSIBLE = re.compile(
    r"https?:|www\.|\bcures?\b|\bguarantee|\bmiracle\b|\b100 ?% (?:effective|safe)|\bclinically proven\b|[<>{}]",
    re.IGNORECASE,
)
_LONGEST = 120  # characters


@dataclass
class _Known:
    """What may be said of this item without further proof."""

    phrases: set[str]
    words: set[str]
    shelf: set[str]  # words of category and domain: they alone say nothing new


def judge(reading: Analysis, draft: Mapping[str, Any]) -> dict[str, Any]:
    """Verdicts for the fields of a draft, by field name, each four zeros or ones; reasons for the zeros."""
    known = _known(reading)
    verdicts: dict[str, list[int]] = {}
    reasons = []
    for field, given in draft.items():
        value = given if isinstance(given, str) else ""
        found = _judge(reading, known, field, value)
        verdicts[field] = [0 if criterion in found else 1 for criterion in CRITERIA]
        reasons += [{"field": field, "reason": f"{criterion}: {why}"} for criterion, why in found.items()]
    failed = sum(0 in scores for scores in verdicts.values())
    kind = reading.kind.name if reading.kind else "an unknown kind"
    thought = f"Checked {len(verdicts)} fields against {kind}; {failed} do not hold."
    return {"reasoning": thought, "verdicts": verdicts, "reasons": reasons[:8]}


def _judge(reading: Analysis, known: _Known, field: str, value: str) -> dict[str, str]:
    """Criterion → what is wrong, for one field."""
    facet = field.rstrip("0123456789.").rsplit(".", 1)[-1]
    if facet in ("season", "price_tier"):
        return _judge_choice(reading, facet, value)
    words = content_words(value)
    found: dict[str, str] = {}
    if facet == "complements":
        if not _goes_with(reading, value):
            found["relevance"] = "does not go with this kind of product"
        if reading.kind and phrase(value) == phrase(reading.kind.name):
            found["consistency"] = "is the product itself"
    elif facet == "key_attributes":
        value = value.partition(": ")[2]
        words = content_words(value)
        stated = value.lower() in known.phrases or (bool(words) and all(w in reading.words for w in words))
        if not stated:
            found["validity"] = "stands nowhere in the input"
    elif value.lower() not in known.phrases:
        spoken = sum(w in known.words or w in reading.words for w in words)
        if not words or spoken < 0.5 * len(words):
            found["relevance"] = "neither the item nor its kind speaks of it"
    if facet in ("audience", "need", "pain_point") and _opposed(words, reading.audience):
        found["consistency"] = f"the offer is made for {reading.audience}"
    if not words or phrase(value) in _VAGUE:
        found["specificity"] = "says nothing"
    elif facet in ("function", "need") and all(w in known.shelf or w in _EMPTY_WORDS for w in words):
        found["specificity"] = "says no more than the category"
    if _IMPOSSIBLE.search(value) or len(value) > _LONGEST:
        found["validity"] = "is no claim that can be checked"
    return found


def _judge_choice(reading: Analysis, facet: str, value: str) -> dict[str, str]:
    if facet == "price_tier" and value not in (
        "unknown",
        _TIERS.get(reading.item.price_band.split(" ", 1)[0], "unknown"),
    ):
        return {"consistency": "the price band says otherwise"}
    if facet == "season" and value != "all":
        told = {cue.season for cue in reading.cues if cue.season} or {reading.kind.season if reading.kind else ""}
        if value not in told:
            return {"relevance": "nothing ties it to that season"}
    return {}


def _goes_with(reading: Analysis, value: str) -> bool:
    usual = {c for concept in reading.concepts for c in concept.complements}
    if value in usual:
        return True
    concept = load_ontology().by_name.get(value)
    return concept is not None and any(concept.group == own.group for own in reading.concepts)


def _opposed(words: Iterable[str], audience: str) -> bool:
    addressed = set(content_words(audience))
    said = set(words)
    for one, other in _OPPOSED:
        for mine, theirs in ((one, other), (other, one)):
            if addressed & mine and not addressed & theirs and said & theirs and not said & mine:
                return True
    return False


def _known(reading: Analysis) -> _Known:
    phrases = {value.lower() for value in reading.measured.values()}
    for concept in reading.concepts:
        phrases |= {
            concept.name,
            f"{concept.domain}: {concept.name}",
            *concept.functions,
            *concept.style,
            concept.audience,
        }
        for need in concept.needs:
            phrases |= {need.need, need.audience, need.occasion, need.place, need.pain_point}
    merged: dict[str, list[str]] = {}
    for cue in reading.cues:
        phrases |= {cue.function, cue.audience, *cue.style}
        if cue.attribute:
            merged.setdefault(cue.attribute[0], []).append(cue.attribute[1])
        if cue.need:
            phrases |= {cue.need.need, cue.need.audience, cue.need.occasion, cue.need.place, cue.need.pain_point}
    for values in merged.values():
        unique = list(dict.fromkeys(values))
        phrases |= {*unique, ", ".join(unique[:2]), ", ".join(unique[:3])}
    words = {word for text in phrases for word in content_words(text)}
    shelf = " ".join([*reading.item.category, *(c.domain for c in reading.concepts)])
    return _Known({text.lower() for text in phrases if text}, words, set(content_words(shelf)))

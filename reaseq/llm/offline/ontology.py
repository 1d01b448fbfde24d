"""The bundled ontology of product needs: what common retail knowledge says of kinds of products.

A *concept* is a kind of product (`concepts/*.yaml`): the words that name it, what it does, which life needs it serves,
what goes with it. A *cue* is a word that narrows a product down (`cues/*.yaml`): an ingredient, a skin type, an
occasion.
Facets follow COSMO (SIGMOD 2024) and RecGPT (arXiv 2507.22879); the contents were written for this package by hand.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from reaseq.llm.errors import LlmError
from reaseq.llm.offline.phrases import PhraseIndex, phrase, segments

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Need:
    """One life need; every field may be empty but the first."""

    need: str
    audience: str = ""
    occasion: str = ""
    place: str = ""
    pain_point: str = ""


@dataclass(frozen=True)
class Concept:
    """A kind of product. `generic` ones stand for a whole shelf and yield to any other."""

    name: str
    domain: str
    group: str
    words: tuple[str, ...]
    genres: tuple[str, ...]
    functions: tuple[str, ...]
    style: tuple[str, ...]
    season: str
    audience: str
    needs: tuple[Need, ...]
    complements: tuple[str, ...]
    generic: bool


@dataclass(frozen=True)
class Cue:
    """A word that narrows a product down. `domains` limits where it means that; `unless` are phrases that undo it."""

    words: tuple[str, ...]
    domains: frozenset[str]
    attribute: tuple[str, str] | None
    function: str
    need: Need | None
    audience: str
    season: str
    style: tuple[str, ...]
    unless: tuple[str, ...]


class Ontology:
    """All concepts and cues, with the indices that find them in a text."""

    def __init__(self, concepts: list[Concept], cues: list[Cue], labels: dict[str, str], version: str):
        self.concepts = concepts
        self.cues = cues
        self.version = version
        """First 12 digits of the sha256 of the ontology's files."""
        self.by_name = {c.name: c for c in concepts}
        self.concept_index = PhraseIndex((w, c.name) for c in concepts for w in (c.name, *c.words))
        self.genre_index = PhraseIndex((g, c.name) for c in concepts for g in c.genres)
        self.cue_index = PhraseIndex((w, n) for n, cue in enumerate(cues) for w in cue.words)
        self.undo_index = PhraseIndex((w, n) for n, cue in enumerate(cues) for w in cue.unless)
        self.domain_index = PhraseIndex(labels.items())
        self.groups = {c.domain: c.group for c in concepts}

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Stemmed words of everything that the ontology can say."""
        said: list[str] = []
        for c in self.concepts:
            said += [c.name, c.domain, c.audience, *c.functions, *c.style, *c.complements, *c.words]
            for n in c.needs:
                said += [n.need, n.audience, n.occasion, n.place, n.pain_point]
        for cue in self.cues:
            said += [cue.function, cue.audience, *cue.style, *(cue.attribute or ())]
            if cue.need:
                n = cue.need
                said += [n.need, n.audience, n.occasion, n.place, n.pain_point]
        return frozenset(word for text in said for words in segments(text) for word in words)


@lru_cache(maxsize=1)
def load_ontology() -> Ontology:
    """The bundled ontology, read once per process.

    Raises:
        LlmError: a file of it is missing or malformed (a broken installation).
    """
    files = sorted((_HERE / "concepts").glob("*.yaml")) + sorted((_HERE / "cues").glob("*.yaml"))
    hashed = hashlib.sha256()
    concepts: list[Concept] = []
    cues: list[Cue] = []
    labels: dict[str, str] = {}
    try:
        for file in files:
            content = file.read_bytes()
            hashed.update(content)
            for part in yaml.load_all(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                if isinstance(part, list):
                    cues += [_cue(entry) for entry in part]
                    continue
                labels |= dict.fromkeys(_split(part["labels"], ","), part["domain"])
                concepts += [_concept(name, entry, part) for name, entry in part["concepts"].items()]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise LlmError(f"the bundled ontology {_HERE} can't be read ({error!r}); install the package again.") from None
    if not concepts or not cues:
        raise LlmError(
            f"the bundled ontology {_HERE} is empty; install the package again (its *.yaml files are missing)."
        )
    return Ontology(concepts, cues, labels, hashed.hexdigest()[:12])


def _concept(name: str, entry: dict[str, Any], part: dict[str, Any]) -> Concept:
    return Concept(
        name=name,
        domain=part["domain"],
        group=part.get("group", part["domain"]),
        words=_split(entry.get("words", ""), ","),
        genres=_split(entry.get("genres", ""), ","),
        functions=_split(entry["does"], ";"),
        style=_split(entry.get("style", ""), ","),
        season=entry.get("season", ""),
        audience=entry.get("audience", ""),
        needs=tuple(_need(row) for row in entry["demands"]),
        complements=_split(entry.get("with", ""), ","),
        generic=entry.get("generic", False),
    )


def _cue(entry: dict[str, Any]) -> Cue:
    name, _, value = entry.get("attribute", "").partition("=")
    return Cue(
        words=_split(entry["words"], ","),
        domains=frozenset(_split(entry.get("in", ""), ",")),
        attribute=(name, value) if name else None,
        function=entry.get("does", ""),
        need=_need(entry["demand"]) if "demand" in entry else None,
        audience=entry.get("audience", ""),
        season=entry.get("season", ""),
        style=_split(entry.get("style", ""), ","),
        unless=_split(entry.get("unless", ""), ","),
    )


def _need(row: str) -> Need:
    parts = [part.strip() for part in row.split("|")]
    if not parts[0] or len(parts) > 5:
        raise ValueError(f"demand {row!r} is not 'need | audience | occasion | place | pain point'")
    return Need(*parts)


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


@lru_cache(maxsize=1 << 16)
def content_words(text: str) -> tuple[str, ...]:
    """The stemmed words of a text that carry meaning."""
    return tuple(word for words in segments(text) for word in words if word not in STOP_WORDS)


_STOP_WORDS = """
    a an and are as at be but by can does during every for from get give has have how if in into is it its make
    more not of off on one or other out over own people s so some such than that the their them then they this to
    too up use very what when which who whose will with without you your
"""
STOP_WORDS = frozenset(phrase(word) for word in _STOP_WORDS.split())

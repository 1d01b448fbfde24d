"""What the offline reasoner recognises in one item: kinds of product, cues, measures.

Evidence is weighed: words of the title count most, the head noun of its first segment above what follows a comma or
"for"; the deepest category label comes next; a match foreign to the item's category counts little.
"""

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from reaseq.llm.offline.measures import measures
from reaseq.llm.offline.ontology import Concept, Cue, Ontology, content_words, load_ontology
from reaseq.llm.offline.phrases import segments

_SIDE_CLAUSE = frozenset({"for", "with", "from", "by", "in", "without", "plu"})
_YEAR = re.compile(r"\b(19[0-9]{2}|20[0-4][0-9])\b")
_NARRATIVE = frozenset({"film", "books"})
_COLOURLESS = frozenset({"skin care", "bath & body", "fragrance", "grocery", "pet supplies"})  # there "plum" is a scent


@dataclass
class Item:
    """The item data as an agent reads it; nothing in it is trusted."""

    title: str = ""
    category: list[str] = field(default_factory=list)
    brand: str = ""
    price_band: str = ""
    description: str = ""
    attributes: list[str] = field(default_factory=list)
    co_bought: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, value: Any) -> "Item":
        """From the JSON of an `<item>` block; parts of a wrong type are left out."""
        item = cls()
        for name, known in vars(item).items():
            given = value.get(name) if isinstance(value, dict) else None
            if isinstance(known, list) and isinstance(given, list):
                setattr(item, name, [part for part in given if isinstance(part, str)])
            elif isinstance(known, str) and isinstance(given, str):
                setattr(item, name, given)
        return item


@dataclass
class Analysis:
    """The reading of one item. `concepts` holds the kind of product first, then kinds it also belongs to."""

    item: Item
    concepts: list[Concept]
    evidence: dict[str, float]
    cues: list[Cue]
    measured: dict[str, str]
    co_concepts: list[Concept]
    words: frozenset[str]  # stemmed content words of the whole input

    @property
    def kind(self) -> Concept | None:
        return self.concepts[0] if self.concepts else None

    @property
    def audience(self) -> str:
        """Whom the title, the category or the kind itself names; empty if nobody in particular."""
        named = [cue.audience for cue in self.cues if cue.audience]
        if "men" in named and "women" in named:
            return ""
        return named[0] if named else self.kind.audience if self.kind else ""


@lru_cache(maxsize=4)
def analyse(item_json: str) -> Analysis:
    """Read one item; the few newest readings are kept, since several agents ask about one item in turn."""
    item = Item.read(json.loads(item_json))
    known = load_ontology()
    evidence, titled = _weigh(item, known)
    concepts = _choose(evidence, titled, known)
    domain = concepts[0].domain if concepts else ""
    whole = " ".join([item.title, *item.category, item.brand, *item.attributes, item.description, item.price_band])
    measured = measures(item.title if domain not in _NARRATIVE else "")
    if domain in _COLOURLESS:
        measured.pop("colour", None)
    if domain in _NARRATIVE and (year := _YEAR.search(" ".join([*item.attributes, item.title]))):
        measured["decade"] = f"{year[0][:3]}0s"
    return Analysis(
        item=item,
        concepts=concepts,
        evidence=evidence,
        cues=_cues(item, domain, known),
        measured=measured,
        co_concepts=_co_concepts(item, concepts, known),
        words=frozenset(content_words(whole)),
    )


def _weigh(item: Item, known: Ontology) -> tuple[dict[str, float], set[str]]:
    """Evidence for each concept, from title and category (from the description only where both are silent), and the
    concepts that the title itself names."""
    domains = _domains(item, known)
    groups = {known.groups[d] for d in domains}
    found: dict[str, float] = {}

    def add(source: dict[str, float], name: str, weight: float) -> None:
        concept = known.by_name[name]
        if concept.generic:
            weight *= 0.35
        if domains and concept.domain not in domains:
            weight *= 0.85 if concept.group in groups else 0.3
        source[name] = max(source.get(name, 0.0), weight)

    title: dict[str, float] = {}
    for name, weight in _title_weights(item.title):
        add(title, name, weight)
    path: dict[str, float] = {}
    labels = [*item.category, *(a for a in item.attributes if a not in item.category)]
    for depth, label in enumerate(labels):
        text = [_joined(label)]
        size = len(text[0])
        in_path = depth < len(item.category)
        deepest = depth == len(item.category) - 1
        for match in known.concept_index.find(text):
            weight = (2.8 if deepest else 1.8 if depth and in_path else 1.2) * (1.0 if match.words == size else 0.4)
            for name in match.payload:
                add(path, name, weight + path.get(name, 0.0))
        if not domains or "film" in domains:
            for match in known.genre_index.find(text):
                for name in match.payload:
                    path[name] = 4.0 - 0.1 * depth
    for source in (title, path):
        for name, weight in source.items():
            found[name] = found.get(name, 0.0) + weight
    if not found and item.description:
        for match in known.concept_index.find(segments(item.description)[:3]):
            for name in match.payload:
                add(found, name, 1.0)
    return found, set(title)


@lru_cache(maxsize=1 << 14)  # a title is read once as an item and again wherever it was bought together
def _title_weights(title: str) -> list[tuple[str, float]]:
    known = load_ontology()
    text = segments(title)
    matches = known.concept_index.find(text)
    weighed = []
    for number, match in enumerate(matches):
        aside = any(word in _SIDE_CLAUSE for word in text[match.segment][: match.start])
        weight = 2.0 + 1.2 * (match.words - 1)
        weight *= (1.0, 0.8, 0.65)[min(match.segment, 2)] * (0.5 if aside else 1.0)
        following = matches[number + 1] if number + 1 < len(matches) else None
        ends_segment = (
            following is None or following.segment != match.segment or not _same_clause(text, match, following)
        )
        if ends_segment and not aside:
            weight += 0.8  # English puts the head noun last: "argan oil shampoo" is a shampoo
        weighed += [(name, weight) for name in match.payload]
    return weighed


def _same_clause(text: list[list[str]], first: Any, second: Any) -> bool:
    return not any(word in _SIDE_CLAUSE for word in text[first.segment][first.end : second.start])


def _domains(item: Item, known: Ontology) -> set[str]:
    """Domains that the category path names; films are also known by a path (or attributes) of nothing but genres."""
    named = {d for label in item.category for m in known.domain_index.find(segments(label)) for d in m.payload}
    if named - {"baby & kids"}:
        return named
    labels = item.category or item.attributes
    text = [words for label in labels for words in segments(label) if not _YEAR.fullmatch(" ".join(words))]
    total = sum(map(len, text))
    covered = sum(match.words for match in known.genre_index.find(text))
    if total and covered == total and (covered > 1 or not named):
        return {"film"}
    return named


def _choose(evidence: dict[str, float], titled: set[str], known: Ontology) -> list[Concept]:
    """The best kind, and what the item also is: further genres, or a kind that its title names as clearly."""
    ranked = sorted(evidence, key=lambda name: (-evidence[name], name))
    if not ranked:
        return []
    first = known.by_name[ranked[0]]
    share = 0.6 if first.genres else 0.75
    also = [
        known.by_name[name]
        for name in ranked[1:]
        if evidence[name] >= share * evidence[ranked[0]]
        and (name in titled or known.by_name[name].genres)
        and known.by_name[name].group == first.group
        and known.by_name[name].generic == first.generic
    ]
    return [first, *also[: 2 if first.genres else 1]]


def _cues(item: Item, domain: str, known: Ontology) -> list[Cue]:
    """Cues of title and category, then of the description; for films and books the description speaks first."""
    near, far = segments(item.title), segments(item.description)
    shelf = [_joined(label) for label in item.category]
    if domain in _NARRATIVE:
        near, far = far, near
    seen: dict[int, None] = {}
    for text in (near, shelf, [_joined(a) for a in item.attributes], far):
        undone = {n for match in known.undo_index.find(text) for n in match.payload}
        for match in known.cue_index.find(text):
            for number in match.payload:
                cue = known.cues[number]
                if text is shelf and not cue.audience:
                    continue  # a shelf says for whom it is; "Hair & Scalp Treatments" says nothing of this item's scalp
                if number not in undone and (domain in cue.domains or (not cue.domains and domain not in _NARRATIVE)):
                    seen.setdefault(number)
    return [known.cues[number] for number in list(seen)[:10]]


def _co_concepts(item: Item, concepts: list[Concept], known: Ontology) -> list[Concept]:
    """Kinds of what was bought together, other than the item's own, in order of their titles."""
    own = {c.name for c in concepts}
    found: dict[str, None] = {}
    for title in item.co_bought:
        weights: dict[str, float] = {}
        for name, weight in _title_weights(title):
            concept = known.by_name[name]
            same = not concepts or concept.group == concepts[0].group
            weights[name] = max(
                weights.get(name, 0.0), weight * (0.3 if concept.generic else 1.0) * (1.0 if same else 0.3)
            )
        if weights:
            best = min(weights, key=lambda name: (-weights[name], name))
            if best not in own and weights[best] >= 1.5:
                found.setdefault(best)
    return [known.by_name[name] for name in found]


def _joined(label: str) -> list[str]:
    """A label as one segment: "Creams, Gels & Lotions" is one name."""
    return [word for words in segments(label) for word in words if word != "and"]

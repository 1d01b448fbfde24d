"""The offline planner, item expert and demand expert: each reads the item anew and answers its own question.

A rejected value (an expert asked again brings the critic's list) is not offered a second time; what ranked next takes
its place.
"""

import re
from typing import Any

from reaseq.llm.offline.analysis import Analysis
from reaseq.llm.offline.ontology import Need

_TIERS = {"lowest": "budget", "middle": "mid", "highest": "premium"}
_PEOPLE = re.compile(r"^(people|adults|everyone|young people)\b")
FUNCTIONS, STYLES, ATTRIBUTES, NEEDS, COMPLEMENTS = 4, 3, 8, 4, 3


def plan(reading: Analysis) -> dict[str, Any]:
    """Which facets apply to this product."""
    kind = reading.kind
    facets = ["category"]
    if kind:
        facets += ["function", "need", "audience", "occasion", "place", "pain_point", "complements"]
    if reading.cues or reading.measured or reading.item.brand:
        facets.append("key_attributes")
    if _styles(reading):
        facets.append("style")
    if _season(reading) != "all":
        facets.append("season")
    if reading.item.price_band:
        facets.append("price_tier")
    if kind is None:
        thought = (
            "No word of title or category names a kind of product that I know; only the category is safe to state."
        )
    else:
        thought = (
            f"Title and category point to '{kind.name}' (evidence {reading.evidence[kind.name]:.1f})"
            + "".join(f", also '{c.name}' ({reading.evidence[c.name]:.1f})" for c in reading.concepts[1:])
            + f"; {len(reading.cues)} words narrow it down."
        )
    return {"reasoning": thought, "product": kind.name if kind else _leaf(reading), "facets": facets}


def describe(reading: Analysis, facets: set[str], rejected: set[str]) -> dict[str, Any]:
    """The item expert's view: what the product is."""
    kind = reading.kind
    functions = [f for f in _functions(reading) if f.lower() not in rejected] if "function" in facets else []
    attributes = [
        {"name": name, "value": value}
        for name, value in _attributes(reading).items()
        if value.lower() not in rejected and "key_attributes" in facets
    ]
    styles = [s for s in _styles(reading) if s.lower() not in rejected] if "style" in facets else []
    season = _season(reading) if "season" in facets else "all"
    tier = _TIERS.get(reading.item.price_band.split(" ", 1)[0], "unknown") if "price_tier" in facets else "unknown"
    category = f"{kind.domain}: {kind.name}" if kind else _leaf(reading)
    told = [cue.function for cue in reading.cues if cue.function]
    thought = (
        f"Typical of {kind.name}: {' and '.join(kind.functions[:2])}." if kind else "The kind of product is not clear."
    ) + (f" The title adds: {'; '.join(told[:3])}." if told else " The title adds no special benefit.")
    return {
        "reasoning": thought,
        "function": functions[:FUNCTIONS],
        "key_attributes": attributes[:ATTRIBUTES],
        "style": styles[:STYLES],
        "season": "all" if season.lower() in rejected else season,
        "price_tier": "unknown" if tier in rejected else tier,
        "category": "" if category.lower() in rejected else category,
    }


def demand(reading: Analysis, facets: set[str], rejected: set[str]) -> dict[str, Any]:
    """The demand expert's view: whom the product serves, when, where and against what."""
    if "need" not in facets:
        return {"reasoning": "Nothing is known of who would need this.", "demands": []}
    needs = [n for n in _needs(reading) if n.need.lower() not in rejected][:NEEDS]
    goes_with = [c for c in _complements(reading) if c.lower() not in rejected]
    shares = (goes_with[:COMPLEMENTS], goes_with[COMPLEMENTS : 2 * COMPLEMENTS])
    demands = []
    for number, need in enumerate(needs):
        told = {
            "need": need.need,
            "audience": _addressed(need.audience, reading.audience),
            "occasion": need.occasion,
            "place": need.place,
            "pain_point": need.pain_point,
        }
        kept = {name: value if name in facets and value.lower() not in rejected else "" for name, value in told.items()}
        kept["need"] = need.need
        complements = shares[number] if number < len(shares) and "complements" in facets else []
        demands.append(kept | {"complements": complements})
    hurts = [need.pain_point for need in needs if need.pain_point]
    thought = (
        f"Somebody looks for this when the problem is {' or '.join(hurts[:2])}." if hurts else "The need is simple."
    ) + (f" The offer is made for {reading.audience}." if reading.audience else "")
    if reading.co_concepts:
        thought += f" Customers also took: {', '.join(c.name for c in reading.co_concepts)}."
    return {"reasoning": thought, "demands": demands}


def _leaf(reading: Analysis) -> str:
    return reading.item.category[-1] if reading.item.category else ""


def _functions(reading: Analysis) -> list[str]:
    """What kind and cues say it does: the kind's core first, then what the title promises, then the rest."""
    core = [c.functions[0] for c in reading.concepts]
    told = [cue.function for cue in reading.cues if cue.function]
    more = [f for c in reading.concepts for f in c.functions[1:]]
    return list(dict.fromkeys([*core[:3], *told[:2], *more, *told[2:]]))


def _attributes(reading: Analysis) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    if reading.item.brand:
        found["brand"] = [reading.item.brand]
    for cue in reading.cues:
        if cue.attribute:
            values = found.setdefault(cue.attribute[0], [])
            if cue.attribute[1] not in values and len(values) < 3:
                values.append(cue.attribute[1])
    for name, value in reading.measured.items():
        found.setdefault(name, [value])
    return {name: ", ".join(values) for name, values in found.items()}


def _styles(reading: Analysis) -> list[str]:
    told = [s for cue in reading.cues for s in cue.style]
    return list(dict.fromkeys([*told[:2], *(s for c in reading.concepts for s in c.style), *told[2:]]))


def _season(reading: Analysis) -> str:
    told = [cue.season for cue in reading.cues if cue.season]
    if told:
        return told[0]
    return (reading.kind.season if reading.kind else "") or "all"


def _needs(reading: Analysis) -> list[Need]:
    first = [c.needs[0] for c in reading.concepts]
    told = [cue.need for cue in reading.cues if cue.need]
    more = [n for c in reading.concepts for n in c.needs[1:]]
    return list(dict.fromkeys([*first[:2], *told[:2], *more, *first[2:], *told[2:]]))


def _complements(reading: Analysis) -> list[str]:
    own = {c.name for c in reading.concepts}
    usual = [w for c in reading.concepts for w in c.complements if w not in own]
    seen = [c.name for c in reading.co_concepts]
    mixed = [usual[:1], seen[:1], usual[1:2], seen[1:2], usual[2:], seen[2:]]
    return list(dict.fromkeys(word for part in mixed for word in part))


def _addressed(audience: str, explicit: str) -> str:
    """The audience of a need, narrowed to whom the offer names: 'people who …' becomes 'men who …'."""
    if not explicit or explicit in audience:
        return audience
    if not audience:
        return explicit
    if _PEOPLE.match(audience) and " " not in explicit:
        return _PEOPLE.sub(explicit, audience)
    return audience

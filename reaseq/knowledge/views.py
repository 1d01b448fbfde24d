"""The experts' views as named fields: what the critic scores, the guard screens and the arbiter chooses from.

item.category   item.function.0   item.key_attributes.1   demand.0.need   demand.0.complements.2   …
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from reaseq.knowledge.answers import DemandAnswer, ItemAnswer
from reaseq.schema import Demand, ItemView

_LIMITS = {"category": 1, "function": 4, "key_attributes": 8, "style": 3, "season": 1, "price_tier": 1}
_SINGLE = ("category", "season", "price_tier")
_SILENT = {"season": "all", "price_tier": "unknown"}  # values that state nothing and need no verdict
_DEMANDS, _COMPLEMENTS = 4, 3
_TOLD = ("need", "audience", "occasion", "place", "pain_point")


@dataclass(frozen=True)
class Views:
    """Item facets (an attribute is "name: value") and demands (facet → text; `complements` apart)."""

    item: dict[str, list[str]] = field(default_factory=dict)
    demands: list[dict[str, str]] = field(default_factory=list)
    complements: list[list[str]] = field(default_factory=list)

    @classmethod
    def of(cls, item: ItemAnswer | None, demand: DemandAnswer | None, tidy: Callable[[str], str]) -> "Views":
        """From the experts' answers; `tidy` normalises every text. Empty texts are left out."""
        facets: dict[str, list[str]] = {}
        if item:
            pairs = [f"{tidy(a.name)}: {tidy(a.value)}" for a in item.key_attributes if tidy(a.name) and tidy(a.value)]
            told: dict[str, list[str]] = {
                "category": [item.category], "function": item.function, "key_attributes": pairs, "style": item.style,
                "season": [item.season], "price_tier": [item.price_tier],
            }  # fmt: skip
            for name, values in told.items():
                kept = [tidy(v) for v in values if tidy(v) and tidy(v) != _SILENT.get(name)]
                facets[name] = list(dict.fromkeys(kept))
        demands, complements = [], []
        for entry in demand.demands if demand else []:
            if tidy(entry.need):
                demands.append({name: tidy(getattr(entry, name)) for name in _TOLD})
                complements.append(list(dict.fromkeys(tidy(c) for c in entry.complements if tidy(c))))
        return cls(facets, demands, complements)

    def fields(self) -> dict[str, str]:
        """Field name → text, in a fixed order; empty ones are left out."""
        return dict(self._walk())

    def only(self, kept: Collection[str]) -> "Views":
        """The views with these fields alone. A demand without its need goes as a whole."""
        item = {
            name: [v for n, v in enumerate(values) if _item_field(name, n) in kept]
            for name, values in self.item.items()
        }
        demands, complements = [], []
        for n, told in enumerate(self.demands):
            if f"demand.{n}.need" in kept:
                demands.append({name: v if f"demand.{n}.{name}" in kept else "" for name, v in told.items()})
                complements.append(
                    [v for k, v in enumerate(self.complements[n]) if f"demand.{n}.complements.{k}" in kept]
                )
        return Views(item, demands, complements)

    def join(self, other: "Views") -> "Views":
        """These views, and what another draft adds to them."""
        item = {name: list(values) for name, values in self.item.items()}
        for name, values in other.item.items():
            mine = item.setdefault(name, [])
            known = {v.lower() for v in mine}
            if not (name in _SINGLE and mine):
                mine += [v for v in values if v.lower() not in known]
        known = {told["need"].lower() for told in self.demands}
        new = [n for n, told in enumerate(other.demands) if told["need"].lower() not in known]
        return Views(
            item,
            self.demands + [other.demands[n] for n in new],
            self.complements + [other.complements[n] for n in new],
        )

    def record(self) -> tuple[ItemView, tuple[Demand, ...]]:
        """The strict record; what exceeds the limits of `reaseq.schema` is left out from the end."""
        kept = {name: self.item.get(name, [])[:limit] for name, limit in _LIMITS.items()}
        pairs = [text.partition(": ") for text in kept["key_attributes"]]
        item = ItemView.model_validate(
            {
                "function": kept["function"],
                "key_attributes": {name: value for name, _, value in pairs},
                "style": kept["style"],
                "season": (kept["season"] or ["all"])[0],
                "price_tier": (kept["price_tier"] or ["unknown"])[0],
                "category": (kept["category"] or [""])[0],
            }
        )
        demands = tuple(
            Demand(**told, complements=tuple(goes[:_COMPLEMENTS]))
            for told, goes in zip(self.demands[:_DEMANDS], self.complements, strict=False)
        )
        return item, demands

    def _walk(self) -> Iterator[tuple[str, str]]:
        for name in _LIMITS:
            for n, value in enumerate(self.item.get(name, [])):
                yield _item_field(name, n), value
        for n, told in enumerate(self.demands):
            for name in _TOLD:
                if told.get(name):
                    yield f"demand.{n}.{name}", told[name]
            for k, value in enumerate(self.complements[n]):
                yield f"demand.{n}.complements.{k}", value


def _item_field(name: str, number: int) -> str:
    return f"item.{name}" if name in _SINGLE else f"item.{name}.{number}"

"""How much of a record is grounded: its content words stand in the item data, or the ontology knows them."""

from typing import Any

from reaseq.llm.offline import content_words, load_ontology
from reaseq.schema import Demand, ItemView


def grounded(item: ItemView, demands: tuple[Demand, ...], data: dict[str, Any]) -> tuple[int, int, int]:
    """Content words of the record: all, those in the item data, those there or in the ontology's vocabulary."""
    said = [item.category, *item.function, *item.style]
    said += [word for pair in item.key_attributes.items() for word in pair]
    for demand in demands:
        said += [demand.need, demand.audience, demand.occasion, demand.place, demand.pain_point, *demand.complements]
    given: list[str] = []
    for value in data.values():
        given += value if isinstance(value, list) else [str(value)]
    read = set(content_words(" . ".join(given)))
    words = content_words(" . ".join(said))
    vocabulary = load_ontology().vocabulary
    return len(words), sum(w in read for w in words), sum(w in read or w in vocabulary for w in words)

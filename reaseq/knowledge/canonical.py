"""The two canonical texts of a record: knowledge only, in one fixed wording, each within a number of tokens.

Facets come in order of weight, so that what a tight limit cuts off is what matters least: for demands first every need
with its audience, then pains, occasions and places, then what goes with the product.
"""

from collections.abc import Sequence

from reaseq.knowledge.tokens import count_tokens
from reaseq.schema import Demand, ItemView


def item_text(view: ItemView, limit: int) -> str:
    """What the product is, in at most `limit` tokens."""
    parts: list[tuple[str, Sequence[str]]] = [
        ("", [view.category] if view.category else []),
        ("It ", list(view.function)),
        ("Attributes: ", [f"{name} {value}" for name, value in view.key_attributes.items()]),
        ("Style: ", list(view.style)),
        ("Season: ", [view.season] if view.season != "all" else []),
        ("Price: ", [view.price_tier] if view.price_tier != "unknown" else []),
    ]
    return _fill(parts, limit)


def demand_text(demands: Sequence[Demand], limit: int) -> str:
    """Whom and what it serves, in at most `limit` tokens."""
    parts: list[tuple[str, Sequence[str]]] = [
        ("Need: ", [f"{d.need} ({d.audience})" if d.audience else d.need for d in demands]),
        ("Against: ", [d.pain_point for d in demands if d.pain_point]),
        ("When: ", [d.occasion for d in demands if d.occasion]),
        ("Where: ", [d.place for d in demands if d.place]),
        ("Goes with: ", [c for d in demands for c in d.complements]),
    ]
    return _fill(parts, limit)


def _fill(parts: Sequence[tuple[str, Sequence[str]]], limit: int) -> str:
    """Sentences of phrases, as many whole phrases as the limit allows; a phrase that does not fit ends its sentence."""
    sentences: list[str] = []
    left = limit
    for opening, phrases in parts:
        taken: list[str] = []
        for phrase in dict.fromkeys(phrases):
            cost = count_tokens(phrase) + 1 + (count_tokens(opening) if not taken else 0)  # 1 for "," or "."
            if cost > left:
                break
            left -= cost
            taken.append(phrase)
        if taken:
            sentences.append(f"{opening}{', '.join(taken)}.")
    return " ".join(sentences)

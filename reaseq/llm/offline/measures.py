"""Measures and colours that a title states: size, count, sun protection factor, power, colour."""

import re

from reaseq.llm.offline.phrases import stem

_UNITS = {
    "fl oz": "oz", "fluid ounce": "oz", "fluid ounces": "oz", "ounce": "oz", "ounces": "oz", "oz": "oz", "floz": "oz",
    "ml": "ml", "g": "g", "gram": "g", "grams": "g", "gr": "g", "kg": "kg", "lb": "lb", "lbs": "lb", "pound": "lb",
    "pounds": "lb", "inch": "inch", "inches": "inch", "cm": "cm", "mm": "mm", "liter": "l", "liters": "l", "gb": "GB",
    "tb": "TB", "ft": "ft", "feet": "ft", "gallon": "gallon", "quart": "quart",
}  # fmt: skip
_SIZE = re.compile(
    r"(?<![\w./])(\d{0,4}(?:\.\d{1,3})?)\s*-?\s*("
    + "|".join(sorted((unit.replace(" ", r"\.?\s*") for unit in _UNITS), key=len, reverse=True))
    + r")\b",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"\bpack of (\d{1,4})\b|\b(\d{1,4})\s*-?\s*(?:count|pack|pk|pieces?|pcs?|pairs?|ct|sheets?|pads|wipes|colou?rs?)\b",
    re.IGNORECASE,
)
_SPF = re.compile(r"\bspf\s*-?\s*(\d{1,3})\b", re.IGNORECASE)
_POWER = re.compile(r"\b(\d{1,5})\s*-?\s*(?:watts?|w)\b", re.IGNORECASE)
_COLOUR_WORDS = """
    red pink blue green purple black white brown nude coral orange yellow gold silver grey gray beige teal
    turquoise burgundy plum berry peach lavender violet navy ivory copper bronze magenta fuchsia mauve taupe rose
    crimson lilac mint aqua charcoal tan blonde auburn chestnut mahogany wine ruby scarlet emerald champagne
    multicolor rainbow
"""
_COLOURS = frozenset(_COLOUR_WORDS.split())
_WORDS = re.compile(r"[a-z]+")


def measures(title: str) -> dict[str, str]:
    """What a title states in figures or colour words, by attribute name; at most two colours."""
    found: dict[str, str] = {}
    for match in _SIZE.finditer(title):
        if match[1] and match[1] != ".":
            unit = _UNITS[re.sub(r"\.?\s+|\.", " ", match[2].lower()).strip()]
            found["size"] = f"{match[1]} {unit}"
            break
    if count := _COUNT.search(title):
        found["count"] = count[1] or count[2]
    if factor := _SPF.search(title):
        found["SPF"] = factor[1]
    if power := _POWER.search(title):
        found["power"] = f"{power[1]} W"
    colours = dict.fromkeys(w for w in _WORDS.findall(title.lower()) if w in _COLOURS or stem(w) in _COLOURS)
    if colours:
        found["colour"] = ", ".join(list(colours)[:2])
    return found

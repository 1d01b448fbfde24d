"""Reading a shelf's text into products."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """A kind of product; the catalogue holds many items of each."""

    domain: str
    aisle: str
    noun: str
    low: float  # price
    high: float
    needs: tuple[tuple[str, float], ...]  # (need, stage)
    qualities: tuple[str, ...]
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Shelf:
    """A domain with its brands and products."""

    domain: str
    brands: tuple[str, ...]
    products: tuple[Product, ...]


def parse(domain: str, brands: str, text: str) -> Shelf:
    """Read a shelf; the format is in the package's docstring."""
    products: list[Product] = []
    aisle = ""
    words: dict[str, tuple[str, ...]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("["):
            aisle = line.strip("[]")
            continue
        if line.startswith(("qualities:", "variants:")):
            name, _, values = line.partition(":")
            words[name] = tuple(word.strip() for word in values.split(","))
            continue
        noun, prices, *rest = (part.strip() for part in line.split(";"))
        low, high = map(float, prices.split("-"))
        needs = tuple(
            (need, float(stage)) for need, stage in (pair.split("@") for pair in (rest[0].split() if rest else ()))
        )
        products.append(Product(domain, aisle, noun, low, high, needs, words["qualities"], words["variants"]))
    return Shelf(domain, tuple(brand.strip() for brand in brands.split(",")), tuple(products))

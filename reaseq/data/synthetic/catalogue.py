"""The catalogue of the synthetic world: items drawn from the shelves."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from reaseq.data.synthetic.shelves import SHELVES, Product
from reaseq.schema import ITEMS

LEAST_PER_KIND = 3
"""Items of a kind, on average; small catalogues hold fewer kinds rather than one item of each."""
DESCRIBED = 0.5
_ZIPF = 1.0  # exponent of popularity within a kind
_KIND_SPREAD = 0.6  # sigma of the log-normal popularity of kinds

_CLOSINGS = (
    "A dependable choice for every day.",
    "Made to last, easy to look after.",
    "Carefully made and thoroughly tested.",
    "Comes in recyclable packaging.",
    "A favourite of our customers.",
)


@dataclass(frozen=True)
class Catalogue:
    """Items and what drives their choice. Row-aligned arrays over V items, P kinds of product, D domains."""

    table: pa.Table  # of schema.ITEMS
    kinds: tuple[Product, ...]  # [P]
    domains: tuple[str, ...]  # [D]
    kind: np.ndarray  # [V] int64
    brand: np.ndarray  # [V] int64, place among the domain's brands
    price: np.ndarray  # [V] float, place in the price range of the kind, 0…1
    popularity: np.ndarray  # [V] float, weight within the kind
    launch: np.ndarray  # [V] float, day of launch; 0 for what was always there
    kind_domain: np.ndarray  # [P] int64
    kind_popularity: np.ndarray  # [P] float

    @property
    def domain(self) -> np.ndarray:
        """[V] int64."""
        return self.kind_domain[self.kind]


def make_catalogue(
    items: int, new_share: float, launch_days: tuple[float, float], rng: np.random.Generator
) -> Catalogue:
    """Draw a catalogue.

    Args:
        items: V.
        new_share: share of the items that is launched late.
        launch_days: first and last day of their launches.
        rng: the only source of randomness.
    """
    every = [product for shelf in SHELVES for product in shelf.products]
    chosen = np.sort(rng.permutation(len(every))[: max(1, min(len(every), items // LEAST_PER_KIND))])
    kinds = tuple(every[place] for place in chosen)
    domains = tuple(shelf.domain for shelf in SHELVES)
    brands = {shelf.domain: shelf.brands for shelf in SHELVES}
    tiers = [rng.random(len(shelf.brands)) for shelf in SHELVES]
    kind_popularity = rng.lognormal(0, _KIND_SPREAD, len(kinds))
    shares = kind_popularity / kind_popularity.sum()
    kind = np.concatenate([np.arange(len(kinds)), rng.choice(len(kinds), items - len(kinds), p=shares)])
    kind.sort()
    brand, price, popularity = np.zeros(items, np.int64), np.zeros(items), np.zeros(items)
    rows: list[dict[str, object]] = []
    for number, product in enumerate(kinds):
        places = np.flatnonzero(kind == number)
        domain = domains.index(product.domain)
        combinations = (len(brands[product.domain]), len(product.qualities), len(product.variants))
        total = int(np.prod(combinations))
        drawn = np.concatenate([rng.permutation(total) for _ in range(len(places) // total + 1)])[: len(places)]
        brand[places], quality, variant = np.unravel_index(drawn, combinations)
        price[places] = 0.6 * tiers[domain][brand[places]] + 0.4 * rng.random(len(places))
        popularity[places] = 1 / (1 + rng.permutation(len(places))) ** _ZIPF
        described = rng.random(len(places)) < DESCRIBED
        closing = rng.integers(len(_CLOSINGS), size=len(places))
        for row, place in enumerate(places):
            edition = row // total  # above 0 where a kind has more items than combinations
            rows.append(
                _row(
                    product,
                    brands[product.domain][brand[place]],
                    product.qualities[quality[row]],
                    product.variants[variant[row]] + (f", Series {edition + 1}" if edition else ""),
                    price[place],
                    _CLOSINGS[closing[row]] if described[row] else None,
                )
            )
    launch = _launches(kind, new_share, launch_days, rng)
    order = rng.permutation(items)  # so that an id says nothing
    table = pa.Table.from_pylist([{"item_id": f"p{n:06d}", **rows[place]} for n, place in enumerate(order, 1)], ITEMS)
    return Catalogue(
        table=table,
        kinds=kinds,
        domains=domains,
        kind=kind[order],
        brand=brand[order],
        price=price[order],
        popularity=popularity[order],
        launch=launch[order],
        kind_domain=np.array([domains.index(product.domain) for product in kinds]),
        kind_popularity=kind_popularity,
    )


def _launches(kind: np.ndarray, share: float, days: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Day of launch per item; the first item of each kind is old, so that no need is ever without a product."""
    first = np.concatenate([[True], np.diff(kind) > 0])
    later = rng.permutation(np.flatnonzero(~first))[: round(share * len(kind))]
    launch = np.zeros(len(kind))
    launch[later] = rng.uniform(*days, len(later))
    return launch


def _row(
    product: Product, brand: str, quality: str, variant: str, price: float, closing: str | None
) -> dict[str, object]:
    cost = product.low * (product.high / product.low) ** price
    words = f"{quality} {product.noun}"
    return {
        "title": f"{brand} {words}, {variant}",
        "category": [product.domain, product.aisle],
        "brand": brand,
        "price": max(1, round(cost)) - 0.01,
        "description": f"{words} by {brand}. Available as: {variant}. {closing}" if closing else None,
        "attributes": [quality, variant],
    }

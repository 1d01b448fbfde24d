"""The vocabulary of the synthetic catalogue: one module per domain, each a shelf of aisles and products.

A shelf is written as text, so that it reads like a catalogue:

    [Aisle]
    qualities: Gentle, Hydrating, …
    variants: 50 ml, 100 ml, …
    product; lowest-highest price; need@stage need@stage …

Qualities and variants (sizes, colours, packs) make the titles of an aisle's products differ. A product without needs is
a staple that anybody buys. `stage` in 0…1 says when in the life of the need the product is mostly bought. No title may
hold a word that names a need (`needs.Need.words`): it has to be inferred, as from a teething ring.
"""

from reaseq.data.synthetic.shelves import (
    baby,
    beauty,
    books,
    electronics,
    fashion,
    garden,
    grocery,
    home,
    pets,
    sports,
)
from reaseq.data.synthetic.shelves.shelf import Product, Shelf

SHELVES: tuple[Shelf, ...] = tuple(
    module.SHELF for module in (baby, beauty, books, electronics, fashion, garden, grocery, home, pets, sports)
)

__all__ = ["SHELVES", "Product", "Shelf"]

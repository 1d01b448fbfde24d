"""The items as the agents see them: cleaned text, price band, and what training users bought together with them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from reaseq.knowledge import guard
from reaseq.knowledge.errors import KnowledgeError
from reaseq.knowledge.tokens import first_tokens

_TITLE, _LABEL, _LABELS, _DESCRIPTION = 300, 60, 6, 6000  # characters, but for _LABELS
_BASKET = 100
"""Items of one user that are paired at most (the latest ones): a few heavy users must not define what goes together."""
_BANDS = ("lowest", "middle", "highest")
_PEERS = 5
"""Priced items that a category needs for a band of its own; smaller ones are banded over the whole catalogue."""
_BLOCK = 2048


@dataclass(frozen=True)
class CatalogueItem:
    """One item. `data` is the JSON that agents see; `cuts` is what the guard took out, by field."""

    item_id: str
    title: str
    data: dict[str, Any]
    cuts: tuple[tuple[str, str], ...] = ()


def read_catalogue(
    items: pa.Table, interactions: pa.Table, *, co_bought: int, description_tokens: int, positive_rating: float
) -> list[CatalogueItem]:
    """The items of a dataset, in table order.

    Args:
        items: of `schema.ITEMS`.
        interactions: of `schema.INTERACTIONS`; only events of the training split are looked at.
        co_bought: titles of neighbours per item.
        description_tokens: length that is read of a description.
        positive_rating: rated events below it are no behaviours.
    """
    rows = items.to_pylist()
    titles = [guard.clean(row["title"], _TITLE) for row in rows]
    bands = price_bands([r["price"] for r in rows], [r["category"][0] if r["category"] else "" for r in rows])
    together = neighbours(items, interactions, co_bought, positive_rating) if co_bought else [[]] * len(rows)
    catalogue = []
    for n, row in enumerate(rows):
        cuts = [("title", cut) for cut in titles[n].cuts]
        data: dict[str, Any] = {"title": titles[n].text}
        for name, values, limit in (("category", row["category"], 60), ("attributes", row["attributes"], 40)):
            labels = [guard.clean(value, _LABEL if limit == 60 else 40) for value in values[:_LABELS]]
            cuts += [(name, cut) for label in labels for cut in label.cuts]
            data[name] = [label.text for label in labels if label.text]
        brand = guard.clean(row["brand"], _LABEL)
        description = guard.clean(row["description"], _DESCRIPTION)
        cuts += [("brand", cut) for cut in brand.cuts] + [("description", cut) for cut in description.cuts]
        known = {*data["category"], brand.text}
        data["attributes"] = [a for a in data["attributes"] if a not in known]
        data["brand"] = brand.text
        data["price_band"] = bands[n]
        data["description"] = first_tokens(description.text, description_tokens)
        data["co_bought"] = [titles[k].text for k in together[n] if titles[k].text]
        shown = {name: value for name, value in data.items() if value}
        catalogue.append(CatalogueItem(row["item_id"], titles[n].text or row["title"], shown, tuple(cuts)))
    return catalogue


def price_bands(prices: list[float | None], categories: list[str]) -> list[str]:
    """Third of the price range within the category, as the agents read it; empty where no price is known."""
    price = np.array([np.nan if p is None or p <= 0 else p for p in prices])
    known = np.flatnonzero(np.isfinite(price))
    members: dict[str, list[int]] = {}
    for n in known.tolist():
        members.setdefault(categories[n], []).append(n)
    bands = [""] * len(prices)
    for category, own in members.items():
        peers = known if len(own) < _PEERS else np.array(own)
        where = "the catalogue" if len(own) < _PEERS or not category else "its category"
        ordered = np.sort(price[peers])
        for n in own:
            # Mid-rank, so that equal prices share a band wherever they stand in the table.
            rank = np.searchsorted(ordered, price[n], "left") + np.searchsorted(ordered, price[n], "right")
            bands[n] = f"{_BANDS[min(int(3 * rank / (2 * len(ordered))), 2)]} third of {where}"
    return bands


def neighbours(items: pa.Table, interactions: pa.Table, count: int, positive_rating: float) -> list[list[int]]:
    """Rows of the items most often taken by the same training users, by cosine over users, at least two of them.

    Ties fall to the item that stands first in the table.

    Raises:
        KnowledgeError: an interaction names an item that `items` lacks.
    """
    row_of = {item: n for n, item in enumerate(items.column("item_id").to_pylist())}
    split = interactions.column("split").to_numpy(zero_copy_only=False)
    rating = interactions.column("rating").to_numpy(zero_copy_only=False).astype(np.float32)
    used = np.flatnonzero((split == "train") & ~(rating < np.float32(positive_rating)))
    taken = interactions.select(["user_id", "item_id"]).take(pa.array(used))
    baskets: dict[str, dict[int, None]] = {}
    for user, item in zip(*(column.to_pylist() for column in taken.columns), strict=True):
        if item not in row_of:
            raise KnowledgeError(f"interactions name item {item!r}, which items.parquet lacks; ingest the data again.")
        basket = baskets.setdefault(user, {})
        basket.pop(row_of[item], None)  # a repeated item counts at its latest place
        basket[row_of[item]] = None
    latest = [list(basket)[-_BASKET:] for basket in baskets.values()]
    pairs = sparse.csr_matrix(
        (
            np.ones(sum(map(len, latest)), np.int64),
            (np.repeat(np.arange(len(latest)), [len(b) for b in latest]), [n for basket in latest for n in basket]),
        ),
        shape=(len(latest), len(row_of)),
    )
    by_item = pairs.T.tocsr()
    popularity = np.asarray(by_item.sum(axis=1)).ravel()
    found: list[list[int]] = []
    for start in range(0, len(row_of), _BLOCK):
        block = (by_item[start : start + _BLOCK] @ pairs).tocsr()
        for n in range(block.shape[0]):
            others = block.indices[block.indptr[n] : block.indptr[n + 1]]
            counts = block.data[block.indptr[n] : block.indptr[n + 1]]
            use = (others != start + n) & (counts >= 2)
            score = counts[use] / np.sqrt(popularity[others[use]] * popularity[start + n])
            best = np.lexsort((others[use], -score))[:count]
            found.append([int(k) for k in others[use][best]])
    return found

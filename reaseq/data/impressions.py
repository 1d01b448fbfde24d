"""The impressions table: taken from the source, or built from behaviours with sampled negatives.

Either way the rows of one request are shuffled, so that the place of the positive says nothing.
"""

import numpy as np
import polars as pl

from reaseq.config import NegativeSampling
from reaseq.data import negatives
from reaseq.schema import SPLITS

COLUMNS = ("request_id", "user_id", "item_id", "timestamp", "label", "split")
_ORIGIN: dict[NegativeSampling, str] = {
    "contemporary": "items of other users' behaviours nearest in time within the same split",
    "uniform": "items drawn uniformly from the catalogue",
}


def from_source(shown: pl.DataFrame, rule: str, rng: np.random.Generator) -> pl.DataFrame:
    """Order given impressions by request, naming the requests where the source does not.

    Args:
        shown: user_id, item_id, timestamp (int64 µs), label, split, row and perhaps request_id; in file order.
        rule: `Raw.requests`.
        rng: shuffles the rows within a request.
    """
    if "request_id" not in shown.columns:
        moved = pl.col("user_id").ne_missing(pl.col("user_id").shift()) | pl.col("timestamp").ne_missing(
            pl.col("timestamp").shift()
        )
        if rule == "positive_first":
            begins = moved | (pl.col("label") == 1)
            shown = shown.with_columns(begins.cum_sum().alias("request"))
        else:
            shown = shown.with_columns(pl.col("row").min().over("user_id", "timestamp").alias("request"))
        order = shown.group_by("request").agg(
            pl.col("timestamp").first(), pl.col("user_id").first(), pl.col("row").min()
        )
        order = order.sort("timestamp", "user_id", "row").with_row_index("number").select("request", "number")
        shown = shown.join(order, on="request", how="left", maintain_order="left")
        shown = shown.with_columns(_named(pl.col("number")).alias("request_id"))
    shown = shown.with_columns(pl.Series("chance", rng.random(shown.height)))
    return shown.sort("timestamp", "request_id", "chance", "row").select(COLUMNS)


def from_behaviors(
    events: pl.DataFrame,
    catalogue: list[str],
    count: int,
    rng: np.random.Generator,
    sampling: NegativeSampling = "contemporary",
) -> tuple[pl.DataFrame, dict[str, object]]:
    """One request per behaviour: it, and `count` items that the user took neither in the split nor before it.

    What a user takes in a later split may be a negative of an earlier one: were it left out, the training rows would
    tell of the test events. For the same reason each split has a stream of random numbers of its own.

    Args:
        events: all interactions, sorted by user, time and source order: user_id, item_id, timestamp (int64 µs),
            positive (bool), split.
        catalogue: all item ids.
        count: negatives per positive.
        rng: its children draw negatives and shuffle rows.
        sampling: where negatives are drawn from.

    Returns:
        The impressions, and what the manifest should say of the sampling.
    """
    item_codes = pl.DataFrame({"item_id": catalogue}).with_row_index("item").with_columns(pl.col("item").cast(pl.Int64))
    user_codes = events.select(pl.col("user_id").unique(maintain_order=True)).with_row_index("user")
    events = events.join(item_codes, on="item_id", how="left", maintain_order="left")
    events = events.join(user_codes.with_columns(pl.col("user").cast(pl.Int64)), on="user_id", maintain_order="left")
    positives = events.filter("positive").sort("timestamp", maintain_order=True)
    users, items = positives["user"].to_numpy(), positives["item"].to_numpy()
    splits = positives["split"].to_numpy()
    drawn = np.full((len(users), count), -1, np.int64)
    chance = np.zeros((len(users), count + 1))
    windows = {}
    for so_far, (split, stream) in enumerate(zip(SPLITS, rng.spawn(len(SPLITS)), strict=True), start=1):
        rows = np.flatnonzero(splits == split)
        if sampling == "contemporary":
            windows[split] = negatives.window_of(len(rows))
        if not len(rows):
            continue
        known = events.filter(pl.col("split").is_in(SPLITS[:so_far]))
        taken = negatives.taken_keys(known["user"].to_numpy(), known["item"].to_numpy(), len(catalogue))
        if sampling == "uniform":
            drawn[rows] = negatives.sample_uniformly(users[rows], taken, len(catalogue), count, stream)
        else:
            drawn[rows] = negatives.sample(users[rows], items[rows], taken, len(catalogue), count, stream)
        chance[rows] = stream.random((len(rows), count + 1))
    slate = np.concatenate([items[:, None], drawn], axis=1)
    order = chance.argsort(axis=1)
    slate, label = np.take_along_axis(slate, order, 1).ravel(), (order == 0).astype(np.int8).ravel()
    request = np.repeat(np.arange(len(users)), count + 1)
    kept = slate >= 0
    request, slate, label = request[kept], slate[kept], label[kept]
    named = positives.with_row_index("number").select(
        _named(pl.col("number")).alias("request_id"), "user_id", "timestamp", "split"
    )
    shown = named[request].with_columns(
        pl.Series("item_id", item_codes["item_id"].gather(slate)), pl.Series("label", label)
    )
    facts: dict[str, object] = {
        "impressions": "built from behaviours",
        "negatives_per_positive": count,
        "negatives": f"{_ORIGIN[sampling]}, never one that the user takes in that split or before it",
        "negatives_missing": int((drawn < 0).sum()),
    }
    if windows:
        facts["window_events"] = windows
    return shown.select(COLUMNS), facts


def _named(number: pl.Expr) -> pl.Expr:
    return pl.lit("r") + number.cast(pl.String).str.zfill(9)

"""The records and the Arrow schema of every table; nothing else may invent a column.

Item and user ids are strings in every table. Timestamps are microseconds since the epoch, UTC. A list column declared
with a fixed length holds exactly that many values in each row; `inferred_behaviors` lists may be shorter than M, and
the lists of one row are equally long.
"""

from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

VECTOR_DIM = 128
"""Width of z, the item vector (method.md's R^128); one width for all presets, so that tables are interchangeable."""

TIMESTAMP = pa.timestamp("us", tz="UTC")

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

ITEMS = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("category", pa.list_(pa.string()), nullable=False),  # path, broadest first
        pa.field("brand", pa.string()),
        pa.field("price", pa.float64()),  # in the catalogue's currency
        pa.field("description", pa.string()),
        pa.field("attributes", pa.list_(pa.string()), nullable=False),
    ]
)

INTERACTIONS = pa.schema(  # sorted by (user_id, timestamp, order in the source)
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("action", pa.string(), nullable=False),
        pa.field("rating", pa.float32()),
        pa.field("domain", pa.string()),
        pa.field("split", pa.string(), nullable=False),
    ]
)

IMPRESSIONS = pa.schema(  # sorted by (timestamp, request_id), positives in no special place
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)

BEYOND_LOG = pa.schema(  # only the synthetic world knows it: what users did where the platform does not look
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("timestamp", TIMESTAMP, nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("need", pa.string(), nullable=False),
    ]
)

Season = Literal["spring", "summer", "autumn", "winter", "all"]
PriceTier = Literal["budget", "mid", "premium", "unknown"]
KnowledgeStatus = Literal["ok", "fallback", "quarantined"]


class Record(BaseModel):
    """Base of every record that crosses a trust boundary: frozen, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ItemView(Record):
    """What the product is (facets after RecGPT, arXiv 2507.22879)."""

    function: tuple[str, ...] = Field((), max_length=4)
    key_attributes: dict[str, str] = Field(default_factory=dict, max_length=8)
    style: tuple[str, ...] = Field((), max_length=3)
    season: Season = "all"
    price_tier: PriceTier = "unknown"
    category: str = ""


class Demand(Record):
    """One life need that the product serves (relations after COSMO, SIGMOD 2024)."""

    need: str
    audience: str = ""
    occasion: str = ""
    place: str = ""
    pain_point: str = ""
    complements: tuple[str, ...] = Field((), max_length=3)


class Provenance(Record):
    """Where a knowledge record came from. Wall-clock cost is in the artifact's facts, not here: this table is
    byte-for-byte reproducible."""

    backend: str
    model: str
    prompt_version: str
    cache_keys: tuple[str, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dropped_fields: tuple[str, ...] = ()
    """Fields that the critic voted out, as `view.field: criterion`."""
    reason: str = ""
    """Why the status is not `ok`; empty otherwise."""


KNOWLEDGE = pa.schema(  # one row an item, in the order of `items`
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("item_view", pa.string(), nullable=False),  # JSON of ItemView
        pa.field("demand_view", pa.string(), nullable=False),  # JSON list of Demand
        pa.field("item_text", pa.string(), nullable=False),  # canonical, ≤96 tokens
        pa.field("demand_text", pa.string(), nullable=False),  # canonical, ≤96 tokens
        pa.field("reasoning", pa.string(), nullable=False),  # the chains of thought, kept for audit, never embedded
        pa.field("provenance", pa.string(), nullable=False),  # JSON of Provenance
    ]
)

ITEM_VECTORS = pa.schema(  # one row an item, in the order of `items`
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("z", pa.list_(pa.float32(), VECTOR_DIM), nullable=False),  # unit length
        pa.field("codes", pa.list_(pa.int16()), nullable=False),  # L parallel codes, each in 0..K-1
        pa.field("version", pa.string(), nullable=False),
    ]
)

INFERRED_BEHAVIORS = pa.schema(  # sorted by (user_id, snapshot); one row per user and snapshot
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("snapshot", TIMESTAMP, nullable=False),  # no event at or after it was seen
        pa.field("item_ids", pa.list_(pa.string()), nullable=False),
        pa.field("vectors", pa.list_(pa.list_(pa.float16(), VECTOR_DIM)), nullable=False),
        pa.field("confidence", pa.list_(pa.float32()), nullable=False),  # in (0, 1], best first
        pa.field("slot_times", pa.list_(TIMESTAMP), nullable=False),
        pa.field("version", pa.string(), nullable=False),
    ]
)

REFRESHED_USERS = pa.schema(  # sorted by user_id; one row per user with an event before the refresh's snapshot
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # refreshed, nothing_found, fresh_enough, too_few_events
        pa.field("events", pa.int64(), nullable=False),  # before the snapshot
        pa.field("new_events", pa.int64(), nullable=False),  # of these, since the last inference before this refresh
        pa.field("inferred_at", TIMESTAMP),  # snapshot of the user's newest inference, this refresh's included
    ]
)

PREDICTIONS = pa.schema(  # one row per impression of the split, in the order of `impressions`
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("label", pa.int8(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)

USER_HISTORY = pa.schema(  # Feast view `user_history`; most recent event first
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("event_timestamp", TIMESTAMP, nullable=False),
        pa.field("history_items", pa.list_(pa.string()), nullable=False),  # ≤ H
        pa.field("history_times", pa.list_(pa.int64()), nullable=False),  # microseconds
    ]
)

CATALOGUE_RANKS = pa.schema(  # one held-out item per user among the whole catalogue, of any model
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),  # 1 is best
        pa.field("ranked", pa.int64(), nullable=False),  # items it was ranked among, itself included
    ]
)

USER_PROFILE = pa.schema(  # Feast view `user_profile`
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("event_timestamp", TIMESTAMP, nullable=False),
        pa.field("events", pa.int64(), nullable=False),  # behaviours in the log, all time
        pa.field("categories", pa.int64(), nullable=False),  # distinct top categories among them
        pa.field("first_time", pa.int64(), nullable=False),  # microseconds
        pa.field("last_time", pa.int64(), nullable=False),
    ]
)

ITEM_KNOWLEDGE = pa.schema(  # Feast view `item_knowledge`; what ranks an item that is newer than the model
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("event_timestamp", TIMESTAMP, nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),  # the top category
        pa.field("item_text", pa.string(), nullable=False),
        pa.field("demand_text", pa.string(), nullable=False),
        pa.field("z", pa.list_(pa.float32()), nullable=False),
        pa.field("codes", pa.list_(pa.int64()), nullable=False),
    ]
)

"""Artifacts → the Parquet files that Feast reads, as of a serving time: all events before it, one row per key.

Rows carry the time at which they became true: a history and a profile that of the user's last event, an inference its
snapshot, item knowledge the serving time. Feast reads timestamps in microseconds only.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reaseq.artifacts import Artifact, whole
from reaseq.data.dataset import Dataset, EventLog
from reaseq.platform.errors import FeatureStoreError
from reaseq.schema import ITEM_KNOWLEDGE, TIMESTAMP, USER_HISTORY, USER_PROFILE, VECTOR_DIM

USER_INFERRED_BEHAVIORS = pa.schema(  # Feast view `user_inferred_behaviors`; each user's newest snapshot
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("event_timestamp", TIMESTAMP, nullable=False),  # the snapshot
        pa.field("inferred_items", pa.list_(pa.string()), nullable=False),  # m, most confident first
        pa.field("inferred_vectors", pa.list_(pa.float32()), nullable=False),  # m * 128, row by row
        pa.field("inferred_confidence", pa.list_(pa.float32()), nullable=False),  # m
        pa.field("inferred_snapshot", pa.int64(), nullable=False),  # microseconds
        pa.field("inferred_version", pa.string(), nullable=False),
    ]
)

SCHEMAS: Mapping[str, pa.Schema] = {
    "user_history": USER_HISTORY,
    "user_profile": USER_PROFILE,
    "user_inferred_behaviors": USER_INFERRED_BEHAVIORS,
    "item_knowledge": ITEM_KNOWLEDGE,
}


def serving_time(dataset: Dataset) -> int:
    """The microsecond after the last event of the log."""
    if not len(dataset.log.timestamps):
        raise FeatureStoreError("the dataset's log holds no behaviour, so there is nothing to serve from.")
    return int(dataset.log.timestamps.max()) + 1


def derive(
    dataset: Dataset,
    knowledge: Artifact,
    item_vectors: Artifact,
    inferred_behaviors: Artifact,
    *,
    now: int,
    history_limit: int,
) -> dict[str, pa.Table]:
    """The source table of each view.

    Args:
        dataset: gives history and profile.
        knowledge: gives the items' texts.
        item_vectors: gives the items' z and codes.
        inferred_behaviors: gives each user's newest snapshot at or before `now`.
        now: serving time, microseconds; only events strictly before it count.
        history_limit: H, the most events of a history.

    Raises:
        FeatureStoreError: the artifacts don't belong to the same catalogue.
    """
    log = dataset.log.before(now)
    return {
        "user_history": user_history(log, dataset.item_ids, history_limit),
        "user_profile": user_profile(log, dataset.category_index),
        "user_inferred_behaviors": user_inferred_behaviors(inferred_behaviors, now),
        "item_knowledge": item_knowledge(dataset, knowledge, item_vectors, now),
    }


def write(tables: Mapping[str, pa.Table], folder: Path) -> None:
    """Write `<view>.parquet` files; each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with whole(folder / f"{name}.parquet") as partial:
            pq.write_table(table.cast(SCHEMAS[name]), partial, compression="zstd", coerce_timestamps="us")


def user_history(log: EventLog, item_ids: list[str], limit: int) -> pa.Table:
    """Each user's last events, most recent first; of events at one moment, the source's last is first."""
    kept = np.flatnonzero(np.diff(log.offsets))
    end = log.offsets[kept + 1]
    lengths = np.minimum(np.diff(log.offsets)[kept], limit)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = np.repeat(end - 1 + offsets[:-1], lengths) - np.arange(offsets[-1])
    items = pa.array(item_ids, pa.string()).take(pa.array(log.items[place] - 1))
    return pa.table(
        {
            "user_id": pa.array(log.user_ids[kept], pa.string()),
            "event_timestamp": _moments(log.timestamps[end - 1]),
            "history_items": _lists(offsets, items),
            "history_times": _lists(offsets, pa.array(log.timestamps[place])),
        },
        schema=USER_HISTORY,
    )


def user_profile(log: EventLog, category_index: np.ndarray) -> pa.Table:
    """Counts over each user's whole log; an item without a category adds none to `categories`."""
    kept = np.flatnonzero(np.diff(log.offsets))
    first, last = log.timestamps[log.offsets[kept]], log.timestamps[log.offsets[kept + 1] - 1]
    pairs = np.unique(np.stack([log.users, category_index[log.items]], axis=1), axis=0)
    categories = np.bincount(pairs[pairs[:, 1] > 0, 0], minlength=len(log.user_ids))
    return pa.table(
        {
            "user_id": pa.array(log.user_ids[kept], pa.string()),
            "event_timestamp": _moments(last),
            "events": np.diff(log.offsets)[kept],
            "categories": categories[kept],
            "first_time": first,
            "last_time": last,
        },
        schema=USER_PROFILE,
    )


def user_inferred_behaviors(inferred: Artifact, now: int) -> pa.Table:
    """Each user's newest snapshot at or before `now`; vectors are flattened, as Feast has no lists of vectors."""
    table = inferred.table("inferred_behaviors.parquet")
    table = table.filter(pc.less_equal(table.column("snapshot").cast(pa.int64()), now))
    users = table.column("user_id").combine_chunks()
    codes = users.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    last = np.flatnonzero(np.diff(codes, append=-1))  # rows are sorted by user and snapshot
    table = table.take(pa.array(last)).combine_chunks()
    items = table.column("item_ids").combine_chunks()
    vectors = table.column("vectors").combine_chunks()
    offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(vectors).to_numpy(zero_copy_only=False))])
    if len(items.flatten()) != offsets[-1]:
        raise FeatureStoreError(
            f"{inferred.path}: `item_ids` and `vectors` of a row differ in length; infer them again."
        )
    values = vectors.flatten().flatten().cast(pa.float32())
    return pa.table(
        {
            "user_id": table.column("user_id"),
            "event_timestamp": table.column("snapshot"),
            "inferred_items": items,
            "inferred_vectors": _lists(offsets * VECTOR_DIM, values),
            "inferred_confidence": table.column("confidence"),
            "inferred_snapshot": table.column("snapshot").cast(pa.int64()),
            "inferred_version": table.column("version"),
        },
        schema=USER_INFERRED_BEHAVIORS,
    )


def item_knowledge(dataset: Dataset, knowledge: Artifact, item_vectors: Artifact, now: int) -> pa.Table:
    """What ranks an item that is newer than the model (vector, codes, top category), and its texts for a person."""
    texts = knowledge.table("knowledge.parquet", ["item_id", "item_text", "demand_text"])
    vectors = item_vectors.table("item_vectors.parquet", ["item_id", "z", "codes"])
    for artifact, table in ((knowledge, texts), (item_vectors, vectors)):
        if table.column("item_id").to_pylist() != dataset.item_ids:
            raise FeatureStoreError(
                f"{artifact.path} does not list the items of the dataset in their order; make it from this dataset."
            )
    z = vectors.column("z").combine_chunks().flatten()
    return pa.table(
        {
            "item_id": dataset.item_ids,
            "event_timestamp": _moments(np.full(len(dataset.item_ids), now - 1)),
            "title": dataset.titles,
            "category": dataset.top_categories,
            "item_text": texts.column("item_text"),
            "demand_text": texts.column("demand_text"),
            "z": _lists(np.arange(len(dataset.item_ids) + 1) * VECTOR_DIM, z),
            "codes": vectors.column("codes").cast(pa.list_(pa.int64())),
        },
        schema=ITEM_KNOWLEDGE,
    )


def _lists(offsets: np.ndarray, values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _moments(microseconds: np.ndarray) -> pa.Array:
    return pa.array(microseconds, pa.int64()).cast(TIMESTAMP)

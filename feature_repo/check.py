"""Nothing was lost between the sources and where they are read: every key online, every row in a historical join.

Feast says nothing when it drops rows (its `file` offline store does), so both are counted, and one feature of each view
is compared value by value.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.platform.errors import FeatureStoreError
from reaseq.platform.feast_api import FeatureStore

PROBES = {
    "user_history": "history_times",
    "user_profile": "last_time",
    "user_inferred_behaviors": "inferred_snapshot",
    "item_knowledge": "title",
}
"""A small feature of each view, which differs between rows."""
_BATCH = 500


def check_online(store: FeatureStore, view: str, table: pa.Table) -> None:
    """Look up every key of a source and compare its probe.

    Raises:
        FeatureStoreError: a key is missing online, or has another value there.
    """
    key, probe = table.column_names[0], PROBES[view]
    for batch in table.select([key, probe]).to_batches(max_chunksize=_BATCH):
        names = batch.column(0).to_pylist()
        answer = store.get_online_features(features=[f"{view}:{probe}"], entity_rows={key: names}).to_dict()
        by_name = dict(zip(answer[key], answer[probe], strict=True))
        wrong = [n for n, value in zip(names, batch.column(1).to_pylist(), strict=True) if by_name.get(n) != value]
        if wrong:
            raise FeatureStoreError(
                f"feature view {view!r}: {len(wrong)} of {len(names)} keys looked up, such as {wrong[0]!r}, are not "
                f"online with the value of their source ({probe}). Materialise again; if it stays, the online store "
                "loses rows."
            )


def check_history(
    store: FeatureStore, tables: Mapping[str, pa.Table], now: datetime, max_age: Mapping[str, timedelta]
) -> None:
    """Join every key's probes as of the serving time, as a training set would be, and count.

    Raises:
        FeatureStoreError: the join dropped a row or lost a value.
    """
    for key in ("user_id", "item_id"):
        views = [name for name, table in tables.items() if table.column_names[0] == key and table.num_rows]
        if not views:
            continue
        names = pc.unique(pa.chunked_array([c for name in views for c in tables[name].column(key).chunks], pa.string()))
        rows = pd.DataFrame({key: names.to_pylist(), "event_timestamp": pd.Timestamp(now)})
        refs = [f"{name}:{PROBES[name]}" for name in views]
        joined = store.get_historical_features(rows, refs).to_arrow()
        if joined.num_rows != len(names):
            raise FeatureStoreError(
                f"the historical join of {', '.join(views)} gave {joined.num_rows} of {len(names)} rows: the offline "
                "store drops rows. It must be duckdb in feature_store.yaml."
            )
        for name in views:
            expected = _within(tables[name], now, max_age.get(name))
            found = joined.num_rows - joined.column(PROBES[name]).null_count
            if found != expected:
                raise FeatureStoreError(
                    f"the historical join of {name!r} found {found} of {expected} rows of {tables[name].num_rows}; "
                    "check the timestamps of its source, which must be in microseconds."
                )


def _within(table: pa.Table, now: datetime, max_age: timedelta | None) -> int:
    """Rows of a source that are not older than may be served."""
    if not max_age:
        return table.num_rows
    oldest = pa.scalar(now - max_age, table.schema.field("event_timestamp").type)
    return int(pc.sum(pc.greater_equal(table.column("event_timestamp"), oldest)).as_py())

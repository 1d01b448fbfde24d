"""Put refreshed inferences where Feast looks: the offline source, so that it and the online store agree, and online.

A row is written where it is newer than what is there and nowhere else. So writing again changes nothing, a refresh that
comes late undoes nothing, and one that was killed half way is finished by the next start.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from feature_repo import sources
from feature_repo.apply import quiet
from feature_repo.check import check_online
from feature_repo.environment import SETTINGS
from reaseq import progress
from reaseq.artifacts import Artifact, sole_writer
from reaseq.platform.errors import FeatureStoreError
from reaseq.platform.feast_api import STORE_ERRORS, FeatureStore

VIEW = "user_inferred_behaviors"
_CLOCK = "inferred_snapshot"
_BATCH = 1000
"""Users looked up, and rows written, at a time."""


@dataclass(frozen=True)
class Written:
    """What became of the rows of a refresh in a feature store: written, or kept away by one that is as new or newer."""

    rows: int
    kept: int


def write_refreshed(folder: Path, refreshed: Artifact) -> Written:
    """Bring a refresh's rows into a feature store that `feature_repo.apply` has made.

    Two that write at once wait for each other, as far as they share the folder.

    Args:
        folder: of the feature store, with its `sources/`.
        refreshed: of `reaseq.behavior.refresh`.

    Raises:
        FeatureStoreError: the folder holds no store, a store can't be reached, or a row did not arrive.
    """
    folder = folder.resolve()
    if not (folder / SETTINGS).is_file():
        raise FeatureStoreError(f"feature store {folder} is not there (no {SETTINGS}); run the pipeline first.")
    table = sources.user_inferred_behaviors(refreshed, max(refreshed.facts["snapshots"]))
    try:
        with sole_writer(folder / "sources" / VIEW):
            _write_offline(folder / "sources", table)
            with quiet():
                store = FeatureStore(repo_path=str(folder))
                newer = table.filter(pa.array(_newer_than_online(store, table)))
            for batch in progress.track(newer.to_batches(max_chunksize=_BATCH), "writing to the feature store"):
                with quiet():
                    store.write_to_online_store(VIEW, df=pa.Table.from_batches([batch]).to_pandas())
            check_online(store, VIEW, newer)
    except STORE_ERRORS as error:
        raise FeatureStoreError(
            f"feature store {folder} can't be refreshed: {error}. Once its registry and online store can be reached, "
            "start the refresh again; it infers nothing twice and writes what is missing."
        ) from error
    return Written(newer.num_rows, table.num_rows - newer.num_rows)


def _write_offline(folder: Path, table: pa.Table) -> None:
    """Each user's newest row; of two that are as new, the one that is there stays."""
    there = pl.DataFrame(pq.read_table(folder / f"{VIEW}.parquet"))
    both = pl.concat([there, pl.DataFrame(table)]).sort(_CLOCK, descending=True, maintain_order=True)
    newest = both.unique("user_id", keep="first", maintain_order=True).sort("user_id")
    if not newest.equals(there):
        sources.write({VIEW: newest.to_arrow()}, folder)


def _newer_than_online(store: FeatureStore, table: pa.Table) -> np.ndarray:
    """bool, for each row: whether its user has none online, or one of an earlier snapshot."""
    newer = [np.zeros(0, bool)]
    for batch in table.select(["user_id", _CLOCK]).to_batches(max_chunksize=_BATCH):
        users, snapshots = (column.to_pylist() for column in batch.columns)
        found = store.get_online_features(features=[f"{VIEW}:{_CLOCK}"], entity_rows={"user_id": users}).to_dict()
        online = dict(zip(found["user_id"], found[_CLOCK], strict=True))
        newer.append(
            np.array([online[user] is None or online[user] < snapshot
                      for user, snapshot in zip(users, snapshots, strict=True)], bool)
        )  # fmt: skip
    return np.concatenate(newer)

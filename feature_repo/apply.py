"""Bring a feature store up to date with a run's artifacts, and prove that nothing was lost on the way."""

import contextlib
import io
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from feature_repo import sources
from feature_repo.check import check_history, check_online
from feature_repo.definitions import ITEM, USER, feature_service, feature_views
from feature_repo.environment import prepare
from reaseq import progress
from reaseq.artifacts import Artifact
from reaseq.data.dataset import Dataset
from reaseq.platform.errors import FeatureStoreError
from reaseq.platform.feast_api import STORE_ERRORS, FeatureStore

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class FeastReport:
    """What a materialisation did.

    Attributes:
        folder: of the feature store, for `OnlineFeatures`.
        service: the feature service of the ranker version.
        now: serving time, microseconds.
        rows: rows of each view's source; as many keys were found online, with the source's values.
        seconds: spent on each step: `sources`, `apply`, each view's materialisation, `check`.
    """

    folder: Path
    service: str
    now: int
    rows: Mapping[str, int]
    seconds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"folder": str(self.folder)}


def materialise(
    folder: Path,
    *,
    dataset: Artifact,
    knowledge: Artifact,
    item_vectors: Artifact,
    inferred_behaviors: Artifact,
    ranker_version: int | str,
    history_limit: int,
    now: int | None = None,
    environment: str = "local",
    max_age: Mapping[str, timedelta] | None = None,
    tags: Mapping[str, str] | None = None,
) -> FeastReport:
    """Write the sources, apply entities, views and the version's feature service, and materialise all views.

    It may be run again at any time, also after a kill: sources appear whole, registry and online store are
    transactional, and rows are replaced. Services of other versions stay. Keys that the sources no longer have keep
    their last row online.

    Args:
        folder: of the feature store; made if it is not there.
        dataset: gives user history and profile, and the items.
        knowledge: gives the items' texts.
        item_vectors: gives z and codes.
        inferred_behaviors: gives the users' newest snapshots.
        ranker_version: version in the model registry that will read the features.
        history_limit: H, the longest history (`ranking.long_history`).
        now: serving time, microseconds; by default just after the last event of the dataset.
        environment: a folder of `feature_repo/environments`.
        max_age: oldest row that may still be served, by view, such as
            `{"user_inferred_behaviors": timedelta(days=30)}`; none by default.
        tags: of the feature service, such as the digest of the ranker bundle.

    Raises:
        FeatureStoreError: the environment is not complete, a store can't be reached, or rows were lost.
    """
    folder = folder.resolve()
    seconds: dict[str, float] = {}
    prepare(folder, environment)
    with _timed(seconds, "sources"):
        opened = Dataset.open(dataset)
        moment = sources.serving_time(opened) if now is None else now
        tables = sources.derive(
            opened, knowledge, item_vectors, inferred_behaviors, now=moment, history_limit=history_limit
        )
        sources.write(tables, folder / "sources")
    views = feature_views(folder / "sources", max_age or {})
    service = feature_service(ranker_version, views, tags or {})
    try:
        with quiet():
            with _timed(seconds, "apply"):
                store = FeatureStore(repo_path=str(folder))
                store.apply([USER, ITEM, *views, service])
            end = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=moment)
            for view in progress.track([view for view in views if tables[view.name].num_rows], "materialise features"):
                with _timed(seconds, view.name):
                    store.materialize(_BEGINNING, end, feature_views=[view.name])
            with _timed(seconds, "check"):
                for name, table in tables.items():
                    check_online(store, name, table)
                check_history(store, tables, end, max_age or {})
    except STORE_ERRORS as error:
        raise FeatureStoreError(
            f"feature store {folder} ({environment}) can't be materialised: {error}. Once its registry and online "
            "store can be reached, run the registration step again; it starts from the beginning and loses nothing."
        ) from error
    rows = {name: table.num_rows for name, table in tables.items()}
    return FeastReport(folder, service.name, moment, rows, seconds)


@contextlib.contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - started, 3)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Feast's chatter off standard output, which belongs to the command line."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield

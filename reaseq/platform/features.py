"""The feature store's online side: one look-up of a user row, in process, with the status of each view.

Feast's own `to_dict` shows an unknown user and an empty value alike as None, so statuses are read from its answer. What
is missing is defaulted in the row and named in the statuses; the caller decides what that degrades.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, cast

import numpy as np

from reaseq.platform.errors import FeatureStoreError
from reaseq.platform.feast_api import FeatureStore, FieldStatus, Value
from reaseq.ranking.features import ColdItem, UserRow
from reaseq.schema import VECTOR_DIM

HISTORY, PROFILE, INFERRED, ITEMS = "user_history", "user_profile", "user_inferred_behaviors", "item_knowledge"
USER_VIEWS = (HISTORY, PROFILE, INFERRED)
_NEEDED: Mapping[str, tuple[str, ...]] = {
    HISTORY: ("history_items", "history_times"),
    PROFILE: ("events", "categories", "first_time", "last_time"),
    INFERRED: ("inferred_items", "inferred_vectors", "inferred_confidence", "inferred_snapshot", "inferred_version"),
    ITEMS: ("z", "codes", "category"),
}
_CLOCK = {HISTORY: ("history_times", 0), PROFILE: ("last_time", None), INFERRED: ("inferred_snapshot", None)}
"""Feature of a view, and place in it, that says when the row became true."""


class Status(Enum):
    """What a look-up found; Feast's own words."""

    PRESENT = "PRESENT"
    NULL_VALUE = "NULL_VALUE"
    NOT_FOUND = "NOT_FOUND"
    OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"


@dataclass(frozen=True)
class UserFeatures:
    """A user's row.

    Attributes:
        row: what is there; None if no view knows the user.
        statuses: by view. A view that is not PRESENT has its defaults in the row.
        inferred_snapshot: of the inferences, microseconds; 0 if there are none.
        inferred_version: of the inferences; "" if there are none.
    """

    row: UserRow | None
    statuses: Mapping[str, Status]
    inferred_snapshot: int = 0
    inferred_version: str = ""


@dataclass(frozen=True)
class ItemFeatures:
    """Knowledge of items: `items` holds those that are PRESENT in `statuses`."""

    items: Mapping[str, ColdItem] = field(default_factory=dict)
    statuses: Mapping[str, Status] = field(default_factory=dict)


class OnlineFeatures:
    """Look-ups through the feature service of one ranker version. Safe to use from several threads."""

    def __init__(self, store: FeatureStore | Path | str, service: str):
        """
        Args:
            store: a Feast store, or the folder with its feature_store.yaml.
            service: name of the feature service, such as `ranker_v3`; it says which views are read.

        Raises:
            FeatureStoreError: the folder holds no store, or the store has no such service.
        """
        folder = "" if isinstance(store, FeatureStore) else str(store)
        if folder and not (Path(folder) / "feature_store.yaml").is_file():
            raise FeatureStoreError(
                f"feature store {folder} is not there (no feature_store.yaml); run the pipeline first."
            )
        with _translated(f"open feature service {service!r}"):
            self._store = store if isinstance(store, FeatureStore) else FeatureStore(repo_path=folder)
            projections = self._store.get_feature_service(service).feature_view_projections
            offered = {p.name: {feature.name for feature in p.features} for p in projections}
            views = {name: self._store.get_feature_view(name) for name in offered}
        self._ages = {name: _microseconds(view.ttl) for name, view in views.items()}
        self._views = {name: needed for name, needed in _NEEDED.items() if set(needed) <= offered.get(name, set())}
        self._user_refs = [f"{view}:{name}" for view in USER_VIEWS for name in self._views.get(view, ())]

    def user(self, user_id: str, now: int | None = None) -> UserFeatures:
        """A user's row in one look-up.

        Args:
            user_id: of the user; one that is unknown gets `row=None`.
            now: time of the request, microseconds. Rows older than their view's maximum age are left out; without
                `now` no row is.

        Raises:
            FeatureStoreError: the store can't be reached.
        """
        found: dict[str, Value] = {}
        statuses = dict.fromkeys(USER_VIEWS, Status.NOT_FOUND)
        if self._user_refs:
            found, states = self._look_up(self._user_refs, "user_id", [user_id])[0]
            for view in USER_VIEWS:
                if view in self._views:
                    statuses[view] = self._status(view, found, states, now)
        here = {view for view, status in statuses.items() if status is Status.PRESENT}
        if not here:
            return UserFeatures(None, statuses)
        known: dict[str, Any] = {}
        if HISTORY in here:
            known["history_items"] = list(found["history_items"].string_list_val.val)
            known["history_times"] = list(found["history_times"].int64_list_val.val)
        if PROFILE in here:
            known |= {name: found[name].int64_val for name in _NEEDED[PROFILE]}
        if INFERRED not in here:
            return UserFeatures(UserRow(**known), statuses)
        known["inferred_items"] = list(found["inferred_items"].string_list_val.val)
        known["inferred_vectors"] = _floats(found["inferred_vectors"]).reshape(-1, VECTOR_DIM)
        known["inferred_confidence"] = list(found["inferred_confidence"].float_list_val.val)
        snapshot, version = found["inferred_snapshot"].int64_val, found["inferred_version"].string_val
        return UserFeatures(UserRow(**known), statuses, snapshot, version)

    def item_knowledge(self, item_ids: Sequence[str]) -> ItemFeatures:
        """Knowledge of items that are newer than the model; not for all candidates of a request.

        Raises:
            FeatureStoreError: the store can't be reached.
        """
        names = list(dict.fromkeys(item_ids))
        if not names or ITEMS not in self._views:
            return ItemFeatures({}, dict.fromkeys(names, Status.NOT_FOUND))
        rows = self._look_up([f"{ITEMS}:{name}" for name in self._views[ITEMS]], "item_id", names)
        statuses = {name: self._status(ITEMS, *row, None) for name, row in zip(names, rows, strict=True)}
        items = {
            name: ColdItem(_floats(found["z"]), list(found["codes"].int64_list_val.val), found["category"].string_val)
            for name, (found, _) in zip(names, rows, strict=True)
            if statuses[name] is Status.PRESENT
        }
        return ItemFeatures(items, statuses)

    def _look_up(self, refs: list[str], key: str, names: list[str]) -> list[tuple[dict[str, Value], dict[str, int]]]:
        """Value and Feast status of each feature, for each name."""
        with _translated(f"look up {key}"):
            answer = self._store.get_online_features(features=refs, entity_rows={key: names}).proto
        columns = dict(zip(answer.metadata.feature_names.val, answer.results, strict=True))
        order = {value.string_val: place for place, value in enumerate(columns.pop(key).values)}
        return [
            (
                {feature: column.values[order[name]] for feature, column in columns.items()},
                {feature: column.statuses[order[name]] for feature, column in columns.items()},
            )
            for name in names
        ]

    def _status(self, view: str, found: Mapping[str, Value], states: Mapping[str, int], now: int | None) -> Status:
        """The worst status of a view's features; Feast 0.67 itself checks the age of precomputed rows only."""
        needed = self._views[view]
        if any(states[name] == FieldStatus.NOT_FOUND for name in needed):
            return Status.NOT_FOUND
        if any(states[name] != FieldStatus.PRESENT or found[name].WhichOneof("val") is None for name in needed):
            return Status.NULL_VALUE
        age = self._ages[view]
        if age and now is not None and view in _CLOCK:
            feature, place = _CLOCK[view]
            value = found[feature]
            times = value.int64_list_val.val if place is not None else [value.int64_val]
            if not times or now - times[0] > age:
                return Status.OUTSIDE_MAX_AGE
        return Status.PRESENT


def _floats(value: Value) -> np.ndarray:
    values = value.float_list_val.val
    return np.fromiter(values, np.float32, len(values))


def _microseconds(age: timedelta | None) -> int:
    return 0 if not age else cast(int, age // timedelta(microseconds=1))


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Whatever a store raises becomes a `FeatureStoreError`: clients of Redis, SQL and sqlite share no base class."""
    try:
        yield
    except Exception as error:
        raise FeatureStoreError(
            f"can't {what}: {type(error).__name__}: {error}. Check that the feature store's registry and online store "
            "can be reached and that the features were materialised."
        ) from error

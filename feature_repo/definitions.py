"""What Feast is told: two entities, a view over each source, and a feature service for each version of the ranker.

The views' fields are those of the sources' Arrow schemas, so that neither can gain a column without the other.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from feature_repo.sources import SCHEMAS
from reaseq.platform.feast_api import (
    Array,
    Entity,
    FeastType,
    FeatureService,
    FeatureView,
    Field,
    FileSource,
    Float32,
    Int64,
    String,
    ValueType,
)

USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)

_TYPES: Mapping[pa.DataType, FeastType] = {
    pa.string(): String,
    pa.int64(): Int64,
    pa.list_(pa.string()): Array(String),
    pa.list_(pa.int64()): Array(Int64),
    pa.list_(pa.float32()): Array(Float32),
}
_KEYS = ("user_id", "item_id", "event_timestamp")


def feature_names(view: str) -> list[str]:
    """Features of a view, in the order of its schema."""
    return [name for name in SCHEMAS[view].names if name not in _KEYS]


def service_name(ranker_version: int | str) -> str:
    """Name of the feature service of a ranker version."""
    return f"ranker_v{ranker_version}"


def feature_views(sources: Path, max_age: Mapping[str, timedelta]) -> list[FeatureView]:
    """The four views over the files in `sources`.

    Args:
        sources: folder of the Parquet files, absolute.
        max_age: oldest row that may still be served, by view; a view that is not named serves rows of any age.
    """
    return [_view(name, sources, max_age.get(name, timedelta(0))) for name in SCHEMAS]


def feature_service(ranker_version: int | str, views: list[FeatureView], tags: Mapping[str, str]) -> FeatureService:
    """All features that a version of the ranker reads, under the version's name."""
    return FeatureService(name=service_name(ranker_version), features=list(views), tags=dict(tags))


def _view(name: str, sources: Path, max_age: timedelta) -> FeatureView:
    schema = SCHEMAS[name]
    entity = USER if schema.names[0] == "user_id" else ITEM
    source = FileSource(name=f"{name}_source", path=str(sources / f"{name}.parquet"), timestamp_field="event_timestamp")
    fields = [Field(name=entity.join_key, dtype=String)]
    fields += [Field(name=feature, dtype=_TYPES[schema.field(feature).type]) for feature in feature_names(name)]
    return FeatureView(name=name, entities=[entity], ttl=max_age, schema=fields, source=source, online=True)

"""Feast, imported in one second instead of eight.

Feast imports torch when it finds it, only to offer answers as tensors: three seconds and 300 MB in the process that
answers requests, which needs no torch. And typeguard rewrites Feast's classes while they are imported, to check the
arguments that definitions are made with: four seconds. Both are kept from it while it is imported, and only then. Every
other module takes Feast's names from here.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typeguard


@contextmanager
def _lean_import() -> Iterator[None]:
    checked = typeguard.typechecked
    hidden = "torch" not in sys.modules
    typeguard.typechecked = _unchecked  # type: ignore[assignment]
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]  # makes `import torch` raise ImportError
    try:
        yield
    finally:
        typeguard.typechecked = checked
        if hidden:
            del sys.modules["torch"]


def _unchecked(target: Any = None, **_: Any) -> Any:
    """What `typechecked` does when it is told not to check."""
    return _unchecked if target is None else target


with _lean_import():
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
    from feast.errors import FeastError
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
    from feast.protos.feast.types.Value_pb2 import Value
    from feast.types import Array, FeastType, Float32, Int64, String
    from redis.exceptions import RedisError
    from sqlalchemy.exc import SQLAlchemyError

STORE_ERRORS = (FeastError, RedisError, SQLAlchemyError, sqlite3.Error, OSError)
"""What Feast's stores raise when they can't be reached or read."""

__all__ = [
    "STORE_ERRORS",
    "Array",
    "Entity",
    "FeastType",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "Field",
    "FieldStatus",
    "FileSource",
    "Float32",
    "Int64",
    "String",
    "Value",
    "ValueType",
]

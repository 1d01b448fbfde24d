"""Endpoints for this folder's tests."""

from tests.llm.endpoints import scripted

__all__ = ["scripted"]

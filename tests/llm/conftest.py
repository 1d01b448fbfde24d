"""Endpoints for this folder's tests."""

from tests.llm.endpoints import scripted, tiny_endpoint

__all__ = ["scripted", "tiny_endpoint"]

"""Errors of the language-model room."""

from reaseq.errors import ReaSeqError


class LlmError(ReaSeqError):
    """An endpoint can't be reached, refuses the key or the request, or the answer cache or ontology can't be read."""


class RequestRefused(LlmError):
    """The endpoint refused this one request (400, 413, 422): another request may well pass."""

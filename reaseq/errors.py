"""The root of every error that ReaSeq raises on purpose.

A message is one paragraph for a person: what was wrong, which field or file it was in, and what to do about it.
The command line prints it without a traceback; anything that is not a `ReaSeqError` is a bug and keeps its traceback.
"""


class ReaSeqError(Exception):
    """Base class; each package has a subclass of its own (`DataError`, `KnowledgeError`, …)."""


class ConfigError(ReaSeqError):
    """A setting is unknown, of the wrong type or out of its range."""


class ArtifactError(ReaSeqError):
    """An artifact is missing, half written, changed since it was written, or of another kind or version."""

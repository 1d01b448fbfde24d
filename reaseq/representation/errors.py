"""What can go wrong while items become vectors and codes."""

from reaseq.errors import ReaSeqError


class RepresentationError(ReaSeqError):
    """The catalogue, the knowledge or the saved head can't give item vectors."""


class EncoderUnavailableError(RepresentationError):
    """The text encoder that the configuration names can't be loaded; no other one takes its place."""

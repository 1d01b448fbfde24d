"""What evaluation refuses."""

from reaseq.errors import ReaSeqError


class EvaluationError(ReaSeqError):
    """Predictions are malformed, or belong to other rows than the ones they are held against."""

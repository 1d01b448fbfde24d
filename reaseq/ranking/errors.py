"""What can be wrong with the ranker's inputs, its training or its bundle."""

from reaseq.errors import ReaSeqError


class RankingError(ReaSeqError):
    """An input does not fit the ranker, training can't start or went wrong, or a bundle can't be served."""

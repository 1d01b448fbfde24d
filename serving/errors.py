"""What can go wrong while serving. Which HTTP status each becomes stands in `serving.rest`."""

from reaseq.errors import ReaSeqError


class ServingError(ReaSeqError):
    """A server can't be built, started, reached or trusted."""


class PortInUse(ServingError):
    """A port that was asked for is taken."""


class ParityError(ServingError):
    """A running server does not answer as the bundle that it was built from."""


class InvalidRequest(ServingError):
    """A request that is not well formed; `field` names the part of it that is wrong."""

    def __init__(self, field: str, problem: str):
        super().__init__(f"{field}: {problem}")
        self.field = field


class PredictorUnavailable(ServingError):
    """Triton can't be reached, or is not ready."""


class PredictorTimeout(PredictorUnavailable):
    """Triton did not answer within the deadline."""


class PredictorFailed(ServingError):
    """Triton answered a well-formed call with an error, or with scores that are none."""

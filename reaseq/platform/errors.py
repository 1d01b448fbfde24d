"""What the platform raises. On the request path a `FeatureStoreError` becomes an answer marked as degraded."""

from reaseq.errors import ReaSeqError


class PlatformError(ReaSeqError):
    """A platform service is unreachable, or holds something other than it should."""


class TrackingError(PlatformError):
    """MLflow's tracking store can't be reached or refused what was logged."""


class RegistryError(PlatformError):
    """A model version or alias is unknown, or its files are not those that were registered."""


class ScaleOutError(PlatformError):
    """Ray can't be started or reached, or its actors died."""


class FeatureStoreError(PlatformError):
    """The feature store can't be reached, was never applied, or lost rows."""

"""What can go wrong with behaviours."""

from reaseq.errors import ReaSeqError


class BehaviorError(ReaSeqError):
    """The denoiser can't be fitted, loaded or asked for inferences with these inputs."""

"""Does a running Triton answer as the bundle did in process?

A python backend with numpy 2 in its stub may serve wrong numbers without an error, so nothing is served before the
bundle's golden requests have come back with the scores that were stored with them.
"""

import asyncio
from dataclasses import dataclass

import numpy as np

from reaseq.artifacts import Artifact
from reaseq.ranking.bundle import PARITY, Bundle
from serving.errors import ParityError
from serving.ranker_client import RankerClient


@dataclass(frozen=True)
class Parity:
    """How close the server came to the bundle."""

    requests: int
    max_abs_difference: float


def verify(url: str, bundle: Artifact, tolerance: float = PARITY) -> Parity:
    """Send every golden request to Triton and compare.

    Args:
        url: `host:port` of Triton's HTTP endpoint.
        bundle: ranker artifact that it should serve.
        tolerance: largest absolute difference of a score that is let pass.

    Raises:
        ParityError: another bundle is served, or a score differs by more.
        RankingError: the bundle has no golden requests.
        PredictorUnavailable: Triton can't be reached.
        PredictorFailed: it refuses a golden request.
    """
    golden = Bundle(bundle).golden()
    served, answers = asyncio.run(_ask(url, [inputs for inputs, _ in golden]))
    if served != bundle.digest:
        raise ParityError(
            f"Triton at {url} serves bundle {served[:12] or 'unknown'}, and {bundle.path} is {bundle.digest[:12]}: "
            "build the model repository from this bundle again."
        )
    differences = [float(np.abs(answer - scores).max()) for answer, (_, scores) in zip(answers, golden, strict=True)]
    worst = int(np.argmax(differences))
    if not differences[worst] <= tolerance:
        raise ParityError(
            f"Triton at {url} answers golden request {worst} of {bundle.path} with scores up to "
            f"{differences[worst]:.2e} away from in-process onnxruntime, more than {tolerance:g}: it must not serve. "
            "Check that its onnxruntime is the one in requirements.lock."
        )
    return Parity(len(golden), differences[worst])


async def _ask(url: str, requests: list[dict[str, np.ndarray]]) -> tuple[str, list[np.ndarray]]:
    client = RankerClient(url, timeout=30.0)
    try:
        return await client.bundle_digest(), [await client.scores(inputs) for inputs in requests]
    finally:
        await client.close()

"""The call from the transformer to Triton: binary tensors over HTTP, one deadline, typed errors.

HTTP and not gRPC, because `tritonclient.grpc` and kserve register the same protobuf symbol and can't be imported in one
process.
"""

import logging
from collections.abc import Mapping

import aiohttp
import numpy as np
import tritonclient.http.aio as triton
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from reaseq.ranking.bundle import MODEL_NAME
from serving.errors import PredictorFailed, PredictorTimeout, PredictorUnavailable

_log = logging.getLogger(__name__)

Tensors = Mapping[str, np.ndarray]


class RankerClient:
    """One client per event loop; connections are kept and shared by concurrent calls.

    Args:
        url: `host:port` of Triton's HTTP endpoint.
        timeout: seconds for one call, connecting included.
    """

    def __init__(self, url: str, timeout: float = 2.0):
        self.url = url
        self.timeout = timeout
        self._connections: triton.InferenceServerClient | None = None

    async def scores(self, inputs: Tensors, model: str = MODEL_NAME) -> np.ndarray:
        """Scores of the candidates, [C] float32.

        Args:
            inputs: the model's inputs by name (`reaseq.ranking.features.assemble`).
            model: name in the repository.

        Raises:
            PredictorUnavailable: Triton can't be reached.
            PredictorTimeout: it did not answer in time.
            PredictorFailed: it answered with an error, or with scores that are not [C] finite numbers.
        """
        tensors = [_tensor(name, value) for name, value in inputs.items()]
        outputs = [triton.InferRequestedOutput("scores", binary_data=True)]
        try:
            # Scoring changes nothing, so a kept connection that the server closed meanwhile is worth a second try.
            async for attempt in AsyncRetrying(
                stop=stop_after_attempt(2), retry=retry_if_exception_type(aiohttp.ServerDisconnectedError), reraise=True
            ):
                with attempt:
                    answer = await self._client.infer(model, tensors, outputs=outputs)
            scores = answer.as_numpy("scores")
        except TimeoutError:  # before the next, whose subclass aiohttp's own timeout errors are
            raise PredictorTimeout(f"the ranker did not answer within {self.timeout:g} s.") from None
        except aiohttp.ClientConnectionError as error:
            _log.warning("Triton at %s can't be reached: %s", self.url, error)
            raise PredictorUnavailable("the ranker can't be reached; try again later.") from error
        except (InferenceServerException, aiohttp.ClientError, ValueError) as error:
            _log.error("Triton at %s refused a call: %s", self.url, error)
            if isinstance(error, InferenceServerException) and error.status() == "503":
                raise PredictorUnavailable("the ranker is not ready; try again later.") from error
            raise PredictorFailed("the ranker refused a well-formed call; its log holds the reason.") from error
        if scores is None or scores.shape != np.shape(inputs["candidates"]) or not np.isfinite(scores).all():
            raise PredictorFailed("the ranker answered with scores that are not one finite number per candidate.")
        return scores

    async def bundle_digest(self, model: str = MODEL_NAME) -> str:
        """Digest of the bundle that Triton's repository was built from; empty where the repository does not say.

        Raises:
            PredictorUnavailable: Triton can't be reached, or does not have the model.
        """
        try:
            config = await self._client.get_model_config(model)
        except (TimeoutError, aiohttp.ClientError, InferenceServerException) as error:
            raise PredictorUnavailable(f"model {model!r} can't be asked of Triton at {self.url}: {error}.") from error
        return str(config.get("parameters", {}).get("bundle_digest", {}).get("string_value", ""))

    async def close(self) -> None:
        if self._connections is not None:
            client, self._connections = self._connections, None
            await client.close()

    @property
    def _client(self) -> triton.InferenceServerClient:
        if self._connections is None:  # made at the first call: aiohttp wants the running loop
            self._connections = triton.InferenceServerClient(self.url, conn_timeout=self.timeout)
        return self._connections


def _tensor(name: str, value: np.ndarray) -> triton.InferInput:
    tensor = triton.InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
    tensor.set_data_from_numpy(np.ascontiguousarray(value), binary_data=True)
    return tensor

"""The transformer's HTTP server: kserve's endpoints, bound where we say, with one table from exception to status.

kserve's own ModelServer binds 0.0.0.0 and has no option for it, and its handlers send the text of any exception to the
caller. Here the application is put together from kserve's endpoint classes, and uvicorn gets a socket that is bound
already, so a port in use is known before anything starts.
"""

import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import TracebackType

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from serving import errors
from serving.kserve_sdk import (
    DataPlane,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    ModelRepository,
    ModelRepositoryExtension,
    ServerNotReady,
    metrics_handler,
    register_v1_endpoints,
    register_v2_endpoints,
)
from serving.ports import LOOPBACK, listen
from serving.transformer import Transformer

_log = logging.getLogger(__name__)

STATUS: dict[type[Exception], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    InvalidInput: HTTPStatus.BAD_REQUEST,
    ModelNotFound: HTTPStatus.NOT_FOUND,
    errors.PredictorFailed: HTTPStatus.BAD_GATEWAY,
    errors.PredictorUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    ModelNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    ServerNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.PredictorTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    NotImplementedError: HTTPStatus.NOT_IMPLEMENTED,
}
"""Their messages are written for the caller. Every other exception is a 500 whose text stays in the log."""


def application(transformer: Transformer) -> FastAPI:
    """kserve's v1 and v2 endpoints over one transformer, with `/metrics`."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await transformer.close()

    app = FastAPI(title="ReaSeq transformer", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    models = ModelRepository()
    models.update(transformer)
    dataplane = DataPlane(model_registry=models)
    app.add_api_route("/", dataplane.live, methods=["GET"])
    app.add_api_route("/metrics", metrics_handler, methods=["GET"])
    register_v1_endpoints(app, dataplane, ModelRepositoryExtension(models))
    register_v2_endpoints(app, dataplane, ModelRepositoryExtension(models))
    for kind in STATUS:
        app.add_exception_handler(kind, _refuse)
    app.add_exception_handler(Exception, _fail)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    _log.info("%s %s: %s", request.method, request.url.path, error)
    field = getattr(error, "field", "body" if status is HTTPStatus.BAD_REQUEST else None)
    content = {"error": str(error), "type": type(error).__name__, "field": field}
    return JSONResponse(content, status)


async def _fail(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    content = {"error": "internal error; the server's log holds the reason.", "type": "InternalError", "field": None}
    return JSONResponse(content, HTTPStatus.INTERNAL_SERVER_ERROR)


class TransformerServer:
    """The application on a thread of its own, for the length of a block. A port of 0 takes a free one.

    Args:
        transformer: what answers; it is loaded here.
        port: to listen on.
        host: interface; anything but loopback is a decision of the caller.
        deadline: seconds until it must accept requests.
    """

    def __init__(self, transformer: Transformer, port: int, host: str = LOOPBACK, deadline: float = 15.0):
        self.transformer = transformer
        self.port = port
        self.host = host
        self.deadline = deadline
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def __enter__(self) -> "TransformerServer":
        """Start.

        Raises:
            PortInUse: the port is taken; nothing was started.
            ServingError: it does not accept requests in time.
        """
        bound = listen(self.port, "--port", self.host)
        self.port = bound.getsockname()[1]
        self.transformer.load()
        config = uvicorn.Config(application(self.transformer), log_config=None, access_log=False)
        config.timeout_graceful_shutdown = 5
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [bound]}, name="transformer")
        self._thread.start()
        end = time.monotonic() + self.deadline
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                self.__exit__(None, None, None)
                raise errors.ServingError(f"the transformer does not accept requests at {self.url}; its log says why.")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Answer what is under way, then stop."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()

"""The names of kserve that serving needs, imported without letting it read the command line.

kserve parses `sys.argv` while it is imported, and would take options of ours for its own, or exit over them.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _no_arguments() -> Iterator[None]:
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = arguments


# Its v1 endpoint answers with a response class that FastAPI no longer needs; nobody who runs us can change that.
warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")

with _no_arguments():
    from kserve import Model
    from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotReady
    from kserve.model_repository import ModelRepository
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
    from kserve.protocol.rest.server import metrics_handler
    from kserve.protocol.rest.v1_endpoints import register_v1_endpoints
    from kserve.protocol.rest.v2_endpoints import register_v2_endpoints

__all__ = [
    "DataPlane",
    "InvalidInput",
    "Model",
    "ModelNotFound",
    "ModelNotReady",
    "ModelRepository",
    "ModelRepositoryExtension",
    "ServerNotReady",
    "metrics_handler",
    "register_v1_endpoints",
    "register_v2_endpoints",
]

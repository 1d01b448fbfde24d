"""What a report and a summary say of the run itself: its configuration without secrets, and its versions."""

import math
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from reaseq.config import Json, RunConfig

# fmt: off
PACKAGES = (
    "reaseq", "torch", "transformers", "onnxruntime", "faiss-cpu", "numpy", "pyarrow", "scikit-learn",
    "kfp", "mlflow", "feast", "kserve", "tritonclient", "nvidia-pytriton",
)
# fmt: on

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET_PARAMETER = re.compile(r"(?i)([?&][\w-]*(?:key|token|secret|password|signature)[\w-]*=)[^&#\s]+")


def public_config(config: RunConfig) -> Json:
    """The whole configuration as JSON; credentials inside a URL are struck out (keys are never in it, only the name of
    the environment variable that holds one)."""
    public: Json = strike(config.model_dump(mode="json"))
    return public


def portable_config(config: RunConfig) -> Json:
    """The configuration without what names places: the same on every machine for the same run."""
    portable = public_config(config)
    for name in ("source", "impressions"):
        portable["data"].pop(name, None)
    portable["llm"].pop("base_url", None)
    portable.pop("platform", None)
    return portable


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the figures depend on; `not installed` where one is missing."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def strike(value: Any) -> Any:
    """JSON without credentials in URLs; a float that JSON has no word for becomes null."""
    if isinstance(value, dict):
        return {name: strike(part) for name, part in value.items()}
    if isinstance(value, list):
        return [strike(part) for part in value]
    if isinstance(value, str):
        return _SECRET_PARAMETER.sub(r"\1***", _CREDENTIALS.sub("***@", value))
    return None if isinstance(value, float) and not math.isfinite(value) else value

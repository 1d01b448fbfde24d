"""Tensors as a body of the Open Inference Protocol's JSON form, for clients that know nothing but HTTP."""

from collections.abc import Mapping
from typing import Any

import numpy as np

DATATYPES = {"int64": "INT64", "float32": "FP32"}


def infer_body(inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What is POSTed to `/v2/models/<model>/infer`."""
    return {
        "inputs": [
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": DATATYPES[str(array.dtype)],
                "data": array.ravel().tolist(),
            }
            for name, array in inputs.items()
        ]
    }

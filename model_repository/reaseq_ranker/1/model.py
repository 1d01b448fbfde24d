"""Triton python-backend model: runs `model.onnx`, which lies beside this file, in onnxruntime.

It answers exactly as `backend: "onnxruntime"` would: names, dtypes and shapes are the graph's own. Tensors cross by
DLPack both ways. The backend's `as_numpy()` was built for numpy 1 and silently returns wrong data under numpy 2.
"""

import json
from pathlib import Path

import onnxruntime
import triton_python_backend_utils as pb_utils
from onnxruntime import OrtValue


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        options = onnxruntime.SessionOptions()
        # One thread per instance: throughput comes from instances, and a pool of threads in each fights the others.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        model = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]
        self.outputs = [node["name"] for node in json.loads(args["model_config"])["output"]]

    def execute(self, requests: list) -> list:
        return [self.answer(request) for request in requests]

    def answer(self, request) -> "pb_utils.InferenceResponse":
        """One bad request gets an error of its own; the others and the instance go on."""
        try:
            tensors = {tensor.name(): OrtValue.from_dlpack(tensor) for tensor in request.inputs()}
            results = self.session.run_with_ort_values(self.outputs, {name: tensors[name] for name in self.inputs})
        except Exception as error:
            return pb_utils.InferenceResponse([], pb_utils.TritonError(f"{type(error).__name__}: {error}"))
        pairs = zip(self.outputs, results, strict=True)
        return pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack(name, value) for name, value in pairs])

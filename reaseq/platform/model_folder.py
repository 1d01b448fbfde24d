"""A ranker bundle as the folder of an MLflow model.

The folder *is* the bundle (its files byte for byte, with its manifest) plus MLflow's `MLmodel`, so that MLflow's own
ONNX loaders work on it and `open_artifact` verifies it. Nothing is pickled.
"""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reaseq import artifacts
from reaseq.artifacts import Artifact

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

MODEL = "model.onnx"
_REQUIREMENTS = ("onnx", "onnxruntime", "numpy")


def write_model(folder: Path, bundle: Artifact, model_id: str, run_id: str | None) -> None:
    """Fill a folder with the bundle's files and an `MLmodel` that declares them as an ONNX model.

    Args:
        folder: to fill; exists.
        bundle: a `ranker` artifact.
        model_id: MLflow's id of the logged model.
        run_id: MLflow's id of the run that it came from, if any.
    """
    import onnx
    from mlflow import pyfunc
    from mlflow.models import Model

    for file in (artifacts.MANIFEST, *bundle.manifest.files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(bundle.path / file, folder / file)
        except OSError:  # another file system, or one without links
            shutil.copy2(bundle.path / file, folder / file)
    model = Model(run_id=run_id, model_id=model_id, signature=signature(bundle))
    model.add_flavor("onnx", onnx_version=onnx.__version__, data=MODEL, providers=["CPUExecutionProvider"])
    pyfunc.add_to_model(model, loader_module="mlflow.onnx", data=MODEL)
    model.save(str(folder / "MLmodel"))
    # Written out, because MLflow would otherwise import the model in a fresh process to find them.
    (folder / "requirements.txt").write_text("".join(f"{package}\n" for package in _REQUIREMENTS))


def signature(bundle: Artifact) -> "ModelSignature":
    """Names, dtypes and shapes of the ONNX model's inputs and outputs; -1 stands for a dynamic axis."""
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    graph = onnx.load(str(bundle.file(MODEL)), load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}

    def schema(values: Any) -> Schema:
        specs: list[ColSpec | TensorSpec] = []
        for value in values:
            kind = value.type.tensor_type
            shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)
            specs.append(TensorSpec(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type), shape, value.name))
        return Schema(specs)

    return ModelSignature(schema([v for v in graph.input if v.name not in weights]), schema(graph.output))

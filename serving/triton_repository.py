"""A Triton model repository from a ranker bundle.

    triton/reaseq_ranker/config.pbtxt    generated from the inputs and outputs of the ONNX graph
                         1/model.onnx    the bundle's, linked
                         1/model.py      only for the python backend

Names, dtypes and shapes are the same for both backends, so a client can't tell the laptop's server from the cluster's.
The folder appears by one rename. `max_batch_size` is 0: the candidates are the batch, and user tensors come once.
"""

import json
import os
import shutil
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import onnxruntime

from reaseq.artifacts import Artifact, write_text
from reaseq.ranking.bundle import MODEL as GRAPH
from reaseq.ranking.bundle import MODEL_NAME, Bundle, onnx_session
from reaseq.ranking.features import FeatureLimits
from serving.errors import ServingError

TEMPLATE = Path(__file__).resolve().parent.parent / "model_repository" / MODEL_NAME

Backend = Literal["python", "onnxruntime"]

WARMUP = {"candidates": 200, "cold_index": 200, "history": 50, "history_age": 50, "long_history": 100}
"""Sizes of dynamic dimensions in the warm-up request: a usual slate without new items, for a user whose long history is
searched. Those of other inputs are 1."""

_TYPES = {"int64": "TYPE_INT64", "float32": "TYPE_FP32"}
_ONNX_TYPES = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32"}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of the graph; a dimension of -1 is dynamic."""

    name: str
    type: str  # Triton's: TYPE_INT64 or TYPE_FP32
    shape: tuple[int, ...]


def build(bundle: Artifact | Path | str, out: Path | str, backend: Backend = "python", instances: int = 1) -> Path:
    """Make the repository `out`; what stands there is replaced.

    Args:
        bundle: a ranker artifact, or its folder.
        out: folder that tritonserver gets as `--model-repository`.
        backend: `python` where Triton has no onnxruntime backend (the pip wheel), `onnxruntime` in a cluster.
        instances: copies of the model that answer at the same time, one thread each.

    Raises:
        ArtifactError: the bundle is missing, unfinished or changed.
        ServingError: the graph can't be loaded, or its inputs are not those of `FeatureLimits.specs()`.
    """
    opened = Bundle.open(bundle)
    artifact, out = opened.artifact, Path(out)
    inputs, outputs = graph_tensors(artifact.file(GRAPH))
    _refuse_others(inputs, request_tensors(opened.limits), artifact.file(GRAPH))
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    version = partial / MODEL_NAME / "1"
    version.mkdir(parents=True)
    for name in artifact.manifest.files:
        if name == GRAPH or name.startswith(f"{GRAPH}."):  # large graphs keep weights in model.onnx.data
            _link(artifact.file(name), version / name)
    if backend == "python":
        shutil.copyfile(TEMPLATE / "1" / "model.py", version / "model.py")
    write_text(
        partial / MODEL_NAME / "config.pbtxt", config_pbtxt(inputs, outputs, backend, artifact.digest, instances)
    )
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)
    return out


def request_tensors(limits: FeatureLimits) -> list[TensorSpec]:
    """The inputs that `reaseq.ranking.features.assemble` makes for a ranker of these limits."""
    return [
        TensorSpec(name, _TYPES[dtype], tuple(-1 if isinstance(size, str) else size for size in shape))
        for name, dtype, shape in limits.specs()
    ]


def _refuse_others(inputs: list[TensorSpec], assembled: list[TensorSpec], graph: Path) -> None:
    for has, want in zip_longest(sorted(inputs, key=_name), sorted(assembled, key=_name)):
        if has != want:
            raise ServingError(
                f"{graph}: the graph takes {has}, and requests are assembled with {want}; train the ranker again with "
                "this version, so that both agree."
            )


def _name(spec: TensorSpec) -> str:
    return spec.name


def graph_tensors(model: Path) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs of an ONNX graph, in its order.

    Raises:
        ServingError: onnxruntime can't load it, or a tensor is of a type other than int64 and float32.
    """
    try:
        session = onnx_session(model)
    except Exception as error:  # onnxruntime's own exceptions share no base class but this
        raise ServingError(f"{model}: onnxruntime can't load the graph ({error}); export the bundle again.") from error
    return _specs(session.get_inputs(), model), _specs(session.get_outputs(), model)


def _specs(nodes: list[onnxruntime.NodeArg], model: Path) -> list[TensorSpec]:
    for node in nodes:
        if node.type not in _ONNX_TYPES:
            raise ServingError(
                f"{model}: tensor {node.name!r} is {node.type}; the server takes int64 and float32 only. "
                "Export the bundle with those types."
            )
    return [
        TensorSpec(
            node.name,
            _ONNX_TYPES[node.type],
            tuple(size if isinstance(size, int) else -1 for size in node.shape),
        )
        for node in nodes
    ]


def config_pbtxt(
    inputs: list[TensorSpec], outputs: list[TensorSpec], backend: Backend, digest: str, instances: int = 1
) -> str:
    """Triton's configuration of the model; `digest` is the bundle's, for clients to see what they talk to."""
    parameters = {"bundle_digest": digest}
    if backend == "onnxruntime":
        parameters |= {"intra_op_thread_count": "1", "inter_op_thread_count": "1"}
    blocks = [
        f'name: "{MODEL_NAME}"',
        f'backend: "{backend}"',
        "max_batch_size: 0",
        *(f"input {_tensor(spec)}" for spec in inputs),
        *(f"output {_tensor(spec)}" for spec in outputs),
        f"instance_group {{ count: {instances} kind: KIND_CPU }}",
        *(
            f"parameters {{ key: {json.dumps(key)} value {{ string_value: {json.dumps(value)} }} }}"
            for key, value in parameters.items()
        ),
        "\n".join(["model_warmup {", '  name: "slate"', *map(_warmup, inputs), "}"]),
    ]
    return "\n".join(blocks) + "\n"


def _tensor(spec: TensorSpec) -> str:
    return f'{{ name: "{spec.name}" data_type: {spec.type} dims: {list(spec.shape)} }}'


def _warmup(spec: TensorSpec) -> str:
    dims = [WARMUP.get(spec.name, 1) if size == -1 else size for size in spec.shape]
    return f'  inputs {{ key: "{spec.name}" value {{ data_type: {spec.type} dims: {dims} zero_data: true }} }}'


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)

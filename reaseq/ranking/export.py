"""ONNX export: one file with the item tables inside, user tensors once per request, candidates as a vector.

The exported graph holds the encoded catalogue, not the encoder's inputs, so that a candidate or a behaviour costs one
look-up; only items newer than the model are encoded per request. Names, dtypes and shapes are `FeatureLimits.specs()`;
the output is `scores` float32 [C], probabilities.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reaseq.ranking.features import FeatureLimits, Tensors
from reaseq.ranking.model import Candidates, ItemTable, Ranker, Users, either
from reaseq.ranking.training import catalogue

OPSET = 18
GRAPH = 2
"""Version of what is exported from the same weights: 2 takes user tensors of any length, 1 took padded ones."""
TRACED = {"C": 3, "K": 2, "T": 4, "M": 5}
"""Sizes of the dynamic axes while the graph is traced, on which nothing must depend: they differ, and none is 1."""


class ServedRanker(nn.Module):
    """The ranker as a request sees it.

    A request pays for what it holds: new items are encoded only if it brings any, and the long history is searched only
    if it is longer than what is searched for. Row 0 of the new items is zeros (codes -1), an item of which nothing is
    known, which the catalogue's row 0 is, too.

    Args:
        model: trained; used in evaluation mode on the CPU.
    """

    x: Tensor
    z: Tensor
    rate: Tensor

    def __init__(self, model: Ranker):
        super().__init__()
        self.model = model
        table = catalogue(model)
        self.register_buffer("x", table.x)
        self.register_buffer("z", table.z)
        self.register_buffer("rate", table.rate)

    def forward(
        self,
        candidates: Tensor,
        history: Tensor,
        history_age: Tensor,
        long_history: Tensor,
        inferred: Tensor,
        inferred_vectors: Tensor,
        inferred_confidence: Tensor,
        profile: Tensor,
        cold_index: Tensor,
        cold_vectors: Tensor,
        cold_codes: Tensor,
        cold_category: Tensor,
    ) -> Tensor:
        operands = (candidates, cold_index, cold_vectors, cold_codes, cold_category)
        x, z = either(cold_vectors.shape[0] > 1, self._mixed, self._known, operands)
        shown = Candidates(x.unsqueeze(0), z.unsqueeze(0), self.rate[candidates].unsqueeze(0))  # rate of row 0 is 0
        users = Users(history, history_age, long_history, inferred, inferred_vectors, inferred_confidence, profile)
        logits = self.model.score(ItemTable(self.x, self.z, self.rate), users, shown)
        return torch.sigmoid(logits).squeeze(0)

    def _known(self, candidates: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        """Candidates of the catalogue; row 0 is an item of which nothing is known."""
        return F.embedding(candidates, self.x), F.embedding(candidates, self.z)

    def _mixed(
        self, candidates: Tensor, index: Tensor, vectors: Tensor, codes: Tensor, category: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Candidates of which some are newer than the model."""
        cold, (x, z) = self.model.encode_cold(vectors, codes, category), self._known(candidates)
        new = (candidates == 0).unsqueeze(-1)
        return torch.where(new, F.embedding(index, cold.x), x), torch.where(new, F.embedding(index, cold.z), z)


def export_onnx(served: ServedRanker, limits: FeatureLimits) -> bytes:
    """The ONNX file's bytes; the same weights give the same bytes.

    Args:
        served: on the CPU, in evaluation mode.
        limits: shapes of the inputs.
    """
    specs = limits.specs()
    traced = TRACED | {"H": served.model.spec.long_top + max(TRACED.values())}  # enough to trace the search
    dims = {name: torch.export.Dim(name, min=1) for name in traced}
    shapes = {
        name: {axis: dims[size] for axis, size in enumerate(shape) if isinstance(size, str)} for name, _, shape in specs
    }
    arguments = tuple(
        torch.zeros([traced[size] if isinstance(size, str) else size for size in shape], dtype=getattr(torch, dtype))
        for _, dtype, shape in specs
    )
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            served,
            arguments,
            dynamo=True,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            input_names=[name for name, _, _ in specs],
            output_names=["scores"],
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _strip(proto)
    onnx.checker.check_model(proto)
    return proto.SerializeToString(deterministic=True)


def _strip(proto: onnx.ModelProto) -> None:
    """Drop what names files, versions of code or call stacks: it differs between machines and changes no score."""
    del proto.metadata_props[:]
    proto.doc_string = ""
    _strip_graph(proto.graph)


def _strip_graph(graph: onnx.GraphProto) -> None:
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for node in graph.node:
        for attribute in node.attribute:  # the branches of an If
            if attribute.type == onnx.AttributeProto.GRAPH:
                _strip_graph(attribute.g)


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def largest_difference(served: ServedRanker, inputs: Tensors, scores: np.ndarray) -> float:
    """Largest absolute difference between eager scores and these."""
    with torch.no_grad():
        eager = served(*(torch.from_numpy(value) for value in inputs.values())).numpy()
    return float(np.abs(eager - scores).max())

"""A ranker bundle as serving sees it: vocabulary, limits, an onnxruntime session and golden requests; no torch."""

from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

from reaseq.artifacts import Artifact, open_artifact
from reaseq.config import Json
from reaseq.ranking.errors import RankingError
from reaseq.ranking.features import FeatureLimits, Tensors, Vocabulary

MODEL, WEIGHTS, SPEC, VOCABULARY, GOLDEN, CURVE = (
    "model.onnx",
    "model.safetensors",
    "ranker.json",
    "vocabulary.parquet",
    "golden.safetensors",
    "training.jsonl",
)
MODEL_NAME = "reaseq_ranker"
PARITY = 1e-5
"""Largest difference to the stored score of a golden request that any runtime is let pass."""


def onnx_session(model: Path | bytes) -> onnxruntime.InferenceSession:
    """A CPU session with one thread: with more, torch's OpenMP and onnxruntime fight for cores, and sums may differ."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class Bundle:
    """An opened bundle.

    Args:
        artifact: verified, of kind "ranker".
    """

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self.spec: Json = artifact.json(SPEC)
        self.variant: str = self.spec["variant"]
        self.limits = FeatureLimits(**self.spec["limits"])
        self.vocabulary = Vocabulary.read(artifact.file(VOCABULARY), self.spec["categories"])

    @classmethod
    def open(cls, artifact: Artifact | Path | str) -> "Bundle":
        """From an artifact, or from its folder, which is verified.

        Raises:
            ArtifactError: the folder is no ranker artifact, or a file was changed.
        """
        return cls(artifact if isinstance(artifact, Artifact) else open_artifact(artifact, "ranker"))

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        return onnx_session(self.artifact.file(MODEL))

    def score(self, inputs: Tensors) -> np.ndarray:
        """Click probabilities float32 [C] of one request (`features.assemble`)."""
        return self.session.run(["scores"], inputs)[0]

    def golden(self) -> list[tuple[Tensors, np.ndarray]]:
        """Requests and the scores that any runtime must give for them (to `PARITY`)."""
        tensors = load_file(self.artifact.file(GOLDEN))
        count = 1 + max((int(name.split("/")[0]) for name in tensors), default=-1)
        if not count:
            raise RankingError(f"{self.artifact.file(GOLDEN)} holds no golden request; train the ranker again.")
        names = [name for name, _, _ in self.limits.specs()]
        return [({name: tensors[f"{n}/{name}"] for name in names}, tensors[f"{n}/scores"]) for n in range(count)]

"""The reading side of an item_vectors artifact: arrays indexed by item index, row 0 for padding. Numpy only."""

from dataclasses import dataclass

import numpy as np

from reaseq.artifacts import Artifact
from reaseq.representation.codebook import Codebook
from reaseq.representation.errors import RepresentationError
from reaseq.schema import VECTOR_DIM


@dataclass(frozen=True)
class ItemVectors:
    """Vectors and codes of V items. Index 0 is padding: a zero vector, and codes of -1."""

    z: np.ndarray  # [V+1, 128] float32, unit length but for row 0
    codes: np.ndarray  # [V+1, L] int64, in 0..K-1 but for row 0
    codebook: Codebook
    version: str

    @classmethod
    def open(cls, artifact: Artifact) -> "ItemVectors":
        """Read an item_vectors artifact.

        Raises:
            RepresentationError: its table is empty, or its rows disagree about the version or the number of codes.
        """
        table = artifact.table("item_vectors.parquet", ["z", "codes", "version"])
        codebook = Codebook.load(artifact.file("codebook.safetensors"))
        versions = table.column("version").unique().to_pylist()
        if len(versions) != 1:
            raise RepresentationError(
                f"item_vectors.parquet of {artifact.path}: column 'version' holds {len(versions)} values and must hold "
                "one. Run the representation stage again."
            )
        rows = table.num_rows
        flat = table.column("codes").combine_chunks().flatten().to_numpy()
        if len(flat) != rows * codebook.levels:
            raise RepresentationError(
                f"item_vectors.parquet of {artifact.path}: column 'codes' holds {len(flat)} codes for {rows} items and "
                f"{codebook.levels} levels. Run the representation stage again."
            )
        z = np.zeros((rows + 1, VECTOR_DIM), np.float32)
        z[1:] = table.column("z").combine_chunks().flatten().to_numpy().reshape(rows, VECTOR_DIM)
        codes = np.full((rows + 1, codebook.levels), -1, np.int64)
        codes[1:] = flat.reshape(rows, codebook.levels)
        return cls(z, codes, codebook, versions[0])

    @property
    def rotation(self) -> np.ndarray:
        """[128, 128] float32; the codes name centroids in the space of rotation · z."""
        return self.codebook.rotation

    @property
    def centroids(self) -> np.ndarray:
        """[L, K, 128/L] float32."""
        return self.codebook.centroids

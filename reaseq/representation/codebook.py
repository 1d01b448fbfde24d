"""Product-quantised codes: y = rotation · z is cut into L parts, and each part is named by its nearest centroid.

The L codes are parallel: none refines another, as a bidirectional denoiser has no left-to-right order to decode a
residual in (after LLaDA-Rec, arXiv 2511.06254, and DiffGRM, arXiv 2510.21805). Numpy only; `quantization` fits one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

_ROWS = 4096  # encoded at a time, so that the distances of a big catalogue fit in memory


@dataclass(frozen=True)
class Codebook:
    rotation: np.ndarray  # [D, D] float32, orthonormal
    centroids: np.ndarray  # [L, K, D/L] float32, in the rotated space

    @property
    def levels(self) -> int:
        return int(self.centroids.shape[0])

    @property
    def size(self) -> int:
        """K, the number of centroids of a level."""
        return int(self.centroids.shape[1])

    def encode(self, z: np.ndarray) -> np.ndarray:
        """Codes int16 [n, L] of vectors [n, D]; the lower code wins where two centroids are equally near."""
        codes = np.empty((len(z), self.levels), np.int16)
        halves = 0.5 * (self.centroids.astype(np.float64) ** 2).sum(-1)  # [L, K]
        for start in range(0, len(z), _ROWS):
            part = z[start : start + _ROWS].astype(np.float64) @ self.rotation.T.astype(np.float64)
            part = part.reshape(len(part), self.levels, -1)
            for level in range(self.levels):
                # |y-c|² = |y|² - 2(y·c - |c|²/2): the nearest centroid has the largest bracket
                affinity = part[:, level] @ self.centroids[level].T.astype(np.float64) - halves[level]
                codes[start : start + _ROWS, level] = affinity.argmax(1)
        return codes

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Vectors float32 [n, D] that the codes [n, L] stand for, back in the space of z; not of unit length."""
        parts = self.centroids[np.arange(self.levels), codes]  # [n, L, D/L]
        return parts.reshape(len(codes), -1) @ self.rotation

    def save(self, path: Path) -> None:
        """Write rotation [D, D] and centroids [L, K, D/L] as safetensors."""
        tensors = {"rotation": self.rotation, "centroids": self.centroids}
        save_file({name: np.ascontiguousarray(t, np.float32) for name, t in tensors.items()}, path)

    @classmethod
    def load(cls, path: Path) -> "Codebook":
        tensors = load_file(path)
        return cls(tensors["rotation"], tensors["centroids"])

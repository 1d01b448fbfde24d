"""Fits the codebook: optimised product quantisation (Ge et al., CVPR 2013) by faiss, and what its codes look like."""

from pathlib import Path

import faiss
import numpy as np

from reaseq.config import Json
from reaseq.representation.codebook import Codebook
from reaseq.representation.errors import RepresentationError
from reaseq.representation.faiss_threads import faiss_threads

_FEWEST = 8
_ITERATIONS = 25  # of k-means, the last time it is run


def fit_codebook(z: np.ndarray, trained: np.ndarray, levels: int, size: int, seed: int) -> tuple[Codebook, Json]:
    """Fit rotation and centroids.

    Args:
        z: float32 [V, D].
        trained: bool [V], the items to fit on. If they are fewer than 8, all items are fitted on.
        levels: L; must divide D.
        size: K at most. Fewer where items are few: the largest power of two (codes are whole bits) that is at most
            `size` and at most a quarter of the items fitted on, and at least 2.
        seed: of k-means.

    Returns:
        The codebook, and facts: `items`, `all_items` (whether it was fitted on all), `size`.

    Raises:
        RepresentationError: fewer than 8 items, or `levels` does not divide D.
    """
    if z.shape[1] % levels:
        raise RepresentationError(
            f"representation.levels is {levels}, which does not divide the vector width {z.shape[1]}; set it to 1, 2, "
            "4, 8, 16 or 32."
        )
    everything = int(trained.sum()) < _FEWEST
    sample = np.ascontiguousarray(z if everything else z[trained])
    if len(sample) < _FEWEST:
        raise RepresentationError(
            f"the catalogue holds {len(sample)} items, and a codebook needs at least {_FEWEST} to be fitted on. Give "
            "data.source a larger catalogue."
        )
    bits = int(np.log2(min(size, max(2, len(sample) // 4))))
    quantizer = faiss.ProductQuantizer(z.shape[1], levels, bits)
    rotation = faiss.OPQMatrix(z.shape[1], levels)
    inner = faiss.ProductQuantizer(z.shape[1], levels, bits)
    for part in (quantizer, inner):
        part.cp.seed = seed
        part.cp.min_points_per_centroid = 1  # only silences a warning
    quantizer.cp.niter = _ITERATIONS
    rotation.pq = inner
    with faiss_threads(1):
        rotation.train(np.resize(sample, (max(sample.shape), z.shape[1])))  # fewer points than D crash faiss
        matrix = faiss.vector_to_array(rotation.A).reshape(z.shape[1], z.shape[1])
        quantizer.train(np.ascontiguousarray(sample @ matrix.T))
    centroids = faiss.vector_to_array(quantizer.centroids).reshape(levels, 1 << bits, -1)
    facts = {"items": len(sample), "all_items": everything, "size": 1 << bits}
    return Codebook(matrix.astype(np.float32), centroids.astype(np.float32)), facts


def describe_codes(codes: np.ndarray, z: np.ndarray, codebook: Codebook) -> Json:
    """How well codes int [V, L] are used.

    Returns:
        Per level `utilisation` (share of centroids in use) and `gini` (of how often each is used; 0 is even use);
        `distinct` combinations; `collisions` (share of items that share all their codes with another item);
        `largest_group` of such items; `distortion` (mean squared distance of z to what its codes stand for).
    """
    used = np.stack([np.bincount(codes[:, level], minlength=codebook.size) for level in range(codebook.levels)])
    _, counts = np.unique(codes, axis=0, return_counts=True)
    return {
        "utilisation": [round(float(share), 4) for share in (used > 0).mean(1)],
        "gini": [round(gini(level), 4) for level in used],
        "distinct": len(counts),
        "collisions": round(float(counts[counts > 1].sum() / len(codes)), 4),
        "largest_group": int(counts.max()),
        "distortion": round(float(((codebook.decode(codes) - z) ** 2).sum(1).mean()), 4),
    }


def gini(counts: np.ndarray) -> float:
    """Gini coefficient of non-negative counts [n]: 0 when all are equal, (n-1)/n when one has everything."""
    ordered = np.sort(counts.astype(np.float64))
    n = len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * ordered.sum()))


def save_and_check(codebook: Codebook, codes: np.ndarray, z: np.ndarray, path: Path) -> None:
    """Write the codebook, read it back, and make sure that it still gives the codes.

    Raises:
        RepresentationError: it does not.
    """
    codebook.save(path)
    if not np.array_equal(Codebook.load(path).encode(z), codes):
        raise RepresentationError(
            f"{path.name}: the codebook as saved does not give the codes of item_vectors. Run the stage again; if it "
            "comes back, this is a bug."
        )

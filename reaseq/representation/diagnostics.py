"""Two things to watch in a vector space: whether it has collapsed, and whether neighbours are what people take next."""

import numpy as np

_QUERIES = 20_000
_BLOCK = 256
_STAGE = 33


def mean_pairwise_cosine(z: np.ndarray) -> float:
    """Over all pairs of the unit vectors [n, d]; near 1, the space has collapsed into a cone."""
    total = z.astype(np.float64).sum(0)
    n = len(z)
    return float((total @ total - n) / (n * (n - 1))) if n > 1 else 0.0


def hit_rate(z: np.ndarray, transitions: np.ndarray, seed: int, k: int = 30) -> float | None:
    """Item-to-item Hit@k: how often the next item is among the k nearest of the item before it.

    Args:
        z: unit vectors float32 [V, d].
        transitions: int64 [n, 2], rows of z: the item before, the next item. At most 20,000 of them, drawn by the seed,
            are looked at.
        seed: also breaks ties, which are broken at random.

    Returns:
        The share, with the item before excluded from its own neighbours; None without transitions.
    """
    rng = np.random.default_rng([seed, _STAGE])
    if len(transitions) > _QUERIES:
        transitions = transitions[np.sort(rng.choice(len(transitions), _QUERIES, replace=False))]
    return float(hits(z, transitions, rng, k).mean()) if len(transitions) else None


def hits(z: np.ndarray, transitions: np.ndarray, rng: np.random.Generator, k: int = 30) -> np.ndarray:
    """Which transitions are hits, bool [n]; arguments as of `hit_rate`, `rng` breaks ties."""
    found = np.zeros(len(transitions), bool)
    for start in range(0, len(transitions), _BLOCK):
        before, after = transitions[start : start + _BLOCK].T
        cosine = z[before] @ z.T
        rows = np.arange(len(before))
        target = cosine[rows, after][:, None]
        cosine[rows, before] = -np.inf
        better = (cosine > target).sum(1)
        ties = (cosine == target).sum(1) - 1  # the target itself is no rival
        found[start : start + _BLOCK] = better + rng.integers(0, ties + 1) < k
    return found

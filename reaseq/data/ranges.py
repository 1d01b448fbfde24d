"""Ranges laid end to end, such as the events of many users in one flat log."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def elements(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Everything in the ranges start[n] ≤ place < end[n], range after range.

    Args:
        start, end: [N]; an empty range has start = end.

    Returns:
        The range n that each element is of, and its place; both [Σ (end - start)].
    """
    length = end - start
    of = np.repeat(np.arange(len(length)), length)
    before = np.cumsum(length) - length
    return of, np.arange(len(of)) + (start - before)[of]


def numbered(count: Ints) -> tuple[Ints, Ints]:
    """`elements` of 0 ≤ number < count[n]."""
    return elements(np.zeros_like(count), count)

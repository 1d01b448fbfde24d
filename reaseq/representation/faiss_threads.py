"""How many threads faiss takes, for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
from threadpoolctl import threadpool_limits


@contextmanager
def faiss_threads(number: int) -> Iterator[None]:
    """faiss and BLAS take `number` threads; with 1, sums have one order and what is fitted is the same on every run."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(number)
    try:
        with threadpool_limits(number):
            yield
    finally:
        faiss.omp_set_num_threads(before)

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reaseq.data.ranges import elements, numbered


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=8))
def test_all_elements_of_all_ranges_in_their_order(ranges: list[tuple[int, int]]) -> None:
    start, length = np.array(ranges, np.int64).reshape(-1, 2).T

    of, place = elements(start, start + length)

    expected = [(n, at) for n, (low, size) in enumerate(ranges) for at in range(low, low + size)]
    assert list(zip(of.tolist(), place.tolist(), strict=True)) == expected
    assert numbered(length)[1].tolist() == [k for _, size in ranges for k in range(size)]

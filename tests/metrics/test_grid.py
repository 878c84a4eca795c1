"""The lowest point of a grid."""

import numpy as np

from voxkit.metrics.grid import lowest


def test_the_least_count_wins() -> None:
    assert lowest(np.array([[[3, 2], [5, 1]]])) == (0, 1, 1)


def test_among_equals_the_middle_of_a_valley() -> None:
    assert lowest(np.array([5, 9, 9, 6, 5, 6, 9])) == (4,)
    assert lowest(np.array([[4, 9, 9, 9], [9, 9, 4, 5], [9, 9, 5, 5]])) == (1, 2)


def test_among_equal_valleys_the_first() -> None:
    assert lowest(np.array([1, 1, 1, 1])) == (0,)

"""The oracle path against enumeration of all paths."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.small_lattices import paths, small_lattices
from voxkit.decode.alignment import by_level, oracle
from voxkit.decode.lattice import Lattice
from voxkit.metrics.edit import errors


def distance(one: Sequence[int], other: Sequence[int]) -> int:
    return errors([str(word) for word in one], [str(word) for word in other]).count


@given(small_lattices(), st.lists(st.integers(1, 5), max_size=6))
def test_the_oracle_is_the_likeliest_of_the_closest_paths(lattice: Lattice, words: list[int]) -> None:
    walks = [(distance(words, walk.words), walk.cost) for walk in paths(lattice)]
    found = oracle(lattice, words)
    assert found.errors == min(walks)[0] == distance(words, found.path.words)
    assert found.path.cost == pytest.approx(min(walks)[1], abs=1e-4)
    assert sum(float(lattice.cost[arc]) for arc in found.path.arcs) == pytest.approx(found.path.cost, abs=1e-4)


def test_of_words_that_are_in_the_lattice_it_is_their_path() -> None:
    lattice = Lattice.build(
        *(4, 9, [0, 0, 1, 2, 2], [1, 2, 2, 3, 3], [1, 2, 3, 4, 5]),
        *([0, 0, 3, 6, 6], [3, 6, 6, 9, 8]),
        *([1.0, 9.0, 1.0, 1.0, 8.0], [0.0] * 5),
    )
    assert lattice.best_path().words == (1, 3, 4)
    found = oracle(lattice, [2, 5])
    assert (found.errors, found.path.words) == (0, (2, 5))
    assert (found.path.starts, found.path.ends) == ((0, 6), (6, 8))
    assert oracle(lattice, [1, 3, 7, 5]).errors == 1


def test_the_empty_lattice_leaves_out_every_word() -> None:
    assert oracle(Lattice.empty(4), []).errors == 0
    found = oracle(Lattice.empty(4), [3, 1])
    assert (found.errors, found.path.words) == (2, ())


@given(small_lattices())
def test_levels_hold_every_arc_after_those_before_it(lattice: Lattice) -> None:
    order, levels = by_level(lattice)
    assert sorted(order.tolist()) == list(range(lattice.num_arcs))
    known = {0}
    for level in levels:
        arcs = order[level]
        assert set(lattice.src[arcs].tolist()) <= known
        assert not known & set(lattice.dst[arcs].tolist())
        assert (np.diff(lattice.dst[arcs]) >= 0).all()
        known |= set(lattice.dst[arcs].tolist())

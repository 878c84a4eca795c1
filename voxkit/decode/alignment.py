"""All paths of a lattice aligned with a word sequence at once, in one pass of few steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxkit.decode.lattice import Doubles, Hypothesis, Lattice

TIE = 1e-9  # costs that differ by less are the same


class Oracle(NamedTuple):
    """The path that comes closest to a word sequence, and how many word errors it has against it."""

    errors: int
    path: Hypothesis


def oracle(lattice: Lattice, words: Sequence[int]) -> Oracle:
    """The path that becomes `words` by the fewest insertions, deletions and substitutions; the likeliest of them.

    Exact: a pass over states and positions in `words` (Q of them) with the pair (errors, cost), O(A Q).

    Args:
        words: (Q,) ids; any number that is no id stands for a word that the lattice cannot have.
    """
    wanted = np.asarray(words, dtype=np.int64).reshape(-1)
    positions = len(wanted) + 1
    error = 1 + 2 * float(np.abs(lattice.cost).sum())  # outweighs the costs of any two paths
    skipped = error * np.arange(positions, dtype=np.float64)
    least = np.full((lattice.num_states, positions), np.inf)
    least[0] = skipped
    order, levels = by_level(lattice)
    value = np.empty((lattice.num_arcs, positions))
    into = np.empty((lattice.num_arcs, positions), dtype=np.int64)
    for level in levels:
        arcs = order[level]
        before = least[lattice.src[arcs]] + lattice.cost[arcs, None]
        word = lattice.word[arcs, None]
        came = step(before + error * (word != 0), before[:, :-1] + error * (word != wanted), skipped)
        value[arcs], into[arcs] = came.cost, came.position
        ends, firsts = np.unique(lattice.dst[arcs], return_index=True)
        least[ends] = np.minimum.reduceat(came.cost, firsts, axis=0)
    path: list[int] = []
    state, position = lattice.num_states - 1, positions - 1
    while state:
        entering = np.flatnonzero(lattice.dst == state)
        arc = int(entering[np.argmin(value[entering, position])])
        path.append(arc)
        state, position = int(lattice.src[arc]), int(into[arc, position])
    found = lattice.hypothesis(path[::-1])
    return Oracle(round((float(least[-1, -1]) - found.cost) / error), found)


class Step(NamedTuple):
    """What became of arcs: for each position after the arc, (a, P), its cost, and the position before the arc.

    `moved`: whether the arc's word lies on position `position` of the sequence; otherwise it was inserted.
    """

    cost: Doubles
    position: NDArray[np.int64]
    moved: NDArray[np.bool_]


def step(stay: Doubles, move: Doubles, skipped: Doubles) -> Step:
    """Take a arcs through P positions in a word sequence (Q = P - 1 words).

    Args:
        stay: (a, P) cost if the arc's word is inserted, and the position stays.
        move: (a, P - 1) cost if the arc's word lies on each word of the sequence.
        skipped: (P,) cost to leave out so many words of the sequence from its start.

    Returns:
        The least costs; any number of words may be left out behind the arc's.
    """
    cost = stay.copy()
    moved = np.zeros(stay.shape, dtype=bool)
    moved[:, 1:] = move <= stay[:, 1:] + TIE
    np.copyto(cost[:, 1:], move, where=moved[:, 1:])
    relative = cost - skipped
    least = np.minimum.accumulate(relative, axis=1)
    stop = np.where(relative <= least + TIE, np.arange(stay.shape[1]), 0)
    stop = np.maximum.accumulate(stop, axis=1)  # behind here words are left out
    moved = np.take_along_axis(moved, stop, axis=1)
    return Step(least + skipped, stop - moved, moved)


def by_level(lattice: Lattice) -> tuple[NDArray[np.intp], list[slice]]:
    """Arcs in the order of levels, and where each level lies in this order.

    A level is made of the arcs with the same largest number of arcs before their end. A pass that handles a level at
    once takes as many steps as the longest path has arcs. Within a level, arcs to the same state are side by side.
    """
    depth = np.zeros(lattice.num_states, dtype=np.int64)
    while True:
        deeper = depth.copy()
        np.maximum.at(deeper, lattice.dst, depth[lattice.src] + 1)
        if (deeper == depth).all():
            break
        depth = deeper
    order = np.lexsort((lattice.dst, depth[lattice.dst]))
    bounds = np.searchsorted(depth[lattice.dst][order], np.arange(1, depth.max() + 2))
    return order, [slice(begin, end) for begin, end in pairwise(bounds)]

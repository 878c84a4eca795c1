"""Random lattices that are small enough to enumerate all their paths."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from voxkit.decode.lattice import Lattice


@st.composite
def small_lattices(draw: st.DrawFn) -> Lattice:
    states = draw(st.integers(2, 6))
    arcs = draw(
        st.lists(
            st.tuples(
                st.integers(0, states - 2),
                st.integers(1, states - 1),
                st.integers(0, 3),
                st.floats(-2, 6, width=32),
                st.floats(0, 4, width=32),
            ).filter(lambda arc: arc[0] < arc[1]),
            min_size=1,
            max_size=14,
        )
    )
    arcs.append((0, states - 1, 1, 5.0, 5.0))  # so that there is a path
    src, dst, word, acoustic, graph = zip(*arcs, strict=True)
    starts = [3 * state for state in src]
    return Lattice.build(states, 3 * states, src, dst, word, starts, [s + 2 for s in starts], acoustic, graph)


@dataclass
class Walk:
    arcs: tuple[int, ...]
    cost: float
    words: tuple[int, ...]


def paths(lattice: Lattice) -> list[Walk]:
    found = []

    def walk(state: int, arcs: tuple[int, ...]) -> None:
        if state == lattice.num_states - 1:
            cost = float(sum(float(lattice.acoustic[a]) + float(lattice.graph[a]) for a in arcs))
            found.append(Walk(arcs, cost, tuple(int(lattice.word[a]) for a in arcs if lattice.word[a])))
        for arc in np.flatnonzero(lattice.src == state):
            walk(int(lattice.dst[arc]), (*arcs, int(arc)))

    walk(0, ())
    return found

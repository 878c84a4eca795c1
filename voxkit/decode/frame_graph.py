"""HLG for searches in which every arc spends a frame, as in k2, and the way back to HLG's own arcs.

Back-off and disambiguation leave epsilons on HLG's input. Here a path of epsilons and the arc behind it become one arc,
a *way*; no two ways are merged, so that sums over paths stay what they are. What such a search finds is a set of ways
at frames; `expand` undoes them into the very lattice that a search over HLG itself would give.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxkit.decode.raw import RawArc, RawLattice, openfst_header
from voxkit.decode.scores import Scores

Ints = NDArray[np.int64]
Costs = NDArray[np.float32]

_ARC = np.dtype([("label", "<i4"), ("word", "<i4"), ("cost", "<f4"), ("dst", "<i4")])


@dataclass(frozen=True, eq=False)
class Hlg:
    """A arcs over N states: `src`, `dst`, `label`, `word` (A,) int64, `cost` (A,); `final` (N,) inf if not final."""

    start: int
    src: Ints
    dst: Ints
    label: Ints
    word: Ints
    cost: Costs
    final: Costs

    @classmethod
    def from_openfst(cls, data: bytes) -> Hlg:
        """Parse OpenFst's binary form (a vector FST over the tropical semiring).

        Raises:
            ValueError: something else.
        """
        start, num_states, offset = openfst_header(data, b"standard")
        parts, counts, final = [], [], []
        for _ in range(num_states):
            try:
                cost, count = struct.unpack_from("<fq", data, offset)
            except struct.error:
                raise ValueError("cut short") from None
            offset += 12
            parts.append(data[offset : offset + _ARC.itemsize * count])
            offset += _ARC.itemsize * count
            counts.append(count)
            final.append(cost)
        if start < 0 or offset > len(data):
            raise ValueError("no start state" if start < 0 else "cut short")
        arcs = np.frombuffer(b"".join(parts), dtype=_ARC)
        src = np.repeat(np.arange(num_states), counts)
        dst, label, word = (arcs[name].astype(np.int64) for name in ("dst", "label", "word"))
        return cls(start, src, dst, label, word, arcs["cost"].copy(), np.array(final, dtype=np.float32))

    def rank(self) -> Ints:
        """(N,) a numbering of the states in which epsilon arcs lead to higher numbers only.

        Raises:
            ValueError: epsilons form a cycle.
        """
        silent = np.flatnonzero(self.label == 0)
        depth = np.zeros(len(self.final), dtype=np.int64)
        for _ in range(len(silent) + 1):
            deeper = depth.copy()
            np.maximum.at(deeper, self.dst[silent], depth[self.src[silent]] + 1)
            if (deeper == depth).all():
                rank = np.empty_like(depth)
                rank[np.argsort(depth, kind="stable")] = np.arange(len(depth))
                return rank
            depth = deeper
        raise ValueError("epsilons form a cycle")


class Paths(NamedTuple):
    """P paths of epsilons: each from the searched state `head` to HLG's state `at`.

    `before` is the path that one lacks the last arc, `arc` (-1 and -1: the path is empty); `cost` that of all its arcs.
    """

    head: Ints
    at: Ints
    cost: Costs
    before: Ints
    arc: Ints


class FrameGraph:
    """HLG without epsilons.

    The searched states are those of HLG that a frame leads to, the start first, and one more that ends a path.

    Attributes:
        num_states: S, the one that ends included (the last).
        src, dst, label, score: (W,) of the ways, sorted by `src` and label. `label` is an output of the network's
            doubled scores (see `voxkit.decode.scores`), -1 on the ways to the end; `score` is a log-probability.
    """

    def __init__(self, hlg: Hlg) -> None:
        self.hlg = hlg
        self._rank = hlg.rank()  # first, since epsilon paths through a cycle would have no end
        spoken = np.flatnonzero(hlg.label > 0)
        states = np.unique(hlg.dst[spoken])
        self._states = np.concatenate([[hlg.start], states[states != hlg.start]])
        self._number = np.full(len(hlg.final), -1)
        self._number[self._states] = np.arange(len(self._states))
        self.num_states = len(self._states) + 1
        self._paths = paths = _epsilon_paths(hlg, self._states)

        place, arc = _leaving(hlg.src[spoken], paths.at)
        arc = spoken[arc]
        ending = np.flatnonzero(np.isfinite(hlg.final[paths.at]))
        path = np.concatenate([place, ending])
        dst = np.concatenate([self._number[hlg.dst[arc]], np.full(len(ending), len(self._states))])
        label = np.concatenate([hlg.label[arc] - 1, np.full(len(ending), -1)])
        cost = paths.cost[path] + np.concatenate([hlg.cost[arc], hlg.final[paths.at[ending]]])
        arc = np.concatenate([arc, np.full(len(ending), -1)])
        order = np.lexsort((label.astype(np.uint32), paths.head[path]))  # k2 sorts -1 behind all others
        self.src, self.dst, self.label = paths.head[path][order], dst[order], label[order]
        self.score: Costs = -cost[order]
        self._path, self._arc = path[order], arc[order]

    def expand(self, src: Ints, dst: Ints, way: Ints, frame: Ints, scores: Scores) -> RawLattice:
        """The lattice over HLG's states that L ways at frames stand for.

        Args:
            src, dst: (L,) states of the search's lattice.
            way: (L,) indices of ways; -1 where the search, for want of an end, took whatever state it was in for one.
            frame: (L,) when each way is taken; T for ways to the end.
            scores: (T, 2V - 1) what was searched through.
        """
        hlg, paths = self.hlg, self._paths
        known = way >= 0
        path, arc, at = self._path[way[known]], self._arc[way[known]], frame[known]
        speaks = arc >= 0
        ends = {state: float(hlg.final[state]) for state in paths.at[path[~speaks]].tolist()}
        if not known.all():
            arrived = np.full(int(max(src.max(), dst.max())) + 1, 0)
            arrived[dst[known][speaks]] = self._number[hlg.dst[arc[speaks]]]
            heads = np.unique(arrived[src[~known]])
            more = np.flatnonzero(np.isin(paths.head, heads))
            path, at = np.concatenate([path, more]), np.concatenate([at, np.full(len(more), len(scores))])
            ends |= dict.fromkeys(paths.at[more].tolist(), 0.0)
        taken = [(frame[known][speaks], arc[speaks])]
        while len(path):
            moved = paths.arc[path] >= 0
            path, at = path[moved], at[moved]
            taken.append((at, paths.arc[path]))
            path = paths.before[path]
        frames, arcs = (np.concatenate(column) for column in zip(*taken, strict=True))
        return self._lattice(frames, arcs, ends, scores)

    def _lattice(self, frame: Ints, arc: Ints, ends: dict[int, float], scores: Scores) -> RawLattice:
        """Arcs of HLG at frames, which may be told more than once; `ends` are final states, all at the last frame."""
        hlg, num_states = self.hlg, len(self.hlg.final)
        frame, arc = np.divmod(np.unique(frame * len(hlg.src) + arc), len(hlg.src))
        label = hlg.label[arc]
        acoustic = np.zeros(len(arc), dtype=np.float32)
        acoustic[label > 0] = -scores[frame[label > 0], label[label > 0] - 1]
        here = frame * num_states + self._rank[hlg.src[arc]]
        there = (frame + (label > 0)) * num_states + self._rank[hlg.dst[arc]]
        last = len(scores) * num_states + self._rank[list(ends)]
        nodes = np.unique(np.concatenate([here, there, last]))
        order = np.argsort(here, kind="stable")
        columns = (np.searchsorted(nodes, there), label, hlg.word[arc], hlg.cost[arc], acoustic)
        arcs = list(map(RawArc._make, zip(*(column[order].tolist() for column in columns), strict=True)))
        bounds = np.searchsorted(here[order], np.append(nodes, nodes[-1] + 1)).tolist()
        final = dict(zip(np.searchsorted(nodes, last).tolist(), ends.values(), strict=True))
        return RawLattice([arcs[begin:end] for begin, end in pairwise(bounds)], final)


def _epsilon_paths(hlg: Hlg, states: Ints) -> Paths:
    """The empty path at each of `states`, then all longer ones, shorter ones first."""
    silent = np.flatnonzero(hlg.label == 0)
    none = np.full(len(states), -1)
    levels = [Paths(np.arange(len(states)), states, np.zeros(len(states), np.float32), none, none)]
    offset = 0
    while len(levels[-1].head):
        level = levels[-1]
        place, arc = _leaving(hlg.src[silent], level.at)
        arc = silent[arc]
        levels.append(Paths(level.head[place], hlg.dst[arc], level.cost[place] + hlg.cost[arc], place + offset, arc))
        offset += len(level.head)
    return Paths(*map(np.concatenate, zip(*levels, strict=True)))


def _leaving(src: Ints, states: Ints) -> tuple[Ints, Ints]:
    """Every arc that leaves each of `states`: the state's place among them and the arc's in `src`, which ascends."""
    first, last = np.searchsorted(src, states), np.searchsorted(src, states, side="right")
    counts = last - first
    place = np.repeat(np.arange(len(states)), counts)
    return place, np.arange(len(place)) + np.repeat(first - np.cumsum(counts) + counts, counts)

"""Word lattices: one neutral type, whatever backend made them.

A lattice has one start state (0) and one final state (the last). An arc carries a word, the frames that it spans and
two costs (-log), acoustic and graph (language model and pronunciation), scaled as in the search that made them. Arcs
are sorted by the state they leave and lead to higher states only, so that one pass over the arrays is a pass over the
lattice. Word 0, "no word", occurs only where there is nothing to say: as the empty hypothesis, or where a search
ended in the middle of a word; and on any arc in lattices that others made (`voxkit.decode.kaldi_text`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.decode import shards
from voxkit.decode.shards import joined

Ints = NDArray[np.int32]
Costs = NDArray[np.float32]
Doubles = NDArray[np.float64]

FORMAT = 1
_ARCS = ("src", "dst", "word", "start", "end", "acoustic", "graph")


@dataclass(frozen=True)
class Hypothesis:
    """A word sequence: ids, frames [start, end) of each word, its costs, and the arcs it takes in its lattice."""

    words: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    acoustic: float
    graph: float
    arcs: tuple[int, ...] = field(default=(), compare=False)

    @property
    def cost(self) -> float:
        return self.acoustic + self.graph


@dataclass(frozen=True, eq=False)
class Lattice:
    """A word lattice of A arcs over N states and T frames.

    Attributes:
        num_states: N >= 1; a lattice of one state holds the empty path only.
        num_frames: T, in the frames of the network's output.
        src, dst: (A,) states; src < dst, src ascending.
        word: (A,) ids in the word table.
        start, end: (A,) frames: the word is heard in [start, end).
        acoustic, graph: (A,) costs.
    """

    num_states: int
    num_frames: int
    src: Ints
    dst: Ints
    word: Ints
    start: Ints
    end: Ints
    acoustic: Costs
    graph: Costs

    @classmethod
    def build(
        cls,
        num_states: int,
        num_frames: int,
        src: ArrayLike,
        dst: ArrayLike,
        word: ArrayLike,
        start: ArrayLike,
        end: ArrayLike,
        acoustic: ArrayLike,
        graph: ArrayLike,
    ) -> Lattice:
        """A lattice from arcs in any order over topologically numbered states; what lies on no full path is dropped.

        Raises:
            ValueError: an arc that does not lead to a higher state.
        """
        ints = [np.asarray(values, dtype=np.int32).reshape(-1) for values in (src, dst, word, start, end)]
        costs = [np.asarray(values, dtype=np.float32).reshape(-1) for values in (acoustic, graph)]
        if not (ints[0] < ints[1]).all():
            raise ValueError("the states of a lattice must be numbered topologically")
        order = np.lexsort((ints[1], ints[0]))
        ints, costs = [values[order] for values in ints], [values[order] for values in costs]
        lattice = cls(num_states, num_frames, ints[0], ints[1], ints[2], ints[3], ints[4], costs[0], costs[1])
        return lattice._keep(np.isfinite(lattice._through))

    @classmethod
    def empty(cls, num_frames: int) -> Lattice:
        """The lattice that holds the empty path only."""
        return cls.build(1, num_frames, [], [], [], [], [], [], [])

    @property
    def num_arcs(self) -> int:
        return len(self.src)

    @cached_property
    def cost(self) -> Doubles:
        """(A,) total cost of each arc."""
        return self.acoustic.astype(np.float64) + self.graph

    # One pass forward and one backward, in either semiring: `first[s]:first[s + 1]` are the arcs that leave s, and
    # `by_dst` sorts the arcs by the state they enter.

    @cached_property
    def leaving(self) -> NDArray[np.intp]:
        """(N + 1,) the arcs that leave state s are those from `leaving[s]` to `leaving[s + 1]`."""
        return np.searchsorted(self.src, np.arange(self.num_states + 1))

    @cached_property
    def _entering(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        by_dst = np.argsort(self.dst, kind="stable")
        return by_dst, np.searchsorted(self.dst[by_dst], np.arange(self.num_states + 1))

    def _forward(self, total: bool) -> Doubles:
        """(N,) cost from the start to each state: of all paths together, or of the best one."""
        by_dst, first = self._entering
        costs, sources = self.cost[by_dst], self.src[by_dst]
        alpha = np.full(self.num_states, np.inf)
        alpha[0] = 0.0
        for state in range(1, self.num_states):
            arcs = slice(first[state], first[state + 1])
            alpha[state] = _plus(alpha[sources[arcs]] + costs[arcs], total)
        return alpha

    def _backward(self, total: bool) -> Doubles:
        """(N,) cost from each state to the end."""
        first = self.leaving
        beta = np.full(self.num_states, np.inf)
        beta[-1] = 0.0
        for state in range(self.num_states - 2, -1, -1):
            arcs = slice(first[state], first[state + 1])
            beta[state] = _plus(beta[self.dst[arcs]] + self.cost[arcs], total)
        return beta

    @cached_property
    def best_to_end(self) -> Doubles:
        """(N,) cost of the best way from each state to the end."""
        return self._backward(total=False)

    @cached_property
    def _through(self) -> Doubles:
        """(A,) cost of the best path that takes each arc."""
        return self._forward(total=False)[self.src] + self.cost + self.best_to_end[self.dst]

    def total_score(self) -> float:
        """log of the summed probability of all paths (0 for a lattice that holds the empty path only)."""
        return -float(self._forward(total=True)[-1])

    def posteriors(self) -> Doubles:
        """(A,) probability in [0, 1] that a path drawn from the lattice takes each arc (forward-backward)."""
        alpha, beta = self._forward(total=True), self._backward(total=True)
        with np.errstate(under="ignore"):
            return np.exp(alpha[-1] - alpha[self.src] - self.cost - beta[self.dst])

    def arrivals(self) -> Doubles:
        """(A,) probability that a path which comes to the arc's end has taken it."""
        alpha = self._forward(total=True)
        with np.errstate(under="ignore"):
            return np.exp(alpha[self.dst] - alpha[self.src] - self.cost)

    def best_path(self) -> Hypothesis:
        """The path of least cost."""
        arcs, state = [], 0
        first, beta = self.leaving, self.best_to_end
        while state < self.num_states - 1:
            begin, end = first[state], first[state + 1]
            arc = int(begin + np.argmin(self.cost[begin:end] + beta[self.dst[begin:end]]))
            arcs.append(arc)
            state = int(self.dst[arc])
        return self.hypothesis(arcs)

    def nbest(self, n: int) -> list[Hypothesis]:
        """The n best distinct word sequences, each by its best path, best first.

        A* with exact costs to the end (Soong and Huang 1991). A state is expanded once per word sequence that leads
        to it, so that the many ways to time the same words cost nothing; and an arc is looked at after the better ones
        that leave the same state.
        """
        beta, last = self.best_to_end, self.num_states - 1
        if not last or not np.isfinite(beta[0]):
            return [self.hypothesis([])] if n and not last else []
        likely = self.cost + beta[self.dst]
        order = np.lexsort((likely, self.src))
        arcs, ahead, spend, words, targets = (
            column[order].tolist() for column in (np.arange(self.num_arcs), likely, self.cost, self.word, self.dst)
        )
        first, until = self.leaving.tolist(), self.leaving[self.src + 1].tolist()
        prefixes: dict[tuple[int, int], int] = {}  # numbers of word sequences, by that without the last word
        seen: set[tuple[int, int]] = set()
        path: list[tuple[int, int]] = [(0, 0)]  # an arc, and the step before it
        queue: list[tuple[float, int, int, int, float, int]] = [(ahead[0], 0, first[0], 0, 0.0, 0)]
        pushed, found = 1, list[list[int]]()
        while queue and len(found) < n:
            _, _, place, prefix, cost, step = heapq.heappop(queue)
            arc, word, target = arcs[place], words[place], targets[place]
            if place + 1 < until[place]:
                heapq.heappush(queue, (cost + ahead[place + 1], pushed, place + 1, prefix, cost, step))
                pushed += 1
            if word:
                prefix = prefixes.setdefault((prefix, word), len(prefixes) + 1)
            if (target, prefix) in seen:
                continue
            seen.add((target, prefix))
            path.append((arc, step))
            if target == last:
                found.append(_back(path))
                continue
            cost += spend[place]
            there = first[target]
            heapq.heappush(queue, (cost + ahead[there], pushed, there, prefix, cost, len(path) - 1))
            pushed += 1
        return [self.hypothesis(some) for some in found]

    def hypothesis(self, arcs: list[int]) -> Hypothesis:
        """What the path of these arcs says."""
        taken = np.array(arcs, dtype=np.intp)
        spoken = taken[self.word[taken] != 0]
        return Hypothesis(
            words=tuple(self.word[spoken].tolist()),
            starts=tuple(self.start[spoken].tolist()),
            ends=tuple(self.end[spoken].tolist()),
            acoustic=float(self.acoustic[taken].sum(dtype=np.float64)),
            graph=float(self.graph[taken].sum(dtype=np.float64)),
            arcs=tuple(arcs),
        )

    def prune(self, beam: float) -> Lattice:
        """Only the arcs on some path that costs at most `beam` more than the best one."""
        through = self._through
        return self._keep(through <= through.min(initial=np.inf) + beam)

    def scale(self, acoustic: float = 1.0, graph: float = 1.0) -> Lattice:
        """The same arcs with scaled costs."""
        return replace(
            self,
            acoustic=(self.acoustic * np.float32(acoustic)).astype(np.float32),
            graph=(self.graph * np.float32(graph)).astype(np.float32),
        )

    def _keep(self, arcs: NDArray[np.bool_]) -> Lattice:
        """The lattice of some arcs, renumbered; the caller sees to it that they form full paths."""
        if arcs.all() and len(np.unique(np.r_[0, self.dst])) == self.num_states:
            return self
        states = np.unique(np.r_[0, self.num_states - 1, self.src[arcs], self.dst[arcs]])
        number = np.searchsorted(states, np.arange(self.num_states)).astype(np.int32)
        return Lattice(
            num_states=len(states),
            num_frames=self.num_frames,
            src=number[self.src[arcs]],
            dst=number[self.dst[arcs]],
            word=self.word[arcs],
            start=self.start[arcs],
            end=self.end[arcs],
            acoustic=self.acoustic[arcs],
            graph=self.graph[arcs],
        )


def _plus(costs: Doubles, total: bool) -> float:
    """The sum of alternatives: -log of the added probabilities, or the least cost."""
    if not len(costs):
        return np.inf
    best = costs.min()
    if not total or not np.isfinite(best):
        return float(best)
    return float(best - np.log(np.exp(best - costs).sum()))


def _back(path: list[tuple[int, int]]) -> list[int]:
    """The arcs to the last step of a search; step 0 is its beginning."""
    arcs, step = [], len(path) - 1
    while step:
        arc, step = path[step]
        arcs.append(arc)
    return arcs[::-1]


def save(path: Path, lattices: Mapping[str, Lattice]) -> None:
    """Write lattices into one compressed shard, by id.

    Integers are kept as small differences and costs as multiples of 2**-10 (an error of at most 0.0005 in -log), which
    is what makes the shard small: 0.5 MB per hour of clean commands (27 arcs a second), 3.6 MB for 380 arcs a second,
    and up to 9 MB where the network is unsure of itself.
    """
    parts = list(lattices.values())
    columns = {
        "ids": np.array(list(lattices), dtype=np.str_),
        "num_states": np.array([part.num_states for part in parts], dtype=np.int32),
        "num_frames": np.array([part.num_frames for part in parts], dtype=np.int32),
        "num_arcs": np.array([part.num_arcs for part in parts], dtype=np.int32),
        "src": joined([np.diff(part.src, prepend=0) for part in parts]),
        "dst": joined([part.dst - part.src for part in parts]),
        "word": joined([part.word for part in parts]),
        "start": joined([np.diff(part.start, prepend=0) for part in parts]),
        "end": joined([part.end - part.start for part in parts]),
        "acoustic": joined([_rounded(part.acoustic) for part in parts]),
        "graph": joined([_rounded(part.graph) for part in parts]),
    }
    shards.write(path, "lattices", FORMAT, columns)


def load(path: Path) -> dict[str, Lattice]:
    """Read a shard.

    Raises:
        UserError: not there, damaged, or of another format.
    """
    return dict(_split(shards.read(path, "lattices", FORMAT, ("ids", "num_states", "num_frames", "num_arcs", *_ARCS))))


def _split(columns: shards.Columns) -> Iterator[tuple[str, Lattice]]:
    bounds = np.r_[0, np.cumsum(columns["num_arcs"].astype(np.int64))]
    for index, name in enumerate(columns["ids"]):
        part = {key: columns[key][bounds[index] : bounds[index + 1]].astype(np.int32) for key in _ARCS}
        src, start = (np.cumsum(part[key], dtype=np.int32) for key in ("src", "start"))
        acoustic, graph = ((part[key] / np.float32(1024)).astype(np.float32) for key in ("acoustic", "graph"))
        states, frames = (int(columns[key][index]) for key in ("num_states", "num_frames"))
        yield (
            str(name),
            Lattice(states, frames, src, part["dst"] + src, part["word"], start, part["end"] + start, acoustic, graph),
        )


def _rounded(costs: Costs) -> Ints:
    return np.rint(costs.astype(np.float64) * 1024).astype(np.int32)

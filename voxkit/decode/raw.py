"""From a search's frame-level lattice to a word lattice.

In the raw lattice an arc with an input label is one frame. A word of the word lattice runs from the frame that enters
its first token to the frame that enters the next word's first token; both are states of the raw lattice, since
word-initial tokens have labels of their own (see `voxkit.decode.graph`). The ways to time the tokens inside a word are
added up, in the log semiring: totals and posteriors of the word lattice are exactly those of the raw one, and its best
path is the best sequence of timed words. Times and the graph cost come from the best of these ways.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from voxkit.decode.graph import BLANK_LABEL
from voxkit.decode.lattice import Lattice

_FST_MAGIC = 2125659606


def openfst_header(data: bytes, arc_type: bytes) -> tuple[int, int, int]:
    """Start state, number of states and where these begin in OpenFst's binary form of a vector FST.

    Args:
        arc_type: the kind of arcs that is expected, as `b"standard"`.

    Raises:
        ValueError: something else.
    """
    try:
        magic, length = struct.unpack_from("<ii", data)
        kind, offset = data[8 : 8 + length], 8 + length
        (length,) = struct.unpack_from("<i", data, offset)
        found, offset = data[offset + 4 : offset + 4 + length], offset + 4 + length
        _, flags, _, start, num_states, _ = struct.unpack_from("<iiQqqq", data, offset)
    except struct.error:
        raise ValueError("cut short") from None
    if (magic, kind, found) != (_FST_MAGIC, b"vector", arc_type):
        raise ValueError(f"not a vector FST with {arc_type.decode()} arcs in OpenFst's binary form")
    if flags & 3:
        raise ValueError("symbol tables inside are not expected")
    return start, num_states, offset + 40


class RawArc(NamedTuple):
    """`label`: what the frame was taken for, 0 if the arc spends none; `word`: 0 if it tells no word."""

    dst: int
    label: int
    word: int
    graph: float
    acoustic: float


@dataclass(frozen=True)
class RawLattice:
    """States in topological order, the start first: `arcs[state]` leave it; `final` maps states to their cost."""

    arcs: list[list[RawArc]]
    final: dict[int, float]

    @classmethod
    def from_openfst(cls, data: bytes) -> RawLattice:
        """Parse OpenFst's binary form of a Kaldi lattice (a vector FST with pairs of floats as weights).

        Raises:
            ValueError: something else.
        """
        start, num_states, offset = openfst_header(data, b"lattice4")
        arcs: list[list[RawArc]] = []
        final: dict[int, float] = {}
        for state in range(num_states):
            graph, acoustic, count = struct.unpack_from("<ffq", data, offset)
            offset += 16
            if math.isfinite(graph + acoustic):
                final[state] = graph + acoustic
            fields = struct.iter_unpack("<iiffi", data[offset : offset + 20 * count])
            offset += 20 * count
            arcs.append([RawArc(dst, label, word, g, a) for label, word, g, a, dst in fields])
        return cls._sorted(arcs, final, start)

    @classmethod
    def _sorted(cls, arcs: list[list[RawArc]], final: dict[int, float], start: int) -> RawLattice:
        """Number the states that can be reached topologically (depth first)."""
        if start < 0:
            return cls([[]], {})
        number: dict[int, int] = {}
        finished: list[int] = []
        stack: list[tuple[int, Iterator[RawArc]]] = [(start, iter(arcs[start]))]
        number[start] = -1
        while stack:
            state, rest = stack[-1]
            for arc in rest:
                if arc.dst not in number:
                    number[arc.dst] = -1
                    stack.append((arc.dst, iter(arcs[arc.dst])))
                    break
            else:
                finished.append(state)
                stack.pop()
        finished.reverse()
        for index, state in enumerate(finished):
            number[state] = index
        return cls(
            [[arc._replace(dst=number[arc.dst]) for arc in arcs[state]] for state in finished],
            {number[state]: cost for state, cost in final.items() if state in number},
        )

    def frames(self) -> list[int]:
        """How many frames lie before each state."""
        frames = [0] * len(self.arcs)
        for state, arcs in enumerate(self.arcs):
            for arc in arcs:
                frames[arc.dst] = frames[state] + (arc.label != 0)
        return frames


class _Ways(NamedTuple):
    """The ways from a word's origin to here: their summed cost, and the best one's costs and times."""

    total: float
    best: float
    graph: float
    start: int
    end: int


_LEADING, _UNTOLD = -1, 0  # before the first word; in a word whose label has not come yet


def word_lattice(raw: RawLattice, num_tokens: int, num_frames: int) -> Lattice:
    """Merge the frames of each word; see the module's description.

    Args:
        num_tokens: V, which tells word-initial labels from others.
        num_frames: T of the utterance.
    """
    frames = raw.frames()
    initial = num_tokens  # labels above it begin a word
    begins = [any(arc.label > initial for arc in arcs) for arcs in raw.arcs]
    final_state = len(raw.arcs)
    found: list[tuple[int, int, int, int, int, float, float]] = []
    origins, queued = [0], {0}
    while origins:
        origin = heapq.heappop(origins)
        for target, word, way in _words_from(raw, origin, begins, frames, initial):
            state = final_state if target < 0 else target
            found.append((origin, state, word, way.start, way.end, way.total - way.graph, way.graph))
            if target >= 0 and target not in queued:
                queued.add(target)
                heapq.heappush(origins, target)
    if not found:
        return Lattice.empty(num_frames)
    src, dst, words, starts, ends, acoustic, graph = zip(*found, strict=True)
    states = np.unique([0, final_state, *src, *dst])
    new_src, new_dst = np.searchsorted(states, src), np.searchsorted(states, dst)
    return Lattice.build(len(states), num_frames, new_src, new_dst, words, starts, ends, acoustic, graph)


def _words_from(
    raw: RawLattice, origin: int, begins: list[bool], frames: list[int], initial: int
) -> Iterable[tuple[int, int, _Ways]]:
    """Every (state where the next word begins, or -1 at the end; word; ways) from `origin`."""
    here: dict[tuple[int, int], _Ways] = {(origin, _LEADING): _Ways(0.0, 0.0, 0.0, frames[origin], frames[origin])}
    agenda = [(origin, _LEADING)]
    at_end: dict[int, _Ways] = {}
    while agenda:
        state, phase = heapq.heappop(agenda)  # topologically: all ways to a state are known when it comes up
        way = here.pop((state, phase))
        if state in raw.final:
            cost = raw.final[state]
            word = max(phase, 0)
            ended = way._replace(total=way.total + cost, best=way.best + cost, graph=way.graph + cost)
            at_end[word] = _merged(at_end.get(word), ended)
        if phase > 0 and begins[state]:
            yield state, phase, way
        if phase == _UNTOLD and begins[state]:
            raise RuntimeError("a word ended before its label came: the graph is not of the expected kind")
        for arc in raw.arcs[state]:
            start, end, ahead = way.start, way.end, phase
            if arc.label > initial:
                if phase != _LEADING:
                    continue
                start, end, ahead = frames[state], frames[state] + 1, _UNTOLD
            elif phase == _LEADING:
                if origin:  # what lies between two words belongs to the first
                    continue
            elif arc.label > BLANK_LABEL:
                end = frames[state] + 1
            if arc.word:
                ahead = arc.word
            cost = arc.graph + arc.acoustic
            longer = _Ways(way.total + cost, way.best + cost, way.graph + arc.graph, start, end)
            key = (arc.dst, ahead)
            if key not in here:
                heapq.heappush(agenda, key)
                here[key] = longer
            else:
                here[key] = _merged(here[key], longer)
    for word, way in at_end.items():
        yield -1, word, way


def _merged(one: _Ways | None, other: _Ways) -> _Ways:
    if one is None:
        return other
    best = one if one.best <= other.best else other
    low, high = min(one.total, other.total), max(one.total, other.total)
    return best._replace(total=low - math.log1p(math.exp(low - high)))

"""Lattices in Kaldi's text archives, from and to.

Two forms, as `lattice-copy ark:lat ark,t:-` writes them (with `--write-compact=false` the first):

    Lattice          src dst transition-id word graph,acoustic
    CompactLattice   src dst word graph,acoustic,tid_tid_tid

An utterance's id stands on a line of its own, its arcs and final states (`state` or `state weight`) follow, and an
empty line ends it. A transition-id is one frame, so that a state's time is the number of frames on any way to it.

Kaldi's acoustic costs are unscaled: `read(path)["utt"].scale(acoustic=0.1)` is what a search with
`--acoustic-scale=0.1` saw. Ours are scaled as in the search. We know no transition-ids; written are `INSIDE` for a
frame of a word and `OUTSIDE` for one between words. Read with `outside=(OUTSIDE,)`, a lattice that was written in the
compact form is the same again, and one in the other form has the same paths. `voxkit
decode --kaldi` writes the compact form; reading is for those who program.
"""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import chain, takewhile
from pathlib import Path

import numpy as np

from voxkit.decode.lattice import Lattice
from voxkit.errors import Problems, UserError
from voxkit.rundir import write_atomic

OUTSIDE, INSIDE = 1, 2

Rows = list[tuple[int, list[str]]]


@dataclass(frozen=True)
class _Arc:
    """An arc, or the weight of a final state (`dst` -1): its frames are transition-ids; `line` says where it stands."""

    line: int
    src: int
    dst: int
    word: int
    graph: float
    acoustic: float
    frames: tuple[int, ...]


def _chained(arcs: Sequence[_Arc]) -> _Arc:
    """Arcs one after the other, as one; at most one of them has a word."""
    return _Arc(
        line=arcs[0].line,
        src=arcs[0].src,
        dst=arcs[-1].dst,
        word=max(arc.word for arc in arcs),
        graph=sum(arc.graph for arc in arcs),
        acoustic=sum(arc.acoustic for arc in arcs),
        frames=tuple(chain.from_iterable(arc.frames for arc in arcs)),
    )


class _Fault(Exception):
    """Something wrong with a lattice, at a line."""

    def __init__(self, line: int, what: str, fix: str = "write the archive again with lattice-copy") -> None:
        super().__init__(what)
        self.line, self.what, self.fix = line, what, fix


def read(path: Path, words: Sequence[str] | None = None, outside: Collection[int] = ()) -> dict[str, Lattice]:
    """The lattices of a text archive (also `.gz`), in either form, by utterance.

    What no search determinised stays as it is: arcs without a word (id 0) among them. In the first form arcs are
    joined where there is only one way to go on, as long as at most one has a word.

    Args:
        words: the word table, where the archive has names instead of ids.
        outside: transition-ids that are not part of words (silence); they are cut off at both ends of a word's span.

    Raises:
        UserError: not a text file.
        DataError: lattices that are broken; all of them are told, each with its first fault.
    """
    ids = None if words is None else {word: number for number, word in enumerate(words)}
    problems, found, total = Problems(), dict[str, Lattice](), 0
    for line, name, rows in _blocks(path):
        total += 1
        try:
            if name in found:
                raise _Fault(line, "its id was there before", "rename it")
            found[name] = _lattice(rows, line, ids, frozenset(outside))
        except _Fault as fault:
            problems.add("broken lattice", f"{path}:{fault.line}", name, fault.what, fault.fix)
    problems.settle(total)
    return found


def write(
    path: Path, lattices: Mapping[str, Lattice], words: Sequence[str] | None = None, compact: bool = True
) -> None:
    """Write a text archive (compressed if it ends in `.gz`).

    Args:
        words: the word table, to write names instead of ids.
        compact: the second form, not the first.

    Raises:
        UserError: an id with a blank in it.
        ValueError: a word that ends after another from the same state begins.
    """
    for name in lattices:
        if name.split() != [name]:
            raise UserError(f"{path}: Kaldi's archives cannot have the id {name!r}", fix="rename it: without blanks")
    blocks = (f"{name} \n{''.join(_rows(lattice, words, compact))}\n" for name, lattice in lattices.items())
    data = "".join(blocks).encode()
    write_atomic(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _blocks(path: Path) -> Iterator[tuple[int, str, Rows]]:
    """Line number, id and split lines of each utterance."""
    try:
        raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read: {error}", fix="check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not text", fix="make text of it: lattice-copy ark:FILE ark,t:TEXT") from error
    head: tuple[int, str] | None = None
    rows: Rows = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        fields = line.split()
        if head is None and fields:
            if len(fields) > 1 or "\0" in line:
                what = f"{path}:{number}: expected the id of an utterance alone"
                raise UserError(what, fix="make text of it: lattice-copy ark:FILE ark,t:TEXT")
            head, rows = (number, fields[0]), []
        elif fields:
            rows.append((number, fields))
        elif head is not None:
            yield (*head, rows)
            head = None


def _lattice(rows: Rows, line: int, ids: Mapping[str, int] | None, outside: frozenset[int]) -> Lattice:
    arcs, finals, compact = _parsed(rows, line, ids)
    start = int(rows[0][1][0])  # as OpenFst has it, the first line tells
    if not compact:
        arcs = _joined(arcs, {start, *(final.src for final in finals)})
    arcs = _reachable(arcs, start)
    order = _order(arcs, start)
    times = _times(sorted(arcs, key=lambda arc: order[arc.src]), start)
    ends = _ended(arcs, [final for final in finals if final.src in order], start)
    if not ends:
        raise _Fault(line, "no final state can be reached")
    lengths = {times[arc.src] + len(arc.frames) for arc in ends}
    if len(lengths) > 1:
        what = f"its final states lie after {' and '.join(map(str, sorted(lengths)))} frames"
        raise _Fault(ends[-1].line, what)
    num_frames = lengths.pop()
    if len(ends) == 1 and not arcs and ends[0].graph == ends[0].acoustic == 0:
        return Lattice.empty(num_frames)
    last = len(order)
    every = [*arcs, *ends]
    spans = [_span(arc, times[arc.src], outside) for arc in every]
    return Lattice.build(
        last + 1,
        num_frames,
        src=[order[arc.src] for arc in every],
        dst=[order.get(arc.dst, last) for arc in every],
        word=[arc.word for arc in every],
        start=[begin for begin, _ in spans],
        end=[end for _, end in spans],
        acoustic=[arc.acoustic for arc in every],
        graph=[arc.graph for arc in every],
    )


def _parsed(rows: Rows, line: int, ids: Mapping[str, int] | None) -> tuple[list[_Arc], list[_Arc], bool]:
    """Arcs and final weights of one utterance, and whether it is in the compact form."""
    arcs: list[_Arc] = []
    finals: list[_Arc] = []
    forms: set[int] = set()  # how many parts weights have
    for number, fields in rows:
        parts = fields[-1].split(",") if "," in fields[-1] else []
        heads = fields[:-1] if parts else fields
        if len(heads) not in (1, 3, 4) or len(parts) not in (0, 2, 3):
            raise _Fault(number, f"neither an arc nor a final state: {' '.join(fields)!r}")
        forms |= {3: {3}, 4: {2}}.get(len(heads), set()) | ({len(parts)} - {0})
        if len(forms) > 1:
            raise _Fault(number, "Lattice and CompactLattice mixed")
        graph, acoustic = (_cost(part, number) for part in parts[:2] or ("0", "0"))
        labels = heads[2:3] if len(heads) == 4 else "".join(parts[2:]).split("_")
        frames = tuple(_whole(label, number) for label in labels if label not in ("", "0"))
        is_arc = len(heads) > 1
        dst, word = (_whole(heads[1], number), _word(heads[-1], number, ids)) if is_arc else (-1, 0)
        arc = _Arc(number, _whole(heads[0], number), dst, word, graph, acoustic, frames)
        if np.isfinite(graph + acoustic):
            (arcs if is_arc else finals).append(arc)
    if not finals:
        raise _Fault(line, "no final state")
    return arcs, finals, 2 not in forms


def _whole(text: str, line: int) -> int:
    if not text.isdecimal():
        raise _Fault(line, f"not a number: {text!r}")
    return int(text)


def _cost(text: str, line: int) -> float:
    try:
        cost = float(text)
    except ValueError:
        raise _Fault(line, f"not a cost: {text!r}") from None
    if np.isnan(cost) or cost == -np.inf:
        raise _Fault(line, f"not a cost: {text!r}")
    return cost


def _word(text: str, line: int, ids: Mapping[str, int] | None) -> int:
    if ids is None:
        if not text.isdecimal():
            raise _Fault(line, f"not a word id: {text!r}", "give the word table: read(path, words)")
        return int(text)
    if text not in ids:
        raise _Fault(line, f"the word {text!r} is not in the table", "give the table that the names come from")
    return ids[text]


def _joined(arcs: list[_Arc], fixed: Collection[int]) -> list[_Arc]:
    """Arcs joined at states with one way in and one way out, other than `fixed`; only one of them may have a word."""
    entering, leaving = (Counter(getattr(arc, end) for arc in arcs) for end in ("dst", "src"))
    inner = {state for state in entering if entering[state] == leaving[state] == 1} - set(fixed)
    after = {arc.src: arc for arc in arcs if arc.src in inner}
    heads = [arc for arc in arcs if arc.src not in inner]
    found = []
    while heads:
        links = [heads.pop()]
        has_word = links[0].word > 0
        while links[-1].dst in inner:
            behind = after[links[-1].dst]
            if has_word and behind.word:
                heads.append(behind)
                break
            has_word |= behind.word > 0
            links.append(behind)
        found.append(_chained(links))
    return sorted(found, key=lambda arc: arc.line)


def _reachable(arcs: list[_Arc], start: int) -> list[_Arc]:
    leaving = defaultdict(list)
    for arc in arcs:
        leaving[arc.src].append(arc)
    seen, agenda = {start}, [start]
    while agenda:
        ahead = {arc.dst for arc in leaving[agenda.pop()]} - seen
        seen |= ahead
        agenda += ahead
    return [arc for arc in arcs if arc.src in seen]


def _order(arcs: list[_Arc], start: int) -> dict[int, int]:
    """The position of each state in a topological order."""
    before: dict[int, set[int]] = {start: set()}
    for arc in arcs:
        before.setdefault(arc.dst, set()).add(arc.src)
    try:
        return {state: place for place, state in enumerate(TopologicalSorter(before).static_order())}
    except CycleError as error:
        around = set(error.args[1])
        line = min(arc.line for arc in arcs if {arc.src, arc.dst} <= around)
        raise _Fault(line, "its arcs go round in a circle") from None


def _times(arcs: list[_Arc], start: int) -> dict[int, int]:
    """Frames before each state; `arcs` in the order of the states they leave."""
    times = {start: 0}
    for arc in arcs:
        time = times[arc.src] + len(arc.frames)
        if times.setdefault(arc.dst, time) != time:
            what = f"state {arc.dst} lies after {times[arc.dst]} frames, and on another way after {time}"
            raise _Fault(arc.line, what)
    return times


def _ended(arcs: list[_Arc], finals: list[_Arc], start: int) -> list[_Arc]:
    """Arcs to one common end (-1): each arc to a final state once more, with that state's weight."""
    weights = {final.src: final for final in finals}
    ends = [_chained([arc, weights[arc.dst]]) for arc in arcs if arc.dst in weights]
    return [*ends, weights[start]] if start in weights else ends


def _span(arc: _Arc, begin: int, outside: frozenset[int]) -> tuple[int, int]:
    """The frames [start, end) of an arc's word."""
    before = sum(1 for _ in takewhile(outside.__contains__, arc.frames))
    if before == len(arc.frames):
        return begin, begin + before
    behind = sum(1 for _ in takewhile(outside.__contains__, reversed(arc.frames)))
    return begin + before, begin + len(arc.frames) - behind


def _rows(lattice: Lattice, words: Sequence[str] | None, compact: bool) -> Iterator[str]:
    """The lines of one lattice."""
    times = _state_times(lattice)
    final, extra = lattice.num_states - 1, lattice.num_states
    for arc in range(lattice.num_arcs):
        src, dst = int(lattice.src[arc]), int(lattice.dst[arc])
        word = str(lattice.word[arc]) if words is None else words[lattice.word[arc]]
        nothing = "0" if words is None else words[0]
        begin, end = int(lattice.start[arc]), int(lattice.end[arc])
        frames = [OUTSIDE] * (begin - times[src]) + [INSIDE] * (end - begin) + [OUTSIDE] * (times[dst] - end)
        weight = f"{lattice.graph[arc]:.9g},{lattice.acoustic[arc]:.9g}"
        if compact:
            yield f"{src}\t{dst}\t{word}\t{weight},{'_'.join(map(str, frames))}\n"
            continue
        for place, frame in enumerate(frames or [0]):
            last = place >= len(frames) - 1
            here, there = src if place == 0 else extra - 1, dst if last else extra
            extra += not last
            yield f"{here}\t{there}\t{frame}\t" + (f"{word}\t{weight}\n" if place == 0 else f"{nothing}\t0,0\n")
    if lattice.num_arcs == 0 and lattice.num_frames:
        yield from _silence(lattice.num_frames, words, compact)
    else:
        yield f"{final}\n"


def _silence(num_frames: int, words: Sequence[str] | None, compact: bool) -> Iterator[str]:
    """The lines of the lattice that holds the empty path only."""
    if compact:
        yield f"0\t0,0,{'_'.join([str(OUTSIDE)] * num_frames)}\n"
        return
    nothing = "0" if words is None else words[0]
    for frame in range(num_frames):
        yield f"{frame}\t{frame + 1}\t{OUTSIDE}\t{nothing}\t0,0\n"
    yield f"{num_frames}\n"


def _state_times(lattice: Lattice) -> list[int]:
    """The frame at which each state lies: where the first word that leaves it begins.

    Raises:
        ValueError: a word that leads there ends later.
    """
    times = np.full(lattice.num_states, lattice.num_frames)
    np.minimum.at(times, lattice.src, lattice.start)
    times[0] = 0
    late = lattice.end > times[lattice.dst]
    if late.any():
        arc = int(np.flatnonzero(late)[0])
        state = int(lattice.dst[arc])
        raise ValueError(f"arc {arc} ends at frame {lattice.end[arc]}, but from state {state} on words begin earlier")
    return [int(time) for time in times]

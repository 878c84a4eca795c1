"""Minimum Bayes risk decoding and confusion networks (Xu, Povey, Mangu and Zhu 2011).

H. Xu, D. Povey, L. Mangu, J. Zhu, "Minimum Bayes Risk decoding and system combination based on a recursion for edit
distance", Computer Speech and Language 25 (2011). The risk of a hypothesis is the edit distance that is to be expected
between it and a word sequence drawn from the lattice. The recursion aligns the lattice's arcs, instead of its paths,
with the hypothesis: a decision may depend on the state, but not on how it was reached. The risk is therefore an upper
bound of the expected edit distance. It is exact where no state but the last is entered by two arcs (an n-best list).
From one hypothesis to the next the risk falls; the search ends where no change of a single bin helps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.decode import shards
from voxkit.decode.alignment import TIE, by_level, step
from voxkit.decode.lattice import Doubles, Ints, Lattice
from voxkit.decode.shards import joined
from voxkit.errors import UserError

Floats = NDArray[np.float32]

FORMAT = 1
DELTA = 1e-5  # what it costs more to insert a word than to put it into an empty bin, so that every word finds a bin
_MOST_ROUNDS = 50  # two or three are usual
_CELL_BYTES, _MOST_BYTES = 40, 4e9  # of an arc at a position of the hypothesis, and of all of them
_SUBFRAMES = 16  # times are stored in so many parts of a frame
_COST_STEPS, _LARGEST_COST = 1024, 32000


@dataclass(frozen=True, eq=False)
class ConfusionNetwork:
    """A sausage: B = 2Q + 1 bins in order of time around a hypothesis of Q words, with E entries in all.

    Attributes:
        num_frames: of the lattice, in frames of the network's output.
        hypothesis: (Q,) word ids.
        first: (B + 1,) entries of bin b are `first[b]:first[b + 1]`; bin 2i + 1 belongs to `hypothesis[i]` and has
            an entry for it, the even bins lie between words.
        word: (E,) ids; 0 is "no word". Within a bin by falling posterior.
        posterior: (E,) adds up to 1 in each bin.
        start, end: (E,) frames; the mean times of the entry's word, weighted by posterior. "No word" has those of the
            gap between words, or of the word in whose place there may be none.
    """

    num_frames: int
    hypothesis: Ints
    first: Ints
    word: Ints
    posterior: Floats
    start: Floats
    end: Floats

    @property
    def num_bins(self) -> int:
        return len(self.first) - 1

    def bin(self, index: int) -> tuple[Ints, Floats, Floats, Floats]:
        """Word, posterior, start and end of a bin's entries, the likeliest first."""
        entries = slice(self.first[index], self.first[index + 1])
        return self.word[entries], self.posterior[entries], self.start[entries], self.end[entries]

    def best(self) -> list[int]:
        """The likeliest word of every bin that has one."""
        top = self.word[self.first[:-1]]
        return [int(word) for word in top[top != 0]]

    def spoken(self) -> tuple[Floats, Floats, Floats]:
        """(Q,) posterior, start and end of each word of the hypothesis; words follow each other without overlap."""
        entries = self._own()
        start, end = self.start[entries], self.end[entries]
        overlap = end[:-1] > start[1:]
        middle = (end[:-1] + start[1:])[overlap] / 2
        end[:-1][overlap], start[1:][overlap] = middle, middle
        return self.posterior[entries], np.minimum(start, end), end

    def _bins(self) -> NDArray[np.intp]:
        """(E,) the bin of each entry."""
        return np.repeat(np.arange(self.num_bins), np.diff(self.first))

    def _own(self) -> NDArray[np.intp]:
        """(Q,) the entry of each word of the hypothesis in its bin."""
        bins = self._bins()
        return np.flatnonzero((bins % 2 == 1) & (self.word == around(self.hypothesis)[bins]))


def confusion_network(
    lattice: Lattice, mbr: bool = True, floor: float = 1e-5, words: Sequence[int] | None = None
) -> ConfusionNetwork:
    """The confusion network of a lattice.

    Time and memory grow with arcs times words, so with the square of an utterance's length: 20 to 40 bytes for each
    of A (2Q + 2) cells, with A arcs and Q words in the hypothesis. 400 words with 50 arcs each take 0.4 to 0.7 GB.

    Args:
        mbr: whether to go on from `words` to the hypothesis of minimum Bayes risk; otherwise they are the hypothesis.
        floor: words of lower posterior are left out of their bin.
        words: (Q,) ids to build the network around; those of the best path if none are given.

    Raises:
        UserError: it might take more than 4 GB.
    """
    passes = _Passes(lattice)
    words = list(lattice.best_path().words if words is None else words)
    found = passes.align(words)
    for _ in range(_MOST_ROUNDS if mbr else 0):
        better = found.best()
        if better == words:
            break
        tried = passes.align(better)
        if tried.risk > found.risk - TIE:  # cannot fall any further
            break
        words, found = better, tried
    return _with_gaps(found.network(lattice.num_frames, floor))


def risk(lattice: Lattice, words: Sequence[int]) -> float:
    """The expected number of errors of a word sequence, or slightly more: an upper bound (see the module).

    Raises:
        UserError: it might take more than 4 GB (see `confusion_network`).
    """
    return _Passes(lattice).align(words).risk


def around(words: ArrayLike) -> Ints:
    """(2Q + 1,) the words that bins stand for: those of a (Q,) hypothesis, and "no word" (0) around each."""
    words = np.asarray(words, dtype=np.int32).reshape(-1)
    bins = np.zeros(2 * len(words) + 1, dtype=np.int32)
    bins[1::2] = words
    return bins


@dataclass(frozen=True)
class _Shares:
    """How much of which arc came to lie in which bin."""

    bins: Ints  # (B,) the words that the bins stand for
    risk: float
    key: NDArray[np.int64]  # (E',) bin and word of each entry, in one number, ascending; 0 is no entry's word
    posterior: Doubles
    start: Doubles
    end: Doubles
    num_words: int

    def best(self) -> list[int]:
        """The likeliest words; between equals, the bin's own."""
        place, word, *_ = self._entries()
        top = word[np.searchsorted(place, np.arange(len(self.bins)))]
        return [int(found) for found in top[top != 0]]

    def network(self, num_frames: int, floor: float) -> ConfusionNetwork:
        """The network, its gaps not timed yet; every bin keeps its own word and its likeliest."""
        place, word, posterior, start, end = self._entries()
        likeliest = np.diff(place, prepend=-1) > 0
        keep = likeliest | (word == self.bins[place]) | (posterior >= max(floor, TIE))
        place = place[keep]
        return ConfusionNetwork(
            num_frames=num_frames,
            hypothesis=self.bins[1::2],
            first=np.searchsorted(place, np.arange(len(self.bins) + 1)).astype(np.int32),
            word=word[keep].astype(np.int32),
            posterior=(posterior[keep] / np.bincount(place, posterior[keep])[place]).astype(np.float32),
            start=start[keep].astype(np.float32),
            end=end[keep].astype(np.float32),
        )

    def _entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Doubles, Doubles, Doubles]:
        """Bin, word, posterior, start and end of all entries, sorted; with "no word" and each bin's own word."""
        count = np.arange(len(self.bins))
        nothing = 1 - np.bincount(self.key // self.num_words, self.posterior, minlength=len(self.bins))
        key, merged = np.unique(
            np.r_[self.key, count * self.num_words, count * self.num_words + self.bins], return_index=True
        )
        posterior = np.r_[self.posterior, np.maximum(nothing, 0.0), np.zeros(len(count))][merged]
        start, end = (np.r_[times, np.zeros(2 * len(count))][merged] for times in (self.start, self.end))
        place, word = np.divmod(key, self.num_words)
        order = np.lexsort((word, word != self.bins[place], -np.round(posterior / TIE), place))
        return place[order], word[order], posterior[order], start[order], end[order]


class _Passes:
    """A lattice made ready for passes forward and backward, level by level (`by_level`)."""

    def __init__(self, lattice: Lattice) -> None:
        order, self.levels = by_level(lattice)
        self.num_states = lattice.num_states
        self.src, self.dst, self.word, self.start, self.end = (
            column[order] for column in (lattice.src, lattice.dst, lattice.word, lattice.start, lattice.end)
        )
        self.arrivals = lattice.arrivals()[order]
        self.num_words = int(lattice.word.max(initial=0)) + 1

    def align(self, words: Sequence[int]) -> _Shares:
        """Align the lattice with a hypothesis.

        Positions 0..B say how many bins lie behind. An arc that leads from state s to n with word w comes to
        position b from position b - 1 at s (the word lies in bin b - 1), from b at s (it is inserted between bins),
        or from its own position b - 1 (that bin is left empty).

        Raises:
            UserError: arcs times positions are too many for the memory.
        """
        bins = around(words)
        emptied = np.r_[0.0, np.cumsum(bins != 0)]
        positions = len(emptied)
        size = _CELL_BYTES * len(self.src) * positions
        if size > _MOST_BYTES:
            what = f"to align {len(self.src)} arcs with {len(words)} words takes up to {size / 1e9:.1f} GB"
            raise UserError(what, fix="decode shorter cuts, or with a narrower search.lattice_beam")
        inserted = np.where(self.word != 0, 1 + DELTA, 0.0)[:, None]
        distance = np.zeros((self.num_states, positions))  # the paper's alpha'
        distance[0] = emptied
        into = np.empty((len(self.src), positions), dtype=np.int64)  # the state and position that a share comes from
        lies = np.empty((len(self.src), positions), dtype=np.int32)  # the bin that the word lies in; -1: inserted
        for level in self.levels:
            before = distance[self.src[level]]
            in_bin = before[:, :-1] + (self.word[level, None] != bins)
            came = step(before + inserted[level], in_bin, emptied)
            into[level] = self.src[level, None].astype(np.int64) * positions + came.position
            lies[level] = np.where(came.moved, came.position, -1)
            ends, firsts = np.unique(self.dst[level], return_index=True)
            distance[ends] = np.add.reduceat(self.arrivals[level, None] * came.cost, firsts, axis=0)
        share = self._shares(into, positions)
        return self._gathered(bins, float(distance[-1, -1]), share, lies)

    def _shares(self, into: NDArray[np.int64], positions: int) -> Doubles:
        """(A, B + 1) probability to take each arc and be at each position after it."""
        behind = np.zeros(self.num_states * positions)  # the paper's beta'
        behind[-1] = 1.0
        rows = behind.reshape(self.num_states, positions)
        share = np.empty(into.shape)
        for level in reversed(self.levels):
            share[level] = self.arrivals[level, None] * rows[self.dst[level]]
            np.add.at(behind, into[level].ravel(), share[level].ravel())
        return share

    def _gathered(self, bins: Ints, expected: float, share: Doubles, lies: Ints) -> _Shares:
        """Add up the shares by bin and word."""
        arcs, columns = np.nonzero((lies >= 0) & (share > 0) & (self.word != 0)[:, None])
        weight = share[arcs, columns]
        num_words = max(self.num_words, int(bins.max()) + 1)
        key = lies[arcs, columns].astype(np.int64) * num_words + self.word[arcs]
        key, entry = np.unique(key, return_inverse=True)
        posterior, start, end = (
            np.bincount(entry, weight * factor, minlength=len(key)).astype(np.float64)
            for factor in (np.ones(len(arcs)), self.start[arcs], self.end[arcs])
        )
        return _Shares(bins, expected, key, posterior, start / posterior, end / posterior, num_words)


def _with_gaps(network: ConfusionNetwork) -> ConfusionNetwork:
    """The network with the times of "no word", and of words that nothing came to lie on."""
    bins, own = network._bins(), network._own()
    start, end = network.start.copy(), network.end.copy()
    for entry in own[network.posterior[own] == 0]:
        place = slice(network.first[bins[entry]], network.first[bins[entry] + 1])
        rest = network.posterior[place] * (network.word[place] != 0)
        before = end[own[own < entry]][-1:].sum()
        start[entry], end[entry] = (
            float(times[place] @ rest / rest.sum()) if rest.any() else before for times in (start, end)
        )
    opens, closes = np.r_[0.0, end[own]], np.r_[start[own], network.num_frames]  # of the gaps between words
    overlap = closes < opens
    opens[overlap] = closes[overlap] = (opens + closes)[overlap] / 2
    nothing = network.word == 0
    between, instead = nothing & (bins % 2 == 0), nothing & (bins % 2 == 1)
    start[between], end[between] = opens[bins[between] // 2], closes[bins[between] // 2]
    start[instead], end[instead] = start[own][bins[instead] // 2], end[own][bins[instead] // 2]
    return replace(network, start=start, end=end)


def save(path: Path, networks: Mapping[str, ConfusionNetwork]) -> None:
    """Write confusion networks into one compressed shard, by id.

    Posteriors are kept to 0.05 % of their value and times to 1/16 of a frame. An hour of clean commands takes 0.1 MB
    in shards of five minutes (0.2 MB in shards of one), and 0.25 MB where there are ten times as many arcs.
    """
    parts = list(networks.values())
    costs = [
        np.minimum(np.rint(-_COST_STEPS * np.log(np.maximum(part.posterior, 1e-30))), _LARGEST_COST) for part in parts
    ]
    starts = [np.rint(part.start[part.word != 0] * _SUBFRAMES).astype(np.int32) for part in parts]
    ends = [np.rint(part.end[part.word != 0] * _SUBFRAMES).astype(np.int32) for part in parts]
    columns = {
        "ids": np.array(list(networks), dtype=np.str_),
        "num_frames": np.array([part.num_frames for part in parts], dtype=np.int32),
        "num_words": np.array([len(part.hypothesis) for part in parts], dtype=np.int32),
        "hypothesis": joined([part.hypothesis for part in parts]),
        "size": joined([np.diff(part.first) for part in parts]),
        "word": joined([part.word for part in parts]),
        "cost": joined(costs).astype(np.int32),
        "start": joined([np.diff(start, prepend=0) for start in starts]),
        "duration": joined([end - start for start, end in zip(starts, ends, strict=True)]),
    }
    shards.write(path, "confusion networks", FORMAT, columns)


def load(path: Path) -> dict[str, ConfusionNetwork]:
    """Read a shard.

    Raises:
        UserError: not there, damaged, or of another format.
    """
    names = ("ids", "num_frames", "num_words", "hypothesis", "size", "word", "cost", "start", "duration")
    return dict(_split(shards.read(path, "confusion networks", FORMAT, names)))


def _split(columns: shards.Columns) -> Iterator[tuple[str, ConfusionNetwork]]:
    said = bins = entries = timed = 0
    for name, num_frames, num_words in zip(columns["ids"], columns["num_frames"], columns["num_words"], strict=True):
        count = int(num_words)
        hypothesis = columns["hypothesis"][said : said + count].astype(np.int32)
        size = columns["size"][bins : bins + 2 * count + 1].astype(np.int32)
        first = np.r_[np.int32(0), np.cumsum(size, dtype=np.int32)]
        word = columns["word"][entries : entries + first[-1]].astype(np.int32)
        posterior = np.exp(columns["cost"][entries : entries + first[-1]].astype(np.float64) / -_COST_STEPS)
        posterior /= np.repeat(np.add.reduceat(posterior, first[:-1]), size)
        spoken = int((word != 0).sum())
        start, end = np.zeros((2, len(word)), dtype=np.float32)
        begins = np.cumsum(columns["start"][timed : timed + spoken], dtype=np.int64)
        start[word != 0] = begins / _SUBFRAMES
        end[word != 0] = (begins + columns["duration"][timed : timed + spoken]) / _SUBFRAMES
        network = ConfusionNetwork(int(num_frames), hypothesis, first, word, posterior.astype(np.float32), start, end)
        yield str(name), _with_gaps(network)
        said, bins, entries, timed = said + count, bins + len(size), entries + len(word), timed + spoken

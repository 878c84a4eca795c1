"""What the bins of a pool say about each other: an index by the two best words instead of all pairs of bins.

Bins b and b' that have the same unordered pair of best words are alike by

    k(b, b') = exp(-beta |z - z'|) * (any + left [same word before] + right [same word behind] + voice [same speaker]
               + pace [like duration per phone]),    any = 1 - left - right - voice - pace,

z being the log odds of the pair's first word against its second, rounded to steps. b' supports b if it is labelled
with the same word, and contradicts it otherwise. A pair in fewer than `rare` bins also hears the bins of all other
pairs whose words differ in the same two phones, by k = back_off * any * exp(-beta |z - z'|).

z has a sign, so a bin that is sure of either word counts little for one with even odds (0.03 at 49 to 1, with beta 1),
and bins that are sure of different words count next to nothing for each other. This is meant: z stands for what the
recogniser heard, and where it is sure of the other word, the sound is another one. Evidence is how like sounds are
labelled. The price: labels of the pool mostly follow the sign of z, so bins with the same label are nearer to each
other than to those with the other one, contradiction comes from bins about as unsure, and words that are surely and
repeatedly mistaken confirm each other. Only bins whose labels come from elsewhere, those of a decode of labelled cuts,
contradict a label that the recogniser is sure of.

The kernel is a sum of products, so sums over neighbours need no pairs: for each facet (any, left, ...) bins are
counted by (pair, facet's value, label, step), the counts are smoothed along the steps by a small matrix, and every bin
reads its cell. N bins cost O(N log N) to index, once, and O(N S) for each pass over S steps (some 16).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.commands.select_data.bins import Bins, Floats, Ints
from voxkit.commands.select_data.command import SimilarityConfig
from voxkit.commands.select_data.sounds import Sounds

Cells = NDArray[np.int32] | NDArray[np.int64]

CHUNK = 1 << 18  # bins that are looked at together, if no pair has more


class Sums(NamedTuple):
    """(N,) for each bin: the weight of its neighbours with the same label, and with the other one."""

    same: Floats
    other: Floats


@dataclass(frozen=True, eq=False)
class _Facet:
    """Groups of bins that have a pair and a facet's value in common.

    Attributes:
        share: of the kernel.
        rows: (n,) the bins that are not alone in their group, or all; None: all.
        cell: (n,) number of (group, label, step), rising from pair to pair but not within one.
    """

    share: float
    rows: Ints | None
    cell: Cells


class Index:
    """Bins in order of their pairs of best words, and the groups that their facets make.

    Args:
        bins: in any order.
        voices: (U,) the speaker of each utterance, every unknown one with a number of its own; labelled utterances
            are counted from the end (their numbers are negative).
        sounds: of the words.
        config: constants of the kernel.
        ceiling: the largest share that is told apart; it bounds the steps.

    Attributes:
        bins: the same bins, sorted.
        pair: (N,) code of the pair; rising.
        side: (N,) 0 if the label is the pair's first word, else 1.
        step: (N,) rounded log odds of the pair's first word, from 0 to `steps` - 1.
        rare: (N,) whether the pair is in so few bins that others are asked too.
    """

    def __init__(self, bins: Bins, voices: Ints, sounds: Sounds, config: SimilarityConfig, ceiling: float) -> None:
        mine, theirs = sounds.contrast(bins.label, bins.rival)
        first = (mine < theirs) | ((mine == theirs) & (bins.label < bins.rival))
        key = _coded(np.where(first, bins.label, bins.rival), np.where(first, bins.rival, bins.label))
        order = np.argsort(key, kind="stable")
        self.bins, key, first = bins.take(order), key[order], first[order]
        mine, theirs = mine[order], theirs[order]
        _, pair, count = np.unique(key, return_inverse=True, return_counts=True)
        self.pair = pair.astype(np.int32)
        self.side = (~first).astype(np.int8)
        limit = np.log(ceiling / (1 - ceiling))
        half = int(np.ceil(limit / config.step))
        self.steps = 2 * half
        odds = np.where(first, 1, -1) * log_odds(self.bins.share, ceiling)
        self.step = np.clip(np.floor(odds / config.step) + half, 0, self.steps - 1).astype(np.int8)
        distance = config.step * np.abs(np.subtract.outer(np.arange(self.steps), np.arange(self.steps)))
        self.kernel = np.exp(-config.beta * distance).astype(np.float32)
        named: list[tuple[float, NDArray[np.integer]]] = [
            (config.left, self.bins.left),
            (config.right, self.bins.right),
        ]
        named += [(config.voice, voices[self.bins.utterance]), (config.pace, self.bins.pace)]
        self.any = max(1.0 - sum(share for share, _ in named), 0.0)
        self.facets = [self._facet(share, value) for share, value in named if share > 0]
        if self.any > 0:
            self.facets.append(_Facet(self.any, None, self._cells(self.pair)))
        self.rare = (count < config.rare)[self.pair]
        self.back_off = config.back_off * self.any
        sounds_differ = mine != theirs
        contrast = _coded(np.minimum(mine, theirs), np.maximum(mine, theirs))
        self.contrasting = np.flatnonzero(sounds_differ).astype(np.int32)
        _, groups = np.unique(contrast[self.contrasting], return_inverse=True)
        self.contrast = self._cells(groups.astype(np.int32), self.contrasting)

    def _facet(self, share: float, value: NDArray[np.integer]) -> _Facet:
        known = _coded(self.pair, value - min(int(value.min(initial=0)), 0))
        _, group, count = np.unique(known, return_inverse=True, return_counts=True)
        rows = np.flatnonzero(count[group] > 1).astype(np.int32)
        _, group = np.unique(group[rows], return_inverse=True)
        return _Facet(share, rows, self._cells(group.astype(np.int32), rows))

    def _cells(self, group: Ints, rows: Ints | None = None) -> Cells:
        """(n,) a number for each (group, label, step)."""
        side, step = (self.side, self.step) if rows is None else (self.side[rows], self.step[rows])
        cells = (int(group.max(initial=0)) + 1) * 2 * self.steps
        kind = np.int32 if cells < 2**31 else np.int64
        return ((group.astype(kind) * 2 + side) * self.steps + step).astype(kind)

    def sums(self, *weights: ArrayLike) -> list[Sums]:
        """Add up the neighbours of every bin, itself left out.

        Args:
            weights: (N,) each, what every bin counts as a neighbour.
        """
        columns = [np.asarray(column, dtype=np.float32) for column in weights]
        found = [Sums(np.zeros_like(column), np.zeros_like(column)) for column in columns]
        for facet in self.facets:
            for part in self._chunks(facet):
                rows: slice | Ints = part if facet.rows is None else facet.rows[part]
                self._add(facet.share, facet.cell[part], rows, columns, found)
        if self.back_off > 0 and self.rare.any() and len(self.contrasting):
            for column, sums in zip(columns, found, strict=True):
                self._add_back_off(column, sums)
        for sums in found:
            for part_sum in sums:
                np.maximum(part_sum, 0, out=part_sum)  # what rounding left of nothing
        return found

    def _chunks(self, facet: _Facet) -> Iterator[slice]:
        """Ranges of a facet's bins, of whole pairs each."""
        pair = self.pair if facet.rows is None else self.pair[facet.rows]
        begin = 0
        while begin < len(pair):
            last = pair[min(begin + CHUNK, len(pair)) - 1]
            end = int(np.searchsorted(pair, last, side="left"))
            if end == begin or begin + CHUNK >= len(pair):
                end = int(np.searchsorted(pair, last, side="right"))
            yield slice(begin, end)
            begin = end

    def _add(
        self, share: float, cell: Cells, rows: slice | Ints, columns: Sequence[Floats], found: Sequence[Sums]
    ) -> None:
        """Add one facet's share of some bins, whose groups are whole."""
        size = 2 * self.steps
        cell = cell - cell.min() // size * size
        across = self._across(cell)
        for column, sums in zip(columns, found, strict=True):
            weights = column[rows]
            smooth = self._smooth(cell, weights)
            sums.same[rows] += share * (smooth[cell] - weights)  # the kernel of a bin and itself is 1
            sums.other[rows] += share * smooth[across]

    def _across(self, cell: Cells) -> Cells:
        """The cells of the same group and step, but the other label."""
        return cell + self.steps * (1 - 2 * (cell // self.steps % 2))

    def _smooth(self, cell: Cells, weights: Floats) -> Floats:
        """The weight of neighbours, by the cell that they are looked at from."""
        size = 2 * self.steps
        cells = np.bincount(cell, weights, minlength=(int(cell.max()) // size + 1) * size)
        return (cells.astype(np.float32).reshape(-1, self.steps) @ self.kernel).ravel()

    def _add_back_off(self, weights: Floats, sums: Sums) -> None:
        """Let rare pairs hear the other pairs with the same contrast: all with it, less those of the pair itself."""
        asking = self.rare[self.contrasting]
        rows, cell = self.contrasting[asking], self.contrast[asking]
        if not len(rows):
            return
        whole = self._smooth(self.contrast, weights[self.contrasting])
        _, pair = np.unique(self.pair[rows], return_inverse=True)
        mine = self._cells(pair.astype(np.int32), rows)
        own = self._smooth(mine, weights[rows])
        sums.same[rows] += self.back_off * (whole[cell] - own[mine])
        sums.other[rows] += self.back_off * (whole[self._across(cell)] - own[self._across(mine)])


def log_odds(share: Floats, ceiling: float) -> Floats:
    """(N,) log(p / (1 - p)) of shares that are kept within [1 - ceiling, ceiling]."""
    kept = np.clip(share, 1 - ceiling, ceiling)
    return np.log(kept / (1 - kept)).astype(np.float32)


def updated(share: Floats, prior: float, sums: Sums) -> Floats:
    """(N,) the posterior of the label after evidence: the mean of a Beta distribution of strength `prior` and the
    neighbours' counts, (m p + n+) / (m + n+ + n-)."""
    return (prior * share + sums.same) / (prior + sums.same + sums.other)


def uncertainty(share: Floats) -> Floats:
    """(N,) how far a label with this probability is from certain [bit]: the entropy of the two words, and beyond even
    odds, where the other word is the likelier one, 2 minus it. Falls from 2 to 0, so that evidence against a label
    never counts as a gain."""
    share = np.clip(share, 1e-6, 1 - 1e-6)
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    return np.where(share < 0.5, 2 - entropy, entropy).astype(np.float32)


def _coded(high: NDArray[np.integer], low: NDArray[np.integer]) -> NDArray[np.int64]:
    """One number for each pair of numbers that are not negative, rising with the first."""
    return high.astype(np.int64) * (int(low.max(initial=0)) + 1) + low

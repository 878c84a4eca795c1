"""What the bins of a pool say about each other: an index by the two best words instead of all pairs of bins.

Bins b and b' that have the same unordered pair of best words are alike by

    k(b, b') = exp(-beta |z - z'|) * (any + left [same word before] + right [same word behind] + voice [same speaker]
               + pace [like duration per phone]),    any = 1 - left - right - voice - pace,

z being the log odds of the pair's first word against its second, rounded to steps. b' supports b if it is labelled
with the same word, and contradicts it otherwise. A pair in fewer than `rare` bins also hears the bins of all other
pairs whose words differ in the same two phones, by k = back_off * any * exp(-beta |z - z'|).

The kernel is a sum of products, so sums over neighbours need no pairs: for each facet (any, left, ...) bins are
counted by (pair, facet's value, label, step), the counts are smoothed along the steps by a small matrix, and every bin
reads its cell. N bins cost O(N log N) to index, once, and O(N S) for each pass over S steps (some 16).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.commands.select_data.bins import Bins, Floats, Ints
from voxkit.commands.select_data.command import SimilarityConfig
from voxkit.commands.select_data.sounds import Sounds

CHUNK = 1 << 18  # bins that are looked at together, if no pair has more
APART = -1  # code of a facet whose value is not known: like no other


class Sums(NamedTuple):
    """(N,) for each bin: the weight of its neighbours with the same label, and with the other one."""

    same: Floats
    other: Floats


@dataclass(frozen=True, eq=False)
class _Facet:
    share: float
    code: Ints  # (N,) group of each bin, rising with the bins' pairs


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
        self.facets = [_Facet(share, self._groups(value)) for share, value in named if share > 0]
        if self.any > 0:
            self.facets.append(_Facet(self.any, self.pair))
        self.rare = (count < config.rare)[self.pair]
        self.back_off = config.back_off * self.any
        told_apart = mine != theirs
        contrast = _coded(np.minimum(mine, theirs), np.maximum(mine, theirs))
        _, groups = np.unique(contrast, return_inverse=True)
        self.contrast = np.where(told_apart, groups, APART).astype(np.int32)

    def _groups(self, value: NDArray[np.integer]) -> Ints:
        """(N,) one code for each (pair, value), rising with the pairs."""
        _, code = np.unique(_coded(self.pair, value - min(int(value.min(initial=0)), 0)), return_inverse=True)
        return code.astype(np.int32)

    def sums(self, weights: ArrayLike) -> Sums:
        """Add up the neighbours of every bin, itself left out.

        Args:
            weights: (N,) what each bin counts as a neighbour.
        """
        weights = np.asarray(weights, dtype=np.float32)
        sums = Sums(-weights, np.zeros_like(weights))  # a bin is in its own cell, where the kernel is 1
        for chunk in self._chunks():
            for facet in self.facets:
                self._add(chunk, facet.code[chunk], facet.share, weights[chunk], sums)
        if self.back_off > 0 and self.rare.any():
            self._add_back_off(weights, sums)
        for part in sums:
            np.maximum(part, 0, out=part)  # what rounding left of nothing
        return sums

    def _chunks(self) -> Iterator[slice]:
        """Ranges of whole pairs."""
        begin = 0
        while begin < len(self.pair):
            last = self.pair[min(begin + CHUNK, len(self.pair)) - 1]
            end = int(np.searchsorted(self.pair, last, side="left"))
            if end == begin or begin + CHUNK >= len(self.pair):
                end = int(np.searchsorted(self.pair, last, side="right"))
            yield slice(begin, end)
            begin = end

    def _add(self, rows: slice, code: Ints, share: float, weights: Floats, sums: Sums) -> None:
        """Add one facet's share of a range of bins."""
        code = code - code.min()
        smooth = self._smooth(code, self.side[rows], self.step[rows], weights)
        side, step = self.side[rows], self.step[rows]
        sums.same[rows] += share * smooth[code, side, step]
        sums.other[rows] += share * smooth[code, 1 - side, step]

    def _smooth(self, code: Ints, side: NDArray[np.int8], step: NDArray[np.int8], weights: Floats) -> Floats:
        """(C, 2, S) the weight of neighbours by group, side and step at which they are looked at from."""
        cell = (code.astype(np.int64) * 2 + side) * self.steps + step
        cells = np.bincount(cell, weights, minlength=(int(code.max()) + 1) * 2 * self.steps)
        return cells.astype(np.float32).reshape(-1, 2, self.steps) @ self.kernel

    def _add_back_off(self, weights: Floats, sums: Sums) -> None:
        """Let rare pairs hear the other pairs with the same contrast: all with it, less those of the pair itself."""
        known = self.contrast != APART
        asking = np.flatnonzero(self.rare & known)
        if not len(asking):
            return
        sources = np.flatnonzero(known)
        whole = self._smooth(self.contrast[sources], self.side[sources], self.step[sources], weights[sources])
        _, pair = np.unique(self.pair[asking], return_inverse=True)
        own = self._smooth(pair.astype(np.int32), self.side[asking], self.step[asking], weights[asking])
        side, step, contrast = self.side[asking], self.step[asking], self.contrast[asking]
        sums.same[asking] += self.back_off * (whole[contrast, side, step] - own[pair, side, step])
        sums.other[asking] += self.back_off * (whole[contrast, 1 - side, step] - own[pair, 1 - side, step])


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

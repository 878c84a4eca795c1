"""Two classifiers compared on the same clips: the exact McNemar test, and a bootstrap over clips and seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.metrics.calibration import Doubles, quantiles
from voxkit.metrics.resampling import draws_with_replacement

_AT_ONCE = 2_000_000  # clips drawn in one go by the bootstrap


class McNemar(NamedTuple):
    """The outcome of a McNemar test.

    Attributes:
        only_a: clips about which the first classifier alone is right, often called b.
        only_b: those about which the second alone is, often called c.
        p: how likely counts at least as unequal are if both are right equally often, in [0, 1].
    """

    only_a: int
    only_b: int
    p: float

    def __str__(self) -> str:
        return f"only the first right {self.only_a}, only the second {self.only_b}, McNemar p = {self.p:.3g}"


class Pooled(NamedTuple):
    """Two classifiers, of each several runs from different seeds.

    Attributes:
        test: the McNemar test on the pairs of all seeds as if each were a clip of its own, which they are not.
        accuracy_a, accuracy_b: means over seeds [per cent].
        difference: second minus first [points].
        low, high: its 95 % interval over clips, and seeds if they were drawn [points].
        p: two-sided, how likely a difference so far from zero is by the choice of those, in (0, 1].
    """

    test: McNemar
    accuracy_a: float
    accuracy_b: float
    difference: float
    low: float
    high: float
    p: float

    def __str__(self) -> str:
        return (
            f"{self.accuracy_a:.2f} to {self.accuracy_b:.2f}: {self.difference:+.2f} points "
            f"({self.low:+.2f} to {self.high:+.2f} by bootstrap, p = {self.p:.3g}); pooled: {self.test}"
        )


def mcnemar(right_a: ArrayLike, right_b: ArrayLike) -> McNemar:
    """The exact, two-sided binomial form of the test of McNemar (1947) on clips that only one classifier gets right.

    Args:
        right_a, right_b: (N,) bool, the same clips in the same order.

    Raises:
        ValueError: shapes that differ.
    """
    first, second = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"shapes {first.shape} and {second.shape} where (N,) twice should be")
    only_a, only_b = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(only_a, only_b, _binomial(only_a, only_b))


def _binomial(heads: int, tails: int) -> float:
    """How likely so unequal counts are with a fair coin; in whole numbers, and so exact for thousands of throws."""
    total, fewer = heads + tails, min(heads, tails)
    term, tail = 1, 0
    for number in range(fewer + 1):
        tail += term
        term = term * (total - number) // (number + 1)
    return min(1.0, 2 * tail / 2**total)


def mcnemar_pooled(
    right_a: ArrayLike, right_b: ArrayLike, draw_seeds: bool = True, replications: int = 10_000, seed: int = 0
) -> Pooled:
    """Compare two classifiers over several seeds of each, on the same clips.

    A clip that is hard for one seed is hard for the next, so that pairs of several seeds are fewer independent
    observations than they count as, and the pooled McNemar test (McNemar 1947) finds differences too readily. The
    interval and `p` come from a bootstrap that draws clips, the same for both, and seeds, for each by itself. Drawing
    both ways counts chance that belongs to neither clip nor seed up to three times (Owen 2007, the pigeonhole
    bootstrap), so that the interval is rather too wide.

    Args:
        right_a, right_b: (S, N) bool, the same seeds and the same clips in the same order.
        draw_seeds: otherwise only clips are drawn, and the answer is about these very models.

    Raises:
        ValueError: shapes that differ, or nothing to compare.
    """
    first, second = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    if first.shape != second.shape or first.ndim != 2 or not first.size:
        raise ValueError(f"shapes {first.shape} and {second.shape} where (seeds, clips) twice should be")
    draws = _differences(first, second, draw_seeds, replications, np.random.default_rng(seed))
    least = 1 + min((draws <= 0).sum(), (draws >= 0).sum())
    before, after = (100 * float(right.sum()) / right.size for right in (first, second))
    difference = 100 * (int(second.sum()) - int(first.sum())) / first.size
    p = min(1.0, 2 * least / (replications + 1))
    return Pooled(mcnemar(first.ravel(), second.ravel()), before, after, difference, *quantiles(draws), float(p))


def _differences(
    first: NDArray[np.bool_], second: NDArray[np.bool_], draw_seeds: bool, replications: int, rng: np.random.Generator
) -> Doubles:
    """(R,) by how much the second's accuracy exceeds the first's in each draw [points]."""
    seeds, clips = first.shape
    at_once = max(1, _AT_ONCE // clips)
    found = []
    for begin in range(0, replications, at_once):
        rows = min(at_once, replications - begin)
        times = draws_with_replacement(rng, rows, clips)
        # sums of whole numbers: a difference of nothing is exactly zero
        before, after = (
            ((times @ right.T.astype(np.float64)) * (draws_with_replacement(rng, rows, seeds) if draw_seeds else 1))
            for right in (first, second)
        )
        found.append(100 * (after.sum(axis=1) - before.sum(axis=1)) / (seeds * clips))
    return np.concatenate(found)

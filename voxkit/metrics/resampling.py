"""The bootstrap over units (sentences, clips, speakers) and over the seeds of training, the same units for all systems.

Shapes: R draws, P systems, S seeds, N units, K counts of each unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.metrics.calibration import Doubles, Interval, quantiles

_AT_ONCE = 2_000_000  # units drawn in one go


def draws_with_replacement(rng: np.random.Generator, rows: int, count: int) -> Doubles:
    """(rows, count) how often each of `count` things is there when as many are drawn with replacement."""
    drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def resampled(
    systems: Sequence[NDArray[np.number[Any]]], replications: int, seed: int, same_models: bool = False
) -> Doubles:
    """(R, P, K) the counts of P systems, summed over units that are drawn, the same ones for all systems.

    A system that was trained with several seeds is drawn with its seeds: as many as there are of them, with
    replacement, for each system by itself; its counts are their mean. How far a draw's mean is from that of all seeds
    is multiplied by sqrt(S / (S - 1)), which it falls short by (Efron 1982, "The jackknife, the bootstrap and other
    resampling plans"). So the spread is that of training and of the test set together; of one seed it can only be that
    of the test set.

    Args:
        systems: of each (S, N, K); S may differ.
        same_models: the seeds of all systems are the same models, as on another test set, and drawn together.
    """
    _, units, kinds = systems[0].shape
    rng, at_once = np.random.default_rng(seed), max(1, _AT_ONCE // units)
    sums = np.empty((replications, len(systems), kinds))
    for begin in range(0, replications, at_once):
        rows = min(at_once, replications - begin)
        times = draws_with_replacement(rng, rows, units)
        seeds = np.ones((rows, 1))
        for place, system in enumerate(systems):
            if place == 0 or not same_models:
                seeds = seed_weights(rng, rows, len(system))
            by_seed = (times @ system.transpose(1, 0, 2).reshape(units, -1)).reshape(rows, len(system), kinds)
            sums[begin : begin + rows, place] = np.einsum("rs,rsk->rk", seeds, by_seed) / len(system)
    return sums


def seed_weights(rng: np.random.Generator, rows: int, count: int) -> Doubles:
    """(rows, count) the weights of seeds that are drawn, spread as `resampled` says; they sum to `count`."""
    if count == 1:
        return np.ones((rows, 1))
    return 1 + (draws_with_replacement(rng, rows, count) - 1) * np.sqrt(count / (count - 1))


def relative_change(
    before: NDArray[np.number[Any]], after: NDArray[np.number[Any]], replications: int = 2000, seed: int = 0
) -> Interval:
    """By how much a sum over units is larger after than before [per cent], with its 95 % interval; see `resampled`.

    Args:
        before, after: (S, N) such as errors; S may differ. Draws where there is nothing before do not count, and
            without anything before all is NaN.
    """
    if not before.any():
        return Interval(float("nan"), float("nan"), float("nan"))
    value = 100 * (float(after.sum()) / len(after) / (float(before.sum()) / len(before)) - 1)
    old, new = resampled([before[..., None], after[..., None]], replications, seed)[..., 0].T
    return Interval(value, *quantiles(100 * (new[old > 0] / old[old > 0] - 1)))

"""How sure a tagger's scores are: the bootstrap over sentences and over the seeds of training.

Shapes: R draws, P systems, S seeds, N sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from voxkit.errors import UserError
from voxkit.metrics.calibration import Doubles, Interval, quantiles
from voxkit.metrics.classify import draws_with_replacement

if TYPE_CHECKING:
    from voxkit.metrics.entities import EntityReport

PartName = Literal["all", "seen", "unseen"]
Measure = Literal["f1", "recall"]
Ints = NDArray[np.int64]

_AT_ONCE = 2_000_000  # sentences drawn in one go


def bootstrap(counts: Sequence[Ints], replications: int, seed: int) -> Doubles:
    """(R, P, 3) right, found and tagged entities of P systems when sentences are drawn, the same for all systems.

    A system that was trained with several seeds is drawn with its seeds: as many as there are of them, with
    replacement, for each system by itself. So the spread is that of training and of the test set together.

    Args:
        counts: of each system (S, N, 3), for each seed what `EntityReport.counts` has.
    """
    _, sentences, _ = counts[0].shape
    rng, at_once = np.random.default_rng(seed), max(1, _AT_ONCE // sentences)
    sums = np.empty((replications, len(counts), 3))
    for begin in range(0, replications, at_once):
        rows = min(at_once, replications - begin)
        times = draws_with_replacement(rng, rows, sentences)
        for place, system in enumerate(counts):
            seeds = draws_with_replacement(rng, rows, len(system)) if len(system) > 1 else np.ones((rows, 1))
            by_seed = (times @ system.transpose(1, 0, 2).reshape(sentences, -1)).reshape(rows, len(system), 3)
            sums[begin : begin + rows, place] = np.einsum("rs,rsk->rk", seeds, by_seed)
    return sums


def over_seeds(
    reports: Sequence[EntityReport],
    part: PartName = "all",
    measure: Measure = "f1",
    replications: int = 1000,
    seed: int = 0,
) -> Interval:
    """A measure [per cent] of one system, all its seeds together, with its 95 % interval; see `bootstrap`."""
    counts = np.stack([report.counts(part) for report in reports])
    draws = measured(bootstrap([counts], replications, seed)[:, 0], measure)
    return Interval(float(measured(counts.sum((0, 1)), measure)), *quantiles(draws))


def paired_difference(
    a: Sequence[EntityReport],
    b: Sequence[EntityReport],
    part: PartName = "all",
    measure: Measure = "f1",
    replications: int = 1000,
    seed: int = 0,
) -> Interval:
    """By how many points a measure of system `b` exceeds that of `a`, with its 95 % interval; see `bootstrap`.

    Args:
        a, b: a report for each seed. The words of their sentences may differ, as in a test set and the same one
            corrupted, but neither their order nor their tags.

    Raises:
        UserError: the sentences are not the same.
    """
    if len({tuple((one.id, one.tags) for one in report.sentences) for report in (*a, *b)}) > 1:
        raise UserError("the sentences to compare are not the same ones", fix="score both on the same file")
    counts = [np.stack([report.counts(part) for report in reports]) for reports in (a, b)]
    draws = measured(bootstrap(counts, replications, seed), measure)
    before, after = (float(measured(some.sum((0, 1)), measure)) for some in counts)
    return Interval(after - before, *quantiles(draws[:, 1] - draws[:, 0]))


def measured(counts: NDArray[np.generic], measure: Measure) -> Doubles:
    """F1 or recall from (..., 3) right, found, tagged -> (...,) [per cent]; NaN where there is nothing to measure."""
    right, found, tagged = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100 * (2 * right / (found + tagged) if measure == "f1" else right / tagged))

"""How sure a tagger's scores are: the bootstrap over sentences and over the seeds of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from voxkit.errors import UserError
from voxkit.metrics.calibration import Doubles, Interval, quantiles
from voxkit.metrics.resampling import resampled

if TYPE_CHECKING:
    from voxkit.metrics.entities import EntityReport

PartName = Literal["all", "seen", "unseen"]
Measure = Literal["f1", "recall"]
Ints = NDArray[np.int64]


def over_seeds(
    reports: Sequence[EntityReport],
    part: PartName = "all",
    measure: Measure = "f1",
    replications: int = 1000,
    seed: int = 0,
) -> Interval:
    """A measure [per cent] of one system, all its seeds together, with its 95 % interval; see `resampled`."""
    counts = np.stack([report.counts(part) for report in reports])
    draws = measured(resampled([counts], replications, seed)[:, 0], measure)
    return Interval(float(measured(counts.sum((0, 1)), measure)), *quantiles(draws))


def paired_difference(
    a: Sequence[EntityReport],
    b: Sequence[EntityReport],
    part: PartName = "all",
    measure: Measure = "f1",
    replications: int = 1000,
    seed: int = 0,
    same_models: bool = False,
) -> Interval:
    """By how many points a measure of system `b` exceeds that of `a`, with its 95 % interval; see `resampled`.

    Args:
        a, b: a report for each seed. The words of their sentences may differ, as in a test set and the same one
            corrupted, but neither their order nor their tags.
        same_models: the seeds of both are the same models.

    Raises:
        UserError: the sentences are not the same.
    """
    if len({tuple((one.id, one.tags) for one in report.sentences) for report in (*a, *b)}) > 1:
        raise UserError("the sentences to compare are not the same ones", fix="score both on the same file")
    counts = [np.stack([report.counts(part) for report in reports]) for reports in (a, b)]
    draws = measured(resampled(counts, replications, seed, same_models), measure)
    before, after = (float(measured(some.sum((0, 1)), measure)) for some in counts)
    return Interval(after - before, *quantiles(draws[:, 1] - draws[:, 0]))


def measured(counts: NDArray[np.generic], measure: Measure) -> Doubles:
    """F1 or recall from (..., 3) right, found, tagged -> (...,) [per cent]; NaN where there is nothing to measure."""
    right, found, tagged = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100 * (2 * right / (found + tagged) if measure == "f1" else right / tagged))

"""Thresholds of independent classes, tuned on clips whose classes are known."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.metrics.calibration import Doubles
from voxkit.metrics.classify import THRESHOLD


def tune_thresholds(reference: ArrayLike, scores: ArrayLike, goal: Literal["f1", "eer"] = "f1") -> Doubles:
    """From which score on each class is best taken to hold.

    Every threshold between two neighbouring scores decides alike, and the middle is taken, so that it is as good for
    scores not seen. Of several that have the best F1, neighbours are one plateau, and the widest plateau is taken, of
    equally wide ones the lowest.

    Args:
        reference: (N, C) bool.
        scores: (N, C) in [0, 1].
        goal: "f1" for the highest F1, "eer" for rates of misses and of false alarms that are nearest to each other.

    Returns:
        (C,) thresholds; a class holds where its score is at least that. A class without positives keeps 0.5, and so
        does one without negatives if the goal is "eer".

    Raises:
        ValueError: shapes that differ, or a score outside [0, 1].
    """
    truth, values = np.asarray(reference, dtype=bool), np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 2:
        raise ValueError(f"reference {truth.shape} and scores {values.shape} where (N, C) twice should be")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("scores lie in [0, 1]")
    best = _best_f1 if goal == "f1" else _nearest_rates
    return np.array([best(*both) for both in zip(truth.T, values.T, strict=True)], dtype=np.float64)


def _accepted(wanted: NDArray[np.bool_], scores: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """(K,) the distinct scores from the lowest, and how many positives and how many clips score at least as much."""
    levels, place = np.unique(scores, return_inverse=True)
    positives, clips = np.bincount(place, wanted), np.bincount(place)
    right, accepted = (np.cumsum(some[::-1], dtype=np.float64)[::-1] for some in (positives, clips))
    return levels, right, accepted


def _best_f1(wanted: NDArray[np.bool_], scores: Doubles) -> float:
    if not wanted.any():
        return THRESHOLD
    levels, right, accepted = _accepted(wanted, scores)
    f1 = 2 * right / (accepted + wanted.sum())  # quotients of whole numbers: equal ones are equal to the last bit
    best = np.r_[False, f1 == f1.max(), False].astype(int)
    first, last = np.flatnonzero(np.diff(best) == 1), np.flatnonzero(np.diff(best) == -1) - 1
    low, high = np.r_[0.0, levels][first], levels[last]
    widest = int(np.argmax(high - low))
    return _middle(low[widest], high[widest])


def _nearest_rates(wanted: NDArray[np.bool_], scores: Doubles) -> float:
    if not wanted.any() or wanted.all():
        return THRESHOLD
    levels, right, accepted = _accepted(wanted, scores)
    misses, alarms = 1 - right / right[0], (accepted - right) / (accepted[0] - right[0])
    nearest = int(np.argmin(np.abs(misses - alarms)))
    return _middle(np.r_[0.0, levels][nearest], levels[nearest])


def _middle(low: float, high: float) -> float:
    """Between two scores, above the lower of which the threshold must lie; they may be neighbouring numbers."""
    middle = (low + high) / 2
    return float(middle if low < middle else high)

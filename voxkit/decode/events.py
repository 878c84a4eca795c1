"""Events from the posteriors of windows: smoothing, two thresholds, gaps closed, short ones dropped; tuning.

**Time.** Window i is centred on i hop [s], with silence where it reaches out of the recording, and speaks for what is
around its centre: the cell [i hop - hop / 2, i hop + hop / 2], as far as it is in the recording. A classifier whose
posterior is the share of its window that the event fills, or 1 as soon as that is more than half of it, passes 0.5
where the window's centre passes the onset, and again at the offset. So both are off by at most hop / 2, by nothing on
average, as long as the event is longer than the window; of shorter ones the posterior's peak is lower and not wider
than the event. Averaging all windows over each moment instead would be unbiased too, but blur twice, and lose more of
short events.

A low threshold (`low` below 1) moves both edges out, by (0.5 - low x threshold) x window for such a classifier: what
it is for is to keep an event in one piece whose posterior wavers. Smoothing is centred and so moves neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.data.detect_config import DetectConfig
from voxkit.data.events import Event, Tally
from voxkit.errors import UserError

Doubles = NDArray[np.float64]
Head = Literal["single", "multi"]
Match = Callable[[Sequence[Event], Sequence[Event]], Mapping[str, Tally]]

GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))  # thresholds that are tried
_EXACT = 1e-9  # times that differ by less are equal [s]


@dataclass(frozen=True)
class Heard:
    """A recording as the classifier heard it: posteriors (W, C) of its windows, and its length [s] if that is known."""

    posteriors: NDArray[np.floating]
    duration: float | None = None


def detect(
    posteriors: ArrayLike,
    labels: Sequence[str],
    hop: float,
    config: DetectConfig,
    thresholds: Mapping[str, float] | None = None,
    *,
    head: Head = "multi",
    background: Sequence[str] = (),
    duration: float | None = None,
) -> list[Event]:
    """Find the events of a recording.

    Args:
        posteriors: (W, C) in [0, 1], of windows that are centred every `hop` seconds, the first one on 0.
        labels: C names.
        hop: from one window to the next [s].
        thresholds: by class, tuned ones for example; `config.thresholds` goes before them, `config.threshold` stands
            in for those that are in neither.
        head: single: a window is of one class, that with the highest smoothed posterior (of equals the first); multi:
            each class is looked at by itself.
        background: classes that are no events; in a single head they still compete.
        duration: of the recording [s], which events do not exceed; any if None.

    Returns:
        Sorted by start; the score is the highest smoothed posterior.

    Raises:
        UserError: thresholds or background of classes that there are not.
        ValueError: posteriors of another shape, or that are no numbers.
    """
    heard = Heard(np.asarray(posteriors, dtype=np.float64), duration)
    values = thresholds_of(labels, config, thresholds)
    scores = _scores(heard, labels, hop, config, head, background)
    return _events(scores, values, labels, _edges(heard, hop), config)


def tune(
    recordings: Sequence[Heard],
    references: Sequence[Sequence[Event]],
    labels: Sequence[str],
    hop: float,
    config: DetectConfig,
    match: Match,
    *,
    head: Head = "multi",
    background: Sequence[str] = (),
    grid: Sequence[float] = GRID,
) -> dict[str, float]:
    """Choose the threshold of each class that gives the highest event F1 over all recordings.

    The classes do not depend on each other's thresholds, so that each is at its best. Of equally good thresholds those
    with the fewest false alarms count, which matters where none finds anything. Of neighbouring ones among these the
    middle one is taken (of several such runs the longest, of equally long ones the lowest).

    Args:
        references: the events of each recording.
        match: counts hits, misses and false alarms by label of one recording's reference and found events
            (voxkit.metrics.events.tallies).
        grid: thresholds to try, ascending.

    Returns:
        For each class that is no background. Those without events in the references keep what `config` has for them.

    Raises:
        UserError, ValueError: as `detect`; or there are not as many references as recordings.
    """
    scores = [_scores(heard, labels, hop, config, head, background) for heard in recordings]
    edges = [_edges(heard, hop) for heard in recordings]
    f1, alarms = np.zeros((2, len(grid), len(labels)))
    for row, threshold in enumerate(grid):
        sums = dict.fromkeys(labels, Tally())
        for score, edge, reference in zip(scores, edges, references, strict=True):
            found = _events(score, np.full(len(labels), threshold), labels, edge, config)
            for label, tally in match(reference, found).items():
                if label in sums:
                    sums[label] += tally
        f1[row] = [sums[label].f1 for label in labels]
        alarms[row] = [sums[label].alarms for label in labels]
    known = {event.label for reference in references for event in reference}
    kept = thresholds_of(labels, config)
    return {
        label: float(grid[_middle_of_best(f1[:, column], alarms[:, column])] if label in known else kept[column])
        for column, label in enumerate(labels)
        if label not in background
    }


def thresholds_of(labels: Sequence[str], config: DetectConfig, tuned: Mapping[str, float] | None = None) -> Doubles:
    """(C,) the threshold of each class: what the config has for it, else the tuned one, else the general one.

    Raises:
        UserError: thresholds of classes that there are not.
    """
    known = {**(tuned or {}), **config.thresholds}
    require_known(known, labels, "thresholds")
    return np.array([known.get(label, config.threshold) for label in labels], dtype=np.float64)


def smooth(values: NDArray[np.floating], before: int, after: int, how: Literal["mean", "median"]) -> Doubles:
    """(N, C) the mean or median of each row, so many rows before it and so many after, of those that there are.

    Each sum is added up in the same order wherever the row stands, so that a stream cut into pieces gives the same.
    """
    rows = np.asarray(values, dtype=np.float64)
    if before == after == 0 or not len(rows):
        return rows.copy()
    span, inner = before + after + 1, len(rows) - before - after
    smoothed = np.empty_like(rows)
    middle = range(before, before + max(inner, 0))
    for row in (*range(min(before, len(rows))), *range(max(len(rows) - after, before), len(rows))):
        near = rows[max(row - before, 0) : row + after + 1]
        smoothed[row] = np.median(near, axis=0) if how == "median" else _sum(near[:, None])[0] / len(near)
    if inner > 0:
        views = np.lib.stride_tricks.sliding_window_view(rows, span, axis=0)  # (N - span + 1, C, span)
        if how == "median":
            for column in range(rows.shape[1]):
                smoothed[middle.start : middle.stop, column] = np.median(views[:, column], axis=1)
        else:
            shifted = np.moveaxis(views, 2, 0)  # (span, N - span + 1, C)
            smoothed[middle.start : middle.stop] = _sum(shifted) / span
    return smoothed


def _sum(parts: NDArray[np.float64]) -> Doubles:
    """(N, C) from (P, N, C), added up one after the other."""
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


def require_known(names: Iterable[str], labels: Sequence[str], what: str) -> None:
    """Refuse names that are no classes; `what` they are of, for example "thresholds".

    Raises:
        UserError: there are such.
    """
    strange = sorted(set(names) - set(labels))
    if strange:
        raise UserError(
            f"{what} of classes that the model does not know: {', '.join(strange)}",
            fix=f"its classes are {', '.join(labels)}",
        )


def _scores(
    heard: Heard, labels: Sequence[str], hop: float, config: DetectConfig, head: Head, background: Sequence[str]
) -> Doubles:
    """(C, W) smoothed posteriors, 0 where a class cannot be active."""
    posteriors = np.asarray(heard.posteriors, dtype=np.float64)
    if posteriors.ndim != 2 or posteriors.shape[1] != len(labels):
        raise ValueError(f"posteriors of shape {posteriors.shape} where (W, {len(labels)}) should be")
    if not np.isfinite(posteriors).all():
        raise ValueError("posteriors that are no numbers")
    require_known(background, labels, "background")
    around = round(config.smoothing / hop) // 2
    scores = smooth(posteriors, around, around, config.smooth).T.copy()
    if head == "single" and len(labels):
        scores[np.arange(len(labels))[:, None] != scores.argmax(axis=0)] = 0
    scores[[label in background for label in labels]] = 0
    return scores


def _edges(heard: Heard, hop: float) -> Doubles:
    """(W + 1,) where the cells of the windows begin and end [s]."""
    end = np.inf if heard.duration is None else heard.duration
    edges: Doubles = np.clip((np.arange(len(heard.posteriors) + 1) - 0.5) * hop, 0, end)
    return edges


def _events(
    scores: Doubles, thresholds: Doubles, labels: Sequence[str], edges: Doubles, config: DetectConfig
) -> list[Event]:
    """Events of all classes at once: rows are laid end to end with an inactive window after each.

    Args:
        scores: (C, W), changed by nothing.
        thresholds: (C,) above 0.
        edges: (W + 1,) of the windows' cells [s].
    """
    classes, windows = scores.shape
    if not classes or not windows:
        return []
    line = np.zeros((classes, windows + 1))
    line[:, :windows] = scores
    high, low = (np.ravel(line >= level[:, None]) for level in (thresholds, thresholds * config.low))
    change = np.diff(low.astype(np.int8), prepend=0)  # the last window of all is inactive, so every run ends
    begins, ends = np.flatnonzero(change > 0), np.flatnonzero(change < 0)
    reached = np.r_[0, np.cumsum(high)]
    loud = reached[ends] > reached[begins]
    begins, ends = begins[loud], ends[loud]
    if not len(begins):
        return []
    row = begins // (windows + 1)
    start, end = edges[begins - row * (windows + 1)], edges[ends - row * (windows + 1)]
    apart = (np.diff(row) > 0) | (start[1:] - end[:-1] > config.min_gap + _EXACT)
    firsts = np.flatnonzero(np.r_[True, apart])
    lasts = np.r_[firsts[1:], len(row)] - 1
    peaks = np.maximum.reduceat(line.ravel(), np.stack([begins[firsts], ends[lasts]], axis=1).ravel())[::2]
    start, end, row = start[firsts], end[lasts], row[firsts]
    long = (end - start >= config.min_duration - _EXACT) & (end > start)
    found = zip(row[long].tolist(), start[long].tolist(), end[long].tolist(), peaks[long].tolist(), strict=True)
    order = sorted(found, key=lambda event: (event[1], event[2], event[0]))
    return [Event(labels[column], begin, finish, score) for column, begin, finish, score in order]


def _middle_of_best(values: Doubles, costs: Doubles) -> int:
    """The middle (of an even number the lower one) of the longest run of the least costs among the highest values."""
    best = np.flatnonzero(values >= values.max() - _EXACT)
    best = best[costs[best] == costs[best].min()]
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    longest = max(runs, key=len)
    return int(longest[(len(longest) - 1) // 2])

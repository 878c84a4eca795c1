"""Events in time scored: event-based and segment-based F1, error rate; keywords: misses against false alarms an hour.

Event-based and segment-based measures are those of Mesaros, Heittola and Virtanen 2016, Metrics for polyphonic sound
event detection: a found event is right if its label is, and its onset and offset lie within a collar of those of an
event of the reference, where each event is paired at most once and as many as can be are paired. Micro values add up
all events, macro ones are means over classes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxkit.data.events import Detection, Event, Tally
from voxkit.errors import UserError

Doubles = NDArray[np.float64]

_EXACT = 1e-6  # times that differ by less are equal [s]


@dataclass(frozen=True)
class Collars:
    """How far off a found event may be: `onset` [s], and the larger of `offset` [s] and `share` of its length.

    `offset` None: ends are not looked at.
    """

    onset: float = 0.2
    offset: float | None = 0.2
    share: float = 0.2


COLLARS = Collars()


def pairs(reference: Sequence[Event], found: Sequence[Event], collars: Collars = COLLARS) -> list[tuple[int, int]]:
    """Indexes (reference, found) of as many pairs as there can be, sorted; events with the highest scores first."""
    taken: list[tuple[int, int]] = []
    for label in {event.label for event in reference}:
        wanted = sorted((i for i, event in enumerate(reference) if event.label == label), key=lambda i: reference[i])
        onsets = np.array([reference[i].start for i in wanted])
        offered = sorted((j for j, event in enumerate(found) if event.label == label), key=lambda j: -found[j].score)
        candidates: list[list[int]] = []
        for j in offered:
            first = np.searchsorted(onsets, found[j].start - collars.onset - _EXACT, side="left")
            last = np.searchsorted(onsets, found[j].start + collars.onset + _EXACT, side="right")
            candidates.append([i for i in wanted[first:last] if _same_end(reference[i], found[j], collars)])
        taken += [(i, offered[order]) for i, order in _assign(candidates).items()]
    return sorted(taken)


def _same_end(reference: Event, found: Event, collars: Collars) -> bool:
    if collars.offset is None:
        return True
    slack = max(collars.offset, collars.share * (reference.end - reference.start))
    return abs(reference.end - found.end) <= slack + _EXACT


def _assign(candidates: Sequence[Sequence[int]]) -> dict[int, int]:
    """A largest matching by augmenting paths (Kuhn 1955): to each taken reference the number of what took it.

    What comes first stays matched, so that after any number of them the matching of those is a largest one too.
    """
    taker: dict[int, int] = {}
    held: dict[int, int] = {}  # the other way round
    for begin in range(len(candidates)):
        came_by: dict[int, int] = {}  # by which taker each reference was reached
        waiting, free = [begin], None
        while waiting and free is None:
            who = waiting.pop(0)
            for reference in candidates[who]:
                if reference in came_by:
                    continue
                came_by[reference] = who
                if reference not in taker:
                    free = reference
                    break
                waiting.append(taker[reference])
        while free is not None:
            who = came_by[free]
            given_up = held.get(who)
            taker[free], held[who], free = who, free, given_up
    return taker


def tallies(reference: Sequence[Event], found: Sequence[Event], collars: Collars = COLLARS) -> dict[str, Tally]:
    """Hits, misses and false alarms in one recording by label, in order of the alphabet."""
    hits: defaultdict[str, int] = defaultdict(int)
    for i, _ in pairs(reference, found, collars):
        hits[reference[i].label] += 1
    references, reports = (_counts(some) for some in (reference, found))
    return {
        label: Tally(hits[label], references[label] - hits[label], reports[label] - hits[label])
        for label in sorted({*references, *reports})
    }


def _counts(events: Sequence[Event]) -> defaultdict[str, int]:
    counts: defaultdict[str, int] = defaultdict(int)
    for event in events:
        counts[event.label] += 1
    return counts


class SegmentRates(NamedTuple):
    """Of segments of equal length: F1 and error rate in [0, 1] (the rate may exceed 1; NaN without a reference)."""

    f1: float
    error_rate: float


@dataclass(frozen=True)
class ScoredRecording:
    """Events that are in a recording, and those that were found."""

    id: str
    duration: float  # s
    reference: Sequence[Event]
    found: Sequence[Event]


class EventReport:
    """The scores of detection in a set of recordings.

    Args:
        recordings: one or more.
        labels: the classes; those of the reference and of what was found if None.
        segment: length of a segment [s].

    Raises:
        UserError: there are no recordings, or an event has a label that is none of `labels`.
    """

    def __init__(
        self,
        recordings: Sequence[ScoredRecording],
        labels: Sequence[str] | None = None,
        collars: Collars = COLLARS,
        segment: float = 1.0,
    ) -> None:
        if not recordings:
            raise UserError("no recordings to score", fix="check that the file with the references is the right one")
        seen = {event.label for one in recordings for event in (*one.reference, *one.found)}
        self.labels = sorted(seen) if labels is None else list(labels)
        strange = sorted(seen - set(self.labels))
        if strange:
            fix = f"the model's classes are {', '.join(self.labels)}"
            raise UserError(f"events of classes that the model does not know: {', '.join(strange)}", fix=fix)
        self.recordings, self.collars, self.segment = list(recordings), collars, segment

    @cached_property
    def by_class(self) -> dict[str, Tally]:
        """Event-based counts of each class."""
        sums = dict.fromkeys(self.labels, Tally())
        for one in self.recordings:
            for label, tally in tallies(one.reference, one.found, self.collars).items():
                sums[label] += tally
        return sums

    @cached_property
    def events(self) -> Tally:
        """Event-based counts of all classes together."""
        return sum(self.by_class.values(), Tally())

    @property
    def macro_f1(self) -> float:
        """Mean event-based F1 of the classes that are in the reference; NaN if there is none."""
        scores = [tally.f1 for tally in self.by_class.values() if tally.total]
        return float(np.mean(scores)) if scores else float("nan")

    @cached_property
    def _active(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(S, C) whether a class is in each segment: by the reference, and by what was found."""
        both = [
            (_activity(one.reference, *of), _activity(one.found, *of))
            for one in self.recordings
            for of in [(self.labels, one.duration, self.segment)]
        ]
        return np.concatenate([one for one, _ in both]), np.concatenate([other for _, other in both])

    @cached_property
    def segments_by_class(self) -> dict[str, Tally]:
        """Segment-based counts of each class."""
        wanted, found = self._active
        counts = ((wanted & found).sum(axis=0), (wanted & ~found).sum(axis=0), (~wanted & found).sum(axis=0))
        return {label: Tally(*(int(count[column]) for count in counts)) for column, label in enumerate(self.labels)}

    @cached_property
    def segments(self) -> SegmentRates:
        """Over all classes; a miss and a false alarm in the same segment are one substitution in the error rate."""
        wanted, found = self._active
        hits, misses, alarms = (int(some.sum()) for some in (wanted & found, wanted & ~found, ~wanted & found))
        missed, wrong = (some.sum(axis=1) for some in (wanted & ~found, ~wanted & found))
        errors = int(np.maximum(missed, wrong).sum())  # substitutions, and what is left of either
        rate = errors / int(wanted.sum()) if wanted.any() else float("nan")
        return SegmentRates(Tally(hits, misses, alarms).f1, rate)

    def lines(self, path: object) -> list[str]:
        """`%F1` (event-based, over all classes), its macro mean `%MF1`, and `%SEGF1` and `%SEGER` of segments."""
        total, segments = self.events, self.segments
        collars = f"onset within {1000 * self.collars.onset:.0f} ms"
        if self.collars.offset is not None:
            collars += f", offset {1000 * self.collars.offset:.0f} ms or {100 * self.collars.share:.0f} %"
        detail = f"{total.hits} of {total.total} events, {total.alarms} false alarms"
        rates = f"precision {100 * total.precision:.2f}, recall {100 * total.recall:.2f}"
        classes = sum(tally.total > 0 for tally in self.by_class.values())
        return [
            f"%F1 {100 * total.f1:.2f} [ {rates}, {detail}, {collars} ] {path}",
            f"%MF1 {100 * self.macro_f1:.2f} [ mean of {classes} classes ] {path}",
            f"%SEGF1 {100 * segments.f1:.2f} [ segments of {self.segment:g} s ] {path}",
            f"%SEGER {100 * segments.error_rate:.2f} [ segments of {self.segment:g} s ] {path}",
        ]

    def as_dict(self) -> dict[str, Any]:
        """What `score.json` holds; rates in per cent, None for those without a meaning."""
        return {
            "f1": _rates(self.events),
            "macro_f1": _percent(self.macro_f1),
            "segment_f1": _percent(self.segments.f1),
            "segment_error_rate": _percent(self.segments.error_rate),
            "segment": self.segment,
            "collars": {"onset": self.collars.onset, "offset": self.collars.offset, "share": self.collars.share},
            "by_class": {label: _rates(tally) for label, tally in self.by_class.items()},
            "segments_by_class": {label: _rates(tally) for label, tally in self.segments_by_class.items()},
        }

    def write(self, folder: Path) -> None:
        """Write score.json and by_class.tsv into an existing folder."""
        (folder / "score.json").write_text(json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        rows = ["class\tf1\tprecision\trecall\thits\tmisses\tfalse_alarms\tsegment_f1"]
        for label, tally in self.by_class.items():
            rates = (tally.f1, tally.precision, tally.recall)
            cells = [*(f"{100 * rate:.2f}" for rate in rates), *map(str, astuple(tally))]
            rows.append("\t".join([label, *cells, f"{100 * self.segments_by_class[label].f1:.2f}"]))
        (folder / "by_class.tsv").write_text("\n".join(rows) + "\n", "utf-8")


def _activity(events: Sequence[Event], labels: Sequence[str], duration: float, segment: float) -> NDArray[np.bool_]:
    """(S, C) the classes that some part of each segment holds; S is at least 1, and the last one may be shorter."""
    count = max(1, int(np.ceil(duration / segment - _EXACT)))
    column = {label: number for number, label in enumerate(labels)}
    change = np.zeros((count + 1, len(labels)), dtype=np.int64)
    for event in events:
        first = min(max(int(np.floor(event.start / segment + _EXACT)), 0), count)
        last = min(max(int(np.ceil(event.end / segment - _EXACT)), first), count)
        change[first, column[event.label]] += 1
        change[last, column[event.label]] -= 1
    return np.cumsum(change, axis=0)[:count] > 0


def _percent(rate: float) -> float | None:
    return 100 * rate if np.isfinite(rate) else None


def _rates(tally: Tally) -> dict[str, float]:
    rates = {"rate": tally.f1, "precision": tally.precision, "recall": tally.recall}
    return {name: 100 * rate for name, rate in rates.items()} | asdict(tally)


class OperatingPoint(NamedTuple):
    """What a threshold costs: keywords missed of so many, and false alarms in so many hours."""

    threshold: float
    misses: int
    total: int
    alarms: int
    hours: float

    @property
    def frr(self) -> float:
        """False rejection rate in [0, 1]; NaN without keywords."""
        return self.misses / self.total if self.total else float("nan")

    @property
    def alarms_per_hour(self) -> float:
        return self.alarms / self.hours

    def line(self, path: object) -> str:
        """`%FRR 3.10 [ at 0.50 FA/h, threshold 0.630, 12 / 387 missed, 1 false alarms in 2.00 h ] path`."""
        counts = f"{self.misses} / {self.total} missed, {self.alarms} false alarms in {self.hours:.2f} h"
        return (
            f"%FRR {100 * self.frr:.2f} [ at {self.alarms_per_hour:.2f} FA/h, threshold {self.threshold:.3f}, {counts}"
            f" ] {path}"
        )


@dataclass(frozen=True)
class SpottedRecording:
    """Keywords that are said in a recording, and those that were reported."""

    duration: float  # s
    reference: Sequence[Event]
    found: Sequence[Detection]


def operating_point(recordings: Sequence[SpottedRecording], threshold: float, slack: float = 0.5) -> OperatingPoint:
    """Count what a detector that was run with `threshold` missed, and what it reported falsely.

    A report is right if it comes from the keyword's start to `slack` seconds after its end; a second one of the same
    keyword is a false alarm.

    Raises:
        UserError: the recordings last no time.
    """
    hours = sum(one.duration for one in recordings) / 3600
    if hours <= 0:
        raise UserError("no audio to count false alarms in", fix="give recordings with a length")
    right = [good for one in recordings for good in _right(one, slack)]
    total, hits = sum(len(one.reference) for one in recordings), sum(right)
    return OperatingPoint(threshold, total - hits, total, len(right) - hits, hours)


def _right(recording: SpottedRecording, slack: float) -> list[bool]:
    """Whether each report is right, the one of the highest score first."""
    spans: dict[str, Doubles] = {}
    for label in {report.label for report in recording.found}:
        said = [(n, event.start, event.end) for n, event in enumerate(recording.reference) if event.label == label]
        spans[label] = np.array(said, dtype=np.float64).reshape(-1, 3)
    reports = sorted(recording.found, key=lambda report: -report.score)
    near = []
    for report in reports:
        number, start, end = spans[report.label].T
        inside = (start <= report.time + _EXACT) & (report.time <= end + slack + _EXACT)
        near.append(number[inside].astype(int).tolist())
    matched = set(_assign(near).values())
    return [number in matched for number in range(len(reports))]

"""Events in time, as they are heard, written down and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Event(NamedTuple):
    """Something that is heard from `start` to `end` [s]; `score` is a posterior, 1 for one of the reference."""

    label: str
    start: float
    end: float
    score: float = 1.0


class Detection(NamedTuple):
    """A keyword reported at `time` [s], with its smoothed posterior then."""

    label: str
    time: float
    score: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Events that were found, missed, or reported though there was none; they add up with `+`."""

    hits: int = 0
    misses: int = 0
    alarms: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.hits + other.hits, self.misses + other.misses, self.alarms + other.alarms)

    @property
    def total(self) -> int:
        """Events of the reference."""
        return self.hits + self.misses

    @property
    def precision(self) -> float:
        """Share of the reported ones that are right; 1 if nothing is reported and nothing missed, else 0 then."""
        reported = self.hits + self.alarms
        return self.hits / reported if reported else float(self.misses == 0)

    @property
    def recall(self) -> float:
        """Share of the reference's that are found; 1 if it has none and nothing is reported, else 0 then."""
        return self.hits / self.total if self.total else float(self.alarms == 0)

    @property
    def f1(self) -> float:
        """Their harmonic mean, 2 hits / (2 hits + misses + alarms)."""
        counted = 2 * self.hits + self.misses + self.alarms
        return 2 * self.hits / counted if counted else 1.0


def table(events: Sequence[Event]) -> list[str]:
    """Lines for people, a head first: start and end [s], label, score.

    >>> print("\\n".join(table([Event("dog", 1.25, 3.0, 0.875)])))
      start     end  label  score
       1.25    3.00  dog    0.875
    """
    times = [(f"{event.start:.2f}", f"{event.end:.2f}") for event in events]
    time = max([7, *(len(end) for _, end in times)])
    label = max([5, *(len(event.label) for event in events)])
    head = f"{'start':>{time}} {'end':>{time}}  {'label':<{label}}  score"
    return [
        head,
        *(
            f"{start:>{time}} {end:>{time}}  {event.label:<{label}}  {event.score:.3f}"
            for (start, end), event in zip(times, events, strict=True)
        ),
    ]


def supervisions(
    events: Sequence[Event], recording_id: str, channel: int = 0, offset: float = 0.0
) -> list[dict[str, Any]]:
    """Events as lhotse's supervisions of a recording (`SupervisionSegment.from_dict` takes them).

    The label is the text and the custom field `class`, and the score is beside it.

    Args:
        offset: where in the recording the events' time 0 is [s].
    """
    return [
        {
            "id": f"{recording_id}-{number:05d}",
            "recording_id": recording_id,
            "start": round(offset + event.start, 8),
            "duration": round(event.end - event.start, 8),
            "channel": channel,
            "text": event.label,
            "custom": {"class": event.label, "score": round(event.score, 6)},
        }
        for number, event in enumerate(events)
    ]

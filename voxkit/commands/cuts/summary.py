"""`cuts show`: what is in manifests, as a table."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from voxkit.commands.cuts.lines import checked, supervisions_of, table
from voxkit.data.checks import duration_of, leaves
from voxkit.data.manifests import manifest_files
from voxkit.errors import Problems

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
FEW = 12  # values of a field to list
MANY = 10_000  # different texts in a field to tell apart

Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Field:
    """The values of a custom field: numbers as they are, all else as text with its count."""

    numbers: array[float] = field(default_factory=lambda: array("d"))
    texts: Counter[str] = field(default_factory=Counter)

    def add(self, value: Any) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.numbers.append(value)
            return
        text = value if isinstance(value, str) else f"<{type(value).__name__}>"
        if value is None or isinstance(value, bool):
            text = json.dumps(value)
        self.texts[text if text in self.texts or len(self.texts) < MANY else "..."] += 1

    def described(self, total: int) -> str:
        numbers = np.frombuffer(self.numbers) if self.numbers else np.zeros(0)
        values, counts = np.unique(numbers, return_counts=True)
        if len(values) + len(self.texts) <= FEW:
            few = {f"{value:.6g}": int(count) for value, count in zip(values, counts, strict=True)}
            return counted({**few, **self.texts}, total)
        parts = [f"{len(numbers)} numbers, {distribution(numbers)}"] if self.numbers else []
        return "; ".join([*parts, *([counted(self.texts, total)] if self.texts else [])])


@dataclass
class Summary:
    """Counts over cuts."""

    durations: array[float] = field(default_factory=lambda: array("d"))
    kinds: Counter[str] = field(default_factory=Counter)
    rates: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    genders: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    speakers: Counter[str] = field(default_factory=Counter)
    custom: dict[str, Field] = field(default_factory=dict)
    supervisions: int = 0
    transcripts: int = 0
    spoken: float = 0.0  # of the supervisions with text [s]
    features: int = 0

    def add(self, cut: Mapping[str, Any]) -> None:
        self.durations.append(duration_of(cut))
        self.kinds[cut["type"]] += 1
        first = next(iter(leaves(cut)), ({}, ()))[0]
        if "recording" in first:
            self.rates[f"{first['recording']['sampling_rate']} Hz"] += 1
        self.features += "features" in first
        for supervision in supervisions_of(cut):
            self._hear(supervision)

    def _hear(self, supervision: Mapping[str, Any]) -> None:
        self.supervisions += 1
        words = (supervision.get("text") or "").split()
        if words:
            self.transcripts += 1
            self.spoken += supervision["duration"]
            self.words.update(words)
        for name, counter in (("speaker", self.speakers), ("gender", self.genders), ("language", self.languages)):
            if supervision.get(name):
                counter[supervision[name]] += 1
        for name, value in (supervision.get("custom") or {}).items():
            self.custom.setdefault(name, Field()).add(value)

    def rows(self) -> Iterator[tuple[str, str]]:
        seconds = np.frombuffer(self.durations) if self.durations else np.zeros(1)
        kinds, genders = counted(self.kinds, -1), counted(self.genders, self.supervisions)
        yield "cuts", f"{len(self.durations)}" + (f": {kinds}" if len(self.kinds) > 1 else "")
        yield "hours", f"{seconds.sum() / 3600:.3f}"
        yield "duration [s]", distribution(seconds)
        yield "sampling rate", counted(self.rates, len(self.durations))
        if self.features:
            yield "with features", f"{self.features}"
        yield "supervisions", f"{self.supervisions}"
        yield "speakers", f"{len(self.speakers)}" + (f"; {genders}" if genders else "")
        if self.languages:
            yield "language", counted(self.languages, self.supervisions)
        if self.words:
            yield "transcripts", f"{self.transcripts}"
            yield "words", f"{self.words.total()}"
            yield "vocabulary", f"{len(self.words)} words, {sum(n == 1 for n in self.words.values())} of them once"
            yield "words per second", f"{self.words.total() / max(self.spoken, 1e-9):.2f}"
        for name, values in self.custom.items():
            total = f", sum {sum(values.numbers):.6g}" if name == "weight" else ""
            yield f"custom {name}", values.described(self.supervisions) + total


def show(cuts: Sequence[Path]) -> str:
    """The table.

    Raises:
        DataError: lines that are broken or no cuts, cuts of the same id, impossible times.
    """
    problems, summary = Problems(), Summary()
    for _, cut in checked(manifest_files(cuts), problems):
        summary.add(cut)
    problems.settle(len(summary.durations) + len(problems.bad_ids))
    return table(list(summary.rows()), left=2)


def counted(values: Mapping[str, int], total: int) -> str:
    """The values with their counts, or the most frequent of many; no count where all of `total` have the one."""
    if len(values) == 1 and sum(values.values()) == total:
        return next(iter(values))
    falling = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{value} ({count})" for value, count in (falling if len(values) <= FEW else falling[:3]))
    return listed if len(values) <= FEW else f"{len(values)} values, most often {listed}"


def distribution(values: Numbers) -> str:
    """Mean and percentiles."""
    found = zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
    return f"mean {values.mean():.4g}; " + ", ".join(f"{percent}% {value:.4g}" for percent, value in found)

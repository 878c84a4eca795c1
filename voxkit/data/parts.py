"""A manifest divided into parts: the unit of parallel work, and of going on after an interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

MOST_CUTS = 1000  # in a part, however short they are


@dataclass(frozen=True)
class Part:
    """Consecutive cuts of a manifest that passed the checks of lines and headers."""

    index: int
    lines: list[tuple[str, bytes]]  # where ("file:line"), and the line
    seconds: float  # of audio

    @property
    def name(self) -> str:
        return f"{self.index:06d}"

    @cached_property
    def digest(self) -> str:
        """Changes with any cut of the part."""
        return hashlib.blake2b(b"".join(text for _, text in self.lines), digest_size=16).hexdigest()


def divide(
    lines: Sequence[tuple[str, bytes]], seconds: Sequence[float], bad: set[str], part_seconds: float
) -> Iterator[Part]:
    """Parts of about `part_seconds` of audio. Where they begin depends on the manifest alone, not on what is bad."""
    index, begin, length = 0, 0, 0.0
    for end, duration in enumerate(seconds, start=1):
        length += duration
        if length >= part_seconds or end - begin == MOST_CUTS or end == len(lines):
            span = range(begin, end)
            good = [i for i in span if lines[i][0] not in bad]
            yield Part(index, [lines[i] for i in good], sum(seconds[i] for i in good))
            index, begin, length = index + 1, end, 0.0

"""What is to be decoded: a manifest's lines or audio files, checked and divided into parts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from voxkit.commands.decode.command import Decode
from voxkit.commands.decode.part import segment_ids
from voxkit.data import audio
from voxkit.data.checks import Line, Requirements, check, duration_of
from voxkit.data.manifests import parse_line, parse_shard, read_text, require_some, snap
from voxkit.data.parts import Part, divide
from voxkit.errors import Problems, UserError

FEWEST_PARTS = 16  # so that several processes end at about the same time


@dataclass(frozen=True)
class Material:
    """Lines of manifests (of one shard, if asked), what is wrong with them, and the parts that the good ones form."""

    lines: list[tuple[str, bytes]]  # where ("file:line", or an audio file), and the line
    problems: Problems
    parts: list[Part]

    @property
    def total(self) -> int:
        return len(self.lines)

    @cached_property
    def place(self) -> dict[str, int]:
        """The position of each line by where it is."""
        return {where: position for position, (where, _) in enumerate(self.lines)}


def gather(files: Sequence[Path], sampling_rate: int | None, shard: str | None, config: Decode) -> Material:
    """Read lines and check them without decoding audio; of a shard, only its own lines.

    Args:
        files: manifests; or audio files, if there is no `sampling_rate`.
        sampling_rate: that the recordings of manifests must have [Hz]. Audio files are resampled.

    Raises:
        UserError: nothing to decode, or a file that cannot be read.
    """
    every = list(_lines_of_manifests(files) if sampling_rate is not None else _lines_of_audio(files))
    require_some(len(every), ", ".join(map(str, files)))
    index, count = parse_shard(shard) if shard else (1, 1)
    lines = every[index - 1 :: count]
    if not lines:
        raise UserError("no cuts in this part", fix="use fewer shards than cuts")
    parsed = _Parsed(lines)
    problems, bad, _ = check(parsed, Requirements(sampling_rate, segments=True))
    bad |= _same_ids(lines, bad, problems)
    seconds = min(config.part_seconds, max(sum(parsed.seconds) / FEWEST_PARTS, config.batch_duration))
    return Material(lines, problems, list(divide(lines, parsed.seconds, bad, seconds)))


class _Parsed:
    """Parses lines while they are iterated, and notes each one's duration."""

    def __init__(self, lines: Sequence[tuple[str, bytes]]) -> None:
        self.lines = lines
        self.seconds: list[float] = []

    def __iter__(self) -> Iterator[Line]:
        for where, text in self.lines:
            line = parse_line(where, text)
            self.seconds.append(duration_of(line.data or {}))
            yield line


def _same_ids(lines: Iterable[tuple[str, bytes]], bad: set[str], problems: Problems) -> set[str]:
    """Lines whose supervisions, decoded one by one, would have the ids of others."""
    seen: dict[str, str] = {}
    found: set[str] = set()
    for where, text in lines:
        if where in bad:
            continue
        line = parse_line(where, text)
        for name in segment_ids(snap(line.data or {})):
            if name in seen:
                what = f"its part {name} has the id of one at {seen[name]}"
                problems.add("duplicate id", where, line.id, what, "rename one of the supervisions")
                found.add(where)
            seen.setdefault(name, where)
    return found


def _lines_of_manifests(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        for number, text in read_text(file):
            yield f"{file}:{number}", text


def _lines_of_audio(files: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    from lhotse import Recording

    for path in files:
        audio.info(path)  # tells missing and broken files better than lhotse
        recording = Recording.from_file(path, recording_id=str(path))
        yield str(path), json.dumps(recording.to_cut().with_id(recording.id).to_dict()).encode()

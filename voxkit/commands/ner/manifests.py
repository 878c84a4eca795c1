"""Manifests of cuts or supervisions, whose texts get entities."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from voxkit.commands.ner.formats import ENTITIES
from voxkit.commands.ner.results import AT_ONCE, Finder, Found
from voxkit.data.manifests import CUTS, SUPERVISIONS, parse_line, parse_shard, read_text, write_cuts
from voxkit.data.pipe import require_lasting
from voxkit.data.supervisions import is_manifest, kind_of, supervisions
from voxkit.data.tagging import Sentence
from voxkit.decode.folder import HYPOTHESES
from voxkit.errors import Problems, UserError
from voxkit.progress import Meter, say

FILES = (HYPOTHESES, CUTS, SUPERVISIONS)  # that a folder may stand for
WORD = "word"  # the alignment with the times of words
MEND = "mend the line, or write the manifest again"

_HALF = re.compile(rb"\\ud[89a-f]", re.IGNORECASE)  # a surrogate, which may lack its other half


def is_lhotse(path: Path) -> bool:
    """Whether a path is a manifest of cuts or supervisions, by its first line; or a folder, which should hold one.

    Raises:
        UserError: it cannot be read, or not again: a pipe.
    """
    if require_lasting(path).is_dir() or not is_manifest(path):
        return path.is_dir()
    first = next(read_text(path), None)
    data = parse_line(str(path), first[1]).data if first else None
    return data is not None and kind_of(data) is not None


class Manifests:
    """Manifests of one kind, cuts or supervisions, whose texts get entities.

    Args:
        shard: I/N to take every N-th line only, from the I-th on.

    Raises:
        UserError: a file that cannot be read, or no such shard.
    """

    def __init__(self, files: Sequence[Path], shard: str | None = None) -> None:
        self.files, self.shard = tuple(files), shard
        self.index, self.count = parse_shard(shard) if shard else (1, 1)
        first = next(self._raw(), None)
        self.of_cuts = first is None or kind_of(parse_line(*first).data or {}) == "cut"

    @property
    def name(self) -> str:
        """Of the file to write: that of what it is."""
        if all(file.name == HYPOTHESES for file in self.files):
            return HYPOTHESES
        return CUTS if self.of_cuts else SUPERVISIONS

    def check(self) -> int:
        """Look at all lines.

        Returns:
            How many there are.

        Raises:
            DataError: what is wrong with them, all of it; or there is not a single text.
        """
        problems, total, texts = Problems(), 0, 0
        for where, text in self._chosen():
            total += 1
            line = parse_line(where, text)
            before = len(problems)
            found = supervisions(line, problems)
            if line.data is None or len(problems) > before:
                continue
            if (kind_of(line.data) == "cut") != self.of_cuts:
                what = "a supervision among cuts" if self.of_cuts else "a cut among supervisions"
                problems.add("not a cut", where, line.id, what, "give manifests of cuts and of supervisions apart")
            elif _HALF.search(text) and not _is_unicode(line.data):
                problems.add("half a character", where, line.id, "it holds a lone surrogate", MEND)
            for what in filter(None, map(_fault, found)):
                problems.add("bad supervision", where, line.id, what, MEND)
            texts += sum(isinstance(one.get("text"), str) for one in found)
        if not texts and not problems and not (self.shard and total == 0):
            names = ", ".join(map(str, self.files))
            fix = "give cuts with supervisions, or supervisions, that have texts"
            problems.add("no texts", names, self.files[0].name, "no supervision in it has a text", fix)
        problems.settle(max(total, len(problems.bad_ids)))
        return total

    def write(self, finder: Finder, folder: Path) -> Path:
        """Write all lines again, with entities, into an existing folder.

        The custom field `entities` of a supervision gets label, text, confidence, start and end of each entity, the
        last two in characters of the text. Where the alignment "word" is that of the words of the text, they also have
        start_time and end_time [s]. These are the times of the alignment as they stand: Lhotse counts them from where
        the supervision's own start is counted, so that in cuts 0 is the beginning of the cut, and in manifests of
        supervisions that of the recording.

        Raises:
            DataError: see `check`; nothing is written then.
        """
        total = self.check()
        notes = _Notes()
        with Meter(total, "finding entities", "lines") as meter:
            write_cuts(self._filled(finder, notes, meter), folder / self.name)
        notes.say(total)
        return folder / self.name

    def _raw(self) -> Iterator[tuple[str, bytes]]:
        for file in self.files:
            for number, text in read_text(file):
                yield f"{file}:{number}", text

    def _chosen(self) -> Iterator[tuple[str, bytes]]:
        return islice(self._raw(), self.index - 1, None, self.count)

    def _filled(self, finder: Finder, notes: _Notes, meter: Meter) -> Iterator[Mapping[str, Any]]:
        """The lines' data, as many at a time as hold a batch of texts."""
        lines: list[dict[str, Any]] = []
        texts: list[tuple[dict[str, Any], Sentence]] = []
        for where, text in self._chosen():
            line = parse_line(where, text)
            if line.data is None:
                raise UserError(f"{where}: {line.error}", fix="the file was changed meanwhile: run the command again")
            lines.append(line.data)
            for one in supervisions(line, Problems()):
                if isinstance(one.get("text"), str):
                    texts.append((one, finder.divided(str(one.get("id") or line.id), one["text"], where)))
            if len(texts) >= AT_ONCE or len(lines) >= AT_ONCE:
                _fill(texts, finder, notes)
                yield from lines
                meter.advance(len(lines))
                lines, texts = [], []
        _fill(texts, finder, notes)
        yield from lines
        meter.advance(len(lines))


@dataclass
class _Notes:
    """What was found, to be told in the end."""

    texts: int = 0
    entities: int = 0
    timeless: int = 0  # supervisions with entities that have no times

    def say(self, lines: int) -> None:
        say(f"found {self.entities} entities in {self.texts} texts of {lines} lines")
        if self.timeless:
            say(
                f"notice: the entities of {self.timeless} supervisions have no times: there is no alignment "
                f'"{WORD}" with the words of the text and their times'
            )


def _fill(texts: Sequence[tuple[dict[str, Any], Sentence]], finder: Finder, notes: _Notes) -> None:
    """Put the entities of supervisions' texts among their custom fields, in place of those that they have."""
    for (supervision, _), answer in zip(texts, finder([sentence for _, sentence in texts]), strict=True):
        found, times = answer.found(), word_times(supervision)
        supervision["custom"] = {
            **(supervision.get("custom") or {}),
            ENTITIES: [{**one._asdict(), **_between(one, supervision["text"], times)} for one in found],
        }
        notes.texts += 1
        notes.entities += len(found)
        notes.timeless += times is None and bool(found)


def word_times(supervision: Mapping[str, Any]) -> list[tuple[float, float]] | None:
    """When each of the words between spaces of a supervision's text begins and ends, as its alignment has it [s].

    The times are not moved: 0 is what it is for the alignment, see `Manifests.write`.

    Returns:
        None where it has no alignment "word" of these words, or one with a time that is none.
    """
    try:
        items = [
            (item["symbol"], item["start"], item["duration"]) if isinstance(item, Mapping) else tuple(item[:3])
            for item in supervision["alignment"][WORD]
        ]
        if [symbol for symbol, _, _ in items] != supervision["text"].split():
            return None
        times = [(float(start), round(float(start) + float(duration), 6)) for _, start, duration in items]
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
    return times if all(begin <= end and math.isfinite(end - begin) for begin, end in times) else None


def _between(found: Found, text: str, times: Sequence[tuple[float, float]] | None) -> dict[str, float]:
    """The start_time of the first and the end_time of the last word that an entity has a part of, see `word_times`."""
    if times is None:
        return {}
    words = [match.span() for match in re.finditer(r"\S+", text)]
    first = bisect_right([end for _, end in words], found.start)
    last = bisect_left([begin for begin, _ in words], found.end) - 1
    return {"start_time": times[first][0], "end_time": times[last][1]}


def _fault(supervision: Mapping[str, Any]) -> str:
    """Why a supervision cannot get entities; "" if it can."""
    text, custom = supervision.get("text"), supervision.get("custom")
    if text is not None and not isinstance(text, str):
        return f"its text is {type(text).__name__}, not a string"
    if custom is not None and not isinstance(custom, dict):
        return f"its custom is {type(custom).__name__}, not an object"
    return ""


def _is_unicode(data: Any) -> bool:
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def merge(folders: Sequence[Path], name: str, folder: Path) -> Path:
    """Join the manifests of shards in the order of the lines that they were made from.

    Raises:
        UserError: a part is damaged, or was not made from the same lines as the others.
    """
    write_cuts(_dealt([read_text(part / name) for part in folders], folders), folder / name)
    return folder / name


def _dealt(parts: Sequence[Iterator[tuple[int, bytes]]], folders: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    """A line of each part in turn, until the first of them has no more; then none has."""
    for part, folder in cycle(zip(parts, folders, strict=True)):
        found = next(part, None)
        if found is None:
            break
        line = parse_line(f"{folder}:{found[0]}", found[1])
        if line.data is None:
            raise UserError(f"{line.where}: {line.error}", fix="make this part again")
        yield line.data
    for part, folder in zip(parts, folders, strict=True):
        if next(part, None) is not None:
            raise UserError(f"{folder}: has more lines than its share of the others'", fix="make the parts again")

"""The words to pronounce, as people have them: text, TSV, Lhotse manifests, and what comes through a pipe."""

from __future__ import annotations

import codecs
import os
import select
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from voxkit.data.lexicon import LANGUAGE
from voxkit.data.pronunciations import hidden_character
from voxkit.errors import Problems, UserError
from voxkit.progress import say

if TYPE_CHECKING:
    from voxkit.data.checks import Line

STDIN = Path("-")
LONGEST_LINE = 1 << 16  # bytes; a line without an end would fill the memory
_SOME = 1 << 16  # bytes that are taken from a pipe at once
_FORM = "write word, or word<TAB>language"


class Entry(NamedTuple):
    """A word, and its language where the input names one, else ""."""

    word: str
    language: str = ""


def parse(text: bytes, where: str, problems: Problems) -> Entry | None:
    """A line `word` or `word<TAB>language`; None for an empty one, and for a bad one, which is added to `problems`."""
    number = where.rpartition(":")[2]
    try:
        line = text.removeprefix(codecs.BOM_UTF8 if number == "1" else b"").decode().strip("\r\n")
    except UnicodeDecodeError:
        problems.add("not UTF-8", where, f"line-{number}", "not UTF-8 text", "convert it with iconv -t UTF-8")
        return None
    word, *more = (column.strip(" \u00a0\u3000") for column in line.split("\t"))
    if not word and not any(more):
        return None
    language = more[0] if more else ""
    if len(more) > 1:
        kind, what, fix = "broken line", f"{len(more) + 1} columns instead of 1 or 2", f"{_FORM} (cut -f1 takes one)"
    elif not word:
        kind, what, fix = "no word", "no word before the language", _FORM
    elif hidden := hidden_character(word):
        kind, what, fix = "control character", f"it holds the character U+{ord(hidden):04X}", "remove it"
    elif language and not LANGUAGE.fullmatch(language):
        kind, what, fix = "bad language", f"the second column {language!r} is no language tag", f"{_FORM}, such as fre"
    else:
        return Entry(word, language)
    problems.add(kind, where, f"{word!r}:{number}", what, fix)
    return None


def arriving(descriptor: int, problems: Problems) -> Iterator[list[Entry]]:
    """The entries of a pipe, as soon as its lines are there, and as many together as there are.

    Bad lines are told at once, passed over, and added to `problems`.

    Raises:
        UserError: it cannot be read, or has no lines.
    """
    pending, number, told = b"", 0, 0
    while True:
        some = _available(descriptor)
        *lines, pending = (pending + some).split(b"\n")
        if len(pending) > LONGEST_LINE:
            raise UserError(f"stdin:{number + len(lines) + 1}: a line of more than {LONGEST_LINE} bytes", fix=_FORM)
        if not some:
            lines.append(pending)
        parsed = [parse(line, f"stdin:{number + place}", problems) for place, line in enumerate(lines, start=1)]
        number += len(lines)
        for problem in list(problems)[told:] if len(problems) > told else ():
            say(f"notice: left out: {problem}")
        told = len(problems)
        yield [entry for entry in parsed if entry is not None]
        if not some:
            return


def stdin_descriptor() -> int:
    """That of standard input.

    Raises:
        UserError: it is closed.
    """
    try:
        return sys.stdin.fileno()
    except (AttributeError, ValueError, OSError) as error:  # Python has None where it was closed from the start
        raise UserError("standard input is closed", fix="name a file of words, or pipe words in") from error


def _available(descriptor: int) -> bytes:
    """What a pipe holds; waits only while it is empty. Nothing at its end."""
    try:
        select.select([descriptor], [], [])  # also where another program has made it non-blocking
        return os.read(descriptor, _SOME)
    except OSError as error:
        raise UserError(f"standard input cannot be read: {error.strerror}", fix="name a file of words") from error


def read_files(
    paths: Sequence[Path],
    normalise: Callable[[str], str],
    languages: Container[str],
    stdin: bytes | None = None,
) -> list[list[Entry]]:
    """The words of each file. Of all manifests together every word is taken once.

    Args:
        normalise: applied to the texts of manifests.
        languages: those that supervisions may name; what they name else does not count.
        stdin: what came through the pipe, where `-` is among the paths.

    Raises:
        DataError: bad lines, every one with its number.
        UserError: no such file, or a damaged one.
    """
    problems, seen, lists = Problems(), set[Entry](), []
    for path in paths:
        if path == STDIN:
            found = [parse(line, f"stdin:{n}", problems) for n, line in enumerate((stdin or b"").split(b"\n"), start=1)]
        elif is_manifest(path):
            found = list(_spoken(path, normalise, languages, seen, problems))
        else:
            found = _written(path, problems)
        lists.append([entry for entry in found if entry is not None])
    problems.settle(sum(map(len, lists)) + len(problems))
    return lists


def is_manifest(path: Path) -> bool:
    """Whether a path is a Lhotse manifest, or a folder that should hold one."""
    return path.name.endswith((".jsonl", ".jsonl.gz")) or path.is_dir()


def _written(path: Path, problems: Problems) -> list[Entry | None]:
    from voxkit.data.manifests import read_text

    return [parse(text, f"{path}:{number}", problems) for number, text in read_text(path)]


def _spoken(
    path: Path,
    normalise: Callable[[str], str],
    languages: Container[str],
    seen: set[Entry],
    problems: Problems,
) -> Iterator[Entry]:
    """The words of a manifest's texts that were not `seen` before."""
    from voxkit.data.manifests import manifest_files, read_lines

    before, texts, strange = len(problems), 0, set[str]()
    for line in read_lines(manifest_files(path)):
        for supervision in _supervisions(line, problems):
            text, language = supervision.get("text"), supervision.get("language")
            if text is not None and not isinstance(text, str):
                problems.add("bad text", line.where, line.id, f"its text is {type(text).__name__}", "write a string")
                continue
            texts += text is not None
            named = language if isinstance(language, str) and language in languages else ""
            if isinstance(language, str) and language and not named:
                strange.add(language)
            for word in normalise(text or "").split():
                entry = Entry(word, named)
                if entry in seen:
                    continue
                seen.add(entry)
                if hidden := hidden_character(word):
                    what = f"{word!r} holds the character U+{ord(hidden):04X}"
                    problems.add("control character", line.where, line.id, what, "remove it")
                else:
                    yield entry
    if strange:
        names = ", ".join(sorted(strange))
        say(f"notice: {path} names languages that the model has not learnt, which do not count: {names}")
    if not texts and len(problems) == before:
        fix = "give cuts with supervisions, or supervisions, that have texts"
        problems.add("no texts", str(path), path.name, "no supervision in it has a text", fix)


def _supervisions(line: Line, problems: Problems) -> list[Mapping[str, Any]]:
    """Those of a manifest's line, which is a supervision itself or a cut; a broken one is added to `problems`."""
    fix = "write the manifest again, or remove the line"
    if line.data is None:
        problems.add("broken JSON line", line.where, line.id, line.error, fix)
        return []
    try:
        found = list(_inside(line.data))
    except (AttributeError, KeyError, TypeError, ValueError):
        found = [None]
    if all(isinstance(supervision, Mapping) for supervision in found):
        return found
    problems.add("not a cut", line.where, line.id, "neither a cut nor a supervision", fix)
    return []


def _inside(data: Mapping[str, Any]) -> Iterator[Any]:
    """What stands in a cut in the place of supervisions, also where it lacks the audio that other commands need.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is no cut.
    """
    if "tracks" in data:
        for track in data["tracks"]:
            yield from _inside(track["cut"])
    elif "type" in data or "supervisions" in data:
        yield from data.get("supervisions") or ()
    elif "text" in data or "recording_id" in data:
        yield data
    else:
        raise ValueError("no supervisions")

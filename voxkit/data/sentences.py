"""Sentences of text files, one a line, read as a stream: plain text, or the transcripts of a manifest."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple, cast

from voxkit.errors import DataError, Problems, UserError
from voxkit.progress import say
from voxkit.rundir import digest

LONGEST_LINE = 1 << 20  # bytes of a sentence; a file of such lines has no sentences in lines
LONGEST_ITEM = 1 << 28  # bytes of a line of a manifest
_ENDINGS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")
MOST_BAD = 10_000  # bad lines of a file that are kept to be told
_SHOWN = 40  # characters of a bad line that are told
_NAMED = 8  # files of a folder that are named where they are passed over


class Placed(NamedTuple):
    """A sentence, its line in a file, and what was written there."""

    file: Path
    line: int
    text: str
    words: list[str]


def text_files(path: Path) -> list[Path]:
    """A file, or the texts and manifests in a folder (.txt, .jsonl, and gzipped ones), by name.

    Of a folder it is told how many they are and what else is there, once in a process.

    Raises:
        UserError: there are none in the folder, or it cannot be read.
    """
    if not path.is_dir():
        return [path]
    try:
        everything = sorted(path.iterdir())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", fix="check its rights") from error
    found = [file for file in everything if file.is_file() and file.name.endswith(_ENDINGS)]
    if not found:
        raise UserError(f"{path}: no text in this folder", fix=f"give files that end in {', '.join(_ENDINGS)}")
    read = set(found)
    _tell_once(path, len(found), tuple(file.name for file in everything if file not in read))
    return found


@cache
def _tell_once(folder: Path, files: int, others: tuple[str, ...]) -> None:
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    passed = f"; passed over: {', '.join(others[:_NAMED])}{more}" if others else ""
    say(f"notice: {folder}: {files} {'file' if files == 1 else 'files'}{passed}")


def digest_of(path: Path) -> str:
    """The digest of a text, or one of all those in a folder and their names.

    Raises:
        UserError: they cannot be read, or there are none.
    """
    if not path.is_dir():
        return digest(path)
    lines = "".join(f"{file.name} {digest(file)}\n" for file in text_files(path))
    return hashlib.sha256(lines.encode()).hexdigest()


def sentences(path: Path, normalise: Callable[[str], str], problems: Problems | None = None) -> Iterator[list[str]]:
    """Words of each sentence of plain text (.txt, .gz), or of supervisions of a Lhotse manifest (.jsonl, .jsonl.gz).

    Of a folder, those of all its files, in the order of their names. Sentences that `normalise` leaves no words of are
    passed over.

    Args:
        problems: gets the bad lines, and the caller decides about them; none: bad lines are an error at the end.

    Raises:
        DataError: lines that are not UTF-8, or not JSON in a manifest, where there are no `problems`, or too many.
        UserError: no such file, it cannot be read, or there is no sentence in it.
    """
    return (sentence.words for sentence in placed(path, normalise, problems))


def placed(path: Path, normalise: Callable[[str], str], problems: Problems | None = None) -> Iterator[Placed]:
    """`sentences` with the places of their lines and what is written there.

    Raises:
        DataError, UserError: as of `sentences`.
    """
    if path.is_dir():
        for file in text_files(path):
            yield from placed(file, normalise, problems)
        return
    manifest = path.name.removesuffix(".gz").endswith(".jsonl")
    bad = _BadLines(path, Problems() if problems is None else problems)
    some, number = False, 0
    for number, line in _lines(path, bad, LONGEST_ITEM if manifest else LONGEST_LINE):
        try:
            texts = list(_transcripts(json.loads(line))) if manifest and line.strip() else [line]
            several = [Placed(path, number, text, words) for text in texts if (words := normalise(text).split())]
        except (ValueError, TypeError, AttributeError, RecursionError):
            bad.add("broken JSON", number, line, "not a line of a manifest", "write the manifest again")
            continue
        some = some or bool(several)
        yield from several
    if problems is None:
        bad.problems.settle(number)
    if not some and not bad.number:
        raise UserError(f"{path}: no sentence in it", fix="give one sentence a line, or cuts with transcripts")


def numbered_lines(path: Path, problems: Problems, longest: int = LONGEST_LINE) -> Iterator[tuple[int, str]]:
    """The lines of a text file, gzipped or not, with their numbers; those that are no UTF-8 text go to `problems`.

    Args:
        longest: line that is read [bytes].

    Raises:
        DataError: more than `MOST_BAD` lines are not such.
        UserError: no such file, it cannot be read, or has longer lines.
    """
    return _lines(path, _BadLines(path, problems), longest)


class _BadLines:
    """The bad lines of a file, with what they begin with as ids that none of the `problems` had before."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self.path, self.problems = path, problems
        self.number = 0
        self._ids: set[str] = set()

    def add(self, kind: str, number: int, line: str, what: str, fix: str) -> None:
        """Raises DataError if they are more than `MOST_BAD`."""
        if not self.number:
            self._ids = self.problems.bad_ids
        self.number += 1
        where = f"{self.path}:{number}"
        shown = "".join(filter(str.isprintable, line[: 4 * _SHOWN]))[:_SHOWN].strip() or "(unprintable)"
        names = (shown, f"{shown} (line {number})", f"{shown} ({where})")  # a problem counts by its id
        id = next((name for name in names if name not in self._ids), where)
        self._ids.add(id)
        self.problems.add(kind, where, id, what, fix)
        if self.number > MOST_BAD:
            raise DataError(self.problems, number)


def _lines(path: Path, bad: _BadLines, longest: int) -> Iterator[tuple[int, str]]:
    """`numbered_lines`, which tells `bad` of the others."""
    try:
        with _opened(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(longest), b""), start=1):
                if len(line) == longest and not line.endswith(b"\n"):
                    raise UserError(f"{path}:{number}: longer than {longest} bytes", fix="write one sentence a line")
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                try:
                    text = line.decode()
                except UnicodeDecodeError:
                    fix = "convert the file, for example with iconv -f LATIN1 -t UTF-8"
                    bad.add("other encoding", number, line.decode(errors="replace"), "not UTF-8", fix)
                else:
                    if "\0" not in text:
                        yield number, text
                        continue
                    fix = "remove it, or convert the file if it is UTF-16 (iconv -f UTF-16 -t UTF-8)"
                    bad.add("NUL byte", number, text, "a NUL byte, which no text has", fix)
    except FileNotFoundError as error:
        raise UserError(f"{path}: cannot be read: no such file", fix="check the path") from error
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.strerror:
            raise UserError(f"{path}: cannot be read: {error.strerror}", fix="check the path and its rights") from error
        raise UserError(f"{path}: cannot be read: {error}", fix="give UTF-8 text or a manifest") from error


@contextmanager
def no_bad_lines() -> Iterator[None]:
    """Have it told of bad lines that they are to be mended: for lists, of which no --max-bad leaves lines out."""
    try:
        yield
    except DataError as error:
        error.fix = "mend the lines above"
        raise


def _opened(path: Path) -> IO[bytes]:
    """A file to read, unpacked where its name ends in .gz."""
    return cast("IO[bytes]", gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb"))


def _transcripts(item: dict[str, object]) -> Iterator[str]:
    """The texts of one line of a manifest: a cut with supervisions, or a supervision."""
    supervisions = item.get("supervisions", [item] if "text" in item else [])
    for supervision in supervisions if isinstance(supervisions, list) else []:
        yield supervision.get("text") or ""

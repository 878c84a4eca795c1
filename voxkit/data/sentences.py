"""Sentences of text files, one a line, read as a stream: plain text, or the transcripts of a manifest."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from voxkit.errors import DataError, Problems, UserError
from voxkit.rundir import digest

LONGEST_LINE = 1 << 20  # bytes of a sentence; a file of such lines has no sentences in lines
LONGEST_ITEM = 1 << 28  # bytes of a line of a manifest
_ENDINGS = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz")
MOST_BAD = 10_000  # bad lines of a file that are kept to be told


def text_files(path: Path) -> list[Path]:
    """A file, or the texts and manifests in a folder (.txt, .jsonl, and gzipped ones), by name.

    Raises:
        UserError: there are none in the folder.
    """
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(_ENDINGS))
    if not found:
        raise UserError(f"{path}: no text in this folder", fix=f"give files that end in {', '.join(_ENDINGS)}")
    return found


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
    if path.is_dir():
        for file in text_files(path):
            yield from sentences(file, normalise, problems)
        return
    manifest = path.name.removesuffix(".gz").endswith(".jsonl")
    found = Problems() if problems is None else problems
    before, some, number = len(found), False, 0
    for number, line in numbered_lines(path, found, LONGEST_ITEM if manifest else LONGEST_LINE):
        try:
            texts = list(_transcripts(json.loads(line))) if manifest and line.strip() else [line]
            several = [words for text in texts if (words := normalise(text).split())]
        except (ValueError, TypeError, AttributeError, RecursionError):
            where = f"{path}:{number}"
            found.add("broken JSON", where, where, "not a line of a manifest", "write the manifest again")
            continue
        some = some or bool(several)
        yield from several
    if problems is None:
        found.settle(number)
    if not some and len(found) == before:
        raise UserError(f"{path}: no sentence in it", fix="give one sentence a line, or cuts with transcripts")


def numbered_lines(path: Path, problems: Problems, longest: int = LONGEST_LINE) -> Iterator[tuple[int, str]]:
    """The lines of a text file, gzipped or not, with their numbers; those that are no UTF-8 text go to `problems`.

    Args:
        longest: line that is read [bytes].

    Raises:
        DataError: more than `MOST_BAD` lines are not such.
        UserError: no such file, it cannot be read, or has longer lines.
    """
    bad = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(longest), b""), start=1):
                if len(line) == longest and not line.endswith(b"\n"):
                    raise UserError(f"{path}:{number}: longer than {longest} bytes", fix="write one sentence a line")
                where = f"{path}:{number}"
                try:
                    text = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).decode()
                except UnicodeDecodeError:
                    fix = "convert the file, for example with iconv -f LATIN1 -t UTF-8"
                    problems.add("other encoding", where, where, "not UTF-8", fix)
                else:
                    if "\0" not in text:
                        yield number, text
                        continue
                    fix = "remove it, or convert the file if it is UTF-16 (iconv -f UTF-16 -t UTF-8)"
                    problems.add("NUL byte", where, where, "a NUL byte, which no text has", fix)
                bad += 1
                if bad > MOST_BAD:
                    raise DataError(problems, number)
    except (OSError, EOFError, zlib.error) as error:
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

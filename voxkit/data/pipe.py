"""Lines of text that come through a pipe, taken as soon as they are there."""

from __future__ import annotations

import codecs
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from voxkit.errors import Problems, UserError
from voxkit.progress import say, track

T = TypeVar("T")

STDIN = Path("-")
LONGEST_LINE = 1 << 16  # bytes; a line without an end would fill the memory
_SOME = 1 << 16  # bytes that are taken from a pipe at once


def arriving(
    descriptor: int, parse: Callable[[bytes, str, Problems], T | None], problems: Problems, form: str
) -> Iterator[list[T]]:
    """What the lines of a pipe say, as soon as they are there, and as many together as there are.

    Bad lines are told at once, passed over, and added to `problems`.

    Args:
        parse: given a line, its place and `problems`; None is left out.
        form: how lines are to be written.

    Raises:
        UserError: it cannot be read, or a line does not end.
    """
    pending, number, told = b"", 0, len(problems)
    while True:
        some = _available(descriptor)
        *lines, pending = (pending + some).split(b"\n")
        if len(pending) > LONGEST_LINE:
            raise UserError(f"stdin:{number + len(lines) + 1}: a line of more than {LONGEST_LINE} bytes", fix=form)
        if pending and not some:
            lines.append(pending)
        parsed = [parse(line, f"stdin:{number + place}", problems) for place, line in enumerate(lines, start=1)]
        number += len(lines)
        for problem in list(problems)[told:] if len(problems) > told else ():
            say(f"notice: left out: {problem}")
        told = len(problems)
        yield [item for item in parsed if item is not None]
        if not some:
            return


@dataclass(frozen=True)
class Flow:
    """How things that are answered one after the other are taken: how many together, and how progress names them.

    Attributes:
        unit: what they are, such as "words".
        work: what is done with them, such as "pronouncing".
        at_once: most of them that are taken together.
        long: so many take long enough for progress to be told.
    """

    unit: str
    work: str
    at_once: int
    long: int

    def divided(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """Some at a time."""
        for start in range(0, len(items), self.at_once):
            yield items[start : start + self.at_once]

    def tracked(self, items: Sequence[T], shown: bool = False) -> Iterator[Sequence[T]]:
        """Some at a time, with progress where there are many, and the answers are not `shown` on a terminal."""
        if len(items) < self.long or shown:
            yield from self.divided(items)
        else:
            yield from track(self.divided(items), len(items), self.work, self.unit, amount=len)

    def of(
        self,
        paths: Iterable[Path],
        lists: Iterable[Sequence[T]],
        parse: Callable[[bytes, str, Problems], T | None],
        problems: Problems,
        form: str,
    ) -> Iterator[Sequence[T]]:
        """What is in all inputs, in their order; what comes through the pipe as soon as it is there.

        Args:
            paths: of files, or `STDIN`.
            lists: what is in each of the files.
            parse, problems, form: for `arriving`.
        """
        waiting = iter(lists)
        for path in paths:
            if path != STDIN:
                yield from self.tracked(next(waiting), sys.stdout.isatty())
                continue
            descriptor = stdin_descriptor(self.unit)
            if os.isatty(descriptor):
                say(f"type {self.unit}; Ctrl-D ends")
            for some in arriving(descriptor, parse, problems, form):
                yield from self.divided(some)


def decoded(line: bytes, where: str, problems: Problems) -> str | None:
    """A line's text without its end, and without a byte order mark before the first one.

    Returns:
        None for what is not UTF-8, which is added to `problems`.
    """
    number = where.rpartition(":")[2]
    try:
        return line.removeprefix(codecs.BOM_UTF8 if number == "1" else b"").decode().strip("\r\n")
    except UnicodeDecodeError:
        problems.add("not UTF-8", where, f"line-{number}", "not UTF-8 text", "convert it with iconv -t UTF-8")
        return None


def require_lasting(path: Path) -> Path:
    """The path, which may be read again and again.

    Raises:
        UserError: it is a pipe or a device, such as `<(command)` of a shell, whose content is gone once it was read.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        what = f"{path}: not a regular file, and it must be read more than once"
        raise UserError(what, fix="write it to a file, and give that; or pipe it in where `-` is read")
    return path


def printable(text: object) -> str:
    r"""With escapes in the place of what is no Unicode, such as in a file's name in another encoding.

    >>> printable(Path("M\udcfcnchen"))
    'M\\udcfcnchen'
    """
    return str(text).encode(errors="backslashreplace").decode()


def stdin_descriptor(what: str = "text") -> int:
    """That of standard input.

    Args:
        what: is to come through it.

    Raises:
        UserError: it is closed.
    """
    try:
        return sys.stdin.fileno()
    except (AttributeError, ValueError, OSError) as error:  # Python has None where it was closed from the start
        raise UserError("standard input is closed", fix=f"name a file of {what}, or pipe {what} in") from error


def all_of_stdin(what: str = "text") -> bytes:
    """Standard input to its end; raises as `stdin_descriptor`."""
    stdin_descriptor(what)
    return sys.stdin.buffer.read()


def _available(descriptor: int) -> bytes:
    """What a pipe holds; waits only while it is empty. Nothing at its end."""
    try:
        select.select([descriptor], [], [])  # also where another program has made it non-blocking
        return os.read(descriptor, _SOME)
    except OSError as error:
        raise UserError(f"standard input cannot be read: {error.strerror}", fix="name a file instead") from error

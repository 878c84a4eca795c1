"""The lines of manifests, checked, and written to several manifests at once."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from voxkit.data.checks import Requirements, check_line, leaves
from voxkit.data.manifests import read_lines, relocate, require_some
from voxkit.errors import Problems, UserError
from voxkit.progress import track
from voxkit.rundir import digest

Cut = dict[str, Any]  # as in a manifest's line


def checked(files: Sequence[Path], problems: Problems, what: str = "reading") -> Iterator[tuple[str, Cut]]:
    """Where each line is and its cut, of those lines that have no problem of their own; the rest goes to `problems`.

    Raises:
        UserError: there are no lines at all.
    """
    seen: dict[str, str] = {}
    total = 0
    for line in track(read_lines(files), None, what, "cuts"):
        total += 1
        found = list(check_line(line, Requirements(audio=False), seen))
        for problem in found:
            problems.add(problem.kind, problem.where, problem.id, problem.what, problem.fix)
        if not found and line.data is not None:
            yield line.where, line.data
    require_some(total, ", ".join(map(str, files)))


def cuts_of(files: Sequence[Path], what: str) -> Iterator[Cut]:
    """The cuts of manifests that were checked, their features where they are now."""
    moved: dict[str, str] = {}
    for line in track(read_lines(files), None, what, "cuts"):
        if line.data is None:
            raise UserError(f"{line.where}: {line.error}", fix="the file was changed meanwhile: run the command again")
        yield relocate(line.data, Path(line.where.rpartition(":")[0]).parent, moved)


def supervisions_of(cut: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for _, supervisions in leaves(cut):
        yield from supervisions


def digests(files: Sequence[Path]) -> dict[str, str]:
    """What the input is, for the spec of an output folder."""
    return {str(file.resolve()): digest(file) for file in files}


class Write(Protocol):
    def __call__(self, cut: Mapping[str, Any], files: Sequence[int]) -> None: ...


@contextmanager
def writing_to(paths: Sequence[Path]) -> Iterator[Write]:
    """Open several `.jsonl.gz` manifests: the function yielded writes a cut to those of the given numbers."""
    with ExitStack() as stack:
        streams = []
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            raw = stack.enter_context(open(path, "wb"))
            streams.append(stack.enter_context(gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0)))

        def write(cut: Mapping[str, Any], files: Sequence[int]) -> None:
            text = json.dumps(cut, ensure_ascii=False).encode() + b"\n"
            for number in files:
                streams[number].write(text)

        yield write


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Rows of text with their columns aligned, the first `left` of them to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )

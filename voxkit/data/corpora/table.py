"""Reading the tab-separated tables of corpora; every broken line becomes a Problem with its `file:line`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxkit.data.corpora.corpus import Prepared, Utterance
from voxkit.errors import Problems, UserError

NUL = ("it holds a NUL character", "remove it, or copy the file again")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its values by column name."""

    where: str
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file: what is between line feeds, for texts may hold what Unicode calls a separator.

    Raises:
        UserError: the file cannot be read or is not UTF-8.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", fix="check the folder of the corpus") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8", fix="convert the file to UTF-8, e.g. with iconv") from error
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_table(path: Path, columns: Sequence[str], problems: Problems) -> Iterator[Row]:
    """The rows of a TSV file whose first line names its columns; `columns` are those that must be there.

    Raises:
        UserError: the file cannot be read or lacks a column.
    """
    lines = read_lines(path)
    names = lines[0].split("\t") if lines else []
    missing = [column for column in columns if column not in names]
    if missing:
        raise UserError(
            f"{path}:1: no column {', '.join(missing)}", fix=f"the first line must name the columns {' '.join(columns)}"
        )
    for number, line in enumerate(lines[1:], start=2):
        values = line.split("\t")
        if "\0" in line:
            problems.add("broken line", f"{path}:{number}", f"{path.name}:{number}", *NUL)
        elif len(values) == len(names):
            yield Row(f"{path}:{number}", dict(zip(names, values, strict=True)))
        elif line.strip():
            problems.add(
                "broken line", f"{path}:{number}", f"{path.name}:{number}",
                f"{len(values)} fields instead of {len(names)}", "separate the fields by single tabs",
            )  # fmt: skip


def columns_of(table: str, columns: Sequence[str]) -> str:
    """A table in words, for whoever writes one."""
    return f"{table} (a line for each file, fields separated by tabs, first the names: {' '.join(columns)})"


def single_set(
    table: str, columns: Sequence[str], make: Callable[[Path, Row], Utterance]
) -> Callable[[Path, Problems], Prepared]:
    """The reader of a corpus without an official split: every row of `table` in one set `all`."""

    def read(source: Path, problems: Problems) -> Prepared:
        return Prepared({"all": [make(source, row) for row in read_table(source / table, columns, problems)]})

    return read

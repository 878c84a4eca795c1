"""Tables of names, a line each: `class<TAB>phrase`, then perhaps `<TAB>weight` and `<TAB>user`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from voxkit.data.sentences import no_bad_lines, numbered_lines
from voxkit.errors import Problems, UserError

Phrase = tuple[str, ...]
MOST = 1e100  # the sum of weights is a number too


class Name(NamedTuple):
    """A phrase of a class: how much it counts (1 where nothing is said), and whose it is ("": everyone's)."""

    where: str
    label: str
    phrase: Phrase
    weight: float
    user: str


@no_bad_lines()
def read_names(path: Path, normalise: Callable[[str], str]) -> list[Name]:
    """The lines of a table, but for empty ones and those that begin with #; phrases are normalised.

    Raises:
        UserError: a file that cannot be read or has no names.
        DataError: lines that are not such rows.
    """
    problems, names, rows = Problems(), [], 0
    for number, line in numbered_lines(path, problems):
        if not line.strip() or line.startswith("#"):
            continue
        rows += 1
        where = f"{path}:{number}"
        label, phrase, weight, user = ([cell.strip() for cell in line.split("\t")] + [""] * 4)[:4]
        words, count = tuple(normalise(phrase).split()), _weight(weight)
        if len(label.split()) != 1 or set(label) & set("<>") or not words:
            problems.add("no name", where, label, "not a class and a phrase with a tab between them", "mend the line")
        elif count is None:
            problems.add("weight", where, phrase, f"{weight!r} is not a weight above 0, at most {MOST:g}", "mend it")
        else:
            names.append(Name(where, label, words, count, user))
    problems.settle(max(rows, len(problems.bad_ids)))
    if not names:
        raise UserError(f"{path}: has no names", fix="write lines class<TAB>phrase")
    return names


def _weight(text: str) -> float | None:
    """None if it is none."""
    try:
        value = float(text or 1)
    except ValueError:
        return None
    return value if 0 < value <= MOST else None

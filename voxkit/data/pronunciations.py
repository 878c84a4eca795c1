"""Pronunciations of words in one or several languages, as grapheme-to-phoneme conversion learns them and is scored.

Files are TSV, `word<TAB>phone phone ...[<TAB>language]` (SIGMORPHON, WikiPron and our own), or dictionaries separated
by spaces, `WORD PH ON ES` (CMUdict, Kaldi's lexicon.txt and lexiconp.txt). Both may have probabilities after the word,
as `voxkit g2p apply --nbest` writes them. Languages are tags such as `fre`, `en-us`.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxkit.data.lexicon import (
    LANGUAGE,
    PROBABILITY,
    base_word,
    dictionary,
    has_probabilities,
    probability_of,
    read_text,
)
from voxkit.errors import Problems, UserError
from voxkit.rundir import write_atomic

_HIDDEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ud800-\\udfff]")
TSV = "write word<TAB>phone phone ...[<TAB>language]"
SPACED = "write WORD phone phone ..."

Row = tuple[int, str, tuple[str, ...], str]  # line number, word, phones, language


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """One way to say a word. `language` is "" where none is known, `where` the `file:line` that it was read from."""

    word: str
    phones: tuple[str, ...]
    language: str
    where: str


def read_pronunciations(
    path: Path, language: str = "", *, max_bad: float = 0.0, rejected: Path | None = None
) -> list[Pronunciation]:
    """Read a file of pronunciations, gzipped or not, in the order of its lines.

    Whether it is a TSV is decided for the whole file: most lines of one hold a tab. Its words may contain spaces. So is
    whether there are probabilities, which are left out: in the second column, or before a tab (Kaldi's own
    lexiconp.txt: `WORD 1.0<TAB>PH ON ES`, a dictionary separated by spaces). As `Lexicon.read` has it, `WORD(2)` is in
    any file another pronunciation of `WORD`, also where that is not there itself; `f(x)` is a word. `;;;` begins a
    comment line and, in a dictionary separated by spaces, ` # ` a comment. A pronunciation that is listed twice counts
    once.

    Args:
        language: of the rows that name none.
        max_bad: share of bad lines that is left out rather than refused.
        rejected: where to list those, one JSON object per problem.

    Raises:
        DataError: bad lines, every one with its number.
        UserError: no such file, not UTF-8, or nothing in it.
    """
    problems = Problems()
    items, total = parse(path, language, problems)
    problems.settle(total, max_bad, rejected)
    return items


def parse(path: Path, language: str, problems: Problems) -> tuple[list[Pronunciation], int]:
    """The good rows of a file and the number of all rows; what is wrong with the others is added to `problems`.

    The ids of the problems hold the file, so that those of several files can be counted together.

    Raises:
        UserError: no such file, not UTF-8, or nothing in it.
    """
    text = read_text(path, "the pronunciations")
    before, good = len(problems), 0
    found: dict[tuple[str, tuple[str, ...], str], Pronunciation] = {}
    for number, word, phones, own in _rows(text, str(path), problems):
        where = f"{path}:{number}"
        if own and language and own != language:
            what, fix = f"the row's language is {own}, not {language}", "give the file's language, or none"
            problems.add("other language", where, f"{word}:{where}", what, fix)
            continue
        good += 1
        item = Pronunciation(word, phones, own or language, where)
        found.setdefault((item.word, item.phones, item.language), item)
    total = good + len(problems) - before
    if not total:
        raise UserError(f"{path}: no pronunciations in it", fix=f"{TSV}, or {SPACED}")
    return list(found.values()), total


def write_pronunciations(items: Iterable[Pronunciation], path: Path) -> None:
    """Write `word<TAB>phone phone ...<TAB>language`, without the last column where the language is not known.

    Where most words or pronunciations would be taken for such with probabilities (phones called "1"), all rows get the
    probability 1. The file is gzipped if its name ends in .gz, and whole or not there.

    Raises:
        UserError: a row that could not be read back (a word with a tab or line feed, no phones, `a(2)` and the like).
    """
    rows = []
    for item in items:
        row = [item.word, " ".join(item.phones), *([item.language] if item.language else [])]
        line = "\t".join(row)
        if list(_tsv(_table(line), False, "", Problems())) != [(1, item.word, item.phones, item.language)]:
            raise UserError(f"{item.where}: {item.word!r} cannot be written as TSV: {line!r}", fix=TSV)
        rows.append(row)
    text = _joined(rows)
    if _layout(text) != "tsv":
        text = _joined([[word, "1", *rest] for word, *rest in rows])
    data = text.encode()
    write_atomic(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def _joined(rows: Iterable[Sequence[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def hidden_character(text: str) -> str:
    """The first control character, line separator or byte order mark in a text; "" if there is none.

    Joiners (U+200C, U+200D) are part of the spelling of Persian and of Indian languages and do not count.
    """
    found = _HIDDEN.search(text)
    return found[0] if found else ""


def _rows(text: str, path: str, problems: Problems) -> Iterator[Row]:
    """The rows of a file in any of the formats; a bad one gives one problem."""
    layout = _layout(text)
    if layout == "spaced":
        return _spaced(text, path, problems)
    return _tsv(_table(text), layout == "weighted tsv", path, problems)


def _layout(text: str) -> Literal["tsv", "weighted tsv", "spaced"]:
    """The format of a whole file."""
    table = _table(text)
    if 2 * sum(len(columns) > 1 for _, columns in table) <= len(table):
        return "spaced"
    if has_probabilities((number, columns[0], " ".join(columns[1:]).split()) for number, columns in table):
        return "weighted tsv"
    return "spaced" if dictionary(text)[1] else "tsv"  # Kaldi's lexiconp.txt has a tab after the probability


def _table(text: str) -> list[tuple[int, list[str]]]:
    """Line number and columns of all lines that are neither empty nor a comment."""
    return [
        (number, [column.strip(" ") for column in line.removesuffix("\r").split("\t")])
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and not (line.startswith(";;;") and "\t" not in line)
    ]


def _tsv(table: Iterable[tuple[int, list[str]]], weighted: bool, path: str, problems: Problems) -> Iterator[Row]:
    """The rows of a TSV, with or without probabilities in the second column; a bad one gives one problem."""
    for number, given in table:
        probability, columns = _without_probability(given) if weighted else ("", given)
        head, said, language = [*columns, "", ""][:3]
        phones, where = tuple(said.split()), f"{path}:{number}"
        if len(columns) > 3:
            what = f"{len(columns)} columns instead of 2 or 3{' beside the probability' if weighted else ''}"
            problems.add("broken line", where, f"{head}:{where}", what, f"{TSV}, the phones separated by spaces")
        elif language and not LANGUAGE.fullmatch(language):
            what, fix = f"the third column {language!r} is no language tag", f"{TSV}; tags are like fre, en-us"
            problems.add("bad language", where, f"{head}:{where}", what, fix)
        elif _is_sound(head, phones, where, TSV, problems) and (
            not weighted or _is_probability(probability, head, where, problems)
        ):
            yield number, base_word(head), phones, language


def _without_probability(columns: list[str]) -> tuple[str, list[str]]:
    """The probability, which is the second column or the first entry there, and the columns without it."""
    probability, *phones = [*columns, ""][1].split() or [""]
    return probability, [columns[0], *([" ".join(phones)] if phones else []), *columns[2:]]


def _spaced(text: str, path: str, problems: Problems) -> Iterator[Row]:
    """The rows of a dictionary separated by spaces; a bad one gives one problem."""
    lines, weighted = dictionary(text)
    for number, head, fields in lines:
        phones, where = tuple(fields[1:] if weighted else fields), f"{path}:{number}"
        if _is_sound(head, phones, where, SPACED, problems) and (
            not weighted or _is_probability(fields[0], head, where, problems)
        ):
            yield number, base_word(head), phones, ""


def _is_sound(head: str, phones: tuple[str, ...], where: str, fix: str, problems: Problems) -> bool:
    """Whether there are a word and phones without hidden characters; if not, one problem is added."""
    if not base_word(head).strip():
        problems.add("no word", where, f"{head}:{where}", "no word before the phones", fix)
    elif not phones:
        problems.add("no pronunciation", where, f"{head}:{where}", "no phones after the word", fix)
    elif hidden := hidden_character(head + "".join(phones)):
        what = f"it holds the character U+{ord(hidden):04X}"
        problems.add("control character", where, f"{head!r}:{where}", what, "remove it")
    else:
        return True
    return False


def _is_probability(text: str, head: str, where: str, problems: Problems) -> bool:
    """Whether a text is a probability; if not, one problem is added."""
    try:
        probability_of(text)
    except ValueError as error:
        problems.add("bad probability", where, f"{head}:{where}", str(error), PROBABILITY)
        return False
    return True

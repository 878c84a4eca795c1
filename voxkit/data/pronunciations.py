"""Pronunciations of words in one or several languages, as grapheme-to-phoneme conversion learns them and is scored.

Files are TSV, `word<TAB>phone phone ...[<TAB>language]` (SIGMORPHON, WikiPron and our own), or dictionaries separated
by spaces, `WORD PH ON ES` (CMUdict, Kaldi's lexicon.txt and lexiconp.txt). Languages are tags such as `fre`, `en-us`.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voxkit.data.lexicon import (
    PROBABILITY,
    VARIANT,
    dictionary_lines,
    has_probabilities,
    probability_of,
    read_text,
    without_stress,
)
from voxkit.errors import Problems, UserError
from voxkit.rundir import write_atomic

LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
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
    path: Path,
    language: str = "",
    *,
    strip_stress: bool = False,
    max_bad: float = 0.0,
    rejected: Path | None = None,
) -> list[Pronunciation]:
    """Read a file of pronunciations, gzipped or not, in the order of its lines.

    Whether it is a TSV is decided for the whole file: most lines of one hold a tab. Its words may contain spaces. In a
    dictionary separated by spaces `WORD(2)` is another pronunciation of `WORD`, `;;;` begins a comment line and ` # ` a
    comment, and a column of probabilities (lexiconp.txt) is left out. A pronunciation that is listed twice counts once.

    Args:
        language: of the rows that name none.
        strip_stress: read CMUdict's `AH0` as `AH`.
        max_bad: share of bad lines that is left out rather than refused.
        rejected: where to list those, one JSON object per problem.

    Raises:
        DataError: bad lines, every one with its number.
        UserError: no such file, not UTF-8, or nothing in it.
    """
    problems = Problems()
    items, total = parse(path, language, problems, strip_stress)
    problems.settle(total, max_bad, rejected)
    return items


def parse(path: Path, language: str, problems: Problems, strip_stress: bool = False) -> tuple[list[Pronunciation], int]:
    """The good rows of a file and the number of all rows; what is wrong with the others is added to `problems`.

    Raises:
        UserError: no such file, not UTF-8, or nothing in it.
    """
    text = read_text(path, "the pronunciations")
    before, good = len(problems), 0
    found: dict[tuple[str, tuple[str, ...], str], Pronunciation] = {}
    for number, word, phones, own in (_tsv if _is_tsv(text) else _spaced)(text, str(path), problems):
        if own and language and own != language:
            what, fix = f"the row's language is {own}, not {language}", "give the file's language, or none"
            problems.add("other language", f"{path}:{number}", f"{word}:{number}", what, fix)
            continue
        good += 1
        item = Pronunciation(
            word, without_stress(phones) if strip_stress else phones, own or language, f"{path}:{number}"
        )
        found.setdefault((item.word, item.phones, item.language), item)
    total = good + len(problems) - before
    if not total:
        raise UserError(f"{path}: no pronunciations in it", fix=f"{TSV}, or {SPACED}")
    return list(found.values()), total


def write_pronunciations(items: Iterable[Pronunciation], path: Path) -> None:
    """Write `word<TAB>phone phone ...<TAB>language`, without the last column where the language is not known.

    The file is gzipped if its name ends in .gz, and whole or not there.

    Raises:
        UserError: a row that could not be read back (a word with a tab or line feed, no phones, and the like).
    """
    lines = []
    for item in items:
        line = "\t".join([item.word, " ".join(item.phones), *([item.language] if item.language else [])])
        if list(_tsv(line, "", Problems())) != [(1, item.word, item.phones, item.language)]:
            raise UserError(f"{item.where}: {item.word!r} cannot be written as TSV: {line!r}", fix=TSV)
        lines.append(f"{line}\n")
    data = "".join(lines).encode()
    write_atomic(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def hidden_character(text: str) -> str:
    """The first control character, line separator or byte order mark in a text; "" if there is none.

    Joiners (U+200C, U+200D) are part of the spelling of Persian and of Indian languages and do not count.
    """
    found = _HIDDEN.search(text)
    return found[0] if found else ""


def _is_tsv(text: str) -> bool:
    """Whether most lines that are neither empty nor a comment hold a tab."""
    tabs = ["\t" in line for line in text.split("\n") if line.strip() and not _is_comment(line)]
    return 2 * sum(tabs) > len(tabs)


def _is_comment(line: str) -> bool:
    return line.startswith(";;;") and "\t" not in line


def _tsv(text: str, path: str, problems: Problems) -> Iterator[Row]:
    """The rows of a TSV; a bad one gives one problem."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or _is_comment(line):
            continue
        columns = [column.strip(" ") for column in line.removesuffix("\r").split("\t")]
        word, phones, language = [*columns, "", ""][:3]
        if len(columns) > 3:
            what, fix = f"{len(columns)} columns instead of 2 or 3", f"{TSV}, the phones separated by spaces"
            problems.add("broken line", f"{path}:{number}", f"{word}:{number}", what, fix)
        elif language and not LANGUAGE.fullmatch(language):
            what, fix = f"the third column {language!r} is no language tag", f"{TSV}; tags are like fre, en-us"
            problems.add("bad language", f"{path}:{number}", f"{word}:{number}", what, fix)
        elif _is_sound(word, tuple(phones.split()), f"{path}:{number}", number, TSV, problems):
            yield number, word, tuple(phones.split()), language


def _spaced(text: str, path: str, problems: Problems) -> Iterator[Row]:
    """The rows of a dictionary separated by spaces; a bad one gives one problem."""
    lines = list(dictionary_lines(text))
    weighted = has_probabilities(lines)
    for number, head, fields in lines:
        if weighted and fields:
            try:
                probability_of(fields[0])
            except ValueError as error:
                problems.add("bad probability", f"{path}:{number}", f"{head}:{number}", str(error), PROBABILITY)
                continue
        phones = tuple(fields[1:] if weighted else fields)
        variant = VARIANT.fullmatch(head)
        word = variant[1] if variant else head
        if _is_sound(word, phones, f"{path}:{number}", number, SPACED, problems):
            yield number, word, phones, ""


def _is_sound(word: str, phones: tuple[str, ...], where: str, number: int, fix: str, problems: Problems) -> bool:
    """Whether there are a word and phones without hidden characters; if not, one problem is added."""
    if not word.strip():
        problems.add("no word", where, f"{word}:{number}", "no word before the phones", fix)
    elif not phones:
        problems.add("no pronunciation", where, f"{word}:{number}", "no phones after the word", fix)
    elif hidden := hidden_character(word + "".join(phones)):
        what = f"it holds the character U+{ord(hidden):04X}"
        problems.add("control character", where, f"{word!r}:{number}", what, "remove it")
    else:
        return True
    return False

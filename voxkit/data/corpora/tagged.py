"""Corpora of tagged sentences: finding and mending their files, and writing their parts as CoNLL columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from voxkit.data.corpora.writing import REJECTED
from voxkit.data.tagged_files import read_conll, write_conll
from voxkit.data.tagging import Sentence
from voxkit.errors import Problems, UserError
from voxkit.progress import say

Parts = Mapping[str, Sequence[Sentence]]

_UTF8_AS_LATIN1 = re.compile("[\u0080-\u00ff]{2,}")
_C1 = re.compile("[\u0080-\u009f]")


def first_files(folder: Path, names: Mapping[str, Iterable[str]]) -> dict[str, Path]:
    """For each part the first of several files that is in a folder, plain or gzipped; without the parts that are not.

    Args:
        names: of the files of each part.

    Raises:
        UserError: something that is no file has the name of one.
    """
    found: dict[str, Path] = {}
    for part, wanted in names.items():
        for path in (folder / (name + ending) for name in wanted for ending in ("", ".gz")):
            if path.exists() and not path.is_file():
                raise UserError(f"{path}: not a file", fix="put the file of the corpus there")
            if path.is_file():
                found.setdefault(part, path)
    return found


def mended(text: str) -> str:
    """A text without the traces of wrong conversions: UTF-8 taken for Latin-1, Windows-1252 for Latin-1, stray marks.

    >>> mended("Dal\\xc3\\xad \\x96 Dubbz\\ufeff") == "Dal\\xed \\u2013 Dubbz"
    True
    """
    text = _UTF8_AS_LATIN1.sub(lambda found: _as_utf8(found[0]), text)
    text = _C1.sub(lambda found: found[0].encode("latin-1").decode("cp1252", errors="ignore"), text)
    return text.replace("\ufeff", "")


def _as_utf8(text: str) -> str:
    """What the bytes of Latin-1 letters are in UTF-8, also if they are halves of UTF-16; the letters if nothing."""
    try:
        halves = text.encode("latin-1").decode("utf-8", errors="surrogatepass")
        return halves.encode("utf-16", errors="surrogatepass").decode("utf-16")
    except UnicodeError:
        return text


def read_columns(path: Path, name: str, problems: Problems, group: str = "") -> list[Sentence]:
    """The sentences of a file of columns, `mended`, without the rows that have a tag but no word. Says what changed.

    Args:
        name: of the file, for ids.
        group: of all its sentences.

    Raises:
        UserError: it cannot be read, or holds no sentences.
    """
    flaws = 0

    def mend(line: str) -> str | None:
        nonlocal flaws
        better = mended(line) if line.partition("\t")[0].strip() or not line.strip() else None
        flaws += better != line
        return better

    sentences, total = read_conll(path, name, problems, True, mend)
    require_some(total, path)
    if flaws:
        what = "control characters, wrong encodings, rows without a word"
        say(f"notice: {path}: {flaws} line{'s' if flaws != 1 else ''} mended ({what})")
    return [replace(sentence, group=group) for sentence in sentences] if group else sentences


def require_some(total: int, path: Path) -> None:
    """Raise a UserError if a file of a corpus has not a single sentence."""
    if not total:
        raise UserError(f"{path}: holds no sentences", fix="get the file again")


def write(parts: Parts, folder: Path, problems: Problems, max_bad: float = 0.0) -> str:
    """Write `<part>.conll` for every part that has sentences; nothing is written when too much is bad.

    Args:
        problems: what reading the corpus found.
        max_bad: the share of bad sentences to go on without; they are listed in `rejected.jsonl`.

    Returns:
        The sizes of the parts.

    Raises:
        DataError: more than `max_bad` of the sentences have problems.
        UserError: there are no sentences.
    """
    good = sum(map(len, parts.values()))
    problems.settle(good + len(problems.bad_ids), max_bad, folder / REJECTED)
    if not good:
        raise UserError("the corpus has no sentences", fix="check its folder")
    for part, sentences in parts.items():
        if sentences:
            write_conll(sentences, folder / f"{part}.conll")
        else:
            say(f"notice: the part {part} has no sentences, and no file")
    labels = {entity.label for sentences in parts.values() for one in sentences for entity in one.entities()}
    sizes = (
        f"{part} {len(sentences)} sentences with {sum(len(one.entities()) for one in sentences)} entities"
        for part, sentences in parts.items()
    )
    return f"{', '.join(sizes)}, {len(labels)} label{'s' if len(labels) != 1 else ''}"

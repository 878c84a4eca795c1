"""War and Peace by Leo Tolstoy, translated by Louise and Aylmer Maude, for language models (timbmg/RNNLM).

The official parts. They were made of the lines of the book, not of its chapters, and empty lines are gone: lines are
joined in the order of the file, so that where a line went to another part, two that were not neighbours meet. What
Project Gutenberg says about the book, and headings, are left out. Some sentences of dev and test may be in train too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from voxkit.data.corpora.corpus import TextCorpus
from voxkit.data.corpora.lm_text import Texts, found_files, one_line, split, text_lines
from voxkit.errors import Problems

NAMES = {"train": ("wap.train.txt",), "dev": ("wap.valid.txt",), "test": ("wap.test.txt",)}

_HEADING = re.compile(r"(?:BOOK|CHAPTER|FIRST EPILOGUE|SECOND EPILOGUE|[A-Z]{4,}\Z).*")
_LICENCE = re.compile("Gutenberg|General Terms of Use|distribute it in the United States", re.IGNORECASE)


def read(source: Path, problems: Problems) -> Texts:
    """The sentences of the three parts."""
    return {part: list(sentences(text_lines(path, problems))) for part, path in _found(source).items()}


def sentences(lines: Iterable[str]) -> list[str]:
    """The sentences of the book in lines of a file."""
    return split(one_line(" ".join(_prose(lines))))


def _prose(lines: Iterable[str]) -> Iterator[str]:
    """The lines from the first heading to the licence at the end, without headings."""
    begun = False
    for line in map(str.strip, lines):
        if _HEADING.match(line):
            begun = True
        elif begun and _LICENCE.search(line):
            return
        elif begun:
            yield line


def _found(source: Path) -> dict[str, Path]:
    return found_files(source, NAMES)


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return list(_found(source).values())


CORPUS = TextCorpus(
    name="lm_war_and_peace",
    what="text: War and Peace in English, 0.5 million words",
    licence="public domain",
    megabytes=4,
    origin="https://github.com/timbmg/RNNLM (data)",
    markers=(tuple(f"{name}*" for (name,) in NAMES.values()),),
    files=files,
    read=read,
    layouts="wap.train.txt, wap.valid.txt and wap.test.txt, which may be gzipped",
)

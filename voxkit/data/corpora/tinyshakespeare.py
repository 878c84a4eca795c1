"""Tiny Shakespeare: 40 000 lines of plays, for language models (karpathy/char-rnn).

There are no official parts: train are the first 90 % of the lines, dev the next 5 %, test the last 5 %. The lines of a
speech are joined and divided into sentences; who speaks is left out. Some sentences of dev and test may be in train
too.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from voxkit.data.corpora.corpus import TextCorpus
from voxkit.data.corpora.lm_text import Texts, found_files, one_line, shares, split, text_lines
from voxkit.errors import Problems

NAMES = {"text": ("input.txt",)}
SHARE = 0.05  # of dev and of test, of the lines


def read(source: Path, problems: Problems) -> Texts:
    """The sentences of the three parts."""
    parts = shares(text_lines(files(source)[0], problems), SHARE, SHARE)
    return {part: sentences(lines) for part, lines in parts.items()}


def sentences(lines: Iterable[str]) -> list[str]:
    """The sentences of speeches, which begin with `Speaker:` and end with an empty line."""
    found: list[str] = []
    speech: list[str] = []
    for line in (*map(str.strip, lines), ""):
        if line:
            speech.append(line)
        elif speech:
            spoken = speech[1:] if speech[0].endswith(":") else speech
            found += split(one_line(" ".join(spoken)))
            speech = []
    return found


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return list(found_files(source, NAMES).values())


CORPUS = TextCorpus(
    name="lm_tinyshakespeare",
    what="text: plays by Shakespeare, 0.2 million words",
    licence="public domain",
    megabytes=1,
    origin="https://github.com/karpathy/char-rnn (data/tinyshakespeare)",
    markers=(("input.txt*",),),
    files=files,
    read=read,
    layouts="input.txt, which may be gzipped",
)

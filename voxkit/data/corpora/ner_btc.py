"""The Broad Twitter Corpus: tweets of several regions, years and themes (Derczynski et al. 2016, COLING, C16-1111).

Sections a, b, e and g are the training part, h is the dev part and f the test part; the corpus itself names no parts.
Rows with a tag but no word, which some sections have, are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from voxkit.data.corpora.corpus import TaggedCorpus
from voxkit.data.corpora.lexical import first_existing
from voxkit.data.corpora.tagged import Parts, read_columns
from voxkit.errors import Problems

SECTIONS = {"train": "abeg", "dev": "h", "test": "f"}

_NAME = re.compile(r"(?:.*_)?([abefgh])\.conll(?:\.gz)?")


def read(source: Path, problems: Problems) -> Parts:
    """The parts; the group of a tweet is its section."""
    found = _sections(source)
    return {
        part: [
            sentence
            for section in sections
            if section in found
            for sentence in read_columns(found[section], section, problems, section)
        ]
        for part, sections in SECTIONS.items()
    }


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return list(_sections(source).values())


def _sections(source: Path) -> dict[str, Path]:
    """The file of each section; the plain one if it is there twice."""
    folder = first_existing(source, ["CONLL-format/data", "data/BTC/CONLL-format/data"])
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if named := _NAME.fullmatch(path.name):
            found.setdefault(named[1], path)
    return found


def _markers(folder: str) -> tuple[str, ...]:
    return tuple(f"{folder}*{section}.conll*" for sections in SECTIONS.values() for section in sections)


CORPUS = TaggedCorpus(
    name="ner_btc",
    what="named entities: tweets, 3 types, English",
    licence="CC BY 4.0",
    megabytes=2,
    origin="https://github.com/GateNLP/broad_twitter_corpus",
    markers=tuple(map(_markers, ("", "CONLL-format/data/", "data/BTC/CONLL-format/data/"))),
    files=files,
    read=read,
    layouts="the repository (a.conll, b.conll, e.conll, f.conll, g.conll and h.conll), or files whose names end so "
    "after a _, which may be gzipped (word, tab, BIO tag)",
)

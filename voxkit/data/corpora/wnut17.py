"""WNUT 2017: emerging and rare entities in posts and comments (Derczynski et al. 2017, doi:10.18653/v1/W17-4418).

The official parts. Tokens and tags are those of the files, but for a stray byte order mark.
"""

from __future__ import annotations

from pathlib import Path

from voxkit.data.corpora.corpus import TaggedCorpus
from voxkit.data.corpora.tagged import Parts, first_files, read_columns
from voxkit.errors import Problems

NAMES = {
    "train": ("train.conll", "wnut17train.conll"),
    "dev": ("dev.conll", "emerging.dev.conll"),
    "test": ("test.conll", "emerging.test.annotated"),
}


def read(source: Path, problems: Problems) -> Parts:
    """The three parts."""
    return {part: read_columns(path, part, problems) for part, path in first_files(source, NAMES).items()}


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return list(first_files(source, NAMES).values())


CORPUS = TaggedCorpus(
    name="wnut17",
    what="named entities: rare and new ones in posts, 6 types, English",
    licence="CC BY 4.0",
    megabytes=1,
    origin="https://github.com/leondz/emerging_entities_17",
    markers=tuple(tuple(f"{names[way]}*" for names in NAMES.values()) for way in (0, 1)),
    files=files,
    read=read,
    layouts="the repository (wnut17train.conll, emerging.dev.conll, emerging.test.annotated), or train.conll, "
    "dev.conll and test.conll, which may be gzipped (word, tab, BIO tag)",
)

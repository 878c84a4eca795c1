"""The CMU Pronouncing Dictionary: US English in ARPAbet with stress, divided 80 : 10 : 10 by the hash of the word.

Stress is kept (`AH0`); `voxkit g2p train --set phones.stress=drop` learns without it.
"""

from __future__ import annotations

from pathlib import Path

from voxkit.data.corpora.corpus import Archive, Lexical, Pronounced
from voxkit.data.corpora.lexical import by_word, read_files
from voxkit.errors import Problems

LANGUAGE = "eng_us_arpabet"  # a language of its own for a model: its phones are not those of IPA


def read(source: Path, problems: Problems) -> Pronounced:
    """The dictionary, gzipped or not."""
    return by_word(read_files([(path, LANGUAGE) for path in files(source)], problems))


def files(source: Path) -> list[Path]:
    """The dictionary; the plain one if it is there twice."""
    return [path for path in (source / "cmudict.dict", source / "cmudict.dict.gz") if path.is_file()][:1]


CORPUS = Lexical(
    name="cmudict",
    what="pronunciations: US English, 126000 words, ARPAbet",
    licence="BSD 2-clause",
    megabytes=4,
    origin="https://github.com/cmusphinx/cmudict",
    markers=(("cmudict.dict",), ("cmudict.dict.gz",)),
    files=files,
    read=read,
    layouts="the repository, or cmudict.dict or cmudict.dict.gz (WORD PH ON ES; WORD(2) is another pronunciation)",
    archive=Archive(
        url="https://github.com/cmusphinx/cmudict/archive/0f8072f814306c5ee4fbf992ed853601b12c01f9.tar.gz",
        tree="ec1992050b2be2f29cb3e87bedaddc670fdddd7e",
    ),
)

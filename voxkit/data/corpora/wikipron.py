"""WikiPron: pronunciations mined from Wiktionary (Lee et al. 2020, https://aclanthology.org/2020.lrec-1.521).

Files are `LANG_SCRIPT[_DIALECT]_LEVEL[_filtered].tsv`, gzipped or not, as data/scrape/tsv of the repository has them; a
folder may hold any number of languages. There are no official parts: words are divided 80 : 10 : 10 by their hash.
"""

from __future__ import annotations

import re
from pathlib import Path

from voxkit.data.corpora.corpus import Lexical, Pronounced
from voxkit.data.corpora.lexical import by_word, first_existing, read_files
from voxkit.errors import Problems

NAME = re.compile(r"([a-z]{3})_([a-z]{4})(?:_(\w+?))?_(broad|narrow)(_filtered)?\.tsv(?:\.gz)?")


def read(source: Path, problems: Problems) -> Pronounced:
    """All languages; the tag is `LANG` or `LANG_DIALECT`, such as `cym_nw`."""
    return by_word(read_files(choose(_folder(source)), problems))


def files(source: Path) -> list[Path]:
    """The files that are read."""
    return [path for path, _ in choose(_folder(source))]


def _folder(source: Path) -> Path:
    return first_existing(source, ["data/scrape/tsv"])


def choose(folder: Path) -> list[tuple[Path, str]]:
    """The files to read with their language tags, in the order of their names.

    Of several files for one language, script and dialect it is the broad one and the filtered one, so that each of
    these is transcribed in one way. Scripts of a language are chosen apart and share its tag: where one of them has
    narrow transcriptions only, the language has both kinds.
    """
    best: dict[tuple[str, str, str], tuple[bool, bool, Path]] = {}
    for path in sorted(folder.iterdir()):
        if found := NAME.fullmatch(path.name):
            language, script, dialect, level, filtered = found.groups(default="")
            rank = level != "broad", not filtered, path
            best[language, script, dialect] = min(rank, best.get((language, script, dialect), rank))
    return [(path, f"{language}_{dialect}".strip("_")) for (language, _, dialect), (_, _, path) in best.items()]


CORPUS = Lexical(
    name="wikipron",
    what="pronunciations: any of the languages of Wiktionary, IPA",
    licence="CC BY-SA 3.0 (Wiktionary)",
    megabytes=1,
    origin="https://github.com/CUNY-CL/wikipron (data/scrape/tsv)",
    markers=(("*_broad*.tsv*",), ("*_narrow*.tsv*",), ("data/scrape/tsv",)),
    files=files,
    read=read,
    layouts="the repository (data/scrape/tsv/), or LANG_SCRIPT_LEVEL.tsv files of the languages of your choice, which "
    "may be gzipped (word, tab, phones separated by spaces)",
)

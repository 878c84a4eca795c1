"""The shared tasks of SIGMORPHON on grapheme-to-phoneme conversion: words of Wiktionary in IPA, official parts.

2020: 15 languages with 3600 + 450 + 450 words each (Gorman et al. 2020, https://aclanthology.org/2020.sigmorphon-1.2).
2021, high-resource track: 41 680 words of US English (Ashby et al. 2021,
https://aclanthology.org/2021.sigmorphon-1.13). Files are `LANG_PART.tsv`, gzipped or not.
"""

from __future__ import annotations

import re
from pathlib import Path

from voxkit.data.corpora.corpus import Archive, Lexical, Pronounced
from voxkit.data.corpora.lexical import PARTS, first_existing, read_files
from voxkit.errors import Problems


def read_2020(source: Path, problems: Problems) -> Pronounced:
    """The parts, each with its languages in alphabetical order."""
    return _read(_folders_2020(source), problems)


def read_2021(source: Path, problems: Problems) -> Pronounced:
    """The parts of the one language, eng_us."""
    return _read(_folders_2021(source), problems)


def files_2020(source: Path) -> list[Path]:
    """The files that are read."""
    return _all_files(_folders_2020(source))


def files_2021(source: Path) -> list[Path]:
    """The files that are read."""
    return _all_files(_folders_2021(source))


def _folders_2020(source: Path) -> dict[str, Path]:
    return {part: first_existing(source, ["task1/data"]) / part for part in PARTS}


def _folders_2021(source: Path) -> dict[str, Path]:
    return dict.fromkeys(PARTS, first_existing(source, ["data/high", "high"]))


def _read(folders: dict[str, Path], problems: Problems) -> Pronounced:
    return Pronounced({part: read_files(_files(folder, part), problems) for part, folder in folders.items()})


def _all_files(folders: dict[str, Path]) -> list[Path]:
    return [path for part, folder in folders.items() for path, _ in _files(folder, part)]


def _files(folder: Path, part: str) -> list[tuple[Path, str]]:
    """The files of a part with their languages, one for each; the plain one if it is there twice."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if named := re.fullmatch(rf"(\w+)_{part}\.tsv(\.gz)?", path.name):
            found.setdefault(named[1], path)
    return [(path, language) for language, path in found.items()]


def _markers(*patterns: str) -> tuple[str, ...]:
    """One glob for each part."""
    return tuple(pattern.format(part=part) for pattern in patterns for part in PARTS)


SIGMORPHON_2020 = Lexical(
    name="sigmorphon2020_g2p",
    what="pronunciations: 15 languages, 4500 words each, IPA",
    licence="CC BY-SA 3.0 (Wiktionary)",
    megabytes=2,
    origin="https://github.com/sigmorphon/2020",
    markers=(_markers("{part}/*_{part}.tsv*"), _markers("task1/data/{part}/*_{part}.tsv*")),
    files=files_2020,
    read=read_2020,
    layouts="the repository (task1/data/), or train/LANG_train.tsv, dev/LANG_dev.tsv and test/LANG_test.tsv, which may "
    "be gzipped (word, tab, phones separated by spaces)",
)  # no archive: the commits hold git submodules, which archives lack, so their tree ids cannot be verified

SIGMORPHON_2021 = Lexical(
    name="sigmorphon2021_g2p_high",
    what="pronunciations: US English, 41680 words, IPA",
    licence="CC BY-SA 3.0 (Wiktionary)",
    megabytes=5,
    origin="https://github.com/sigmorphon/2021-task1",
    markers=(_markers("*_{part}.tsv*"), _markers("high/*_{part}.tsv*"), _markers("data/high/*_{part}.tsv*")),
    files=files_2021,
    read=read_2021,
    layouts="the repository (data/high/), or eng_us_train.tsv, eng_us_dev.tsv and eng_us_test.tsv, which may be "
    "gzipped (word, tab, phones separated by spaces)",
    archive=Archive(
        url="https://github.com/sigmorphon/2021-task1/archive/821bcdece5a47820872215969f275004b0abe80c.tar.gz",
        tree="4ac6ce4a4c602d44341ebd8c4702c83f1a6141d0",
    ),
)

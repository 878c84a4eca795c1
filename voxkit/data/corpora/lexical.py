"""Corpora of pronunciations: dividing them by word, and writing their parts as TSV files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from voxkit.data.corpora.corpus import Pronounced
from voxkit.data.corpora.division import part_of
from voxkit.data.corpora.writing import REJECTED
from voxkit.data.pronunciations import Pronunciation, parse, write_pronunciations
from voxkit.errors import Problems, UserError

PARTS = ("train", "dev", "test")


def first_existing(folder: Path, names: Iterable[str]) -> Path:
    """The first of several folders below `folder` that is there, or `folder` itself."""
    return next((folder / name for name in names if (folder / name).is_dir()), folder)


def read_files(files: Iterable[tuple[Path, str]], problems: Problems) -> list[Pronunciation]:
    """All pronunciations of several files, each with its language."""
    return [item for path, language in files for item in parse(path, language, problems)[0]]


def by_word(
    items: Iterable[Pronunciation], dev_share: float = 0.1, test_share: float = 0.1, salt: str = ""
) -> Pronounced:
    """Divide into train, dev and test so that all pronunciations of a word are in one part, in every language.

    Args:
        dev_share, test_share: shares in [0, 1] of the words, about.
        salt: another one gives another division.
    """
    splits: dict[str, list[Pronunciation]] = {part: [] for part in PARTS}
    for item in items:
        splits[part_of(salt + item.word, dev_share, test_share)].append(item)
    return Pronounced(splits)


def write(pronounced: Pronounced, folder: Path, problems: Problems, max_bad: float = 0.0) -> str:
    """Write `<part>.tsv` for every part that has pronunciations; nothing is written when too much is bad.

    Args:
        problems: what reading the corpus found.
        max_bad: the share of bad rows to go on without; they are listed in `rejected.jsonl`.

    Returns:
        The sizes of the parts in words.

    Raises:
        DataError: more than `max_bad` of the rows have problems.
        UserError: there are no pronunciations.
    """
    count = sum(map(len, pronounced.splits.values()))
    problems.settle(count + len(problems.bad_ids), max_bad, folder / REJECTED)
    if not count:
        raise UserError("the corpus has no pronunciations", fix="check its folder or settings")
    for part, items in pronounced.splits.items():
        if items:
            write_pronunciations(items, folder / f"{part}.tsv")
    return _sizes(pronounced.splits)


def _sizes(splits: Mapping[str, Sequence[Pronunciation]]) -> str:
    languages = len({item.language for items in splits.values() for item in items})
    parts = (
        f"{part} {len(items)} pronunciations of {len({(item.word, item.language) for item in items})} words"
        for part, items in splits.items()
    )
    return f"{', '.join(parts)}, {languages} language{'s' if languages != 1 else ''}"

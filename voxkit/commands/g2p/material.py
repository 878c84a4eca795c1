"""Pronunciations as the commands name them, [LANG=]FILE, read and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from voxkit.commands.g2p.command import DataConfig, PhoneConfig
from voxkit.commands.g2p.pronounce import Pronouncer, Word
from voxkit.commands.g2p.tables import LONGEST, Tables, sounds
from voxkit.data.lexicon import LANGUAGE
from voxkit.data.pronunciations import Pronunciation, parse
from voxkit.errors import Problems, UserError
from voxkit.metrics.pronunciation import Judged
from voxkit.rundir import digest


def named(given: str) -> tuple[str, Path]:
    """`LANG=FILE` as language and file; the language of a plain `FILE` is "".

    >>> named("fre=data/a.tsv"), named("data/a=b.tsv")
    (('fre', PosixPath('data/a.tsv')), ('', PosixPath('data/a=b.tsv')))
    """
    language, equals, rest = given.partition("=")
    if equals and rest and LANGUAGE.fullmatch(language):
        return language, Path(rest)
    return "", Path(given)


def identified(data: DataConfig) -> DataConfig:
    """With digests of the inputs, so that a run is not resumed on others under the same names."""
    files = [named(given)[1] for given in (*data.train, *data.dev)]
    return data.model_copy(update={"digests": {str(file): digest(file) for file in files}})


def read(files: Sequence[str], max_bad: float = 0.0, rejected: Path | None = None) -> list[Pronunciation]:
    """All pronunciations of several files, in order.

    Args:
        rejected: where to list what is left out of them.

    Raises:
        DataError: more than `max_bad` of all rows are bad.
        UserError: no such file, or nothing in it.
    """
    found: list[Pronunciation] = []
    problems, total = Problems(), 0
    for given in files:
        language, path = named(given)
        items, rows = parse(path, language, problems)
        found += items
        total += rows
    problems.settle(total, max_bad, rejected)
    return found


def chosen(
    items: Iterable[Pronunciation], languages: Sequence[str], words: int | None, where: str
) -> list[Pronunciation]:
    """Those of some languages, and of each only so many words, with all pronunciations of a word.

    Which words is decided by a hash of the word, so that fewer words are a part of more words.

    Raises:
        UserError: a language that none of the items has.
    """
    kept = list(items)
    if languages:
        missing = sorted(set(languages) - {item.language for item in kept})
        if missing:
            there = ", ".join(sorted({item.language or "(no language)" for item in kept}))
            raise UserError(f"{where}: nothing in {', '.join(missing)}", fix=f"choose of {there}")
        kept = [item for item in kept if item.language in languages]
    if words is not None:
        spelt = sorted({(item.language, item.word) for item in kept}, key=_shuffled)
        counts: dict[str, int] = {}
        few: set[tuple[str, str]] = set()
        for language, word in spelt:
            counts[language] = counts.get(language, 0) + 1
            if counts[language] <= words:
                few.add((language, word))
        kept = [item for item in kept if (item.language, item.word) in few]
    return kept


def _shuffled(key: tuple[str, str]) -> bytes:
    return hashlib.blake2b("\t".join(key).encode(), digest_size=8).digest()


def fitting(
    items: Sequence[Pronunciation], tables: Tables, max_bad: float, rejected: Path | None
) -> list[Pronunciation]:
    """Those that are short enough for the network.

    Raises:
        DataError: more than `max_bad` of them are not.
    """
    problems = Problems()
    for item in items:
        letters, phones = len(tables.letter_ids(item.word, item.language)), len(item.phones) + 1
        if max(letters, phones) > LONGEST:
            what = f"has {letters} letters and {phones} phones, ends included; {LONGEST} are the most"
            problems.add("too long", item.where, item.where, f"{item.word[:40]}... {what}", "leave it out")
    bad = problems.settle(len(items), max_bad, rejected)
    return [item for item in items if item.where not in bad]


def rewritten(
    items: Sequence[Pronunciation], config: PhoneConfig, max_bad: float = 0.0, rejected: Path | None = None
) -> list[Pronunciation]:
    """With phones in the notation of the config; what is then the same pronunciation counts once.

    Args:
        rejected: where to list those of which nothing is left.

    Raises:
        DataError: nothing is left of more than `max_bad` of them.
    """
    found: dict[tuple[str, str, tuple[str, ...]], Pronunciation] = {}
    problems = Problems()
    for item in items:
        phones = sounds(item.phones, config)
        if phones:
            found.setdefault((item.language, item.word, phones), replace(item, phones=phones))
            continue
        what = f"nothing of {' '.join(item.phones)!r} is a phone"
        fix = "mend it, or keep length and stress marks with --set phones.length=keep, phones.stress=keep"
        problems.add("no phone", item.where, f"{item.word}:{item.where}", what, fix)
    problems.settle(len(items), max_bad, rejected)
    return list(found.values())


def judged(
    pronouncer: Pronouncer, items: Sequence[Pronunciation], told: Callable[[list[Word]], list[Word]] = list
) -> list[Judged]:
    """Each word of `items` once, with its pronunciations there and the one that the model prefers.

    Args:
        told: from the words with their languages to those that the model is given.
    """
    references: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for item in items:
        references.setdefault((item.word, item.language), []).append(item.phones)
    words = list(references)
    found = pronouncer.pronounce(told(words))
    return [
        Judged(word, language, tuple(references[word, language]), best[0].phones if best else ())
        for (word, language), best in zip(words, found, strict=True)
    ]

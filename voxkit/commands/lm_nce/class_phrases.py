"""Phrases that a class may stand for, such as the names of contacts, and putting classes into sentences."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxkit.commands.lm_nce.name_table import Phrase, read_names
from voxkit.commands.lm_nce.vocabulary import class_token


@dataclass(frozen=True)
class ClassPhrases:
    """Attributes: `begun`, by its first word, phrases with the classes that have each, the longest phrases first."""

    classes: tuple[str, ...]
    begun: Mapping[str, Sequence[tuple[Phrase, tuple[str, ...]]]]

    @classmethod
    def read(cls, path: Path, normalise: Callable[[str], str]) -> ClassPhrases:
        """Read a table of names (see `name_table`), whatever their weights and whoever's they are.

        Raises:
            UserError: the file cannot be read, or is empty.
            DataError: lines that are not such rows.
        """
        found: dict[Phrase, list[str]] = {}
        for name in read_names(path, normalise):
            classes = found.setdefault(name.phrase, [])
            if name.label not in classes:
                classes.append(name.label)
        begun: dict[str, list[tuple[Phrase, tuple[str, ...]]]] = {}
        for phrase in sorted(found, key=lambda phrase: (-len(phrase), phrase)):
            begun.setdefault(phrase[0], []).append((phrase, tuple(sorted(found[phrase]))))
        return cls(tuple(sorted({name for names in found.values() for name in names})), begun)

    def put(self, name: str, texts: Iterable[Sequence[str]], share: float) -> Iterator[Sequence[str]]:
        """Sentences where classes stand for their phrases, in this share of those that have any.

        Of phrases that overlap the first counts, and of those the longest. Which sentences it is, and which class where
        a phrase is of several, is a fixed function of the corpus' name and the sentence's number.
        """
        for number, words in enumerate(texts):
            replaced = self._replaced(words, number)
            point = zlib.crc32(f"{name}:{number}".encode()) / 2**32
            yield words if replaced is None or point >= share else replaced

    def _replaced(self, words: Sequence[str], number: int) -> Sequence[str] | None:
        """The sentence with classes; None if there is no phrase in it."""
        if not any(word in self.begun for word in words):
            return None
        found: list[str] = []
        place = 0
        while place < len(words):
            fitting = (
                (phrase, classes)
                for phrase, classes in self.begun.get(words[place], ())
                if tuple(words[place : place + len(phrase)]) == phrase
            )
            phrase, classes = next(fitting, ((words[place],), ()))
            found.append(class_token(classes[number % len(classes)]) if classes else words[place])
            place += len(phrase)
        return found if found != list(words) else None

"""Phrases that a class may stand for, such as the names of contacts, and putting classes into sentences."""

from __future__ import annotations

import zlib
from collections import Counter
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

    def put(
        self, name: str, texts: Iterable[Sequence[str]], share: float, seen: Counter[str] | None = None
    ) -> Iterator[Sequence[str]]:
        """Sentences where classes stand for their phrases, in this share of those that have any.

        Of phrases that overlap the first counts, and of those the longest. Which sentences it is, and which class where
        a phrase is of several, is a fixed function of the corpus' name and the sentence's number.

        Args:
            seen: counts the sentences that have a phrase of each class, whether or not it stands for that.
        """
        for number, words in enumerate(texts):
            found = list(self._found(words))
            if not found:
                yield words
                continue
            if seen is not None:
                seen.update({one for _, _, classes in found for one in classes})
            point = zlib.crc32(f"{name}:{number}".encode()) / 2**32
            yield words if point >= share else _replaced(words, found, number)

    def told(self, seen: Mapping[str, int]) -> list[str]:
        """What to say of the sentences that `put` has seen in all corpora, a line for each class."""
        lines = []
        for one in self.classes:
            phrases = sum(one in classes for some in self.begun.values() for _, classes in some)
            if seen.get(one):
                have = "sentence has" if seen[one] == 1 else "sentences have"
                lines.append(f"class {one}: {seen[one]} {have} one of its {phrases} phrases")
            else:
                what = f"no sentence has one of its {phrases} phrases: are they written as the texts are?"
                lines.append(f"warning: class {one}: {what}")
        return lines

    def _found(self, words: Sequence[str]) -> Iterator[tuple[int, Phrase, tuple[str, ...]]]:
        """The phrases of a sentence, where they begin, and their classes."""
        free = 0  # where the phrase before has ended
        for place, word in enumerate(words):
            if place < free or word not in self.begun:
                continue
            for phrase, classes in self.begun[word]:
                if tuple(words[place : place + len(phrase)]) == phrase:
                    yield place, phrase, classes
                    free = place + len(phrase)
                    break


def _replaced(words: Sequence[str], found: Iterable[tuple[int, Phrase, tuple[str, ...]]], number: int) -> Sequence[str]:
    """A sentence of that number with classes in place of the phrases found in it."""
    made: list[str] = []
    place = 0
    for start, phrase, classes in found:
        made += [*words[place:start], class_token(classes[number % len(classes)])]
        place = start + len(phrase)
    return [*made, *words[place:]]

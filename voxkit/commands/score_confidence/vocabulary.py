"""What confidence models know about words: their frequency, their letters and how many phones they have."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from voxkit.errors import UserError
from voxkit.rundir import write_atomic

FILE = "vocabulary.json"
UNKNOWN, NOTHING = 0, 1  # ids of words and letters: one that was not seen, and where there is no word


class Vocabulary:
    """Words with counts, letters, and the phones of each word.

    Attributes:
        counts: how often each word was seen; what was seen once has no id of its own.
        phones: length of a word's shortest pronunciation; empty without a lexicon.
    """

    def __init__(self, counts: Mapping[str, int], phones: Mapping[str, int], fewest: int = 2) -> None:
        self.counts, self.phones, self.fewest = dict(sorted(counts.items())), dict(phones), fewest
        frequent = [word for word, count in self.counts.items() if count >= fewest]
        self._words = {word: index for index, word in enumerate(frequent, start=2)}
        letters = sorted({letter for word in self.counts for letter in word})
        self._letters = {letter: index for index, letter in enumerate(letters, start=2)}
        self._total = math.log10(sum(self.counts.values()) + len(self.counts) + 1)

    @property
    def num_words(self) -> int:
        """Ids of words, the two special ones among them."""
        return len(self._words) + 2

    @property
    def num_letters(self) -> int:
        return len(self._letters) + 2

    def word(self, word: str | None) -> int:
        """The id of a word, or of "no word" (None)."""
        return NOTHING if word is None else self._words.get(word, UNKNOWN)

    def letters(self, word: str | None) -> list[int]:
        """The ids of a word's letters; those of "no word" are one."""
        return [NOTHING] if word is None else [self._letters.get(letter, UNKNOWN) for letter in word]

    def log_unigram(self, word: str) -> float:
        """log10 of the word's probability, one added to each count; unseen words share that of one word."""
        return math.log10(self.counts.get(word, 0) + 1) - self._total

    def length_in_phones(self, word: str) -> int:
        """0 where it is not known."""
        return self.phones.get(word, 0)

    def save(self, path: Path) -> None:
        content = {"counts": self.counts, "phones": self.phones, "fewest": self.fewest}
        write_atomic(path, json.dumps(content, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            UserError: it is not there or damaged.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: cannot be read: {error}", fix="copy or train the model again") from error


def count_words(texts: Iterable[Sequence[str]]) -> Counter[str]:
    """How often each word occurs in texts that are divided into words."""
    return Counter(word for text in texts for word in text)

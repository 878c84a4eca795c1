"""What words sound like, as far as telling them apart goes: a table of phones, or of letters without a lexicon."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from voxkit.data.lang import Lang

Ints = NDArray[np.int32]

END, NOTHING = 0, 1  # codes beside those of the phones: behind a word's last one; what "no word" sounds like
LONGEST = 24  # phones that are looked at: two words that differ later only count as the same sound


class Sounds:
    """The first pronunciation of every word.

    Attributes:
        table: (V, LONGEST) code of each phone, `END` behind the last one; word 0 is `NOTHING`.
        length: (V,) phones of each word, at least 1.
    """

    def __init__(self, words: Sequence[str], lang: Lang | None = None) -> None:
        """Look the words of a table up; those without a pronunciation are spelled."""
        spoken = [_phones(word, lang)[:LONGEST] for word in words]
        codes = {phone: code for code, phone in enumerate(sorted(set(chain.from_iterable(spoken))), start=2)}
        self.table = np.full((len(words), LONGEST), END, dtype=np.int16)
        for row, phones in zip(self.table, spoken, strict=True):
            row[: len(phones)] = [codes[phone] for phone in phones]
        self.table[0] = END
        self.table[0, 0] = NOTHING
        self.length = np.maximum((self.table != END).sum(axis=1), 1).astype(np.int32)

    def contrast(self, words: Ints, others: Ints) -> tuple[Ints, Ints]:
        """(N,), (N,): the first phone of each word in which it differs from the other, and the other's there.

        Both are `END` if the two sound the same. A word's contrast with "no word" is its first phone and `NOTHING`.
        """
        mine, theirs = self.table[words], self.table[others]
        place = (mine != theirs).argmax(axis=1)[:, None]
        found = [np.take_along_axis(table, place, axis=1)[:, 0].astype(np.int32) for table in (mine, theirs)]
        same = found[0] == found[1]
        return np.where(same, END, found[0]), np.where(same, END, found[1])


def _phones(word: str, lang: Lang | None) -> list[str]:
    pronunciations = lang.pronunciations(word) if lang is not None else []
    if lang is None or not pronunciations:
        return list(word)
    best, _ = max(pronunciations, key=lambda item: item[1])
    return [lang.tokens[token] for token in best]

"""A model beside one of other tables: the same letters, phones and languages under other numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.g2p.search import Array, Begun, Numbers, Scorer
from voxkit.commands.g2p.tables import ANY, Tables

Arrays = tuple[NDArray[np.generic], ...]


def common_languages(main: Tables, other: Tables) -> frozenset[int]:
    """The languages, as numbers of `main`, in whose words a model with other tables can take part.

    Both must have learnt the same phones there, so that each has an opinion on all that the other may say, and be told
    of words and phones in the same notation.
    """
    if (main.letter_config, main.phone_config) != (other.letter_config, other.phone_config):
        return frozenset()
    if main == other:
        return frozenset(range(len(main.languages)))
    return frozenset(
        number
        for number, language in enumerate(main.languages)
        if language in other.language_ids
        and number != ANY
        and _inventory(main, number) == _inventory(other, other.language_ids[language])
    )


def _inventory(tables: Tables, language: int) -> set[str]:
    return {tables.phones[phone] for phone in tables.inventories[language]}


class Translated:
    """A `voxkit.commands.g2p.search.Scorer` that counts letters, phones and languages as `main` does."""

    def __init__(self, scorer: Scorer, main: Tables) -> None:
        own = scorer.tables
        self.scorer, self.tables = scorer, main
        self._letters = np.array([own.letter_id(letter) for letter in main.letters], dtype=np.int64)
        self._languages = np.array([own.language_ids.get(name, ANY) for name in main.languages], dtype=np.int64)
        numbers = {phone: number for number, phone in enumerate(own.phones)}
        self._phones = np.array([numbers.get(phone, -1) for phone in main.phones], dtype=np.int64)

    def begin(self, letters: Numbers, lengths: Numbers, language: Numbers) -> Begun:
        return self.scorer.begin(self._letters[letters], lengths, self._languages[language])

    def step(self, previous: Numbers, language: Numbers, memory: Arrays, state: Arrays) -> tuple[Array, Arrays]:
        # what it has no number for is impossible here, and so what follows it does not matter
        said = np.maximum(self._phones[previous], 0)
        found, after = self.scorer.step(said, self._languages[language], memory, state)
        log_probs = np.where(self._phones >= 0, found[:, self._phones], np.float32(-np.inf))
        return np.asarray(log_probs, dtype=np.float32), after

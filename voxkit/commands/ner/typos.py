"""Sentences with typing errors: those of the keyboard (Belinkov and Bisk 2018), and the edits in most misspelt words.

The edits are those of Damerau (1964): a letter exchanged, left out, put in, or two swapped. No word is added, lost,
split or joined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from random import Random
from typing import Literal

from voxkit.commands.ner.rewording import cased, chosen, each_letter, letters, require_share, reworded
from voxkit.data.tagging import Sentence

Keyboard = Literal["qwerty", "qwertz"]

_ROWS: Mapping[Keyboard, tuple[str, ...]] = {
    "qwerty": ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "qwertz": ("1234567890ß", "qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
}
_ONLY_QWERTZ = frozenset("äöüß")


def typos(sentences: Iterable[Sentence], share: float, seed: int = 0) -> list[Sentence]:
    """Sentences with typing errors: in a chosen word a neighbouring key, or a letter dropped, doubled or swapped.

    Neighbours are those on QWERTZ in words with German letters, otherwise on QWERTY. What becomes of a word is decided
    by itself, the seed, the id of its sentence, and its place there, so that part of a set is changed as the whole is.
    With a larger share the same words are changed in the same way, and more of them.

    Args:
        share: how likely a word of two letters or more is chosen, in [0, 1].

    Raises:
        ValueError: a share outside of [0, 1].
    """

    def mistyped(sentence: Sentence) -> Iterator[tuple[int, str]]:
        for place, word in enumerate(sentence.words):
            if letters(word) > 1 and (random := chosen("typo", sentence, place, share, seed)):
                keyboard: Keyboard = "qwerty" if _ONLY_QWERTZ.isdisjoint(word.lower()) else "qwertz"
                yield place, _typo(word, _neighbouring_keys(keyboard), random)

    require_share(share)
    return [reworded(sentence, dict(mistyped(sentence))) for sentence in sentences]


@cache
def _neighbouring_keys(keyboard: Keyboard) -> dict[str, str]:
    """The letters beside each letter, each row of keys lying half a key or less to the right of the one above."""
    places = {(row, column): key for row, keys in enumerate(_ROWS[keyboard]) for column, key in enumerate(keys)}
    around = ((0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0))
    return {
        key: "".join(filter(str.isalpha, (places.get((row + down, column + right), "") for down, right in around)))
        for (row, column), key in places.items()
    }


def _typo(word: str, near: Mapping[str, str], random: Random) -> str:
    """A word of two letters or more with one edit; each kind that changes it is as likely."""
    plain = each_letter(str.lower, word)
    places = [place for place, letter in enumerate(word) if letter.isalpha()]
    edits = {
        "key": [plain[:p] + key + plain[p + 1 :] for p in places for key in near.get(plain[p], "")],
        "dropped": [plain[:p] + plain[p + 1 :] for p in places],
        "doubled": [plain[: p + 1] + plain[p:] for p in places],
        "swapped": [plain[:p] + plain[q] + plain[p] + plain[q + 1 :] for p, q in pairwise(places) if q == p + 1],
    }
    kinds = ([cased(edit, word) for edit in some] for some in edits.values())
    options = [some for kind in kinds if (some := [edit for edit in kind if edit != word])]
    return random.choice(random.choice(options))

"""What the ways to corrupt sentences share: which words are chosen, their letters, and other words in their place."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from voxkit.data.tagging import Sentence

JOINTS = "'\u2019-"  # inside words


def reworded(sentence: Sentence, changed: Mapping[int, str]) -> Sentence:
    """A sentence with other words at some places, in its text too; nothing else changes but where words are in it."""
    if not changed:
        return sentence
    text, spans, end = "", [], 0
    for place, (begin, after) in enumerate(sentence.spans):
        text += sentence.text[end:begin]
        start = len(text)
        text += changed.get(place, sentence.text[begin:after])
        spans.append((start, len(text)))
        end = after
    words = tuple(changed.get(place, word) for place, word in enumerate(sentence.words))
    return replace(sentence, words=words, text=text + sentence.text[end:], spans=tuple(spans))


def random_at(kind: str, sentence: Sentence, place: int, seed: int) -> Random:
    """What decides about a word: a function of the seed, the id of the sentence, and the place of the word in it.

    Args:
        kind: of corruption; no two kinds decide alike.
    """
    return Random(f"{kind}\0{seed}\0{sentence.id}\0{place}")


def chosen(kind: str, sentence: Sentence, place: int, share: float, seed: int) -> Random | None:
    """What decides how a word is changed, see `random_at`; None if it is not. A larger share chooses more words.

    Args:
        share: how likely the word is chosen, in [0, 1].
    """
    random = random_at(kind, sentence, place, seed)
    return random if random.random() < share else None


def require_share(share: float) -> None:
    """Check a share.

    Raises:
        ValueError: it is not in [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} is not in [0, 1]")


def is_letter(letter: str) -> bool:
    """Whether it is one, or a mark that belongs to one."""
    return unicodedata.category(letter)[0] in "LM"


def letters(word: str) -> int:
    """How many letters a word has; marks on them do not count."""
    return sum(letter.isalpha() for letter in word)


def is_plain(word: str) -> bool:
    """Whether a word is of letters alone, hyphens and apostrophes between them aside.

    >>> is_plain("o'clock"), is_plain("R&B")
    (True, False)
    """
    return word.strip(JOINTS) == word and all(is_letter(letter) or letter in JOINTS for letter in word)


def each_letter(change: Callable[[str], str], word: str) -> str:
    """A word in upper or lower case but for the letters that then are two, such as `ß`.

    >>> each_letter(str.upper, "maß")
    'MAß'
    """
    return "".join(changed if len(changed := change(letter)) == 1 else letter for letter in word)


def cased(word: str, like: str) -> str:
    """A word with the upper and lower case of another: all letters, the first, or those at the same places.

    Args:
        word: in lower case.

    >>> cased("berlin", "ROME"), cased("berlin", "Rome"), cased("berlin", "iPad")
    ('BERLIN', 'Berlin', 'bErlin')
    """
    found = [letter for letter in like if letter.isalpha()]
    if len(found) > 1 and all(map(str.isupper, found)):
        return each_letter(str.upper, word)
    if found and found[0].isupper() and not any(map(str.isupper, found[1:])):
        first = next((place for place, letter in enumerate(word) if letter.isalpha()), 0)
        return word[:first] + each_letter(str.upper, word[first : first + 1]) + word[first + 1 :]
    upper = {place for place, letter in enumerate(like) if letter.isupper()}
    return "".join(each_letter(str.upper, letter) if place in upper else letter for place, letter in enumerate(word))

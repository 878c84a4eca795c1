"""Sentences whose words are tagged: entities and the tags that stand for them, and texts divided into words.

Tags are BIO (IOB2) everywhere but inside of models: `B-label` begins an entity, `I-label` goes on with it, `O` is
outside of all (Ramshaw & Marcus 1995, in the variant of Tjong Kim Sang & Veenstra 1999).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

OUTSIDE = "O"

_OPENING = re.compile(r"^[^\w\s]+(?=\w)")
_CLOSING = re.compile(r"(?<=\w)[^\w\s]+$")
_SPOKEN = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_JOINER = re.compile("(?<=[^\\W_])[\u200c\u200d](?=[^\\W_])")  # in the middle of words of Persian and Hindi


class Entity(NamedTuple):
    """The words `begin` to `end` (which is not one of them) of a sentence are a `label`."""

    label: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words in order.

    Attributes:
        id: a name for messages and results.
        words: (N,) none of them empty.
        tags: (N,) BIO; None where nobody has tagged it.
        where: the `file:line` that it was read from.
        text: what the words were found in.
        spans: (N,) first character of each word in `text`, and the one after its last.
        group: what results can be told by, such as the domain; empty if there is nothing.
    """

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    where: str
    text: str
    spans: tuple[tuple[int, int], ...]
    group: str = ""

    @classmethod
    def of(
        cls, id: str, words: Iterable[str], tags: Iterable[str] | None = None, where: str = "", group: str = ""
    ) -> Sentence:
        """Of words without a text: it then is these with single spaces between them."""
        given = tuple(words)
        spans, place = [], 0
        for word in given:
            spans.append((place, place + len(word)))
            place += len(word) + 1
        return cls(id, given, None if tags is None else tuple(tags), where, " ".join(given), tuple(spans), group)

    def entities(self) -> tuple[Entity, ...]:
        """Those that the tags say; none where there are no tags."""
        return entities(self.tags or ())

    def span(self, entity: Entity) -> tuple[int, int]:
        """Where in the text an entity begins and ends."""
        return self.spans[entity.begin][0], self.spans[entity.end - 1][1]

    def surface(self, entity: Entity) -> str:
        """An entity as the text has it."""
        begin, end = self.span(entity)
        return self.text[begin:end]


def entities(tags: Sequence[str]) -> tuple[Entity, ...]:
    """The entities of BIO tags. `I-x` that goes on with nothing begins one, as conlleval has it.

    >>> entities(["B-city", "I-city", "B-city", "O", "I-day"])
    (Entity(label='city', begin=0, end=2), Entity(label='city', begin=2, end=3), Entity(label='day', begin=4, end=5))
    """
    found: list[Entity] = []
    label, begin = "", 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        kind, _, name = tag.partition("-")
        if label and (kind != "I" or name != label):
            found.append(Entity(label, begin, place))
            label = ""
        if kind != OUTSIDE and not label:
            label, begin = name, place
    return tuple(found)


def tags_of(found: Iterable[Entity], words: int) -> tuple[str, ...]:
    """The BIO tags of entities that do not overlap, in a sentence of so many words.

    >>> tags_of([Entity("city", 1, 3)], 4)
    ('O', 'B-city', 'I-city', 'O')
    """
    tags = [OUTSIDE] * words
    for label, begin, end in found:
        tags[begin:end] = [f"B-{label}", *[f"I-{label}"] * (end - begin - 1)]
    return tuple(tags)


def to_bioes(tags: Sequence[str]) -> tuple[str, ...]:
    """BIO tags with `E-` for the last of several words of an entity, and `S-` for an only one.

    >>> to_bioes(["B-city", "I-city", "O", "B-day"])
    ('B-city', 'E-city', 'O', 'S-day')
    """
    marked = [OUTSIDE] * len(tags)
    for label, begin, end in entities(tags):
        inside = [f"B-{label}", *[f"I-{label}"] * (end - begin - 2), f"E-{label}"]
        marked[begin:end] = inside if end - begin > 1 else [f"S-{label}"]
    return tuple(marked)


def pieces(text: str, only_spaces: bool = False) -> list[tuple[int, int]]:
    """Where the words of a text are: between white space, and what stands before and after them for itself.

    Combining marks belong to the letters before them.

    Args:
        only_spaces: leave punctuation at words.

    >>> [" R&B: (Pre-Party)."[begin:end] for begin, end in pieces(" R&B: (Pre-Party).")]
    ['R&B', ':', '(', 'Pre-Party', ').']
    """
    found: list[tuple[int, int]] = []
    for match in re.finditer(r"\S+", _marks_as_letters(text)):
        begin, end, word = match.start(), match.end(), match[0]
        opening = None if only_spaces else _OPENING.search(word)
        closing = None if only_spaces else _CLOSING.search(word)
        first = begin + (opening.end() if opening else 0)
        last = begin + (closing.start() if closing else len(word))
        found += [span for span in ((begin, first), (first, last), (last, end)) if span[0] < span[1]]
    return found


def _marks_as_letters(text: str) -> str:
    """With a letter in the place of each combining mark, which `re` does not count to words."""
    if text.isascii():
        return text
    return _JOINER.sub("a", "".join("a" if unicodedata.category(letter)[0] == "M" else letter for letter in text))


def divided(id: str, text: str, where: str = "", only_spaces: bool = False) -> Sentence:
    """An untagged sentence of a text, see `pieces`."""
    spans = tuple(pieces(text, only_spaces))
    return Sentence(id, tuple(text[begin:end] for begin, end in spans), None, where, text, spans)


def spoken(sentence: Sentence) -> Sentence:
    """As a recogniser would write it: lower case, no punctuation, no hyphens. The text and places in it stay.

    Words without letters or digits are gone, and what is left of a word may be several. The tags go along.

    >>> both = spoken(Sentence.of("1", ["In", "Baden-Baden", ",", "U.S."], ["O", "B-city", "O", "B-land"]))
    >>> both.words, both.tags
    (('in', 'baden', 'baden', 'u', 's'), ('O', 'B-city', 'I-city', 'B-land', 'I-land'))
    """
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    origin: list[int] = []
    letters = _marks_as_letters(sentence.text)
    for place, (begin, end) in enumerate(sentence.spans):
        for match in _SPOKEN.finditer(letters, begin, end):
            own = sentence.text[slice(*match.span())]
            plain = unicodedata.normalize("NFKC", own).replace("\u2019", "'").lower()
            words.append("".join(plain.split()))
            spans.append(match.span())
            origin.append(place)
    tags = None
    if sentence.tags is not None:
        tags = tags_of(_moved(sentence.entities(), origin), len(words))
    return replace(sentence, words=tuple(words), spans=tuple(spans), tags=tags)


def _moved(found: Iterable[Entity], origin: Sequence[int]) -> Iterable[Entity]:
    """Entities counted in words of which `origin` says the older place; those of which nothing is left are gone."""
    for label, begin, end in found:
        first, last = bisect_left(origin, begin), bisect_left(origin, end)
        if first < last:
            yield Entity(label, first, last)

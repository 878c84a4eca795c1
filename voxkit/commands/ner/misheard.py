"""Sentences with words replaced by such as a recogniser might have heard, where there is no recogniser.

Words that sound alike stand for its errors, as in Stuttle, Williams and Young (2004) and Tsvetkov, Metze and Dyer
(2014). No word is added, lost, split or joined.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.ner.rewording import cased, chosen, is_plain, letters, require_share, reworded
from voxkit.data.lexicon import Lexicon, read_text
from voxkit.data.tagging import Sentence
from voxkit.errors import Problems, UserError

Phones = tuple[str, ...]
Pronounce = Callable[[Sequence[str]], Sequence[Sequence[str]]]
Hashes = NDArray[np.uint64]

FARTHEST = 2  # phone edits up to which words sound alike
UNHEARD = 0.1  # what a word that is not in the text weighs, as if it were there that often

_DIGITS = 15  # of a count, at most
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no information is lost modulo 2 ** 64


class Misheard(NamedTuple):
    """Sentences with other words, and how many words were chosen but stayed, as there was no other for them."""

    sentences: list[Sentence]
    stayed: int


def misheard(
    sentences: Iterable[Sentence],
    share: float,
    seed: int = 0,
    neighbours: Neighbours | None = None,
    confusions: Confusions | None = None,
) -> Misheard:
    """Sentences with words replaced by such as a recogniser might have heard; upper and lower case stay.

    A chosen word is replaced as a recogniser has done it, if `confusions` have the word, otherwise by one of those that
    sound most alike. Words that have neither stay. With the same neighbours and confusions, what becomes of a word is
    decided by itself, the seed, the id of its sentence, and its place there, so that part of a set is changed as the
    whole is. With a larger share the same words are changed in the same way, and more of them.

    Args:
        share: how likely a word with a letter is chosen, in [0, 1].

    Raises:
        ValueError: a share outside of [0, 1], or neither neighbours nor confusions.
    """
    require_share(share)
    if neighbours is None and confusions is None:
        raise ValueError("what words are taken for needs neighbours, confusions or both")
    given = list(sentences)
    some = [
        (number, place, random)
        for number, sentence in enumerate(given)
        for place, word in enumerate(sentence.words)
        if letters(word) and (random := chosen("misheard", sentence, place, share, seed))
    ]
    if neighbours is not None:
        neighbours.learn(given[number].words[place] for number, place, _ in some)
    changed: defaultdict[int, dict[int, str]] = defaultdict(dict)
    for number, place, random in some:
        word = given[number].words[place]
        options = confusions.of(word) if confusions is not None else ()
        if not options and neighbours is not None:
            options = neighbours.of(word)
        if options:
            (heard,) = random.choices(options, [one.weight for one in options])
            changed[number][place] = cased(heard.word, word)
    stayed = len(some) - sum(map(len, changed.values()))
    return Misheard([reworded(sentence, changed.get(number, {})) for number, sentence in enumerate(given)], stayed)


class Heard(NamedTuple):
    """A word, in lower case, that another may be taken for, and how readily in comparison with the others."""

    word: str
    weight: float


class Confusions:
    """What a recogniser took words for.

    Args:
        counts: how often each word was taken for each, by (said, heard).
    """

    def __init__(self, counts: Mapping[tuple[str, str], int]) -> None:
        sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for (said, heard), number in counts.items():
            if said.lower() != heard.lower():
                sums[said.lower()][heard.lower()] += number
        self._heard = {word: tuple(Heard(*item) for item in sorted(heard.items())) for word, heard in sums.items()}

    def of(self, word: str) -> tuple[Heard, ...]:
        """What a word was taken for."""
        return self._heard.get(word.lower(), ())

    @classmethod
    def read(cls, file: Path) -> Confusions:
        """The substitutions among the errors that `voxkit decode` lists in `confusions.tsv`.

        Raises:
            DataError: lines that are none of its, every one with its number.
            UserError: no such file, or no substitutions in it.
        """
        counts: Counter[tuple[str, str]] = Counter()
        head, *lines = read_text(file, "the confusions").rstrip("\n").split("\n")
        if head.split() != ["count", "reference", "recognised"]:
            raise UserError(f"{file}: not a list of confused words", fix="give the folder of a voxkit decode")
        problems = Problems()
        for number, line in enumerate(lines, start=2):
            times, said, heard = [*line.split("\t"), "", "", ""][:3]
            if line.count("\t") != 2 or not _is_count(times) or not said or not heard:
                what, fix = f"{line!r:.80} is no line of confusions", "write count<TAB>reference<TAB>recognised"
                problems.add("broken line", f"{file}:{number}", f"{file}:{number}", what, fix)
            elif "-" not in (said, heard):
                counts[said, heard] += int(times)
        problems.settle(len(lines))
        if not counts:
            raise UserError(
                f"{file}: no word was taken for another", fix="give the folder of a voxkit decode with errors"
            )
        return cls(counts)


def _is_count(text: str) -> bool:
    """Whether a text is a number from 1 on that a recogniser may have counted to."""
    return text.isdecimal() and len(text) <= _DIGITS and int(text) > 0


class Neighbours:
    """Words that sound alike: homophones, or else those with one other phone, or else with two.

    A phone is put in, left out or exchanged. Two sequences are at most n such edits apart only if they are equal after
    n phones or fewer were left out of each (Mor and Fraenkel 1982; Garbe's SymSpell): what is left is looked up by its
    hash, and the distance of what is found is then counted.

    Args:
        lexicon: the words that may be heard, and how they are said.
        text: words of another text than the one to corrupt; what is often in it is heard the more readily. Without it
            all words that are as near weigh alike.
        pronounce: the phones of words that have no entry, in the order of the words; none for what cannot be said.
    """

    def __init__(self, lexicon: Lexicon, text: Iterable[str] = (), pronounce: Pronounce | None = None) -> None:
        self._said: defaultdict[str, set[Phones]] = defaultdict(set)
        for word, phones, _ in lexicon:
            self._said[word.lower()].add(phones)
        self._entries = sorted((word, phones) for word, some in self._said.items() for phones in some if is_plain(word))
        self._phones = {phone: number for number, phone in enumerate(lexicon.phones, start=1)}
        self._counts = Counter(word.lower() for word in text)
        self._pronounce = pronounce
        self._known: dict[str, tuple[Heard, ...]] = {}

    def learn(self, words: Iterable[str]) -> None:
        """Have all those words pronounced at once that have no entry."""
        if self._pronounce is None:
            return
        new = sorted({word.lower() for word in words} - self._said.keys())
        for word, phones in zip(new, self._pronounce(new) if new else (), strict=True):
            self._said[word] = {tuple(phones)} if phones else set()

    def of(self, word: str) -> tuple[Heard, ...]:
        """The nearest other words; none if no word is near, or nobody says how this one is said."""
        name = word.lower()
        if name not in self._known:
            self.learn([name])
            tiers = (self.within(name, distance) for distance in range(FARTHEST + 1))
            self._known[name] = next(filter(None, tiers), ())
        return self._known[name]

    def within(self, word: str, distance: int) -> tuple[Heard, ...]:
        """The other words that are at most so many phone edits away in any of their pronunciations, sorted.

        Raises:
            ValueError: the distance is not in 0 to `FARTHEST`.
        """
        import kaldialign

        if not 0 <= distance <= FARTHEST:
            raise ValueError(f"a distance of {distance} is not in 0 to {FARTHEST}")
        name = word.lower()
        found = set()
        for phones in self._said.get(name, ()):
            for place in self._candidates(phones, distance):
                other, others = self._entries[place]
                if other != name and kaldialign.edit_distance(phones, others)["total"] <= distance:
                    found.add(other)
        return tuple(Heard(other, self._counts[other] + UNHEARD) for other in sorted(found))

    def _candidates(self, phones: Phones, distance: int) -> list[int]:
        """Places of the entries that share a signature with a sequence of phones."""
        codes = np.array([[self._phones.get(phone, 0) for phone in phones]], dtype=np.uint64)
        found: set[int] = set()
        for left_out in range(min(distance, len(phones)) + 1):
            wanted = np.concatenate(list(_signatures(codes, left_out)))
            for hashes, places in self._index[: distance + 1]:
                begins, ends = (np.searchsorted(hashes, wanted, side) for side in ("left", "right"))
                for begin, end in zip(begins, ends, strict=True):
                    found.update(places[begin:end].tolist())
        return sorted(found)

    @cached_property
    def _index(self) -> list[tuple[Hashes, NDArray[np.int64]]]:
        """For each number of phones left out: signatures in order, and the place of the entry of each."""
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for place, (_, phones) in enumerate(self._entries):
            by_length[len(phones)].append(place)
        parts: list[list[tuple[Hashes, NDArray[np.int64]]]] = [[] for _ in range(FARTHEST + 1)]
        for length, some in by_length.items():
            codes = np.array([[self._phones[one] for one in self._entries[place][1]] for place in some], np.uint64)
            for left_out in range(min(FARTHEST, length) + 1):
                parts[left_out] += ((hashes, np.array(some)) for hashes in _signatures(codes, left_out))
        index = []
        for part in parts:
            hashes = np.concatenate([np.zeros(0, np.uint64), *(hashes for hashes, _ in part)])
            places = np.concatenate([np.zeros(0, np.int64), *(places for _, places in part)])
            order = np.argsort(hashes)
            index.append((hashes[order], places[order]))
        return index


def _signatures(codes: Hashes, left_out: int) -> Iterator[Hashes]:
    """(N,) hashes of N sequences of L phones (N, L), with each choice of `left_out` phones left out."""
    size = codes.shape[1]
    for kept in combinations(range(size), size - left_out):
        hashes = np.zeros(len(codes), dtype=np.uint64)
        for place in kept:
            hashes = (hashes + codes[:, place]) * _BASE
            hashes ^= hashes >> np.uint64(29)
        yield hashes

"""Test sets made harder: typing errors, words misheard, and names that nobody has heard of. Tags stay where they are.

What happens to a word is decided by (seed, id of the sentence, place of the word) and by nothing else in the list, so
that part of a set is corrupted as the whole is. With a larger share the same words are changed in the same way, and
more of them. No word is added, lost, split or joined.

Noise of the keyboard is that of Belinkov and Bisk (2018), with the four edits that Damerau (1964) found in most
misspelt words. Words that sound alike stand for recognition errors where there is no recogniser, as in Stuttle,
Williams and Young (2004) and Tsvetkov, Metze and Dyer (2014). That taggers know many names by heart, so that new ones
show what they have learnt of contexts, is from Lin et al. (2020).
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from itertools import accumulate, combinations, pairwise
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxkit.data.lexicon import Lexicon, read_text
from voxkit.data.tagging import Sentence
from voxkit.errors import Problems, UserError

Keyboard = Literal["qwerty", "qwertz"]
Phones = tuple[str, ...]
Pronounce = Callable[[Sequence[str]], Sequence[Sequence[str]]]
Hashes = NDArray[np.uint64]

CONFUSIONS = "confusions.tsv"  # as `voxkit decode` writes it
FARTHEST = 2  # phone edits up to which words sound alike
VARIED = 20  # distinct surfaces of a label whose entities are names
SHORT = 3  # letters of the longest word in a name that is none
UNHEARD = 0.1  # what a word that is not in the text weighs, as if it were there that often

_ROWS: Mapping[Keyboard, tuple[str, ...]] = {
    "qwerty": ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "qwertz": ("1234567890ß", "qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
}
_JOINTS = "'\u2019-"  # inside words
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no information is lost modulo 2 ** 64
_EDGE = "\n"  # before and after the letters of a name
_DRAWS = 1000  # names tried before there is none


def typos(
    sentences: Iterable[Sentence], share: float, seed: int = 0, keyboard: Keyboard | None = None
) -> list[Sentence]:
    """Sentences with typing errors: in a chosen word a neighbouring key, or a letter dropped, doubled or swapped.

    Args:
        share: how likely a word of two letters or more is chosen, in [0, 1].
        keyboard: None: QWERTZ for words with German letters, otherwise QWERTY.

    Raises:
        ValueError: a share outside of [0, 1].
    """

    def mistyped(sentence: Sentence) -> Iterator[tuple[int, str]]:
        for place, word in enumerate(sentence.words):
            if _letters(word) > 1 and (rng := _chosen("typo", sentence, place, share, seed)):
                layout: Keyboard = "qwertz" if set("äöüß") & set(word.lower()) else "qwerty"
                yield place, _typo(word, _neighbouring_keys(keyboard or layout), rng)

    _require_share(share)
    return [reworded(sentence, dict(mistyped(sentence))) for sentence in sentences]


def misheard(
    sentences: Iterable[Sentence],
    share: float,
    seed: int = 0,
    neighbours: Neighbours | None = None,
    confusions: Confusions | None = None,
) -> list[Sentence]:
    """Sentences with words replaced by such as a recogniser might have heard; upper and lower case stay.

    A chosen word is replaced as a recogniser has done it, if `confusions` have the word, otherwise by one of those that
    sound most alike. Words that have neither stay.

    Args:
        share: how likely a word with a letter is chosen, in [0, 1].

    Raises:
        ValueError: a share outside of [0, 1], or neither neighbours nor confusions.
    """
    _require_share(share)
    if neighbours is None and confusions is None:
        raise ValueError("what words are taken for needs neighbours, confusions or both")
    given = list(sentences)
    chosen = [
        (number, place, rng)
        for number, sentence in enumerate(given)
        for place, word in enumerate(sentence.words)
        if _letters(word) and (rng := _chosen("misheard", sentence, place, share, seed))
    ]
    if neighbours is not None:
        neighbours.learn(given[number].words[place] for number, place, _ in chosen)
    changed: defaultdict[int, dict[int, str]] = defaultdict(dict)
    for number, place, rng in chosen:
        word = given[number].words[place]
        options = confusions.of(word) if confusions is not None else ()
        if not options and neighbours is not None:
            options = neighbours.of(word)
        if options:
            (heard,) = rng.choices(options, [one.weight for one in options])
            changed[number][place] = _cased(heard.word, word)
    return [reworded(sentence, changed[number]) for number, sentence in enumerate(given)]


def new_names(
    sentences: Iterable[Sentence],
    labels: Collection[str] | None = None,
    seed: int = 0,
    known_words: Collection[str] = frozenset(),
) -> list[Sentence]:
    """Sentences whose entities have made-up names, of as many words and in the same upper and lower case.

    Words of `SHORT` letters or fewer and words with digits stay. The others are drawn letter by letter from a trigram
    model of those that they replace. None is there twice, is known, or is a word of the sentences. So what is drawn
    depends on all sentences with the label, unlike in the other corruptions.

    Args:
        labels: whose entities are replaced; None or none: those with `VARIED` distinct surfaces or more.
        known_words: such as those of the training data.

    Raises:
        UserError: there are no entities with a label, or so few words that no more names come of them.
    """
    given = list(sentences)
    wanted = _labels(given, labels)
    there = (known_words, *(sentence.words for sentence in given))
    taken = {_each(str.lower, word) for words in there for word in words}
    models = {label: _LetterModel(set(_name_words(given, label))) for label in wanted}
    found = []
    for sentence in given:
        changed = {}
        for label, place in _name_places(sentence, wanted):
            name = models[label].draw(_rng("name", sentence, place, seed), taken, label)
            taken.add(name)
            changed[place] = _cased(name, sentence.words[place])
        found.append(reworded(sentence, changed))
    return found


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
    def read(cls, path: Path) -> Confusions:
        """The substitutions among the errors that `voxkit decode` lists, from its folder or that file.

        Raises:
            DataError: lines that are none of its, every one with its number.
            UserError: no such file, or no substitutions in it.
        """
        file = path / CONFUSIONS if path.is_dir() else path
        counts: Counter[tuple[str, str]] = Counter()
        head, *lines = read_text(file, "the confusions").rstrip("\n").split("\n")
        if head.split() != ["count", "reference", "recognised"]:
            raise UserError(f"{file}: not a list of confused words", fix="give the folder of a voxkit decode")
        problems = Problems()
        for number, line in enumerate(lines, start=2):
            times, said, heard = [*line.split("\t"), "", "", ""][:3]
            if line.count("\t") != 2 or not times.isdecimal() or not said or not heard:
                what, fix = f"{line!r} is no line of confusions", "write count<TAB>reference<TAB>recognised"
                problems.add("broken line", f"{file}:{number}", f"{file}:{number}", what, fix)
            elif "-" not in (said, heard):
                counts[said, heard] += int(times)
        problems.settle(len(lines))
        if not counts:
            raise UserError(
                f"{file}: no word was taken for another", fix="give the folder of a voxkit decode with errors"
            )
        return cls(counts)


class Neighbours:
    """Words that sound alike: homophones, or else those with one other phone, or else with two.

    A phone is put in, left out or exchanged. Two sequences are at most n such edits apart only if they are equal after
    n phones or fewer were left out of each (Mor and Fraenkel 1982; Garbe's SymSpell): what is left is looked up by its
    hash, and the distance of what is found is then counted.

    Args:
        lexicon: the words that may be heard, and how they are said.
        text: words that are likely; they are heard the more readily the more often they are in it.
        pronounce: the phones of words that have no entry, in the order of the words; none for what cannot be said.
    """

    def __init__(self, lexicon: Lexicon, text: Iterable[str] = (), pronounce: Pronounce | None = None) -> None:
        self._said: defaultdict[str, set[Phones]] = defaultdict(set)
        for word, phones, _ in lexicon:
            self._said[word.lower()].add(phones)
        self._entries = sorted(
            (word, phones) for word, some in self._said.items() for phones in some if _is_plain(word)
        )
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


class _LetterModel:
    """A trigram model of letters that backs off to shorter contexts as Witten and Bell (1991, method C) have it.

    Args:
        words: in lower case, each once: a model of frequent names as often as they are there would repeat them.
    """

    def __init__(self, words: Collection[str]) -> None:
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._longest = max(map(len, words), default=0)
        for word in words:
            history = _EDGE * 2
            for letter in word + _EDGE:
                for begin in range(3):
                    counts[history[begin:]][letter] += 1
                history = history[1:] + letter
        # letters in order, and how often each is there or one before it
        self._follow = {
            context: (sorted(some), list(accumulate(some[letter] for letter in sorted(some))))
            for context, some in counts.items()
        }

    def draw(self, rng: Random, taken: Collection[str], label: str) -> str:
        """A name that is not taken, no longer than the longest of the words.

        Raises:
            UserError: none was found in `_DRAWS` draws.
        """
        for _ in range(_DRAWS):
            name = self._word(rng)
            if name not in taken and _is_name(name) and _is_plain(name):
                return name
        raise UserError(
            f"no more names can be made up from the {label} entities",
            fix="give more sentences, or leave out the label",
        )

    def _word(self, rng: Random) -> str:
        word = ""
        while len(word) <= self._longest:
            letter = self._letter((_EDGE * 2 + word)[-2:], rng)
            if letter == _EDGE:
                return word
            word += letter
        return ""

    def _letter(self, history: str, rng: Random) -> str:
        """A letter after two others; the shorter context is used as often as the longer one has had a new letter."""
        for begin in range(3):
            letters, sums = self._follow.get(history[begin:], ([], [0]))
            place = rng.randrange(max(1, sums[-1] + (len(letters) if begin < 2 else 0)))
            if place < sums[-1]:
                return letters[bisect_right(sums, place)]
        raise ValueError("a model of no words")


def _labels(sentences: Sequence[Sentence], labels: Collection[str] | None) -> frozenset[str]:
    """The labels whose entities get new names."""
    surfaces: defaultdict[str, set[str]] = defaultdict(set)
    for sentence in sentences:
        for entity in sentence.entities():
            surfaces[entity.label].add(sentence.surface(entity).lower())
    if missing := sorted(set(labels or ()) - surfaces.keys()):
        some = " ".join(sorted(surfaces)) or "none"
        raise UserError(f"no entities with the label {', '.join(missing)}", fix=f"choose among {some}")
    return frozenset(labels or (label for label, some in surfaces.items() if len(some) >= VARIED))


def _name_places(sentence: Sentence, labels: Collection[str]) -> Iterator[tuple[str, int]]:
    """Label and place of each word that gets another name."""
    for label, begin, end in sentence.entities():
        if label in labels:
            yield from ((label, place) for place in range(begin, end) if _is_name(sentence.words[place]))


def _name_words(sentences: Iterable[Sentence], label: str) -> Iterator[str]:
    for sentence in sentences:
        for _, place in _name_places(sentence, [label]):
            word = _each(str.lower, sentence.words[place])
            yield "".join(letter for letter in word if _is_letter(letter) or letter in _JOINTS).strip(_JOINTS)


def _is_name(word: str) -> bool:
    return _letters(word) > SHORT and not any(letter.isdigit() for letter in word)


def _is_plain(word: str) -> bool:
    """Whether a word is of letters alone, hyphens and apostrophes between them aside."""
    return word.strip(_JOINTS) == word and all(_is_letter(letter) or letter in _JOINTS for letter in word)


def _is_letter(letter: str) -> bool:
    """Whether it is one, or a mark that belongs to one."""
    return unicodedata.category(letter)[0] in "LM"


def _letters(word: str) -> int:
    return sum(letter.isalpha() for letter in word)


def _require_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share} is not in [0, 1]")


def _rng(kind: str, sentence: Sentence, place: int, seed: int) -> Random:
    return Random(f"{kind}\0{seed}\0{sentence.id}\0{place}")


def _chosen(kind: str, sentence: Sentence, place: int, share: float, seed: int) -> Random | None:
    """What decides how a word is changed; None if it is not."""
    rng = _rng(kind, sentence, place, seed)
    return rng if rng.random() < share else None


@cache
def _neighbouring_keys(keyboard: Keyboard) -> dict[str, str]:
    """The letters beside each letter, each row of keys lying half a key or less to the right of the one above."""
    places = {(row, column): key for row, keys in enumerate(_ROWS[keyboard]) for column, key in enumerate(keys)}
    around = ((0, -1), (0, 1), (-1, 0), (-1, 1), (1, -1), (1, 0))
    return {
        key: "".join(filter(str.isalpha, (places.get((row + down, column + right), "") for down, right in around)))
        for (row, column), key in places.items()
    }


def _typo(word: str, near: Mapping[str, str], rng: Random) -> str:
    """A word of two letters or more with one edit; each kind that changes it is as likely."""
    plain = _each(str.lower, word)
    letters = [place for place, letter in enumerate(word) if letter.isalpha()]
    edits = {
        "key": [plain[:p] + key + plain[p + 1 :] for p in letters for key in near.get(plain[p], "")],
        "dropped": [plain[:p] + plain[p + 1 :] for p in letters],
        "doubled": [plain[: p + 1] + plain[p:] for p in letters],
        "swapped": [plain[:p] + plain[q] + plain[p] + plain[q + 1 :] for p, q in pairwise(letters) if q == p + 1],
    }
    kinds = ([_cased(edit, word) for edit in some] for some in edits.values())
    options = [some for kind in kinds if (some := [edit for edit in kind if edit != word])]
    return rng.choice(rng.choice(options))


def _cased(word: str, like: str) -> str:
    """A word with the upper and lower case of another: all letters, the first, or those at the same places."""
    letters = [letter for letter in like if letter.isalpha()]
    if len(letters) > 1 and all(map(str.isupper, letters)):
        return _each(str.upper, word)
    if letters and letters[0].isupper() and not any(map(str.isupper, letters[1:])):
        first = next((place for place, letter in enumerate(word) if letter.isalpha()), 0)
        return word[:first] + _each(str.upper, word[first : first + 1]) + word[first + 1 :]
    upper = {place for place, letter in enumerate(like) if letter.isupper()}
    return "".join(_each(str.upper, letter) if place in upper else letter for place, letter in enumerate(word))


def _each(change: Callable[[str], str], letters: str) -> str:
    """Letters in upper or lower case, those aside that then are two, such as `ß`."""
    return "".join(changed if len(changed := change(letter)) == 1 else letter for letter in letters)

"""Sentences whose entities have made-up names, which nobody has heard of.

That taggers know many names by heart, so that new ones show what they have learnt of contexts, is from Lin et al.
(2020). No word is added, lost, split or joined.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from random import Random

from voxkit.commands.ner.rewording import JOINTS, cased, each_letter, is_letter, is_plain, letters, random_at, reworded
from voxkit.data.tagging import Sentence
from voxkit.errors import UserError

VARIED = 20  # distinct surfaces of a label whose entities are names
SHORT = 3  # letters of the longest word in a name that is none

_EDGE = "\n"  # before and after the letters of a name
_DRAWS = 1000  # names tried before there is none


def new_names(
    sentences: Iterable[Sentence],
    labels: Collection[str] | None = None,
    seed: int = 0,
    known_words: Collection[str] = frozenset(),
) -> list[Sentence]:
    """Sentences whose entities have made-up names, of as many words and in the same upper and lower case.

    Words of `SHORT` letters or fewer and words with digits stay. The others are drawn letter by letter from a trigram
    model of those that they replace. None is there twice, is known, or is a word of the sentences. So what is drawn
    depends on all the sentences and their order: part of a set is not changed as the whole is.

    Args:
        labels: whose entities are replaced; None or none: those with `VARIED` distinct surfaces or more.
        known_words: such as those of the training data.

    Raises:
        UserError: there are no entities with a label, or so few words that no more names come of them.
    """
    given = list(sentences)
    wanted = _labels(given, labels)
    there = (known_words, *(sentence.words for sentence in given))
    taken = {each_letter(str.lower, word) for words in there for word in words}
    models = {label: _LetterModel(set(_name_words(given, label))) for label in wanted}
    found = []
    for sentence in given:
        changed = {}
        for label, place in _name_places(sentence, wanted):
            name = models[label].draw(random_at("name", sentence, place, seed), taken, label)
            taken.add(name)
            changed[place] = cased(name, sentence.words[place])
        found.append(reworded(sentence, changed))
    return found


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

    def draw(self, random: Random, taken: Collection[str], label: str) -> str:
        """A name that is not taken, no longer than the longest of the words.

        Raises:
            UserError: none was found in `_DRAWS` draws.
        """
        for _ in range(_DRAWS):
            name = self._word(random)
            if name not in taken and _is_name(name) and is_plain(name):
                return name
        raise UserError(
            f"no more names can be made up from the {label} entities",
            fix="give more sentences, or leave out the label",
        )

    def _word(self, random: Random) -> str:
        word = ""
        while len(word) <= self._longest:
            letter = self._letter((_EDGE * 2 + word)[-2:], random)
            if letter == _EDGE:
                return word
            word += letter
        return ""

    def _letter(self, history: str, random: Random) -> str:
        """A letter after two others; the shorter context is used as often as the longer one has had a new letter."""
        for begin in range(3):
            found, sums = self._follow.get(history[begin:], ([], [0]))
            place = random.randrange(max(1, sums[-1] + (len(found) if begin < 2 else 0)))
            if place < sums[-1]:
                return found[bisect_right(sums, place)]
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
            word = each_letter(str.lower, sentence.words[place])
            yield "".join(letter for letter in word if is_letter(letter) or letter in JOINTS).strip(JOINTS)


def _is_name(word: str) -> bool:
    return letters(word) > SHORT and not any(letter.isdigit() for letter in word)

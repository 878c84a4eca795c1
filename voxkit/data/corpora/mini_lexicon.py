"""Pronunciation lexicons of the embedded corpus: how each word is said alone and how it was said in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from voxkit.data.corpora.espeak import Speaker

Pronunciations = Mapping[str, Counter[tuple[str, ...]]]  # word -> phones -> how often
LETTER_A = "[['eI]]"  # the name of the letter in espeak-ng's phonemes; as text it would be the article


def alone(words: Iterable[str], dialect: str, stress: bool) -> dict[str, Counter[tuple[str, ...]]]:
    """Each word said alone, counted once; a single letter then is the letter's name."""
    speaker = Speaker.get()
    speaker.set_voice(dialect)
    found = {word: Counter([speaker.pronounce(word.lower(), stress)]) for word in words}
    return {word: Counter({phones: 1 for phones in counts if phones}) for word, counts in found.items()}


def count(spoken: Iterable[tuple[Sequence[str], Sequence[Sequence[str]]]]) -> dict[str, Counter[tuple[str, ...]]]:
    """How often each word was said how: from (words, phones of each word)."""
    counts: dict[str, Counter[tuple[str, ...]]] = {}
    for words, pronunciations in spoken:
        for word, phones in zip(words, pronunciations, strict=True):
            if phones:
                counts.setdefault(word, Counter())[tuple(phones)] += 1
    return counts


def merge(*parts: Pronunciations) -> dict[str, Counter[tuple[str, ...]]]:
    """Add counts up."""
    total: dict[str, Counter[tuple[str, ...]]] = {}
    for part in parts:
        for word, counts in part.items():
            total.setdefault(word, Counter()).update(counts)
    return total


def render(pronunciations: Pronunciations, prune: float) -> str:
    """Lines `word probability phones...`; the probability is relative to the word's most frequent pronunciation.

    That is Kaldi's convention for `lexiconp.txt`: a word is not made less likely by having many pronunciations.
    Variants below `prune` are left out.
    """
    lines = []
    for word, counts in sorted(pronunciations.items()):
        best = max(counts.values())
        for phones, times in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if times >= prune * best:
                lines.append(f"{word} {times / best:.4g} {' '.join(phones)}\n")
    return "".join(lines)

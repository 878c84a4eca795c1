"""A lexicon that is small enough to enumerate every alignment, and scores for what is said in it."""

import itertools
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxkit.data.lang import BACKOFF, EPSILON, Lang
from voxkit.data.lexicon import BLANK, Lexicon

SAID = {  # homophones, prefixes of each other, two pronunciations, a doubled token
    "to": [("x", 1.0)],
    "too": [("x", 1.0)],
    "toy": [("x y", 1.0)],
    "why": [("y", 0.5), ("y y", 0.25)],
    "ox": [("z x", 1.0)],
}


def make_lang(folder: Path, said: dict[str, list[tuple[str, float]]]) -> Lang:
    lexicon = Lexicon()
    for word, pronunciations in said.items():
        for phones, probability in pronunciations:
            lexicon.add(word, tuple(phones.split()), probability)
    lang = Lang(folder, "phone", [BLANK, *lexicon.phones], [EPSILON, *sorted(said), BACKOFF], "none")
    lang.save(lexicon)
    return lang


def noise(seed: int, frames: int, tokens: int, sharpness: float = 2.0) -> NDArray[np.float32]:
    scores = sharpness * np.random.default_rng(seed).normal(size=(frames, tokens))
    return (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).astype(np.float32)


def collapse(frames: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(label for label, _ in itertools.groupby(frames) if label)


def enumerate_words(lang: Lang, log_probs: NDArray[np.float32], word_cost: float) -> dict[tuple[int, ...], float]:
    """The summed probability of each word sequence over all alignments and pronunciations."""
    by_tokens: defaultdict[tuple[int, ...], float] = defaultdict(float)
    for frames in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        by_tokens[collapse(frames)] += math.exp(sum(float(log_probs[t, label]) for t, label in enumerate(frames)))
    found: defaultdict[tuple[int, ...], float] = defaultdict(float)

    def segment(tokens: tuple[int, ...], words: tuple[int, ...], probability: float) -> None:
        if not tokens:
            found[words] += probability
        for word in SAID:
            for ids, p in lang.pronunciations(word):
                if tokens[: len(ids)] == tuple(ids):
                    segment(tokens[len(ids) :], (*words, lang.word_ids[word]), probability * p * math.exp(-word_cost))

    for tokens, probability in by_tokens.items():
        segment(tokens, (), probability)
    return dict(found)


def speak(
    lang: Lang, text: str, seed: int = 0, contrast: float = 9.0
) -> tuple[NDArray[np.float32], list[tuple[int, int]]]:
    """Peaky scores for a text, and the frames [start, end) of its words."""
    draw = np.random.default_rng(seed)
    frames: list[int] = [0, 0]
    spans = []
    for word in text.split():
        pronunciations = lang.pronunciations(word)
        ids = pronunciations[draw.integers(len(pronunciations))][0]
        start = end = len(frames)
        for token in ids:
            frames += [token] * int(draw.integers(1, 3))
            end = len(frames)
            frames += [0] * int(draw.integers(1, 3))
        spans.append((start, end))
    scores = draw.normal(size=(len(frames), len(lang.tokens))) * 0.5
    scores[np.arange(len(frames)), frames] += contrast
    return (scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)).astype(np.float32), spans

"""Greedy decoding: the best output of every frame; repetitions and blanks dropped (Graves et al. 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from voxkit.data.lang import BOUNDARY, Lang
from voxkit.decode.lattice import Lattice
from voxkit.decode.settings import SearchConfig


def spikes(log_probs: ArrayLike) -> tuple[list[int], list[int], list[int]]:
    """Tokens with the frames [start, end) that they take. `log_probs` (T, V), column 0 the blank."""
    best = np.asarray(log_probs).argmax(axis=1) if len(np.asarray(log_probs)) else np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    ends = np.append(starts[1:], len(best))
    spoken = best[starts] != 0
    return best[starts][spoken].tolist(), starts[spoken].tolist(), ends[spoken].tolist()


def greedy(log_probs: ArrayLike) -> list[int]:
    """Token ids of (T, V) log-probabilities.

    >>> greedy(np.log([[0.1, 0.9], [0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]))
    [1, 1]
    """
    return spikes(log_probs)[0]


class GreedyDecoder:
    """Words without a language model.

    Characters and sub-words spell them, and the word list plays no part: `words` grows by what is met. Phones need the
    lexicon to become words: the best sequence of its words is searched for, each as likely as any other.

    Args:
        lang: a lang folder, or what a bundle carries of one.
    """

    def __init__(self, lang: Lang, config: SearchConfig | None = None) -> None:
        self.lang = lang
        self._loop: Any = None
        if lang.units == "phone":
            from voxkit.decode.graph import build
            from voxkit.decode.kaldi import KaldiDecoder

            self._loop = KaldiDecoder(lang, config, graph=build(lang, None))

    def __call__(self, log_probs: ArrayLike) -> Lattice:
        """A lattice of one path for (T, V) log-probabilities."""
        if self._loop is not None:
            found: Lattice = self._loop.best_lattice(log_probs)
            return found
        tokens, starts, ends = spikes(log_probs)
        words: list[str] = []
        begins, stops = [], []
        for token, start, end in zip(tokens, starts, ends, strict=True):
            piece = self.lang.tokens[token]
            if piece.startswith(BOUNDARY) or not words:
                words.append("")
                begins.append(start)
                stops.append(end)
            if piece != BOUNDARY:
                if not words[-1]:
                    begins[-1] = start
                words[-1] += piece.removeprefix(BOUNDARY)
                stops[-1] = end
        return self._chain(np.asarray(log_probs), words, begins, stops)

    def batch(self, utterances: Sequence[ArrayLike]) -> list[Lattice]:
        """The lattices of many utterances, each (T, V)."""
        return [self(log_probs) for log_probs in utterances]

    def _chain(self, log_probs: Any, words: list[str], starts: list[int], ends: list[int]) -> Lattice:
        heard = [place for place, word in enumerate(words) if word]
        ids = [self._word_id(words[place]) for place in heard]
        costs = -log_probs.max(axis=1, initial=-np.inf)
        bounds = [0, *(starts[place] for place in heard[1:]), len(costs)]
        acoustic = [float(costs[a:b].sum()) for a, b in pairwise(bounds)]
        if not heard:
            return Lattice.build(2, len(costs), [0], [1], [0], [0], [len(costs)], acoustic, [0.0])
        states = np.arange(len(heard))
        begins, stops = ([values[place] for place in heard] for values in (starts, ends))
        return Lattice.build(
            len(heard) + 1, len(costs), states, states + 1, ids, begins, stops, acoustic, np.zeros(len(heard))
        )

    def _word_id(self, word: str) -> int:
        if word not in self.lang.word_ids:
            self.lang.word_ids[word] = len(self.lang.words)
            self.lang.words.append(word)
        return self.lang.word_ids[word]

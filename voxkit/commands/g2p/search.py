"""Beam search for pronunciations, batched over words. Free of torch, so that exported models need no torch either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.g2p.tables import END, LONGEST, START, Tables

Array = NDArray[np.float32]
Numbers = NDArray[np.int64]
AT_ONCE = 128  # words that are searched together


class Begun(NamedTuple):
    """What a scorer knows of B words before the first phone; every array has the words first."""

    memory: tuple[NDArray[np.generic], ...]
    state: tuple[NDArray[np.generic], ...]
    languages: Array


class Scorer(Protocol):
    """A model, whatever runs it."""

    @property
    def tables(self) -> Tables: ...

    def begin(self, letters: Numbers, lengths: Numbers, language: Numbers) -> Begun:
        """(B, T), (B,), (B,) -> what to decode with; `languages` (B, L) are log probabilities."""

    def step(
        self,
        previous: Numbers,
        language: Numbers,
        memory: tuple[NDArray[np.generic], ...],
        state: tuple[NDArray[np.generic], ...],
    ) -> tuple[Array, tuple[NDArray[np.generic], ...]]:
        """The last phones (N,) and all else with N rows -> log probabilities (N, V) of the next, and the new state."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One way to say a word, and how probable the model finds it, in [0, 1]."""

    phones: tuple[str, ...]
    probability: float


def beam_search(
    scorers: Sequence[Scorer], letters: Sequence[Sequence[int]], languages: Sequence[int], beam: int, nbest: int = 1
) -> list[list[tuple[list[int], float]]]:
    """The `nbest` most probable phone sequences of each word, with log probabilities, the best first.

    An ensemble's probability of a phone is the mean of its members'. A word of T letters gets one phone at least and
    2 T + 20 phones at most, and no more than `LONGEST`.
    """
    beam = max(beam, nbest)
    words, longest = len(letters), max(map(len, letters))
    padded = np.zeros((words, longest), dtype=np.int64)
    for row, numbers in enumerate(letters):
        padded[row, : len(numbers)] = numbers
    lengths = np.array([len(numbers) for numbers in letters], dtype=np.int64)
    tongue = np.asarray(languages, dtype=np.int64)
    rows = np.repeat(np.arange(words), beam)
    memories, states = [], []
    for scorer in scorers:
        begun = scorer.begin(padded, lengths, tongue)
        memories.append(tuple(part[rows] for part in begun.memory))
        states.append(tuple(part[rows] for part in begun.state))
    tongue = tongue[rows]
    # one hypothesis to begin with: all of them would be the same
    scores = np.full((words, beam), -np.inf)
    scores[:, 0] = 0.0
    said = np.zeros((words * beam, 0), dtype=np.int64)
    last = np.full(words * beam, START, dtype=np.int64)
    ended = np.zeros(words * beam, dtype=bool)
    most = np.minimum(2 * lengths + 20, LONGEST)
    for count in range(int(most.max())):
        found = [
            scorer.step(last, tongue, memory, state)
            for scorer, memory, state in zip(scorers, memories, states, strict=True)
        ]
        log_probs = _mean([log_prob for log_prob, _ in found])
        log_probs[:, START] = -np.inf
        if count == 0:
            log_probs[:, END] = -np.inf  # a word is not silence
        log_probs[np.repeat(count + 1 >= most, beam)[:, None] & (np.arange(log_probs.shape[1]) != END)] = -np.inf
        log_probs[ended] = -np.inf
        log_probs[ended, END] = 0.0  # what has ended stays as it is
        totals = (scores.reshape(-1, 1) + log_probs).reshape(words, -1)
        best = _largest(totals, beam)
        scores = np.take_along_axis(totals, best, axis=1)
        parents = (np.arange(words)[:, None] * beam + best // log_probs.shape[1]).ravel()
        last = (best % log_probs.shape[1]).ravel()
        said = np.concatenate([said[parents], last[:, None]], axis=1)
        ended = ended[parents] | (last == END)
        if (ended | np.isneginf(scores.ravel())).all():
            break
        states = [tuple(part[parents] for part in state) for _, state in found]
    return [
        [
            ([int(phone) for phone in said[word * beam + place] if phone > END], float(scores[word, place]))
            for place in range(nbest)
            if np.isfinite(scores[word, place])
        ]
        for word in range(words)
    ]


def _mean(log_probs: Sequence[Array]) -> NDArray[np.float64]:
    """The logarithm of the mean of probabilities."""
    if len(log_probs) == 1:
        return log_probs[0].astype(np.float64)
    return np.asarray(np.logaddexp.reduce(np.stack(log_probs).astype(np.float64), axis=0) - np.log(len(log_probs)))


def _largest(values: NDArray[np.float64], count: int) -> Numbers:
    """Where the `count` largest values of each row are, the largest first; of equal ones the first."""
    some = np.argpartition(-values, count - 1, axis=1)[:, :count] if count < values.shape[1] else None
    if some is None:
        return np.argsort(-values, axis=1, kind="stable")[:, :count]
    some.sort(axis=1)
    order = np.argsort(-np.take_along_axis(values, some, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(some, order, axis=1))

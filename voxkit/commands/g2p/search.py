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
MARGIN = 4.0  # nats; the search then takes less than half the time, and hardly ever finds something else


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
    2 T + 20 phones at most, and no more than `LONGEST`. Of the hypotheses that are not at their end, a word keeps the
    `beam` best, and only those that may still be among the `nbest`: they can only become less probable. Where the best
    alone is wanted, those that are `MARGIN` behind it are given up, too.
    """
    beam = max(beam, nbest)
    padded, lengths = _padded(letters)
    most = np.minimum(2 * lengths + 20, LONGEST)
    tongue = np.asarray(languages, dtype=np.int64)
    begun = [scorer.begin(padded, lengths, tongue) for scorer in scorers]
    memories, states = [parts.memory for parts in begun], [parts.state for parts in begun]
    # a row for each hypothesis; those of a word lie together
    words = np.arange(len(letters))
    scores, said = np.zeros(len(words)), np.zeros((len(words), 0), dtype=np.int64)
    last = np.full(len(words), START, dtype=np.int64)
    ended: list[list[tuple[list[int], float]]] = [[] for _ in letters]
    while len(words):
        found = [
            scorer.step(last, tongue[words], memory, state)
            for scorer, memory, state in zip(scorers, memories, states, strict=True)
        ]
        log_probs = _mean([log_prob for log_prob, _ in found])
        log_probs[:, START] = -np.inf
        if not said.shape[1]:
            log_probs[:, END] = -np.inf  # a word is not silence
        full = said.shape[1] + 1 >= most[words]
        log_probs[np.ix_(full, np.arange(log_probs.shape[1]) != END)] = -np.inf
        rows, phones, totals = _best(scores[:, None] + log_probs, words, beam)
        for row, total in zip(rows[phones == END], totals[phones == END], strict=True):
            _keep(ended[words[row]], (said[row].tolist(), float(total)), nbest)
        least = np.array([several[-1][1] if len(several) == nbest else -np.inf for several in ended])
        if nbest == 1:
            np.maximum.at(least, words[rows], totals - MARGIN)
        going = (phones != END) & (totals > least[words[rows]])
        rows, last, scores = rows[going], phones[going], totals[going]
        said = np.concatenate([said[rows], last[:, None]], axis=1)
        words = words[rows]
        if len(rows) != len(memories[0][0]) or (rows != np.arange(len(rows))).any():
            memories = [tuple(part[rows] for part in memory) for memory in memories]
        states = [tuple(part[rows] for part in state) for _, state in found]
    return ended


def _padded(letters: Sequence[Sequence[int]]) -> tuple[Numbers, Numbers]:
    """(B, T) and the lengths (B,)."""
    lengths = np.array([len(numbers) for numbers in letters], dtype=np.int64)
    padded = np.zeros((len(letters), lengths.max(initial=0)), dtype=np.int64)
    for row, numbers in enumerate(letters):
        padded[row, : len(numbers)] = numbers
    return padded, lengths


def _best(totals: NDArray[np.float64], words: Numbers, beam: int) -> tuple[Numbers, Numbers, NDArray[np.float64]]:
    """The `beam` best continuations of each word: the rows they continue, phones, and totals; ordered by word.

    Args:
        totals: (N, V).
        words: (N,), in order.
    """
    first = np.flatnonzero(np.diff(words, prepend=-1))  # row where each word begins
    sizes = np.diff(first, append=len(words))
    place = np.arange(len(words)) - np.repeat(first, sizes)
    table = np.full((len(first), int(sizes.max()), totals.shape[1]), -np.inf)
    table[np.repeat(np.arange(len(first)), sizes), place] = totals
    flat = table.reshape(len(first), -1)
    chosen = _largest(flat, min(beam, flat.shape[1]))
    found = np.take_along_axis(flat, chosen, axis=1)
    rows = first[:, None] + chosen // totals.shape[1]
    real = np.isfinite(found)
    return rows[real], (chosen % totals.shape[1])[real], found[real]


def _keep(several: list[tuple[list[int], float]], one: tuple[list[int], float], nbest: int) -> None:
    """Add a hypothesis to those of a word, of which the `nbest` best stay, in order."""
    several.append(one)
    several.sort(key=lambda hypothesis: -hypothesis[1])
    del several[nbest:]


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

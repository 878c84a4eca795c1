"""Greedy choice under a budget of audio, in blocks that are scored anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data.bins import Ints

Doubles = NDArray[np.float64]


class Method(Protocol):
    """A way to score U utterances, given those that were chosen.

    Attributes:
        score: (U,) higher is better; -inf: not to be chosen.
    """

    score: Doubles

    def take(self, chosen: Ints) -> None:
        """Note that these utterances were chosen, and score the others anew."""

    def reason(self, utterance: int) -> Any:
        """Why an utterance has its score, as JSON has it."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen.

    Attributes:
        order: (K,) utterances in the order in which they were chosen.
        block: (K,) the block in which each was, from 1.
        score: (U,) the score at which an utterance was chosen, or the last one.
        reason: of each chosen utterance.
    """

    order: Ints
    block: Ints
    score: Doubles
    reason: list[Any]


def choose(method: Method, durations: Doubles, allowed: NDArray[np.bool_], budget: float, blocks: int) -> Choice:
    """Take the best-scored utterances that fit.

    An utterance that would exceed the budget is passed over, and shorter ones after it may still fit. Equal scores
    are taken in the order of the pool.

    Args:
        durations: (U,) [s].
        allowed: (U,) whether an utterance may be chosen at all.
        budget: [s]; never exceeded.
        blocks: the scores are made anew after each of so many shares of the budget.
    """
    left, free = budget, allowed.copy()
    order: list[int] = []
    numbers: list[int] = []
    reasons: list[Any] = []
    final = np.array(method.score)
    for block in range(1, blocks + 1):
        goal = budget * (blocks - block) / blocks  # what may be left after this block
        found = _fill(method.score, durations, free, left, goal)
        if not len(found):
            break
        left -= float(durations[found].sum())
        free[found] = False
        order += found.tolist()
        numbers += [block] * len(found)
        reasons += [method.reason(utterance) for utterance in found.tolist()]
        final[found] = method.score[found]
        if block < blocks and left > 0:
            method.take(found)
            final[free] = method.score[free]
    return Choice(np.array(order, np.int32), np.array(numbers, np.int32), final, reasons)


def _fill(score: Doubles, durations: Doubles, free: NDArray[np.bool_], left: float, goal: float) -> Ints:
    """The best utterances, until `left` [s] has gone down to `goal` or nothing else fits."""
    candidates = np.flatnonzero(free & np.isfinite(score) & (durations <= left))
    candidates = candidates[np.argsort(-score[candidates], kind="stable")]
    found: list[int] = []
    for utterance, duration in zip(candidates.tolist(), durations[candidates].tolist(), strict=True):
        if duration <= left:
            found.append(utterance)
            left -= duration
            if left <= goal:
                break
    return np.array(found, np.int32)

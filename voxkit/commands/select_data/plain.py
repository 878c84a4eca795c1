"""The two plain methods: chance, and the recogniser's confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data.bins import Ints

Doubles = NDArray[np.float64]


class Fixed:
    """Scores (U,) that do not depend on what was chosen; a `choose.Method`."""

    def __init__(self, score: Doubles) -> None:
        self.score = score

    def take(self, chosen: Ints) -> None:
        """Nothing changes."""

    def reason(self, utterance: int) -> Any:
        return None


def by_chance(count: int, seed: int) -> Fixed:
    """A random order."""
    return Fixed(np.random.default_rng(seed).random(count))


def by_confidence(confidence: Doubles) -> Fixed:
    """The surest first."""
    return Fixed(np.where(np.isnan(confidence), -np.inf, confidence))

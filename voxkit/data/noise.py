"""Making noise: white, pink, and babble out of other people's speech. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxkit.data.audio import Samples

KINDS = ("white", "pink", "babble")
BABBLE_TALKERS = 4


def make_noise(kind: str, length: int, rng: np.random.Generator, others: Sequence[Samples]) -> NDArray[np.float64]:
    """`white`, `pink` (power falls as 1/f), or `babble`: other utterances backwards, each from somewhere on."""
    if kind == "babble":
        babble = np.zeros(length)
        for other in others:
            backwards = np.resize(other[::-1], length) if len(other) else babble
            babble += np.roll(backwards, int(rng.integers(length)))
        return babble
    white = rng.standard_normal(length)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    return np.asarray(np.fft.irfft(spectrum, length))

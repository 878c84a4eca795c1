"""Resampling of audio that comes in pieces: the same samples as of the whole at once."""

from __future__ import annotations

import math

import numpy as np

from voxkit.data.audio import Samples, resample
from voxkit.data.sinc import ROLLOFF, ZEROS, interpolator, is_ordinary


class StreamResampler:
    """Resamples a stream of mono audio. What is held back is as long as the kernel, or shorter than two blocks and it.

    Args:
        rate, wanted: of what goes in and comes out [Hz].
    """

    def __init__(self, rate: int, wanted: int) -> None:
        self._rate, self._wanted = rate, wanted
        self._method = _Blocks(rate, wanted) if is_ordinary(rate, wanted) else _Places(rate, wanted)
        self._taken = self._given = 0

    def feed(self, samples: Samples) -> Samples:
        """Take samples (N,), and give those that are certain by now (M,)."""
        self._taken += len(samples)
        made = self._method.push(samples)
        self._given += len(made)
        return made

    def finish(self) -> Samples:
        """The last samples; altogether there are as many as the whole stream gives at once."""
        total = -(-self._taken * self._wanted // self._rate)
        made = self._method.push(np.zeros(self._method.lag, np.float32))
        return made[: max(0, total - self._given)]


class _Blocks:
    """With rate and wanted rate without common factors p and q, q output samples belong to each block of p input
    samples, and depend on that block and as many samples on either side as the kernel is wide. So whole blocks are
    resampled with that much around them, and what comes of the surroundings is thrown away.

    Attributes:
        lag: so many more samples make sure of all output samples.
    """

    def __init__(self, rate: int, wanted: int) -> None:
        common = math.gcd(rate, wanted)
        self._in, self._out = rate // common, wanted // common
        width = math.ceil(ZEROS * self._in / (min(self._in, self._out) * ROLLOFF)) + 1
        self._around = math.ceil(width / self._in)  # blocks on each side
        self._held: Samples = np.zeros(self._around * self._in, np.float32)  # silence before the stream
        self.lag = (2 * self._around + 2) * self._in

    def push(self, samples: Samples) -> Samples:
        """Take samples, and give those that are certain."""
        held = np.concatenate([self._held, samples])
        blocks = len(held) // self._in - 2 * self._around
        if blocks <= 0:
            self._held = held
            return np.zeros(0, np.float32)
        part = held[: (blocks + 2 * self._around) * self._in]
        begin = self._around * self._out
        made = resample(part, self._in, self._out)[begin : begin + blocks * self._out]
        self._held = held[blocks * self._in :].copy()
        return made


class _Places:
    """Each output sample is made when all input samples are there that the kernel reaches around its place."""

    def __init__(self, rate: int, wanted: int) -> None:
        self._kernel = interpolator(rate, wanted)
        self.lag = self._kernel.reach
        self._held: Samples = np.zeros(self.lag, np.float32)  # silence before the stream
        self._origin = -self.lag  # number of the first sample that is held
        self._given = 0

    def push(self, samples: Samples) -> Samples:
        """Take samples, and give those that are certain."""
        held = np.concatenate([self._held, samples])
        end = self._kernel.total(max(0, self._origin + len(held) - self.lag))
        made = self._kernel.between(held, self._origin, self._given, end)
        self._given = max(end, self._given)
        passed = max(0, self._kernel.place(self._given) - self.lag - self._origin)
        self._held, self._origin = held[passed:].copy(), self._origin + passed
        return made

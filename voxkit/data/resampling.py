"""Resampling of audio that comes in pieces: the same samples as of the whole at once."""

from __future__ import annotations

import math

import numpy as np

from voxkit.data.audio import Samples, resample

ZEROS = 6  # of the kernel on each side, torchaudio's lowpass_filter_width
ROLLOFF = 0.99  # its cut-off, of the lower of both Nyquist frequencies


class StreamResampler:
    """Resamples a stream of mono audio.

    With rate and wanted rate without common factors p and q, q output samples belong to each block of p input samples,
    and depend on that block and as many samples on either side as the kernel is wide. So whole blocks are resampled
    with that much around them, and what comes of the surroundings is thrown away. What is held back is shorter than
    two blocks and the kernel.

    Args:
        rate, wanted: of what goes in and comes out [Hz].
    """

    def __init__(self, rate: int, wanted: int) -> None:
        common = math.gcd(rate, wanted)
        self._in, self._out = rate // common, wanted // common
        width = math.ceil(ZEROS * self._in / (min(self._in, self._out) * ROLLOFF)) + 1
        self._around = math.ceil(width / self._in)  # blocks on each side
        self._held: Samples = np.zeros(self._around * self._in, np.float32)  # silence before the stream
        self._taken = self._given = 0

    def feed(self, samples: Samples) -> Samples:
        """Take samples (N,), and give those that are certain by now (M,)."""
        self._taken += len(samples)
        return self._certain(samples)

    def finish(self) -> Samples:
        """The last samples; altogether there are as many as the whole stream gives at once."""
        total = math.ceil(self._taken * self._out / self._in)
        silence = np.zeros((2 * self._around + 2) * self._in, np.float32)
        before = self._given
        return self._certain(silence)[: max(0, total - before)]

    def _certain(self, samples: Samples) -> Samples:
        held = np.concatenate([self._held, samples])
        blocks = len(held) // self._in - 2 * self._around
        if blocks <= 0:
            self._held = held
            return np.zeros(0, np.float32)
        part = held[: (blocks + 2 * self._around) * self._in]
        begin = self._around * self._out
        made = resample(part, self._in, self._out)[begin : begin + blocks * self._out]
        self._held = held[blocks * self._in :].copy()
        self._given += len(made)
        return made

"""Band-limited interpolation between samples, for any two rates (J. O. Smith, Digital Audio Resampling, 2002)."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

ZEROS = 6  # of the kernel on each side, torchaudio's lowpass_filter_width
ROLLOFF = 0.99  # its cut-off, of the lower of both Nyquist frequencies
MOST = 1 << 20  # coefficients in a bank of filters: 8 MB
AT_ONCE = 1 << 17  # coefficients that are multiplied together


class Interpolator:
    """Resamples with torchaudio's kernel, a sinc with a Hann window that is centred on each output sample.

    Output sample j is at j * rate / wanted input samples. The fractions of these repeat after as many output samples
    as `wanted` has without the factors that both rates have in common: if these are not too many, there is a bank with
    a filter for each. Each filter has only the samples that the kernel reaches, so that it does not grow with the
    period, as torchaudio's does.

    Args:
        rate, wanted: of what goes in and comes out [Hz].

    Attributes:
        reach: how many input samples on either side an output sample depends on.
    """

    def __init__(self, rate: int, wanted: int) -> None:
        common = math.gcd(rate, wanted)
        self._in, self._out = rate // common, wanted // common
        self._cutoff = min(1.0, wanted / rate) * ROLLOFF
        self.reach = math.ceil(ZEROS / self._cutoff)
        taps = 2 * self.reach + 1
        self._rows = max(1, AT_ONCE // taps)
        self._bank = self._filters(np.arange(self._out)) if self._out * taps <= MOST else None

    def total(self, num_samples: int) -> int:
        """How many output samples so many input samples give."""
        return -(-num_samples * self._out // self._in)

    def place(self, number: int) -> int:
        """The input sample at or before an output sample."""
        return number * self._in // self._out

    def between(self, samples: NDArray[np.float32], origin: int, begin: int, end: int) -> NDArray[np.float32]:
        """The output samples from number `begin` to `end`, (end - begin,).

        Args:
            samples: (N,), `reach` more than what the output samples are between, on both sides.
            origin: the number of the first of them.
        """
        made = np.zeros(max(0, end - begin), np.float32)
        for first in range(begin, end, self._rows):
            last = min(first + self._rows, end)
            places, phases = np.divmod(np.arange(first, last) * self._in, self._out)
            filters = self._filters(phases) if self._bank is None else self._bank[phases]
            heard = np.lib.stride_tricks.sliding_window_view(samples, 2 * self.reach + 1)[places - self.reach - origin]
            made[first - begin : last - begin] = (filters * heard).sum(axis=1)
        return made

    def whole(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """All of (N,) at once, with silence around it."""
        return self.between(np.pad(samples, self.reach), -self.reach, 0, self.total(len(samples)))

    def _filters(self, phases: NDArray[np.int64]) -> NDArray[np.float64]:
        """Those of output samples that are so many `_out`ths after an input sample: (len(phases), 2 * reach + 1)."""
        offsets = np.arange(-self.reach, self.reach + 1)
        times = (offsets - phases[:, None] / self._out) * self._cutoff
        window = np.cos(np.pi / 2 * np.clip(times / ZEROS, -1, 1)) ** 2
        return np.asarray(self._cutoff * window * np.sinc(times), np.float64)


@lru_cache(maxsize=4)
def interpolator(rate: int, wanted: int) -> Interpolator:
    """One for two rates; the last few are kept."""
    return Interpolator(rate, wanted)


def is_ordinary(rate: int, wanted: int) -> bool:
    """Whether the rates have a factor in common that is large enough for torchaudio to be quick."""
    common = math.gcd(rate, wanted)
    before, after = rate // common, wanted // common
    return after * (before + 2 * math.ceil(ZEROS * max(1.0, rate / wanted) / ROLLOFF)) <= MOST

"""Power spectra of many frames at once, as two matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PowerSpectrum:
    """|DFT|^2 of real frames by the four-step FFT (Bailey 1990), on BLAS.

    With N = slow * fast, sample n = fast a + b and bin k = c + slow d, the DFT factors into a sum over a, which is the
    same matrix for all b, and a sum over b, one matrix for each c with the twiddle factors inside:

        X[c + slow d] = sum_b exp(-2 pi i b (c + slow d) / N) sum_a exp(-2 pi i a c / slow) x[fast a + b]

    Frames are columns, so both are plain products without reordering. They take more operations than a radix-2 FFT,
    but BLAS does them several times as fast as numpy's FFT of short frames; the samples behind the window, which
    are zero, are never touched.
    """

    def __init__(self, length: int, size: int) -> None:
        """For frames of `length` samples, padded with zeros to `size`, a power of two >= max(length, 2)."""
        slow = 1 << (size.bit_length() // 2)
        fast = size // slow
        self.rows = -(-length // fast) * fast  # samples that a frame must hold: `length`, rounded up
        self.fast = fast
        half = slow // 2 + 1  # the other values of c mirror these, because frames are real
        first = np.exp(-2j * np.pi * np.outer(np.arange(half), np.arange(self.rows // fast)) / slow)
        self._first = np.stack([first.real, first.imag], axis=1).reshape(2 * half, -1).astype(np.float32)
        bins = np.arange(half)[:, None, None] + slow * np.arange(fast)[None, :, None]
        second = np.exp(-2j * np.pi * bins * np.arange(fast) / size)
        real = np.concatenate([second.real, -second.imag], axis=2)
        imaginary = np.concatenate([second.imag, second.real], axis=2)
        self._second = np.concatenate([real, imaginary], axis=1).astype(np.float32)  # (half, 2 fast, 2 fast)
        self.num_rows = half * fast
        c, d = np.arange(size // 2 + 1) % slow, np.arange(size // 2 + 1) // slow
        self.place: NDArray[np.int64] = np.where(c < half, c * fast + d, (slow - c) * fast + fast - 1 - d)

    def __call__(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Powers of the columns of `frames` (rows, T): (num_rows, T); that of bin k is in row `place[k]`.

        Some bins are there twice, so rows that `place` does not name are to be passed over.
        """
        count = frames.shape[1]
        half_way = (self._first @ frames.reshape(-1, self.fast * count)).reshape(len(self._second), -1, count)
        parts = self._second @ half_way
        parts *= parts
        return (parts[:, : self.fast] + parts[:, self.fast :]).reshape(-1, count)

"""Kaldi-compatible acoustic features in numpy alone, so that a feature job starts without loading torch.

Equal to lhotse's `Fbank`, `Mfcc` and `LogSpectrogram` and to `torchaudio.compliance.kaldi` (snip_edges=False,
samples in [-1, 1]) to float32 precision.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.data.feature_config import FeatureConfig

Samples = NDArray[np.float32]
Features = NDArray[np.float32]

BLOCK = 512  # frames at a time: the block's spectrum stays in the processor's cache
EPSILON = float(np.finfo(np.float32).eps)  # floor of the mel energies, Kaldi's


class FrontEnd:
    """Computes features of one signal; holds the window, the mel bank and scratch memory (not thread-safe)."""

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        size, length = config.fft_size, config.window_samples
        self._window = window(config.window, length)
        self._frames = np.zeros((BLOCK, size), np.float32)  # the columns behind the window stay zero
        self._bank = mel_bank(config) if config.kind != "log_stft" else None
        self._cepstra = cepstral_transform(config) if config.kind == "mfcc" else None

    @property
    def dim(self) -> int:
        """Values per frame, F."""
        return self.config.dim

    def __call__(self, samples: Samples) -> Features:
        """Features of `samples` (N,) in [-1, 1], mono: (T, F) with T = `config.num_frames(N)`."""
        config = self.config
        length, shift = config.window_samples, config.shift_samples
        count = config.num_frames(len(samples))
        features = np.empty((count, self.dim), np.float32)
        if count == 0:
            return features
        if config.dither:
            samples = samples + np.float32(config.dither) * _noise(samples)
        padded = _reflect(samples, count, length, shift)
        # The mean is subtracted before pre-emphasis, so what is left of it after is (1 - c) times the mean; a
        # frame's first sample has no predecessor and stands in for it. This lets one pass serve all frames.
        coefficient = np.float32(config.preemphasis)
        keep = np.float32(1) - coefficient
        emphasised = padded.copy()
        emphasised[1:] -= coefficient * padded[:-1]
        raw = np.lib.stride_tricks.sliding_window_view(padded, length)[::shift][:count]
        frames = np.lib.stride_tricks.sliding_window_view(emphasised, length)[::shift][:count]
        for begin in range(0, count, BLOCK):
            part = slice(begin, min(begin + BLOCK, count))
            block = self._frames[: part.stop - begin]
            windowed = block[:, :length]
            rest = keep * raw[part].mean(axis=1, keepdims=True)
            np.subtract(frames[part], rest, out=windowed)
            windowed[:, :1] = keep * raw[part, :1] - rest
            windowed *= self._window
            features[part] = self._of_spectrum(np.fft.rfft(block))
        return features

    def _of_spectrum(self, spectrum: NDArray[Any]) -> Features:
        power: Features = spectrum.real**2
        power += spectrum.imag**2
        if self._bank is None:
            power += np.float32(1e-15)
            return np.log(power, out=power)
        energies: Features = power @ self._bank
        np.maximum(energies, np.float32(EPSILON), out=energies)
        np.log(energies, out=energies)
        return energies if self._cepstra is None else energies @ self._cepstra


def window(name: str, length: int) -> Samples:
    """The analysis window (length,); "povey" is Kaldi's hann window to the power of 0.85, which touches zero."""
    phase = 2 * np.pi * np.arange(length) / max(length - 1, 1)
    hann = 0.5 - 0.5 * np.cos(phase)
    shapes = {
        "povey": hann**0.85,
        "hann": hann,
        "hamming": 0.54 - 0.46 * np.cos(phase),
        "rectangular": np.ones(length),
    }
    return shapes[name].astype(np.float32)


def mel_bank(config: FeatureConfig) -> NDArray[np.float32]:
    """Triangular filters, equally wide and spaced in mel = 1127 ln(1 + f/700): (fft_size / 2 + 1, num_mels)."""

    def mel(frequency: ArrayLike) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(np.asarray(frequency, dtype=np.float64) / 700.0)

    bins = mel(np.arange(config.fft_size // 2 + 1) * (config.sampling_rate / config.fft_size))[:, None]
    edges = np.linspace(mel(config.low_freq), mel(config.top_freq), config.num_mels + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bank = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clip(min=0)
    bank[-1] = 0  # Kaldi leaves the bin at half the sampling rate out
    return bank.astype(np.float32)


def cepstral_transform(config: FeatureConfig) -> NDArray[np.float32]:
    """Orthonormal DCT-II with liftering 1 + L/2 sin(pi k / L): (num_mels, num_ceps)."""
    channel = np.arange(config.num_mels)[:, None] + 0.5
    order = np.arange(config.num_ceps)
    transform = math.sqrt(2 / config.num_mels) * np.cos(np.pi / config.num_mels * channel * order)
    transform[:, 0] /= math.sqrt(2)
    if config.cepstral_lifter > 0:
        transform *= 1 + 0.5 * config.cepstral_lifter * np.sin(np.pi * order / config.cepstral_lifter)
    return transform.astype(np.float32)


def _reflect(samples: Samples, count: int, length: int, shift: int) -> Samples:
    """Mirror the signal at both ends so that `count` windows fit, the first centred on half a shift."""
    left = (length - shift) // 2
    right = max(0, (count - 1) * shift + length - left - len(samples))
    return np.pad(np.ascontiguousarray(samples, dtype=np.float32), (left, right), mode="symmetric")


def _noise(samples: Samples) -> Samples:
    """Gaussian noise that depends on the samples alone, so that the same audio always has the same features."""
    generator = np.random.default_rng(zlib.crc32(samples.tobytes()))
    return generator.standard_normal(len(samples), dtype=np.float32)

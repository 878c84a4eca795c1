"""Kaldi-compatible acoustic features in numpy alone, so that a feature job starts without loading torch.

Equal to lhotse's `Fbank`, `Mfcc` and `LogSpectrogram` and to `torchaudio.compliance.kaldi` (snip_edges=False,
samples in [-1, 1]) to float32 precision.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxkit.data.feature_config import FeatureConfig
from voxkit.data.spectrum import PowerSpectrum

Samples = NDArray[np.float32]
Features = NDArray[np.float32]

BLOCK = 64  # frames at a time: what is computed on them stays in the processor's cache
EPSILON = float(np.finfo(np.float32).eps)  # floor of the mel energies, Kaldi's
OFFSET = 1e-15  # added to the powers of log_stft


class FrontEnd:
    """Computes features of one signal; holds the window and the transforms."""

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        self._window = window(config.window, config.window_samples)[:, None]
        self._spectrum = PowerSpectrum(config.window_samples, config.fft_size)
        self._bank: NDArray[np.float32] | None = None
        if config.kind != "log_stft":
            self._bank = np.zeros((config.num_mels, self._spectrum.num_rows), np.float32)
            self._bank[:, self._spectrum.place] = mel_bank(config).T
        self._cepstra = cepstral_transform(config).T if config.kind == "mfcc" else None

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
        signal = _reflect(samples, count, length, shift)
        # The mean is subtracted before pre-emphasis, so what is left of it after is (1 - c) times the mean; a
        # frame's first sample has no predecessor and stands in for it. This lets one pass serve all frames.
        keep = np.float32(1 - config.preemphasis)
        emphasised = np.empty_like(signal)
        emphasised[0] = 0
        np.multiply(signal[:-1], np.float32(-config.preemphasis), out=emphasised[1:])
        emphasised[1:] += signal[1:]
        raw, frames = (_frames(array, count, length, shift) for array in (signal, emphasised))
        for begin in range(0, count, BLOCK):
            part = slice(begin, min(begin + BLOCK, count))
            block = np.zeros((self._spectrum.rows, part.stop - begin), np.float32)
            windowed = block[:length]
            rest = keep * raw[part].mean(axis=1)
            np.subtract(frames[part].T, rest, out=windowed)
            windowed[0] = keep * raw[part, 0] - rest
            windowed *= self._window
            features[part] = self._of_power(self._spectrum(block)).T
        return features

    def _of_power(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (F, T) of power spectra as `PowerSpectrum` gives them."""
        if self._bank is None:
            spectrum = power[self._spectrum.place]
            spectrum += np.float32(OFFSET)
            return np.log(spectrum, out=spectrum)
        energies: NDArray[np.float32] = self._bank @ power
        np.maximum(energies, np.float32(EPSILON), out=energies)
        np.log(energies, out=energies)
        return energies if self._cepstra is None else self._cepstra @ energies


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
    if max(left, right) > len(samples):  # shorter than what is mirrored: back and forth
        return np.pad(samples, (left, right), mode="symmetric").astype(np.float32)
    tail = samples[len(samples) - right :]
    return np.concatenate([samples[:left][::-1], samples, tail[::-1]], dtype=np.float32)


def _frames(signal: Samples, count: int, length: int, shift: int) -> NDArray[np.float32]:
    """The windows of a signal that begin every `shift` samples, without copying: (count, length)."""
    step = signal.strides[0]
    return np.lib.stride_tricks.as_strided(signal, (count, length), (shift * step, step), writeable=False)


def _noise(samples: Samples) -> Samples:
    """Gaussian noise that depends on the samples alone, so that the same audio always has the same features."""
    generator = np.random.default_rng(zlib.crc32(samples.tobytes()))
    return generator.standard_normal(len(samples), dtype=np.float32)

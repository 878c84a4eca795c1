"""What a network sees of a clip, and how training changes it: windows, shifts, levels, noise, mixing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from voxkit.data import audio
from voxkit.data.audio import Samples
from voxkit.data.clip_config import ClipAugmentConfig, ClipConfig
from voxkit.data.noise import make_noise

QUIET = 1e-10  # added to powers


def fitted(samples: Samples, length: int, config: ClipConfig) -> Samples:
    """(N,) cut or filled up to (length,): a longer clip keeps its middle."""
    if len(samples) > length:
        begin = (len(samples) - length) // 2
        return samples[begin : begin + length]
    if config.fill == "repeat":
        return np.resize(samples, length)
    before = (length - len(samples)) // 2 if config.place == "centre" else 0
    return np.pad(samples, (before, length - len(samples) - before))


def windows(samples: Samples, length: int, config: ClipConfig) -> list[Samples]:
    """A clip as the network hears it when it is judged: whole, or in overlapping windows (length,) if it is longer.

    The last window ends with the clip.
    """
    if len(samples) <= length:
        return [fitted(samples, length, config)]
    step = max(1, round(length * config.hop))
    starts = [*range(0, len(samples) - length, step), len(samples) - length]
    return [samples[start : start + length] for start in starts]


def augmented(
    samples: Samples,
    length: int,
    rate: int,
    clip: ClipConfig,
    config: ClipAugmentConfig,
    draw: np.random.Generator,
    noises: Sequence[Callable[[], Samples]] = (),
) -> Samples:
    """A training clip as (length,) samples with another place, speed and level, and perhaps noise; by `draw` alone.

    Args:
        noises: load a noise each; without any, noise is white or pink.
    """
    speed = float(draw.choice(config.speeds))
    if speed != 1.0:
        samples = audio.resample(samples, round(100 * speed), 100)
    samples = _shifted(samples, length, clip, config, draw)
    if draw.random() < config.noise:
        samples = with_noise(samples, float(draw.uniform(*config.snr)), draw, noises)
    return samples * np.float32(10 ** (draw.uniform(-config.volume, config.volume) / 20))


def _shifted(
    samples: Samples, length: int, clip: ClipConfig, config: ClipAugmentConfig, draw: np.random.Generator
) -> Samples:
    most, spare = round(config.shift * length), len(samples) - length
    if spare > 0:  # some part of a longer clip
        begin = int(draw.integers(spare + 1))
        samples = samples[begin : begin + length]
        if spare >= most:  # that is a shift already
            return samples
    samples = fitted(samples, length, clip)
    offset = int(draw.integers(-most, most + 1))
    if config.wrap:
        return np.roll(samples, offset)
    moved = np.zeros_like(samples)
    if offset >= 0:
        moved[offset:] = samples[: length - offset]
    else:
        moved[:offset] = samples[-offset:]
    return moved


def with_noise(
    samples: Samples, snr: float, draw: np.random.Generator, noises: Sequence[Callable[[], Samples]] = ()
) -> Samples:
    """`samples` (N,) and noise at `snr` dB below them."""
    if noises:
        noise = noises[int(draw.integers(len(noises)))]()
        noise = np.roll(np.resize(noise, len(samples)), int(draw.integers(len(samples))))
    else:
        noise = make_noise(str(draw.choice(("white", "pink"))), len(samples), draw, ()).astype(np.float32)
    power, noise_power = np.square(samples).mean(), np.square(noise).mean()
    gain = np.sqrt(power / (noise_power + QUIET) * 10 ** (-snr / 10))
    return (samples + np.float32(gain) * noise).astype(np.float32)


def between_classes(one: Samples, other: Samples, share: float) -> Samples:
    """Two sounds (N,) mixed so that `one` is heard with the share `share` in (0, 1), as loud as one of them.

    Tokozume, Ushiku & Harada 2018, "Learning from between-class examples for deep sound recognition", equation 2, with
    plain powers for their A-weighted levels.
    """
    levels = [np.sqrt(np.square(sound).mean() + QUIET) for sound in (one, other)]
    weight = 1 / (1 + levels[0] / levels[1] * (1 - share) / share)
    mixed = weight * one + (1 - weight) * other
    return np.asarray(mixed / np.sqrt(weight**2 + (1 - weight) ** 2), np.float32)


def target(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.float32]:
    """1 for each of a clip's classes, else 0: (C,)."""
    return np.array([name in labels for name in classes], np.float32)

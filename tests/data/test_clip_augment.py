"""What a network sees of a clip, and what training does to it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.data.clip_augment import augmented, between_classes, fitted, target, windows, with_noise
from voxkit.data.clip_config import ClipAugmentConfig, ClipConfig

RATE = 1000
LENGTHS = st.integers(1, 60)
STILL = {"shift": 0.0, "volume": 0.0}


def sound(length: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal(length).astype(np.float32)


def power(samples: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    return float(np.square(samples.astype(np.float64)).mean())


@given(LENGTHS, LENGTHS, st.sampled_from(["silence", "repeat"]), st.sampled_from(["centre", "start"]))
def test_clips_are_made_to_fit(length: int, wanted: int, fill: Any, place: Any) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    found = fitted(samples, wanted, ClipConfig(fill=fill, place=place))
    assert len(found) == wanted
    if length >= wanted:
        begin = (length - wanted) // 2
        assert found.tolist() == samples[begin : begin + wanted].tolist()
    elif fill == "repeat":
        assert found.tolist() == [1 + n % length for n in range(wanted)]
    else:
        begin = (wanted - length) // 2 if place == "centre" else 0
        assert found[begin : begin + length].tolist() == samples.tolist()
        assert np.count_nonzero(found) == length


@given(LENGTHS, LENGTHS, st.floats(0.05, 1))
def test_windows_cover_a_clip_and_end_with_it(length: int, size: int, hop: float) -> None:
    samples = np.arange(1, length + 1, dtype=np.float32)
    found = windows(samples, size, ClipConfig(hop=hop))
    assert all(len(window) == size for window in found)
    assert set(samples.tolist()) <= set(np.concatenate(found).tolist())
    if length > size:
        assert found[-1][-1] == length
        starts = [int(window[0]) for window in found]
        assert starts == sorted(set(starts))
        assert max(np.diff(starts)) <= max(1, round(size * hop))
    else:
        assert len(found) == 1


@given(LENGTHS, st.integers(0, 2**31), st.booleans())
def test_a_draw_decides_all(length: int, seed: int, wrap: bool) -> None:
    config = ClipAugmentConfig(wrap=wrap, noise=0.5, speeds=(0.9, 1.0, 1.1))
    made = [augmented(sound(length), 40, RATE, ClipConfig(), config, np.random.default_rng(seed)) for _ in range(2)]
    assert made[0].shape == (40,)
    assert made[0].dtype == np.float32
    np.testing.assert_array_equal(*made)


def test_without_changes_a_clip_is_what_is_judged() -> None:
    for length in (20, 40):
        found = augmented(
            sound(length), 40, RATE, ClipConfig(), ClipAugmentConfig.model_validate(STILL), np.random.default_rng(1)
        )
        np.testing.assert_array_equal(found, fitted(sound(length), 40, ClipConfig()))


@given(st.integers(0, 2**31), st.booleans(), st.floats(0, 1))
def test_shifts_stay_within_their_limits(seed: int, wrap: bool, share: float) -> None:
    config = ClipAugmentConfig(shift=share, wrap=wrap, volume=0)
    samples = np.arange(1, 41, dtype=np.float32)
    found = augmented(samples, 40, RATE, ClipConfig(), config, np.random.default_rng(seed))
    most = round(share * 40)
    if wrap:
        assert sorted(found.tolist()) == samples.tolist()
        offset = int(np.argmin(found))
        assert min(offset, 40 - offset) <= most
    else:
        kept = found[found > 0]
        assert len(kept) >= 40 - most
        assert kept.tolist() == list(range(int(kept[0]), int(kept[0]) + len(kept))) if len(kept) else most == 40


@pytest.mark.parametrize(("spare", "shifted"), [(0, True), (1, True), (19, True), (20, False)])
def test_a_clip_with_little_to_spare_is_shifted_too(spare: int, shifted: bool) -> None:
    config = ClipAugmentConfig(shift=0.5, volume=0)
    samples = np.arange(40 + spare, dtype=np.float32)
    draws = (augmented(samples, 40, RATE, ClipConfig(), config, np.random.default_rng(seed)) for seed in range(200))
    begins = {int(found[0]) for found in draws}
    assert (len(begins) > 30) == shifted
    assert shifted or max(begins) <= spare


@given(st.integers(0, 2**31))
def test_levels_change_by_no_more_than_they_may(seed: int) -> None:
    config = ClipAugmentConfig(shift=0, volume=6)
    found = augmented(sound(40), 40, RATE, ClipConfig(), config, np.random.default_rng(seed))
    assert abs(10 * np.log10(power(found) / power(sound(40)))) <= 6.001


@pytest.mark.parametrize("given_noise", [False, True])
def test_noise_has_the_level_that_it_should(given_noise: bool) -> None:
    samples = sound(4000)
    noises = [lambda: np.float32(7) * sound(900, 5)] if given_noise else []
    for snr in (0.0, 10.0, 20.0):
        found = with_noise(samples, snr, np.random.default_rng(3), noises)
        assert 10 * np.log10(power(samples) / power(found - samples)) == pytest.approx(snr, abs=0.1)


def test_silence_gets_no_noise_and_stays_finite() -> None:
    found = with_noise(np.zeros(100, np.float32), 10, np.random.default_rng(0))
    assert np.abs(found).max() == 0
    assert np.isfinite(between_classes(np.zeros(9, np.float32), np.zeros(9, np.float32), 0.5)).all()


@given(st.floats(0.05, 0.95), st.floats(0.01, 100))
def test_mixing_gives_each_sound_its_share_whatever_its_level(share: float, level: float) -> None:
    one, other = sound(5000, 1), np.float32(level) * sound(5000, 2)
    mixed = between_classes(one, other, share)
    # of orthogonal sounds: amplitudes in the mixture, relative to their own levels
    parts = [float(mixed @ x) / float(x @ x) * np.sqrt(power(x)) for x in (one, other)]
    assert parts[0] / (parts[0] + parts[1]) == pytest.approx(share, abs=0.05)


def test_targets() -> None:
    assert target(("b", "z"), ["a", "b", "c"]).tolist() == [0, 1, 0]

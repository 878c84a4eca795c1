"""Samples to posteriors: clips, windows along a recording."""

from pathlib import Path

import numpy as np
import pytest

from tests.decode import tones
from voxkit.data.clips import Clip, load_clip, open_clips
from voxkit.decode.classifier import TOGETHER, judge


def test_each_tone_is_told_whatever_the_batch() -> None:
    one = tones.classifier()
    names = [*sorted(tones.TONES), tones.QUIET] * (TOGETHER // 3)
    found = one.clips(tones.tone(name) for name in names)
    assert found.shape == (len(names), 4)
    assert [one.classes[best] for best in found.argmax(1)] == names
    np.testing.assert_allclose(found.sum(1), 1)
    np.testing.assert_allclose(one.clips([tones.tone(names[-1])])[0], found[-1], rtol=1e-5)


def test_sigmoids_do_not_add_up() -> None:
    found = tones.classifier("multi").clips([tones.tone("mid")])
    assert found.max() > 0.9
    assert abs(found.sum() - 1) > 1e-3 or (found > 0.5).sum() != 1


def test_no_clips_give_no_posteriors() -> None:
    assert tones.classifier().clips([]).shape == (0, 4)


def test_a_longer_clip_is_the_mean_of_its_windows() -> None:
    one = tones.classifier()
    samples = tones.scene(("low", 0.5), ("mid", 0.5))
    size = one.length
    wanted = one.windows(samples[begin : begin + size] for begin in (0, size // 2, size)).mean(0)
    np.testing.assert_allclose(one.clips([samples])[0], wanted, rtol=1e-5)


@pytest.mark.parametrize(("length", "windows"), [(0.05, 1), (0.1, 2), (0.5, 6), (0.59, 6), (1.0, 11)])
def test_windows_along_a_recording_are_centred_from_its_start_to_its_end(length: float, windows: int) -> None:
    one = tones.classifier()
    samples = tones.tone("low", length)
    found = one.along(samples, 0.1)
    assert found.shape == (windows, 4)
    step = one.step(0.1)
    padded = np.pad(samples, one.length // 2)
    np.testing.assert_allclose(
        found, one.windows(padded[n * step : n * step + one.length] for n in range(windows)), rtol=1e-5
    )


def test_a_hop_is_at_least_a_sample() -> None:
    one = tones.classifier()
    assert (one.step(1e-9), one.step(0.1)) == (1, 800)


def test_judge_counts_what_is_right(tmp_path: Path) -> None:
    clips = open_clips(tones.write(tmp_path / "tones", 2), "auto", "single", 0.02)
    one = tones.classifier()
    sounds = [load_clip(clip, one.rate) for clip in clips]
    report = judge(one, clips, sounds)
    assert report.accuracy.value == 100
    assert not np.isfinite(report.accuracy[1:]).any()
    wrong = [Clip(clip.cut, ("mid",), clip.where) for clip in clips]
    assert judge(one, wrong, iter(sounds)).accuracy.value == pytest.approx(100 / 3)

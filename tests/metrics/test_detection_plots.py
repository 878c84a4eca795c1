"""The picture of detection."""

from pathlib import Path

import numpy as np
import pytest

from voxkit.data.events import Event
from voxkit.metrics.detection_plots import COLUMNS, event_plot, power_spectrum

RATE = 8000


@pytest.mark.parametrize("events", [[], [Event("a", 0.2, 0.9, 0.8), Event("c", 0.5, 1.5, 0.7)]])
def test_a_picture_is_written_for_any_events(tmp_path: Path, events: list[Event]) -> None:
    samples = np.zeros(2 * RATE, np.float32)
    posteriors = np.random.default_rng(0).random((20, 9))
    names = list("abcdefghi")
    times = (0.1 * np.arange(20)).tolist()
    event_plot(samples, RATE, events, times, posteriors, names, "silence", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_the_spectrum_has_the_tone_and_few_columns() -> None:
    samples = np.sin(2 * np.pi * 1000 * np.arange(100 * RATE) / RATE).astype(np.float32)
    power = power_spectrum(samples, RATE)
    assert power.shape[1] <= COLUMNS + 1
    strongest = power[:, power.shape[1] // 2].argmax()
    assert strongest * RATE / (2 * (power.shape[0] - 1)) == pytest.approx(1000, abs=40)
    assert np.isfinite(power_spectrum(np.zeros(10, np.float32), RATE)).all()

"""The picture of detection."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot

from voxkit.data.events import Event
from voxkit.metrics.detection_plots import COLOURS, COLUMNS, event_plot, power_spectrum

RATE = 8000


@pytest.mark.parametrize("events", [[], [Event("a", 0.2, 0.9, 0.8), Event("c", 0.5, 1.5, 0.7)]])
def test_a_picture_is_written_for_any_events(tmp_path: Path, events: list[Event]) -> None:
    samples = np.zeros(2 * RATE, np.float32)
    posteriors = np.random.default_rng(0).random((20, 9))
    names = list("abcdefghi")
    times = (0.1 * np.arange(20)).tolist()
    event_plot(samples, RATE, events, times, posteriors, names, "silence", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_thresholds_are_drawn_and_a_class_keeps_its_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr("voxkit.metrics.detection_plots.save_figure", lambda figure, path: kept.append(figure))
    posteriors = np.full((20, 3), 0.2)
    times = (0.1 * np.arange(20)).tolist()
    for events, levels in (([], [0.5] * 3), ([Event("c", 0.5, 1.5, 0.7)], [0.5, 0.4, 0.6])):
        samples = np.zeros(2 * RATE, np.float32)
        event_plot(samples, RATE, events, times, posteriors, list("abc"), "x", tmp_path / "a.png", levels)
    colours = []
    for figure in kept:
        middle = figure.axes[1]
        colours.append({line.get_label(): line.get_color() for line in middle.lines if line.get_label() in "abc"})
        assert "threshold" in [text.get_text() for text in middle.get_legend().get_texts()]
    alike, other = (
        {line.get_ydata()[0]: line.get_color() for line in figure.axes[1].lines if len(line.get_xdata()) == 2}
        for figure in kept
    )
    assert colours[0] == colours[1] == dict(zip("abc", COLOURS, strict=False))
    assert list(alike) == [0.5]
    assert other == {0.5: COLOURS[0], 0.4: COLOURS[1], 0.6: COLOURS[2]}
    for figure in kept:
        pyplot.close(figure)


def test_the_spectrum_has_the_tone_and_few_columns() -> None:
    samples = np.sin(2 * np.pi * 1000 * np.arange(100 * RATE) / RATE).astype(np.float32)
    power = power_spectrum(samples, RATE)
    assert power.shape[1] <= COLUMNS + 1
    strongest = power[:, power.shape[1] // 2].argmax()
    assert strongest * RATE / (2 * (power.shape[0] - 1)) == pytest.approx(1000, abs=40)
    assert np.isfinite(power_spectrum(np.zeros(10, np.float32), RATE)).all()

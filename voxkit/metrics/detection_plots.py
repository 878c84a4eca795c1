"""The picture of detection in a recording, written as PNG: spectrogram, posteriors of the classes, events as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.data.events import Event
from voxkit.metrics.plots import GREY, INK, new_figure, save_figure

COLUMNS = 2000  # of the spectrogram, at most
RANGE = 75.0  # from the loudest cell to black [dB]
COLOURS = (  # of classes, by their places in the model's list
    *("#2a7f62", "#c0762b", "#3b6fb6", "#7a5195", "#c0392b", "#17a2b8"),
    *("#d45087", "#8c6d31", "#9c9ede", "#637939", "#e0a800", "#5b4636"),
)
NAMED = 6  # curves that have a colour and a name: those that come highest


def event_plot(
    samples: NDArray[np.float32],
    rate: int,
    events: Sequence[Event],
    times: Sequence[float],
    posteriors: NDArray[np.floating],
    classes: Sequence[str],
    title: str,
    path: Path,
    thresholds: Sequence[float] | None = None,
) -> None:
    """A spectrogram over the posteriors of the classes over a row of bars for each class with events.

    A class has the same colour in every picture of a model.

    Args:
        samples: (N,) at `rate` Hz.
        times: (W,) centres of the windows [s].
        posteriors: (W, C).
        classes: C names, in the order of the model.
        thresholds: (C,) of the smoothed posteriors, to be drawn too.
    """
    seconds = len(samples) / rate
    rows = list(dict.fromkeys(event.label for event in sorted(events, key=lambda event: event.label)))
    highest = np.argsort(-posteriors.max(axis=0, initial=0), kind="stable").tolist()
    shown = [*rows, *(classes[index] for index in highest if classes[index] not in rows)][: max(NAMED, len(rows))]
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(classes) if name in shown}
    heights = [2.6, 1.8, 0.5 + 0.3 * max(len(rows), 1)]
    figure, (top, middle, bottom) = new_figure(
        float(np.clip(1.2 * seconds, 8, 20)), 0.6 + sum(heights), nrows=3, sharex=True, height_ratios=heights
    )
    power = power_spectrum(samples, rate)
    top.imshow(
        power, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, rate / 2000),
        vmin=power.max() - RANGE, vmax=power.max(),
    )  # fmt: skip
    top.set_ylabel("kHz")
    top.set_title(title, loc="left")
    for index, name in enumerate(classes):
        known = name in colours
        line = {"color": colours[name], "linewidth": 1.5, "label": name} if known else {"color": GREY, "linewidth": 0.5}
        middle.plot(times, posteriors[:, index], **line)
    if thresholds is not None:
        named = {name: level for name, level in zip(classes, thresholds, strict=True) if name in shown}
        _draw_thresholds(middle, named, colours)
    middle.set_ylim(0, 1.03)
    middle.set_ylabel("posterior")
    middle.legend(frameon=False, fontsize=8, ncols=7, loc="lower left", bbox_to_anchor=(0, 1))
    for event in events:
        row, colour = len(rows) - 1 - rows.index(event.label), colours[event.label]
        bottom.barh(row, event.end - event.start, left=event.start, height=0.66, color=colour, alpha=0.8)
        top.axvspan(event.start, event.end, ymax=0.03, color=colour)
    bottom.set_yticks(range(len(rows)), list(reversed(rows)))
    bottom.set_ylim(-0.6, max(len(rows), 1) - 0.4)
    bottom.set_xlim(0, seconds)
    bottom.set_xlabel("seconds" if rows else "seconds (no events)")
    for axes in (middle, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _draw_thresholds(axes: Any, thresholds: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """A dotted line for all classes, or one for each in its colour where they differ."""
    axes.plot([], [], color=INK, linewidth=1.1, linestyle=":", label="threshold")
    alike = len(set(thresholds.values())) == 1
    for name, level in list(thresholds.items())[: 1 if alike else None]:
        axes.axhline(level, color=INK if alike else colours[name], linewidth=1.1, linestyle=":")


def power_spectrum(samples: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Power [dB] (bins, columns) of Hann windows of 32 ms, at most `COLUMNS` of them spread over (N,) samples."""
    size = max(2, round(0.032 * rate))
    padded = np.pad(samples.astype(np.float64), (0, size))
    shift = max(1, round(0.008 * rate), -(-len(samples) // COLUMNS))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::shift]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(size)))
    return np.asarray(20 * np.log10(spectrum.T + 1e-6), np.float64)

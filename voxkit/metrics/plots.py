"""Pictures of recognition, written as PNG: confusions of the worst words, a spectrogram with its words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxkit.metrics.report import Report

INK, GREEN, RED, GREY = "#22303c", "#2a7f62", "#c0392b", "#8a97a3"
NOTHING = "∅"


class Span(NamedTuple):
    """A word from `start` to `end` [s]; `right` says whether it is one of the reference (None: not known)."""

    word: str
    start: float
    end: float
    right: bool | None = None


def new_figure(width: float, height: float, **kwargs: Any) -> tuple[Any, Any]:
    """A figure of so many inches and its axes, in the house's style; `kwargs` are those of pyplot.subplots."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {"font.size": 10, "axes.edgecolor": GREY, "text.color": INK, "axes.labelcolor": INK, "axes.titleweight": "bold"}
    )
    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained", **kwargs)
    return figure, axes


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG and forget it."""
    from matplotlib import pyplot

    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def confusion_table(report: Report, path: Path, worst: int = 12) -> None:
    """What the words with most errors were taken for: a row per reference word, `∅` for deleted and inserted words."""
    missed: Counter[str] = Counter()
    cells: Counter[tuple[str, str]] = Counter()
    for utterance in report.utterances:
        for pair in utterance.pairs:
            ref, hyp = pair.ref or NOTHING, pair.hyp or NOTHING
            cells[ref, hyp] += 1
            missed[ref] += pair.op != "cor"
    rows = [word for word, errors in missed.most_common(worst) if errors]
    if not rows:
        figure, axes = new_figure(5, 1.6)
        axes.text(0.5, 0.5, "no word errors", ha="center", va="center", fontsize=14, color=GREEN)
        axes.set_axis_off()
        save_figure(figure, path)
        return
    taken = Counter(dict.fromkeys(rows, 0))
    for (ref, hyp), number in cells.items():
        if ref in rows and ref != hyp:
            taken[hyp] += number
    extra = [word for word, number in taken.most_common() if word not in rows and number][: worst // 2 + 2]
    columns = [*rows, *extra]
    counts = np.array([[cells[ref, hyp] for hyp in columns] for ref in rows], dtype=float)
    share = counts / np.array([[max(sum(n for (r, _), n in cells.items() if r == ref), 1)] for ref in rows])
    right = np.array([[ref == hyp for hyp in columns] for ref in rows])
    figure, axes = new_figure(2.6 + 0.62 * len(columns), 1.7 + 0.42 * len(rows))
    axes.set_facecolor("#f4f5f6")
    wrong = np.where(right | (counts == 0), np.nan, share)
    axes.imshow(wrong, cmap="Reds", vmin=0, vmax=max(0.5, share[~right].max(initial=0)), aspect="auto")
    axes.imshow(np.where(right, share, np.nan), cmap="Greens", vmin=0, vmax=1.6, aspect="auto")
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = not right[row, column] and share[row, column] > 0.35
        axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color="white" if dark else INK)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [f"{word}  ({missed[word]})" for word in rows])
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"recognised as ({NOTHING}: left out)")
    axes.set_ylabel(f"said (errors; {NOTHING}: nothing)")
    axes.set_title(f"The {len(rows)} words with most errors, WER {report.words.rate:.2f} %", loc="left")
    save_figure(figure, path)


def spectrogram(
    samples: NDArray[np.float32],
    sampling_rate: int,
    rows: Sequence[tuple[str, Sequence[Span]]],
    title: str,
    path: Path,
) -> None:
    """A spectrogram over rows of timed words.

    Args:
        samples: (N,) in [-1, 1].
        rows: named rows of words, for example [("ref", spans), ("hyp", spans)].
    """
    seconds = len(samples) / sampling_rate
    width = float(np.clip(3.2 * seconds, 8, 22))
    figure, (top, bottom) = new_figure(
        width,
        3.4 + 0.55 * len(rows),
        nrows=2,
        sharex=True,
        height_ratios=[3.2, 0.62 * len(rows)],
    )
    power, high = _log_spectrogram(samples, sampling_rate)
    top.imshow(
        power,
        origin="lower",
        aspect="auto",
        cmap="magma",
        extent=(0, seconds, 0, high / 1000),
        vmin=power.max() - 75,
        vmax=power.max(),
    )
    top.set_ylabel("kHz")
    top.set_title(title, loc="left")
    for place, (_, spans) in enumerate(rows):
        for span in spans:
            _draw_span(bottom, span, len(rows) - 1 - place, 0.92 * width / seconds)
    for span in rows[-1][1] if rows else ():
        for edge in (span.start, span.end):
            top.axvline(edge, color="white", linewidth=0.6, alpha=0.45)
    bottom.set_ylim(-0.5, max(len(rows), 1) - 0.5)
    bottom.set_yticks(range(len(rows)), [name for name, _ in reversed(rows)])
    bottom.set_xlim(0, seconds)
    bottom.set_xlabel("seconds")
    bottom.spines[["top", "right", "left"]].set_visible(False)
    bottom.tick_params(axis="y", length=0)
    save_figure(figure, path)


def _draw_span(axes: Any, span: Span, row: int, inches: float) -> None:
    """A box with its word, small or slanted where a second of `inches` leaves no room."""
    colour = {True: GREEN, False: RED, None: INK}[span.right]
    width = max(span.end - span.start, 0.01)
    axes.barh(row, width, left=span.start, height=0.72, color=colour, alpha=0.16, edgecolor=colour, linewidth=1.0)
    room = width * inches / max(len(span.word), 1)  # [inch per letter]
    axes.text(
        span.start + width / 2,
        row,
        span.word,
        ha="center",
        va="center",
        color=colour,
        fontsize=10 if room > 0.09 else 7.5,
        rotation=0 if room > 0.065 else 40,
    )


def _log_spectrogram(samples: NDArray[np.float32], rate: int) -> tuple[NDArray[np.float64], float]:
    """Power [dB] (bins, frames) of 25 ms Hann windows every 5 ms, and the frequency of the last bin [Hz]."""
    window, shift = int(0.025 * rate), int(0.005 * rate)
    padded = np.pad(samples.astype(np.float64), (window // 2, window))
    emphasised = np.append(padded[0], padded[1:] - 0.97 * padded[:-1])
    count = max(1, -(-len(samples) // shift))
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, window)[::shift][:count]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(window), n=max(512, 1 << (window - 1).bit_length())))
    return 20 * np.log10(spectrum.T + 1e-6), rate / 2

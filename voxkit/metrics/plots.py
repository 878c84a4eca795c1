"""Pictures of recognition, written as PNG: confusions of the worst words, a spectrogram with its words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxkit.metrics.report import Report

INK, GREEN, RED, GREY = "#22303c", "#2a7f62", "#c0392b", "#8a97a3"
NOTHING = "∅"
LEAST_LABELLED = 0.08  # posterior of a word that has room for its name


class Span(NamedTuple):
    """A word from `start` to `end` [s]; `right` says whether it is one of the reference (None: not known)."""

    word: str
    start: float
    end: float
    right: bool | None = None


class Column(NamedTuple):
    """A bin of a confusion network, from `start` to `end` [s]; `between`: it lies between two recognised words.

    `entries` are words ("" for none), the likeliest first, with posterior and whether they were said.
    """

    start: float
    end: float
    entries: Sequence[tuple[str, float, bool | None]]
    between: bool = False


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


def plain_axes(axes: Any, grid: Literal["x", "y", "both"]) -> None:
    """Axes without a frame, with a grid behind what is drawn."""
    axes.grid(axis=grid, color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(GREY)


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
    columns: Sequence[Column] = (),
) -> None:
    """A spectrogram over rows of timed words, and over a confusion network.

    Args:
        samples: (N,) in [-1, 1].
        rows: named rows of words, for example [("ref", spans), ("hyp", spans)].
        columns: the bins of a confusion network; each is drawn as a stack of its words, as high as they are likely.
    """
    seconds = len(samples) / sampling_rate
    width = float(np.clip(3.2 * seconds, 8, 22))
    heights = [3.2, 0.62 * len(rows), *([2.8] if columns else [])]
    figure, (top, bottom, *network) = new_figure(
        width, 0.3 + sum(heights), nrows=len(heights), sharex=True, height_ratios=heights
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
    bottom.spines[["top", "right", "left"]].set_visible(False)
    bottom.tick_params(axis="y", length=0)
    for axes in network:
        _draw_network(axes, columns, 0.92 * width / seconds)
    (network or [bottom])[-1].set_xlabel("seconds")
    save_figure(figure, path)


def _draw_network(axes: Any, columns: Sequence[Column], inches: float) -> None:
    """Bins as stacks of words, the likeliest strong and its posterior on top, as is a said word that is hard to see."""
    from matplotlib.colors import to_rgb

    for column, (centre, width) in zip(columns, _places(columns, inches), strict=True):
        height = 0.0
        for rank, (word, posterior, right) in enumerate(column.entries):
            colour = GREY if not word else {True: GREEN, False: RED, None: INK}[right]
            strong = rank == 0 and word != ""
            tint = [1 - (0.3 if strong else 0.13) * (1 - part) for part in to_rgb(colour)]
            line = 0.8 if posterior > 0.015 else 0.0
            axes.bar(centre, posterior, width, height, facecolor=tint, edgecolor=(colour, 0.6), linewidth=line)
            place, weight = {"ha": "center", "color": colour}, "bold" if strong else "normal"
            if posterior >= LEAST_LABELLED:
                text = word or NOTHING
                axes.text(centre, height + posterior / 2, text, va="center", fontsize=9, fontweight=weight, **place)
            elif right and word:
                axes.text(centre, 1.11, f"{word} {_short(posterior)}", va="bottom", fontsize=8, **place)
            height += posterior
        if column.entries[0][1] < 0.995:
            axes.text(centre, 1.02, _short(column.entries[0][1]), ha="center", va="bottom", color=GREY, fontsize=8)
    known = any(right is not None for column in columns for *_, right in column.entries)
    colours = f"green was said, red was not, {NOTHING} is no word" if known else f"{NOTHING} is no word"
    axes.set_title(f"confusion network: {colours}", loc="left", fontsize=9, fontweight="normal", color=GREY)
    axes.set_ylim(0, 1.22)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("posterior")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _short(probability: float) -> str:
    return f"{probability:.2f}".removeprefix("0")


def _places(columns: Sequence[Column], inches: float) -> list[tuple[float, float]]:
    """Centre and width [s] of each column: wide enough for its words, and moved as little as keeps them apart.

    Columns in order that must be `gaps` apart, at the least squared distance from their times, are an isotonic
    regression.
    """
    from sklearn.isotonic import isotonic_regression

    widths = []
    for column in columns:
        named = [word or NOTHING for word, posterior, _ in column.entries if posterior >= LEAST_LABELLED]
        letters = max(map(len, named), default=1)
        needed = (0.14 + 0.095 * letters) / inches
        widths.append(needed if column.between else max(column.end - column.start, needed))
    width = np.array(widths)
    centres = np.array([(column.start + column.end) / 2 for column in columns])
    gaps = np.r_[0.0, np.cumsum((width[:-1] + width[1:]) / 2 + 0.04 / inches)]
    return list(zip((isotonic_regression(centres - gaps) + gaps).tolist(), widths, strict=True))


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

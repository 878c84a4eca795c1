"""Pictures of pronunciations, written as PNG: error rates by language, the worst confusions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from voxkit.metrics.calibration_plots import COLOURS
from voxkit.metrics.plots import GREEN, INK, NOTHING, RED, new_figure, plain_axes, save_figure
from voxkit.metrics.pronunciation import PronunciationReport

MACRO = "macro mean"


def by_language_plot(
    reports: Mapping[str, PronunciationReport], path: Path, measure: Literal["wer", "per"] = "wer", title: str = ""
) -> None:
    """A group of bars for each language, the hardest on top, and one for the macro means; with 95 % intervals.

    Args:
        reports: by system, in the order of the bars; languages that a system lacks have no bar.
    """
    rows: list[str | None] = [*_hardest_first(reports, measure)]
    places = np.arange(len(rows), dtype=float)
    if len(rows) > 1:
        rows, places = [*rows, None], np.append(places, len(rows) + 0.4)  # the mean stands apart
    height, digits = 0.84 / len(reports), 1 if measure == "wer" else 2
    figure, axes = new_figure(7.2, 1.3 + (0.1 + 0.16 * len(reports)) * (len(rows) + 1))
    for number, (name, report) in enumerate(reports.items()):
        for row, place in zip(rows, places, strict=True):
            if row is not None and row not in report.by_language:
                continue
            value, low, high = getattr(report.intervals(row), measure)
            y = place + (number - (len(reports) - 1) / 2) * height
            label = name if row == rows[-1] else None
            axes.barh(y, value, 0.92 * height, color=COLOURS[number % len(COLOURS)], label=label, zorder=2)
            axes.plot([low, high], [y, y], color=INK, linewidth=0.9, alpha=0.6, zorder=3)
            weight = "bold" if row is None else "normal"
            axes.annotate(
                f"{value:.{digits}f}", (max(value, high), y), (4, 0), textcoords="offset points",
                va="center", fontsize=8, fontweight=weight,
            )  # fmt: skip
    axes.set_yticks(places, [row or MACRO for row in rows])
    axes.set_ylim(places[-1] + 0.6, -0.6)
    axes.margins(x=0.06)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"{measure.upper()} [%], with 95 % interval")
    axes.set_title(title or f"{measure.upper()} by language", loc="left")
    if len(reports) > 1:
        figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=min(len(reports), 4))
    plain_axes(axes, "x")
    axes.tick_params(axis="y", length=0)
    save_figure(figure, path)


def _hardest_first(reports: Mapping[str, PronunciationReport], measure: str) -> list[str]:
    """Languages by their rates' mean over the systems that have them."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    for report in reports.values():
        for language, tally in report.by_language.items():
            rates[language].append(getattr(tally.rates, measure))
    return sorted(rates, key=lambda language: (-np.mean(rates[language]), language))


def confusion_plot(report: PronunciationReport, path: Path, worst: int = 15, title: str = "") -> None:
    """How many words the worst confusions of phones make wrong, each by itself, and how often they happen."""
    found = report.confusions(worst)
    figure, axes = new_figure(6.6, 1.5 + 0.28 * max(len(found), 2))
    axes.set_title(title or f"The {len(found)} confusions of phones that cost most words", loc="left")
    if not found:
        axes.set_title("")
        axes.text(0.5, 0.5, "no phone errors", ha="center", va="center", fontsize=14, color=GREEN)
        axes.set_axis_off()
        save_figure(figure, path)
        return
    several = len(report.by_language) > 1
    places = range(len(found))
    axes.barh(places, [one.times for one in found], 0.72, color="#e3b7b1", label="confusions", zorder=2)
    axes.barh(places, [one.words for one in found], 0.34, color=RED, label="words wrong by it alone", zorder=3)
    for place, one in zip(places, found, strict=True):
        axes.annotate(
            str(one.times), (one.times, place), (4, 0), textcoords="offset points", va="center", fontsize=8, color=INK
        )
    heads = [f"{one.language}   " if several else "" for one in found]
    labels = [
        f"{h}{one.reference or NOTHING} → {one.hypothesis or NOTHING}" for h, one in zip(heads, found, strict=True)
    ]
    axes.set_yticks(places, labels)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.margins(x=0.06)
    axes.set_xlim(left=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(f"errors (reference → hypothesis; {NOTHING}: none)")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    plain_axes(axes, "x")
    axes.tick_params(axis="y", length=0, labelsize=11)
    save_figure(figure, path)

"""Pictures of confidences, written as PNG: the reliability diagram and the DET curve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.metrics.calibration import BINS, Judged
from voxkit.metrics.plots import GREEN, GREY, INK, RED, new_figure, save_figure

COLOURS = (GREEN, "#c0762b", "#3b6fb6", "#7a5195", GREY, INK)  # of systems, in their order
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # ticks of the DET curve
LEAST = 0.004  # where its axes begin


def reliability_diagram(systems: Mapping[str, Judged], path: Path, title: str = "Reliability") -> None:
    """The share of right words against their confidence, with 95 % intervals, over how many words there are.

    Args:
        systems: by name; the first is drawn with intervals, and its words are counted below.
    """
    figure, (top, bottom) = new_figure(5.4, 6.6, nrows=2, sharex=True, height_ratios=[3.6, 1])
    top.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="as it should be")
    for number, (name, words) in enumerate(systems.items()):
        bins = [some for some in words.reliability() if some.words]
        confidence, right = (np.array([getattr(some, field) for some in bins]) for field in ("confidence", "right"))
        colour = COLOURS[number % len(COLOURS)]
        label = f"{name}  (ECE {words.measures().ece:.1f} %)"
        if number == 0:
            low, high = _wilson(right, np.array([some.words for some in bins]))
            top.errorbar(
                confidence, right, [right - low, high - right], color=colour, marker="o", markersize=5,
                linewidth=1.8, elinewidth=1.1, capsize=2.5, label=label, zorder=3,
            )  # fmt: skip
        else:
            top.plot(confidence, right, color=colour, marker=".", linewidth=1.2, label=label)
    first = next(iter(systems.values()))
    edges = np.linspace(0, 1, BINS + 1)
    right, wrong = (np.histogram(first.confidence[some], edges)[0] for some in (first.right, ~first.right))
    width = 0.9 / BINS
    middle = (edges[:-1] + edges[1:]) / 2
    bottom.bar(middle - width / 4, right, width / 2, color=GREEN, label=f"right ({right.sum()})")
    bottom.bar(middle + width / 4, wrong, width / 2, color=RED, label=f"wrong ({wrong.sum()})")
    bottom.set_yscale("symlog", linthresh=10)
    bottom.set_ylim(0, 2.5 * max(right.max(initial=1), wrong.max(initial=1), 1))
    top.set_xlim(0, 1)
    top.set_ylim(0, 1)
    top.set_ylabel("share of right words")
    bottom.set_ylabel("words")
    bottom.set_xlabel("confidence")
    top.set_title(title, loc="left")
    top.legend(frameon=False, fontsize=9, loc="upper left")
    bottom.legend(frameon=False, fontsize=9, loc="upper center", ncols=2)
    for axes in (top, bottom):
        axes.grid(color="#e6e9ec", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def det_curve(systems: Mapping[str, Judged], path: Path, title: str = "Detection of errors") -> None:
    """Right words rejected against wrong words accepted, on normal deviates; the point on the diagonal is the EER."""
    figure, axes = new_figure(5.8, 5.8)
    det_axes(axes, "wrong words accepted [%]", "right words rejected [%]")
    for number, (name, words) in enumerate(systems.items()):
        alarms, misses = words.det()
        eer = words.measures().eer / 100
        if not np.isfinite(eer):
            continue
        colour = COLOURS[number % len(COLOURS)]
        x, y = deviate(alarms), deviate(misses)
        axes.plot(x, y, color=colour, linewidth=1.8 if number == 0 else 1.3, label=f"{name}  (EER {100 * eer:.1f} %)")
        axes.plot(*deviate(np.array([eer, eer])), color=colour, marker="o", markersize=6, zorder=3)
    axes.set_title(title, loc="left")
    if axes.lines[1:]:
        axes.legend(facecolor="white", edgecolor="none", framealpha=0.9, fontsize=9, loc="lower left")
    save_figure(figure, path)


def det_axes(axes: Any, xlabel: str, ylabel: str) -> None:
    """Make axes those of a DET curve, in normal deviates (`deviate`), with the diagonal on which the EER lies."""
    low, high = deviate(np.array([LEAST, 0.9]))
    axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    ticks = deviate(np.array(RATES))
    labels = [f"{100 * rate:g}" for rate in RATES]
    axes.set_xticks(ticks, labels)
    axes.set_yticks(ticks, labels)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def deviate(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates as normal deviates, those at the ends moved inside."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(rate) for rate in np.clip(rates, LEAST / 2, 1 - LEAST / 2)])


def _wilson(share: NDArray[np.float64], count: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % intervals of shares of so many (Wilson 1927)."""
    z = 1.96
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.minimum(middle - spread, share), np.maximum(middle + spread, share)

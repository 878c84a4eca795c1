"""Measures against the amount of training data, as a PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from voxkit.metrics.calibration_plots import COLOURS
from voxkit.metrics.plots import new_figure, plain_axes, save_figure


def learning_curve(
    points: Mapping[str, Sequence[tuple[float, float, float, float]]],
    path: Path,
    xlabel: str,
    ylabel: str,
    from_zero: bool = True,
) -> None:
    """A line with a band for each system over a logarithmic axis.

    Args:
        points: by system, (x > 0, mean, low, high) in any order.
        from_zero: begin the other axis with 0; else it has the points alone.
    """
    from matplotlib.ticker import FixedLocator, NullLocator

    figure, axes = new_figure(6.4, 4.4)
    for number, (name, some) in enumerate(points.items()):
        x, mean, low, high = np.array(sorted(some), dtype=float).reshape(-1, 4).T
        colour = COLOURS[number % len(COLOURS)]
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(x, mean, color=colour, marker="o", markersize=5, linewidth=1.8, label=name, zorder=3)
    axes.set_xscale("log")
    ticks = _apart(sorted({point[0] for some in points.values() for point in some}))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:,.0f}".replace(",", " ") if tick >= 1000 else f"{tick:g}" for tick in ticks])
    if from_zero:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if points:
        axes.legend(frameon=False, fontsize=9, loc="best")
    plain_axes(axes, "both")
    save_figure(figure, path)


def _apart(values: Sequence[float], least: float = 0.07) -> list[float]:
    """Those of some values in order that are `least` of the whole logarithmic axis apart, so that labels have room."""
    kept: list[float] = []
    for value in values:
        if not kept or np.log(value / kept[-1]) >= least * np.log(values[-1] / values[0]):
            kept.append(value)
    return kept

"""The picture of keyword spotting, written as PNG: keywords missed against false alarms an hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from voxkit.metrics.calibration_plots import COLOURS
from voxkit.metrics.events import OperatingPoint, best_within, det
from voxkit.metrics.plots import GREY, new_figure, save_figure


def false_alarm_curve(
    systems: Mapping[str, Sequence[OperatingPoint]], path: Path, title: str = "Keywords", allowed: float = 1.0
) -> None:
    """False rejection rate over false alarms an hour, a step curve for each system; lower and further left is better.

    Args:
        systems: by name, the points of each; those without keywords or points are left out.
        allowed: false alarms an hour at which the rate is written into the legend.
    """
    figure, axes = new_figure(6.4, 4.6)
    for number, (name, points) in enumerate(systems.items()):
        if not points or not points[0].total:
            continue
        colour = COLOURS[number % len(COLOURS)]
        alarms, misses = det(points)
        best = best_within(points, allowed)
        rate = "more false alarms" if best is None else f"{100 * best.frr:.1f} % at {allowed:g} an hour"
        axes.step(alarms, 100 * misses, where="post", color=colour, linewidth=1.8, label=f"{name}  ({rate})")
        axes.plot(alarms, 100 * misses, color=colour, linestyle="none", marker=".", markersize=5)
    most = max((point.alarms_per_hour for points in systems.values() for point in points), default=0.0)
    axes.axvline(allowed, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(-0.03, 1.3 * max(most, allowed, 1.0))
    axes.set_xticks([tick for tick in _TICKS if tick <= 1.3 * max(most, 1.0)])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("false alarms an hour")
    axes.set_ylabel("keywords missed [%]")
    axes.set_title(title, loc="left")
    axes.grid(color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9, loc="upper right")
    save_figure(figure, path)


_TICKS = (0, 0.5, *(float(tick) for tick in np.outer(10.0 ** np.arange(6), [1, 2, 5]).ravel()))

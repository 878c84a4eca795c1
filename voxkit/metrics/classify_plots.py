"""Pictures of classification, written as PNG: confusion matrix, DET curves by class, accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voxkit.metrics.calibration_plots import COLOURS, det_axes, deviate
from voxkit.metrics.classify import ClassifyReport
from voxkit.metrics.plots import GREY, INK, new_figure, save_figure

NAMED = 4  # curves that have a colour and a name: the worst
COUNTED = 40  # classes up to which the cells of a confusion matrix have room for their counts
# most lines rise: there is room above on the left and below on the right
CORNERS = ((-5, 5), (5, -5), (5, 5), (-5, -5))  # of a point, where its label may be
FAR = (1, 2, 3)
MARKERS = "os^D"  # of series, where there are more of them than colours
_PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}


class Costed(NamedTuple):
    """A system with what it costs and how good it is.

    Attributes:
        series: what it is joined to by a line.
        cost: above zero, such as multiply-adds or bytes.
        accuracy, low, high: [per cent]; `low` and `high` are NaN where there is no interval.
        label: written beside the point; may be empty.
    """

    series: str
    cost: float
    accuracy: float
    low: float
    high: float
    label: str = ""


def confusion_matrix_plot(report: ClassifyReport, path: Path, title: str = "") -> None:
    """What the clips of each class (rows) were taken for: counts, coloured by their share of the row.

    Raises:
        ValueError: the clips have several classes.
    """
    counts = report.confusion
    names = report.judged.classes
    size = len(names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(size, dtype=bool)
    figure, axes = new_figure(2.4 + max(0.2, 0.62 - 0.01 * size) * size, 1.6 + max(0.2, 0.46 - 0.006 * size) * size)
    axes.set_facecolor("#f4f5f6")
    wrong = np.where(right | (counts == 0), np.nan, share)
    axes.imshow(wrong, cmap="Reds", vmin=0, vmax=max(0.5, share[~right].max(initial=0)), aspect="auto")
    axes.imshow(np.where(right, share, np.nan), cmap="Greens", vmin=0, vmax=1.6, aspect="auto")
    if size <= COUNTED:
        for row, column in zip(*np.nonzero(counts), strict=True):
            dark = row != column and share[row, column] > 0.35
            axes.text(
                column, row, str(counts[row, column]), ha="center", va="center",
                color="white" if dark else INK, fontsize=10 if size <= 15 else 7,
            )  # fmt: skip
    small = {"fontsize": 10 if size <= 25 else 7}
    axes.set_xticks(range(size), names, rotation=45, ha="right", rotation_mode="anchor", **small)
    recalls = ["" if row.recall is None else f"  {row.recall:.0f} %" for row in report.by_class]
    axes.set_yticks(range(size), [name + recall for name, recall in zip(names, recalls, strict=True)], **small)
    axes.set_xticks(np.arange(size - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(size - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class, with its recall")
    figure.suptitle(f"{title or 'Confusions'}: {report.accuracy.value:.1f} % right", fontsize=12, fontweight="bold")
    save_figure(figure, path)


def det_plot(report: ClassifyReport, path: Path, title: str = "") -> None:
    """Misses against false alarms of each class against the others, on normal deviates; the worst have a name.

    The point on the diagonal is the EER. Classes without one have no curve.
    """
    curves = [(row.eer, row.name, ranked) for row, ranked in zip(report.by_class, report.ranked, strict=True)]
    known = sorted(((eer, name, ranked) for eer, name, ranked in curves if eer is not None), key=lambda one: -one[0])
    named = min(len(known), NAMED)
    figure, axes = new_figure(5.8, 5.8)
    det_axes(axes, "false alarms [%]", "misses [%]")
    for number, (eer, _, ranked) in reversed(list(enumerate(known))):
        worst = number < named
        colour = COLOURS[number % len(COLOURS)] if worst else GREY
        alarms, misses = map(deviate, ranked.det())
        axes.plot(alarms, misses, color=colour, linewidth=1.6 if worst else 0.8, alpha=1 if worst else 0.6)
        axes.plot(*deviate(np.array([eer, eer]) / 100), color=colour, marker="o", markersize=5 if worst else 3)
    # good curves leave the upper right corner free
    heads = [f"{name}  {eer:.1f} %" for eer, name, _ in known[:named]]
    if len(known) > named:
        heads.append(_rest([eer for eer, *_ in known[named:]]))
    for number, head in enumerate(heads):
        colour = COLOURS[number % len(COLOURS)] if number < named else GREY
        axes.text(
            0.98, 0.94 - 0.045 * number, head, transform=axes.transAxes, ha="right", va="top",
            color=colour, fontweight="bold" if number < named else "normal", bbox=_PAPER,
        )  # fmt: skip
    axes.text(0.98, 0.98, "EER" if known else "no class has a curve", transform=axes.transAxes, ha="right", va="top")
    mean = "" if report.eer is None else f", mean EER {report.eer.value:.1f} %"
    axes.set_title(f"{title or 'Each class against the others'}{mean}", loc="left")
    save_figure(figure, path)


def _rest(rates: Sequence[float]) -> str:
    """How many classes have no name in the picture, and their error rates, the highest first [per cent]."""
    if len(rates) == 1:
        return f"1 other class  {rates[0]:.1f} %"
    return f"{len(rates)} other classes  {rates[-1]:.1f} to {rates[0]:.1f} %"


def accuracy_against_cost(
    points: Sequence[Costed],
    path: Path,
    xlabel: str = "multiply-adds",
    ylabel: str = "accuracy [%]",
    title: str = "",
    unit: str = "",
) -> None:
    """A line with error bars for each series over a logarithmic axis of cost.

    Args:
        points: in any order; series get their colours in order of appearance.
        unit: of the cost, written behind its prefix: "B" gives "100 kB".

    Raises:
        ValueError: a cost is not above zero.
    """
    if not all(point.cost > 0 for point in points):
        raise ValueError("costs on a logarithmic axis are above zero")
    figure, axes = new_figure(7.0, 4.6)
    labels: list[tuple[Costed, str, int]] = []
    for number, name in enumerate(dict.fromkeys(point.series for point in points)):
        some = sorted((point for point in points if point.series == name), key=lambda point: point.cost)
        cost, mean, low, high = np.array([point[1:5] for point in some], dtype=float).T
        colour = COLOURS[number % len(COLOURS)]
        # NaN would leave out the point with its bar
        bars = np.nan_to_num(np.maximum([mean - low, high - mean], 0))
        axes.errorbar(
            cost, mean, bars, color=colour, marker=MARKERS[number // len(COLOURS) % len(MARKERS)], markersize=5.5,
            linewidth=1.6, elinewidth=1.1, capsize=2.5, label=name, zorder=3,
        )  # fmt: skip
        labels += [(point, colour, number % 2) for point in some if point.label]
    axes.margins(x=0.12, y=0.12)
    _cost_axis(axes, [point.cost for point in points], unit)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.set_title(title, loc="left")
    if points:
        axes.legend(frameon=False, fontsize=9, loc="best")
    axes.grid(color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _write_labels(figure, axes, labels, [(point.cost, point.accuracy) for point in points])
    save_figure(figure, path)


def _write_labels(
    figure: Any, axes: Any, labels: Sequence[tuple[Costed, str, int]], points: Sequence[tuple[float, float]]
) -> None:
    """Labels beside their points, where they overlap neither points nor other labels nor the legend if that can be.

    Args:
        labels: point, colour, and the corner that is tried first.
        points: that are not to be covered.
    """
    figure.canvas.draw()  # the layout, which decides where everything is
    legend = axes.get_legend()
    taken = [] if legend is None else [legend.get_window_extent()]
    marks = [axes.transData.transform(point) for point in points]
    for point, colour, first in labels:
        written = axes.annotate(
            point.label, (point.cost, point.accuracy), xytext=(0, 0), textcoords="offset points",
            fontsize=8, color=colour, zorder=4, bbox=_PAPER,
        )  # fmt: skip
        corners = (*CORNERS[first:], *CORNERS[:first])
        for far, (x, y) in [*((far, corner) for far in FAR for corner in corners), (1, corners[0])]:
            written.set(position=(x * far, y * far), ha="left" if x > 0 else "right", va="bottom" if y > 0 else "top")
            box = written.get_window_extent()
            if not any(map(box.overlaps, taken)) and not any(box.contains(*mark) for mark in marks):
                break
        taken.append(written.get_window_extent())


def _cost_axis(axes: Any, costs: Sequence[float], unit: str) -> None:
    """A logarithmic axis with round ticks, the more of them in a decade the fewer decades there are."""
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

    decades = np.log10(max(costs, default=1) / min(costs, default=1))
    within = (1, 1.5, 2, 3, 4, 5, 6, 7, 8) if decades < 0.8 else (1, 2, 5) if decades < 2.5 else (1,)
    axes.set_xscale("log")
    even = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])  # costs so near to each other see no curvature
    axes.xaxis.set_major_locator(even if decades < 0.25 else LogLocator(subs=within, numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(unit=unit))

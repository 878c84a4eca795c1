"""Pictures of entities, written as PNG: F1 by type, of seen and unseen entities too, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.metrics.calibration_plots import COLOURS
from voxkit.metrics.entities import EntityReport
from voxkit.metrics.entity_bootstrap import PartName
from voxkit.metrics.plots import GREEN, GREY, INK, NOTHING, new_figure, save_figure

MOST = 40  # types in a picture
EVERY = "all types"
_BAR = {"all": GREEN, "seen": "#9db8ae", "unseen": COLOURS[1]}


def by_type_plot(report: EntityReport, path: Path) -> None:
    """F1 of each type, the most frequent on top, and of all; with how many entities are tagged.

    Where it is known what was seen in training, seen and unseen entities have a bar each, and F1 of both together
    stands beside the type.
    """
    names = _frequent(report)
    parts: list[PartName] = ["seen", "unseen"] if report.unseen is not None else ["all"]
    rows = [*names, EVERY]
    places = np.append(np.arange(len(names), dtype=float), len(names) + 0.4)  # the mean stands apart
    figure, axes = new_figure(7.2, 1.5 + (0.14 + 0.17 * len(parts)) * (len(rows) + 0.5))
    height = 0.8 / len(parts)
    for number, name in enumerate(parts):
        y = places + (number - (len(parts) - 1) / 2) * height
        _draw_bars(axes, y, 0.92 * height, _scores(report, name, names), name)
    if len(parts) > 1:
        both = (f1 for f1, _ in _scores(report, "all", names))
        rows = [row if np.isnan(f1) else f"{row}  {f1:.0f}" for row, f1 in zip(rows, both, strict=True)]
        axes.set_ylabel("type, with F1 of all its entities")
        figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=2)
    left_out = len(report.by_type) - len(names)
    axes.set_title(f"F1 by type{f', without {left_out} rare ones' if left_out else ''}", loc="left")
    axes.set_yticks(places, rows)
    axes.set_ylim(places[-1] + 0.6, -0.6)
    axes.set_xlim(0, 112)  # room for numbers beside full bars
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("F1 [%], and the number of entities")
    axes.grid(axis="x", color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _draw_bars(
    axes: Any, y: NDArray[np.float64], height: float, scores: Sequence[tuple[float, int]], name: str
) -> None:
    values = np.nan_to_num([f1 for f1, _ in scores])
    axes.barh(y, values, height, color=_BAR[name], label=name, zorder=2)
    for place, value, (f1, entities) in zip(y, values, scores, strict=True):
        text = "none" if np.isnan(f1) else f"{f1:.0f}  ({entities})"
        axes.annotate(
            text, (value, place), (5, 0), textcoords="offset points", va="center", fontsize=8,
            color=GREY if np.isnan(f1) else INK, fontweight="bold" if place == y[-1] else "normal",
        )  # fmt: skip


def _scores(report: EntityReport, name: PartName, types: Sequence[str]) -> list[tuple[float, int]]:
    """F1 and number of entities of each type, and of all; NaN where there are none."""
    part = report.parts[name]
    found = [part.by_type.get(one) for one in types]
    return [(one.f1, one.entities) if one and one.entities else (np.nan, 0) for one in (*found, part.micro)]


def _frequent(report: EntityReport) -> list[str]:
    """The types of most entities, the most frequent first."""
    return sorted(report.by_type, key=lambda name: (-report.by_type[name].entities, name))[:MOST]


def confusion_plot(report: EntityReport, path: Path) -> None:
    """What entities of each type (rows) were taken for: counts, coloured by their share of the row.

    A row more has what was found where nothing is tagged, a column more what was not found. In cells of the right
    label, `+n` are those whose words differ.
    """
    names = _frequent(report)
    if not names:
        figure, axes = new_figure(5, 1.6)
        axes.text(0.5, 0.5, "no entities", ha="center", va="center", fontsize=14, color=GREY)
        axes.set_axis_off()
        save_figure(figure, path)
        return
    exact, other = _matrices(report, names)
    size = len(names) + 1
    figure, axes = new_figure(2.6 + max(0.3, 0.62 - 0.01 * size) * size, 1.8 + max(0.26, 0.46 - 0.006 * size) * size)
    _draw_cells(axes, exact, other)
    small = {"fontsize": 10 if size <= 25 else 7}
    types = ((name, report.by_type[name]) for name in names)
    recalls = [f"{name}  {found.recall:.0f} %" if found.entities else name for name, found in types]
    axes.set_xticks(range(size), [*names, NOTHING], rotation=45, ha="right", rotation_mode="anchor", **small)
    axes.set_yticks(range(size), [*recalls, NOTHING], **small)
    for ticks in (axes.set_xticks, axes.set_yticks):
        ticks(np.arange(size - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(f"found as ({NOTHING}: not found; +n: other words)")
    axes.set_ylabel(f"type, with its recall ({NOTHING}: no entity)")
    figure.suptitle(f"Confusions of types: F1 {report.micro.f1:.1f} %", fontsize=12, fontweight="bold")
    save_figure(figure, path)


def _matrices(report: EntityReport, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(C + 1, C + 1) twice: how often each type (rows) was found as each, with the same words and with others."""
    places = {name: place for place, name in enumerate([*names, ""])}
    exact, other = (np.zeros((len(places), len(places)), dtype=np.int64) for _ in range(2))
    for (gold, found, same), number in report.pairs.items():
        if gold in places and found in places:
            (exact if same else other)[places[gold], places[found]] += number
    return exact, other


def _draw_cells(axes: Any, exact: NDArray[np.int64], other: NDArray[np.int64]) -> None:
    counts = exact + other
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(counts), dtype=bool)
    share[-1] *= 0.5  # invented entities are a row of errors alone, which would outshine all others
    axes.set_facecolor("#f4f5f6")
    wrong = np.where(right | (counts == 0), np.nan, share)
    axes.imshow(wrong, cmap="Reds", vmin=0, vmax=max(0.5, share[~right].max(initial=0)), aspect="auto")
    axes.imshow(np.where(right & (counts > 0), share, np.nan), cmap="Greens", vmin=0, vmax=1.6, aspect="auto")
    for row, column in zip(*np.nonzero(counts), strict=True):
        same, differing = exact[row, column], other[row, column]
        text = f"{same}+{differing}" if row == column and differing else str(same + differing)
        dark = row != column and share[row, column] > 0.35
        axes.text(
            column, row, text, ha="center", va="center", color="white" if dark else INK,
            fontsize=9 if len(counts) <= 15 else 7 if len(text) < 5 else 5.5,
        )  # fmt: skip

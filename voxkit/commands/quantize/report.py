"""What quantization did: sizes, errors, scores, time and memory, as text, JSON and a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxkit.bundle import Sizes
from voxkit.commands.quantize.layers import OTHERS, ExampleCounts, Row, table
from voxkit.config import to_dict
from voxkit.metrics.plots import GREEN, GREY, INK, RED, new_figure, save_figure
from voxkit.packed import Quantization
from voxkit.rundir import write_atomic
from voxkit.train.task import Score

TEXT, JSON, PICTURE = "report.txt", "report.json", "report.png"
DRAWN = 40  # layers in the picture, the largest
TICKS = 5  # intervals of an axis, whose numbers may be long
PER_CENT = ("ERR", "WER", "PER", "CER", "TER", "100-AUC", "100-F1", "-NCE")  # scores that are; others have no unit
UNITS = ((10**6, "MB"), (1000, "kB"), (1, "bytes"))


@dataclass(frozen=True)
class Runtime:
    """A way to run the model, measured with one thread and one example.

    Attributes:
        median, p10, p90: of one call [s].
        memory: the largest resident set of a process that loads and runs it [bytes].
        weights: the size of its file [bytes].
    """

    name: str
    median: float
    p10: float
    p90: float
    memory: int
    weights: int


def sizes_line(before: Sizes, after: Sizes, path: Path | str) -> str:
    """`%SIZE 12.34 [ 1234 / 10000 bytes of weights, bundle ... ] path`, the share in per cent."""
    share = 100 * after.weights / before.weights
    return (
        f"%SIZE {share:.2f} [ {after.weights} / {before.weights} bytes of weights, "
        f"{after.total} / {before.total} of all files ] {path}"
    )


@dataclass(frozen=True)
class Report:
    """All that was found.

    Args:
        before, after: sizes of the bundles.
        scores: by the name of the model, "float" and "quantized".
        runtimes: side by side.
        counts: multiply-adds by layer.
        base: the name of the score that those of single layers are compared with.
    """

    model: str
    scheme: Quantization
    before: Sizes
    after: Sizes
    rows: Sequence[Row] = ()
    scores: Mapping[str, Score] = field(default_factory=dict)
    runtimes: Sequence[Runtime] = ()
    counts: ExampleCounts | None = None
    base: str = "float"

    def lines(self) -> list[str]:
        """The text of the report."""
        scheme = self.scheme
        kind = "symmetric" if scheme.symmetric else "asymmetric"
        told = [
            f"model     {self.model}",
            f"weights   {scheme.bits} bits, {kind}, a scale for each {scheme.per}, range {scheme.range}, "
            f"the rest in {scheme.rest}",
            f"file      {self.before.weights} -> {self.after.weights} bytes "
            f"({100 * self.after.weights / self.before.weights:.2f} %)",
            f"bundle    {self.before.total} -> {self.after.total} bytes "
            f"({100 * self.after.total / self.before.total:.2f} %)",
        ]
        for name, score in self.scores.items():
            told.append(f"{name:<9} {score.name} {score.value:.3f}")
            told += [f"{'':<9} {line}" for line in score.lines]
        if self.runtimes:
            told += ["", "one example, one thread:"]
            for one in self.runtimes:
                told.append(
                    f"  {one.name:<18} {1e3 * one.median:9.3f} ms ({1e3 * one.p10:.3f} to {1e3 * one.p90:.3f})  "
                    f"{one.memory / 1e6:7.1f} MB of memory  {one.weights:>10} bytes of weights"
                )
        if self.rows:
            told += ["", *table(self.rows), *self._notes()]
        return told if self.counts is None else [*told, "", *self.counts.lines()]

    def _notes(self) -> list[str]:
        """What is not plain in the table of the layers."""
        told = []
        base = self.scores.get(self.base)
        if base is not None and any(row.score is not None for row in self.rows):
            unit = " [%]" if base.name in PER_CENT else ""
            told.append(
                f"score alone: {base.name}{unit} of the model with this layer alone quantized, lower is better; "
                f"{base.value:.3f} with none ({self.base})"
            )
        if any(row.name == OTHERS and not row.shape for row in self.rows):
            told.append(
                f"{OTHERS}: the structure of the graph, names, facts and small tensors; more of that in 8 bits, as "
                "operations that quantize and dequantize are put between layers, with names, scales and zero points"
            )
        return told

    def as_dict(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "model": self.model,
            "quantization": to_dict(self.scheme),
            "weights": {"before": self.before.weights, "after": self.after.weights},
            "bundle": {"before": self.before.total, "after": self.after.total},
            "scores": {
                name: {"name": score.name, "value": score.value, **score.values} for name, score in self.scores.items()
            },
            "runtimes": [vars(one) for one in self.runtimes],
            "layers": [row.plain() for row in self.rows],
            **({} if self.counts is None else self.counts.plain()),
        }

    def write(self, folder: Path) -> None:
        """Write report.txt, report.json and report.png."""
        write_atomic(folder / TEXT, "\n".join(self.lines()) + "\n")
        write_atomic(folder / JSON, json.dumps(self.as_dict(), indent=2) + "\n")
        if self.rows or self.runtimes:
            draw(self, folder / PICTURE)


def draw(report: Report, path: Path) -> None:
    """Bars of each layer's size before and after, and of its noise or the harm that it does alone; and of runtimes."""
    shown = sorted(report.rows, key=lambda row: row.before)[-DRAWN:]
    heights = [0.9 + 0.26 * max(len(shown), 3)] * bool(shown) + [0.9 + 0.3 * len(report.runtimes)] * bool(
        report.runtimes
    )
    figure, grid = new_figure(11, 0.4 + sum(heights), nrows=len(heights), ncols=2, height_ratios=heights, squeeze=False)
    if shown:
        left, right = grid[0]
        _draw_sizes(report, shown, left)
        _draw_errors(report, shown, right)
        right.sharey(left)
        right.tick_params(labelleft=False)
    if report.runtimes:
        _draw_runtimes(report.runtimes, *grid[-1])
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.locator_params(axis="x", nbins=TICKS)
    save_figure(figure, path)


def size_unit(largest: int) -> tuple[int, str]:
    """The unit that sizes up to so many bytes are told in: how many bytes it has, and its name."""
    return next((unit for unit in UNITS if largest >= unit[0]), UNITS[-1])


def _draw_sizes(report: Report, shown: Sequence[Row], axes: Any) -> None:
    places = list(range(len(shown)))
    bytes_of, unit = size_unit(max(max(row.before, row.after) for row in shown))
    axes.barh(places, [row.before / bytes_of for row in shown], color="#d5dade", label="float")
    axes.barh(places, [row.after / bytes_of for row in shown], height=0.5, color=GREEN, label="packed")
    axes.set_yticks(places, [f"{row.name}  {row.bits} bit" for row in shown], fontsize=8)
    axes.set_xlabel(f"size [{unit}]")
    _headed(axes, f"{100 * report.after.weights / report.before.weights:.1f} % of the file")


def _draw_errors(report: Report, shown: Sequence[Row], axes: Any) -> None:
    places = list(range(len(shown)))
    base = report.scores.get(report.base)
    if base is not None and any(row.score is not None for row in shown):
        change = [0.0 if row.score is None else row.score - base.value for row in shown]
        axes.barh(places, change, color=[RED if value > 0 else GREEN for value in change])
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_xlabel(f"change of {base.name} with this layer alone quantized")
    else:
        axes.barh(places, [_bar(row.snr) for row in shown], color="#d5dade", label="weights")
        if any(row.output is not None for row in shown):
            axes.barh(places, [_bar(row.output) for row in shown], height=0.35, color=INK, label="outputs")
        axes.set_xlabel("signal-to-noise ratio [dB]")
    name = next((one.name for one in report.scores.values()), "")
    _headed(axes, f"{name} {' -> '.join(f'{one.value:.2f}' for one in report.scores.values())}")


def _headed(axes: Any, title: str) -> None:
    """A title and under it the legend, if there are labels, above the bars."""
    axes.set_title(title, loc="left", pad=22)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1, fontsize=9)


def _bar(ratio: float | None) -> float:
    return 0.0 if ratio is None or not math.isfinite(ratio) else ratio


def _draw_runtimes(runtimes: Sequence[Runtime], left: Any, right: Any) -> None:
    names, places = [one.name for one in runtimes], list(range(len(runtimes)))
    medians = [1e3 * one.median for one in runtimes]
    spread = [
        [1e3 * (one.median - one.p10) for one in runtimes],
        [1e3 * (one.p90 - one.median) for one in runtimes],
    ]
    left.barh(places, medians, xerr=spread, color=GREEN, ecolor=GREY)
    left.set_xlabel("one example, one thread: median, 10th to 90th percentile [ms]")
    right.barh(places, [one.memory / 1e6 for one in runtimes], color=INK)
    right.set_xlabel("memory of a process that loads and runs it [MB]")
    for axes in (left, right):
        axes.set_yticks(places, names, fontsize=8)
        axes.invert_yaxis()

"""What quantization did: sizes, errors, scores, time and memory, as text, JSON and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxkit.bundle import Sizes
from voxkit.commands.quantize.layers import Row, table
from voxkit.config import to_dict
from voxkit.metrics.plots import GREEN, GREY, INK, RED, new_figure, save_figure
from voxkit.packed import Quantization
from voxkit.rundir import write_atomic
from voxkit.train.task import Score

TEXT, JSON, PICTURE = "report.txt", "report.json", "report.png"
DRAWN = 40  # layers in the picture, the largest


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
    """

    model: str
    scheme: Quantization
    before: Sizes
    after: Sizes
    rows: Sequence[Row] = ()
    scores: Mapping[str, Score] = field(default_factory=dict)
    runtimes: Sequence[Runtime] = ()

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
        return [*told, "", *table(self.rows)] if self.rows else told

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
        }

    def write(self, folder: Path) -> None:
        """Write report.txt, report.json and report.png."""
        write_atomic(folder / TEXT, "\n".join(self.lines()) + "\n")
        write_atomic(folder / JSON, json.dumps(self.as_dict(), indent=2) + "\n")
        self._draw(folder / PICTURE)

    def _draw(self, path: Path) -> None:
        """Bars of each layer's size before and after, and of its noise or the harm that it does alone."""
        shown = sorted(self.rows, key=lambda row: row.before)[-DRAWN:]
        base = self.scores.get("float")
        harms = base is not None and any(row.score is not None for row in shown)
        figure, (left, right) = new_figure(11, 1.6 + 0.26 * max(len(shown), 3), ncols=2, sharey=True)
        places = list(range(len(shown)))
        left.barh(places, [row.before for row in shown], color="#d5dade", label="float")
        left.barh(places, [row.after for row in shown], color=GREEN, label="packed")
        left.set_yticks(places, [f"{row.name}  {row.bits} bit" for row in shown], fontsize=8)
        left.set_xlabel("size [bytes]")
        left.legend(frameon=False, loc="lower right")
        share = 100 * self.after.weights / self.before.weights
        left.set_title(f"{share:.1f} % of the file", loc="left")
        if harms and base is not None:
            change = [0.0 if row.score is None else row.score - base.value for row in shown]
            right.barh(places, change, color=[RED if value > 0 else GREEN for value in change])
            right.axvline(0, color=GREY, linewidth=0.8)
            right.set_xlabel(f"change of {base.name} with this layer alone quantized")
            right.set_title(" -> ".join(f"{base.name} {one.value:.2f}" for one in self.scores.values()), loc="left")
        else:
            ratios = [row.snr if row.snr is not None and row.snr != float("inf") else 0.0 for row in shown]
            right.barh(places, ratios, color=INK)
            right.set_xlabel("signal-to-noise ratio of the weights [dB]")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        save_figure(figure, path)

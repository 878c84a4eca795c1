"""The layers of a model, one by one: what quantization does to each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.commands.quantize.source import first_example
from voxkit.nn import counting
from voxkit.nn.counting import Counts, count
from voxkit.nn.onnx_layers import compare
from voxkit.packed import (
    Layout,
    Quantization,
    Quantized,
    dequantize,
    full_floats,
    parameters,
    quantize,
    quantized_weights,
)
from voxkit.progress import track
from voxkit.train.task import Score

OTHERS = "(others)"


@dataclass(frozen=True)
class Row:
    """A weight tensor.

    Attributes:
        bits: of an element in the packed file.
        before, after: its size, scales included [bytes].
        snr: power of the weights over that of their errors [dB]; infinite without error, None where it is not known.
        output: the same of what the layer says, where activations are quantized too.
        score: of the model with this layer alone quantized, None if it was not measured.
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    before: int
    after: int
    snr: float | None = None
    output: float | None = None
    score: float | None = None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        ratios = {"snr": self.snr, "output": self.output}
        return {**asdict(self), **{name: None if value is None else known(value) for name, value in ratios.items()}}


class ExampleCounts(NamedTuple):
    """What a model does for one example, and the shapes of what it is called with for that, by name."""

    counts: Counts
    inputs: Mapping[str, tuple[int, ...]]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        by_layer = [{"name": one.name, "multiply_adds": one.multiply_adds} for one in self.counts.by_layer]
        return {
            "parameters": self.counts.parameters,
            "multiply_adds": self.counts.multiply_adds,
            "multiply_adds_for": {name: list(shape) for name, shape in self.inputs.items()},
            "multiply_adds_by": by_layer,
        }

    def lines(self) -> list[str]:
        """A line that says what is counted, and a table of the layers."""
        given = ", ".join(f"{name} ({' x '.join(map(str, shape))})" for name, shape in self.inputs.items())
        return [f"multiply-adds for one example, a call with {given}:", *counting.table(self.counts).splitlines()]


def known(ratio: float) -> float | None:
    """A ratio, None if it is infinite."""
    return ratio if math.isfinite(ratio) else None


def layout_of(model: nn.Module, scheme: Quantization) -> Layout:
    """Where the packed file has the weights of a model."""
    return Layout.of(model.state_dict(), parameters(model), scheme)


def counts_of(loaded: Bundle) -> ExampleCounts | None:
    """Multiply-adds for one example of what the room's models are exported for; None of a room that exports none."""
    graph = getattr(bundle.room(loaded.system, "model"), "graph", None)
    if graph is None:
        return None
    names, tensors = zip(*graph(loaded.model).inputs.items(), strict=True)
    example = first_example(loaded, tensors)
    shapes = {name: tuple(tensor.shape) for name, tensor in zip(names, example, strict=True)}
    return ExampleCounts(count(loaded.model, *example), shapes)


def rows(state: Mapping[str, Tensor], layout: Layout) -> list[Row]:
    """One row for each quantized weight in the order of the model, and one for all other tensors.

    What is tied counts once, under its first name, as it is stored.

    Raises:
        UserError: a tensor is not finite.
    """
    found = []
    quantized = quantized_weights(state, layout)
    exact = full_floats(state, layout, quantized)
    width = 16 if layout.scheme.rest == "float16" else 32
    bytes_of = {name: tensor.numel() * tensor.element_size() for name, tensor in state.items()}
    for name in state:
        if name in layout.weights:
            before, after = bytes_of[name], layout.size(name, name in exact)
            ratio = snr(state[name], quantized[name])
            found.append(Row(name, layout.shapes[name], layout.weights[name], before, after, ratio))
    rest = [name for name in state if name not in layout.weights and name not in layout.tied]
    before, after = sum(bytes_of[name] for name in rest), sum(layout.size(name, name in exact) for name in rest)
    return [*found, Row(OTHERS, (sum(state[name].numel() for name in rest),), width, before, after)]


def eight_bit_rows(source: Path, target: Path, examples: Iterable[Sequence[NDArray[np.generic]]]) -> list[Row]:
    """One row for each weight that became 8-bit, and one for all else that is in a graph's file.

    Args:
        source, target: the float graph and the 8-bit one.
        examples: the inputs of each call, to find the errors of outputs.
    """
    found = [
        Row(one.name, one.shape, 8, one.before, one.after, one.snr, one.output)
        for one in compare(source, target, examples)
    ]
    before = source.stat().st_size - sum(row.before for row in found)
    after = target.stat().st_size - sum(row.after for row in found)
    return [*found, Row(OTHERS, (), 32, before, after)]


def snr(weight: Tensor, quantized: Quantized) -> float:
    """10 log10(sum w^2 / sum (Q(w) - w)^2) [dB]; infinite if nothing changed."""
    wide = weight.detach().cpu().double()
    error = float((dequantize(quantized).double() - wide).square().sum())
    return float("inf") if error == 0 else float(10 * torch.log10(wide.square().sum() / error))


@contextmanager
def alone(model: nn.Module, name: str, scheme: Quantization, bits: int) -> Iterator[None]:
    """The model with one weight quantized, inside the block."""
    weight = model.get_parameter(name)
    before = weight.detach().clone()
    with torch.no_grad():
        weight.copy_(dequantize(quantize(before, scheme, bits)))
        try:
            yield
        finally:
            weight.copy_(before)


def each_alone(
    model: nn.Module, layout: Layout, found: Sequence[Row], score: Callable[[nn.Module], Score]
) -> list[Row]:
    """The rows with the score of the model in which that layer alone is quantized."""
    told = []
    for row in track(found, len(found), "layers", "layers"):
        if row.name in layout.weights:
            with alone(model, row.name, layout.scheme, row.bits):
                row = replace(row, score=score(model).value)
        told.append(row)
    return told


def table(found: Sequence[Row]) -> list[str]:
    """Aligned lines, with a total."""
    head = ["weight", "shape", "bits", "bytes", "packed", "SNR [dB]"]
    more = [
        (title, name, places)
        for title, name, places in (("output SNR [dB]", "output", 1), ("score alone", "score", 3))
        if any(getattr(row, name) is not None for row in found)
    ]
    cells = [[*head, *(title for title, *_ in more)]]
    for row in found:
        shape = "x".join(map(str, row.shape))
        line = [row.name, shape, str(row.bits), str(row.before), str(row.after), _decimal(row.snr, 1)]
        cells.append([*line, *(_decimal(getattr(row, name), places) for _, name, places in more)])
    before, after = sum(row.before for row in found), sum(row.after for row in found)
    share = f"{100 * after / before:.1f} %" if before else ""
    cells.append(["total", "", "", str(before), str(after), share, *([""] * len(more))])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = []
    for line in cells:
        padded = [
            line[0].ljust(widths[0]),
            *(text.rjust(size) for text, size in zip(line[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def _decimal(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def preview(loaded: Bundle, scheme: Quantization) -> str:
    """What `--dry-run` shows."""
    found = table(rows(loaded.model.state_dict(), layout_of(loaded.model, scheme)))
    counts = counts_of(loaded)
    return "\n".join(found if counts is None else [*found, "", *counts.lines()])

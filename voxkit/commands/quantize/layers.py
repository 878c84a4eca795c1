"""The layers of a model, one by one: what quantization does to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from voxkit.bundle import Bundle
from voxkit.packed import Layout, Quantization, dequantize, parameters, quantize

OTHERS = "(others)"


@dataclass(frozen=True)
class Row:
    """A weight tensor.

    Attributes:
        bits: of an element in the packed file.
        before, after: its size, scales included [bytes].
        snr: power of the weights over that of their errors [dB]; infinite without error, None where it is not known.
        score: of the model with this layer alone quantized, None if it was not measured.
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    before: int
    after: int
    snr: float | None = None
    score: float | None = None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "snr": None if self.snr == float("inf") else self.snr}


def layout_of(model: nn.Module, scheme: Quantization) -> Layout:
    """Where the packed file has the weights of a model."""
    return Layout.of(model.state_dict(), parameters(model), scheme)


def rows(state: Mapping[str, Tensor], layout: Layout, errors: bool = True) -> list[Row]:
    """One row for each quantized weight in the order of the model, and one for all other tensors.

    Args:
        errors: whether the signal-to-noise ratio is computed.
    """
    found = []
    width = 16 if layout.scheme.rest == "float16" else 32
    bytes_of = {name: tensor.numel() * tensor.element_size() for name, tensor in state.items()}
    spent = dict.fromkeys(state, 0)
    for name in state:
        if name in layout.weights:
            again = [other for other, first in layout.tied.items() if first == name]
            spent |= dict.fromkeys([name, *again], 1)
            before = sum(bytes_of[other] for other in [name, *again])
            bits = layout.weights[name]
            ratio = snr(state[name], layout.scheme, bits) if errors else None
            found.append(Row(name, layout.shapes[name], bits, before, layout.size(name), ratio))
    rest = [name for name in state if not spent[name]]
    before, after = sum(bytes_of[name] for name in rest), sum(layout.size(name) for name in rest)
    return [*found, Row(OTHERS, (sum(state[name].numel() for name in rest),), width, before, after)]


def snr(weight: Tensor, scheme: Quantization, bits: int) -> float:
    """10 log10(sum w^2 / sum (Q(w) - w)^2) [dB]; infinite if nothing changed."""
    wide = weight.double()
    error = float((dequantize(quantize(weight, scheme, bits)).double() - wide).square().sum())
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


def with_score(row: Row, score: float) -> Row:
    return replace(row, score=score)


def table(found: Sequence[Row]) -> list[str]:
    """Aligned lines, with a total."""
    head = ["weight", "shape", "bits", "bytes", "packed", "SNR [dB]"]
    scored = any(row.score is not None for row in found)
    cells = [[*head, "score alone"] if scored else head]
    for row in found:
        ratio = "" if row.snr is None else f"{row.snr:.1f}"
        shape = "x".join(map(str, row.shape))
        line = [row.name, shape, str(row.bits), str(row.before), str(row.after), ratio]
        cells.append([*line, "" if row.score is None else f"{row.score:.3f}"] if scored else line)
    before, after = sum(row.before for row in found), sum(row.after for row in found)
    share = f"{100 * after / before:.1f} %" if before else ""
    cells.append(["total", "", "", str(before), str(after), share, *([""] if scored else [])])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = []
    for line in cells:
        padded = [
            line[0].ljust(widths[0]),
            *(text.rjust(size) for text, size in zip(line[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def preview(loaded: Bundle, scheme: Quantization) -> str:
    """What `--dry-run` shows."""
    found = rows(loaded.model.state_dict(), layout_of(loaded.model, scheme))
    return "\n".join(table(found))

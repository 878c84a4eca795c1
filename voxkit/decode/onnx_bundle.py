"""A trained model as a graph that onnxruntime runs, float or in 8 bits: written, compared with torch, and bundled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.nn import onnx_graph, onnx_tables
from voxkit.nn.onnx_graph import Graph, Method
from voxkit.onnx_model import OnnxModel
from voxkit.packed import Quantization
from voxkit.progress import say

FLOAT, INT8 = "float.onnx", "int8.onnx"
TOLERANCE = 1e-3  # of the float graph's outputs


@dataclass(frozen=True)
class EightBits:
    """How a graph becomes 8-bit; see `voxkit.nn.onnx_graph.to_int8`.

    Attributes:
        inputs: of each call of the model, as it hears things when it is used: what ranges of activations come from.
    """

    inputs: Sequence[tuple[Tensor, ...]]
    per_channel: bool = True
    symmetric: bool = False
    method: Method = "minmax"


def write(loaded: Bundle, graph: Graph, facts: Mapping[str, str], folder: Path, eight: EightBits | None) -> Path:
    """Write `float.onnx`, and `int8.onnx` if that is wanted, into a folder; say how far they are from torch.

    Returns:
        The file that is wanted.

    Raises:
        UserError: no onnx or onnxruntime; a graph that says other things than torch; nothing to calibrate with, or
            nothing that can be computed in 8 bits.
    """
    file, small = folder / FLOAT, folder / INT8
    onnx_graph.write(loaded.model, graph, file, facts)
    onnx_graph.verify(loaded.model, graph, file, TOLERANCE)
    if eight is None:
        return file
    calibration = (tuple(tensor.numpy() for tensor in call) for call in eight.inputs)
    onnx_graph.to_int8(file, small, calibration, eight.per_channel, eight.symmetric, eight.method)
    if graph.tables:
        onnx_tables.to_int8(small)
    _tell_difference(loaded.model, OnnxModel(small), eight.inputs)
    return small


@torch.inference_mode()
def _tell_difference(ours: torch.nn.Module, theirs: OnnxModel, calls: Sequence[tuple[Tensor, ...]]) -> None:
    worst, same, total = 0.0, 0, 0
    for call in calls:
        first, second = ours(*call), theirs(*call)
        full, small = (found if isinstance(found, Tensor) else found[0] for found in (first, second))
        worst = max(worst, float((full - small).abs().max()))
        same += int((full.argmax(-1) == small.argmax(-1)).sum())
        total += full[..., 0].numel()
    say(f"8 bits: outputs differ by at most {worst:.2g}, {100 * same / total:.1f} % of the highest ones are the same")


def save(path: Path, loaded: Bundle, file: Path, eight: EightBits | None) -> None:
    """Write a bundle with a graph of `write`, which all commands take like the one that it was made from."""
    scheme = None
    if eight is not None:
        per = "channel" if eight.per_channel else "tensor"
        scheme = Quantization(bits=8, symmetric=True, per=per, rest="float32")
    assets = {asset.name: asset for asset in sorted(loaded.assets.iterdir())}
    bundle.save_onnx(path, loaded.system, loaded.config, file, assets, scheme)

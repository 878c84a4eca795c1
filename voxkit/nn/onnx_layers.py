"""What 8 bits did to each layer of a graph: sizes, errors of the weights, and errors of what the layer says."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.nn.onnx_graph import fold, require
from voxkit.onnx_model import INPUTS
from voxkit.onnx_session import facts_of, open_session

Array = NDArray[np.generic]
Doubles = NDArray[np.float64]
QUANTIZED, SCALE, ZERO = "_quantized", "_scale", "_zero_point"  # how onnxruntime calls what it makes of a tensor
IMAGE = "_DequantizeLinear_Output"
RECURRENT = ("", "weight_ih", "weight_hh")  # an LSTM's inputs


@dataclass(frozen=True)
class EightBitWeight:
    """A weight that became 8-bit.

    Attributes:
        name: as in the module; of a weight that the export made anew, after the module that it belongs to.
        before, after: bytes; scales and zero points are counted.
        snr: power of the (folded) weights over that of their errors [dB]; infinite without error.
        output: the same of what the layer says, over all examples; it has the errors of the layers before it too.
    """

    name: str
    shape: tuple[int, ...]
    before: int
    after: int
    snr: float
    output: float


def compare(source: Path, target: Path, examples: Iterable[Sequence[Array]]) -> list[EightBitWeight]:
    """The weights that `voxkit.nn.onnx_graph.to_int8` made 8-bit, in the order in which they are used.

    Args:
        source, target: the float graph and the 8-bit one.
        examples: the inputs of each call.
    """
    onnx = require("int8")
    with tempfile.TemporaryDirectory() as folder:
        folded = fold(source, Path(folder) / "folded.onnx")
        small: Any = onnx.load(str(target))
        full = _arrays(onnx, folded)
        codes = _arrays(onnx, small)
        nodes = [(node, place, name) for node in small.graph.node for place, name in _weights(node, small, codes, full)]
        said = _output_errors(onnx, folded, small, [node.output[0] for node, *_ in nodes], examples, Path(folder))
    found = []
    titles = _distinct([_title(node, place, name) for node, place, name in nodes])
    for title, (node, _, name) in zip(titles, nodes, strict=True):
        weight, mine = full[name].astype(np.float64), [codes[name + end] for end in (QUANTIZED, SCALE, ZERO)]
        error = _image([part.astype(np.float64) for part in mine], weight.shape, _axis(small, name)) - weight
        ratio = _decibels(float(np.square(weight).sum()), float(np.square(error).sum()))
        sizes = full[name].nbytes, sum(part.nbytes for part in mine)
        found.append(EightBitWeight(title, weight.shape, *sizes, ratio, said[node.output[0]]))
    return found


def _arrays(onnx: Any, model: Any) -> dict[str, Array]:
    return {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}


def _weights(node: Any, small: Any, codes: Mapping[str, Array], full: Mapping[str, Array]) -> list[tuple[int, str]]:
    """The 8-bit weights of a node that computes with them: which of its inputs, and the name of the float tensor."""
    if node.op_type == "DequantizeLinear":
        return []
    made = {one.output[0]: one.input[0] for one in small.graph.node if one.op_type == "DequantizeLinear"}
    found = []
    for place, given in enumerate(node.input):
        held = made.get(given, given)
        name = held.removesuffix(QUANTIZED)
        is_weight = held.endswith(QUANTIZED) and held in codes and name in full
        if is_weight and codes[held].dtype.itemsize == 1 and full[name].ndim > 1:
            found.append((place, name))
    return found


def _axis(small: Any, name: str) -> int | None:
    """The dimension that the scales of a weight belong to; None of an LSTM, whose weights are kept transposed."""
    for node in small.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] == name + QUANTIZED:
            return next((int(one.i) for one in node.attribute if one.name == "axis"), 1)
    return None


def _image(parts: Sequence[Doubles], shape: tuple[int, ...], axis: int | None) -> Doubles:
    """The weight, in its own shape, that codes, scales and zero points stand for."""
    codes, scale, zero = parts
    if axis is None:
        ones = (len(codes), 1, -1)
        return ((codes - zero.reshape(ones)) * scale.reshape(ones)).swapaxes(1, 2).reshape(shape)
    wide = [1] * len(shape)
    wide[axis] = scale.size
    return (codes - zero.reshape(wide)) * scale.reshape(wide)


def _output_errors(
    onnx: Any, full: Any, small: Any, names: Iterable[str], examples: Iterable[Sequence[Array]], folder: Path
) -> dict[str, float]:
    """Signal-to-noise ratios [dB] of tensors that both graphs compute."""
    wanted = list(dict.fromkeys(names))
    # As later layers see it: where a ReLU follows, the 8-bit graph has left that to the range of the levels.
    seen = {name for node in small.graph.node for name in node.output}
    heard = [name + IMAGE if name + IMAGE in seen else name for name in wanted]
    sessions = []
    for number, (model, outputs) in enumerate(((full, wanted), (small, heard))):
        there = {one.name for one in model.graph.output}
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in there)
        onnx.save(model, str(folder / f"{number}.onnx"))
        sessions.append(open_session(folder / f"{number}.onnx"))
    used = [one.name for one in sessions[0].get_inputs()]
    order = facts_of(sessions[0]).get(INPUTS, " ".join(used)).split()
    power, noise = dict.fromkeys(wanted, 0.0), dict.fromkeys(wanted, 0.0)
    for example in examples:
        feeds = {name: array for name, array in zip(order, example, strict=True) if name in used}
        values = sessions[0].run(wanted, feeds), sessions[1].run(heard, feeds)
        for name, ours, theirs in zip(wanted, *values, strict=True):
            power[name] += float(np.square(ours, dtype=np.float64).sum())
            noise[name] += float(np.square(theirs.astype(np.float64) - ours).sum())
    return {name: _decibels(power[name], noise[name]) for name in wanted}


def _decibels(power: float, noise: float) -> float:
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(power / noise)) if power > 0 else float("-inf")


def _distinct(titles: Sequence[str]) -> list[str]:
    """With a number behind those that several weights of one module have, such as projections in attention."""
    counts, seen, found = Counter(titles), Counter[str](), []
    for title in titles:
        seen[title] += 1
        found.append(f"{title}.{seen[title]}" if counts[title] > 1 else title)
    return found


def _title(node: Any, place: int, name: str) -> str:
    """What a weight is called: in the module if the export left it there, else by the node that has it."""
    if "::" not in name:
        return name
    path: list[str] = []
    for part in node.name.strip("/").split("/")[:-1]:
        if path and part.startswith(f"{path[-1]}."):  # a numbered layer, told with the list that it is in
            path.pop()
        path.append(part)
    kind = RECURRENT[place] if "LSTM" in node.op_type else "weight"
    return ".".join([*path, kind])

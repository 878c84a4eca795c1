"""Tables of a graph in 8 bits: those whose rows are looked up, such as the vectors of words."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.nn.onnx_graph import require

CODES, SCALES = "_codes", "_scales"  # how the parts of a table are called after it
TOP = 127


def to_int8(path: Path) -> list[str]:
    """Make the tables of a graph 8-bit, in its file: int8 codes, and a scale for each row.

    A table is a float tensor (V, W) that is used for nothing but to look up its rows; those are computed from codes
    after they were looked up, so that the whole table is never float in memory.

    Returns:
        The names of the tables that were made so.

    Raises:
        UserError: no onnx.
    """
    onnx = require("int8")
    model: Any = onnx.load(str(path))
    graph = model.graph
    arrays = {one.name: one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT}
    users: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            users[name].append(node)
    tables = [
        name for name, one in arrays.items() if len(one.dims) == 2 and users[name] and all(map(_looks_up, users[name]))
    ]
    for name in tables:
        codes, scales = quantized(onnx.numpy_helper.to_array(arrays[name]))
        graph.initializer.remove(arrays[name])
        graph.initializer.append(onnx.numpy_helper.from_array(codes, name + CODES))
        graph.initializer.append(onnx.numpy_helper.from_array(scales, name + SCALES))
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        graph.node.extend(_looked_up(onnx, node) if _looks_up(node) and node.input[0] in tables else [node])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return tables


def quantized(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes (V, W) and scales (V, 1) of a table (V, W)."""
    scales = np.abs(table).max(axis=1, keepdims=True) / TOP
    return np.rint(table / np.where(scales > 0, scales, 1)).astype(np.int8), scales.astype(np.float32)


def _looks_up(node: Any) -> bool:
    axis = next((one.i for one in node.attribute if one.name == "axis"), 0)
    return bool(node.op_type == "Gather" and axis == 0)


def _looked_up(onnx: Any, node: Any) -> list[Any]:
    """Nodes in place of one that looks rows up."""
    table, rows = node.input
    result = node.output[0]
    make = onnx.helper.make_node
    return [
        make("Gather", [table + CODES, rows], [result + CODES]),
        make("Gather", [table + SCALES, rows], [result + SCALES]),
        make("Cast", [result + CODES], [result + "_cast"], to=onnx.TensorProto.FLOAT),
        make("Mul", [result + "_cast", result + SCALES], [result]),
    ]

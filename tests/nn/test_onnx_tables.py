"""Tables in 8 bits."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from voxkit.nn import onnx_tables
from voxkit.onnx_session import open_session

TABLE = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32) * np.arange(50, dtype=np.float32)[:, None]


def graph(path: Path, shared: bool) -> Path:
    """Looks rows of two tables up; the second is also used whole if it is `shared`."""
    nodes = [
        helper.make_node("Gather", ["table", "rows"], ["found"], axis=0),
        helper.make_node("Identity", ["rows"], ["same"]),
        helper.make_node("Gather", ["table", "same"], ["again"], axis=0),
        helper.make_node("Gather", ["other", "rows"], ["others"], axis=0),
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in ("found", "again", "others")
    ]
    if shared:
        nodes.append(helper.make_node("ReduceSum", ["other"], ["whole"], keepdims=0))
        outputs.append(helper.make_tensor_value_info("whole", TensorProto.FLOAT, []))
    rows = helper.make_tensor_value_info("rows", TensorProto.INT64, ["n"])
    tables = [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(TABLE[::-1].copy(), "other")]
    made = helper.make_graph(nodes, "test", [rows], outputs, tables)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize("shared", [False, True])
def test_rows_are_nearly_the_same(shared: bool, tmp_path: Path) -> None:
    path = graph(tmp_path / "graph.onnx", shared)
    before = path.stat().st_size
    rows = {"rows": np.array([0, 3, 49])}
    wanted = open_session(path).run(None, rows)
    assert sorted(onnx_tables.to_int8(path)) == (["table"] if shared else ["other", "table"])
    assert path.stat().st_size < before
    names = ("table", "table", "other", "whole")[: len(wanted)]
    for name, ours, theirs in zip(names, wanted, open_session(path).run(None, rows), strict=True):
        if name == "whole" or (name == "other" and shared):
            np.testing.assert_array_equal(ours, theirs)
        else:
            step = np.abs(ours).max(axis=1, keepdims=True) / 127
            assert (np.abs(ours - theirs) <= 0.501 * step).all()


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(-1e6, 1e6, width=32)))
def test_codes_are_within_half_a_step(table: np.ndarray) -> None:
    codes, scales = onnx_tables.quantized(table)
    assert (np.abs(codes.astype(np.int64)) <= 127).all()
    error = np.abs(codes.astype(np.float64) * scales - table)
    assert (error <= 0.5 * scales * (1 + 1e-4) + 1e-30).all()

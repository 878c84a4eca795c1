"""Exported models as torch modules."""

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from voxkit.errors import UserError
from voxkit.nn.onnx_graph import Graph, write
from voxkit.onnx_model import OnnxModel


class Masked(nn.Module):
    """Takes more than it uses, and gives two things."""

    def forward(self, x: Tensor, ignored: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return x * (torch.arange(x.shape[1]) < lengths[:, None]), (lengths + 1) // 2


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("onnx") / "model.onnx"
    inputs = {"x": torch.randn(2, 5), "ignored": torch.zeros(2), "lengths": torch.tensor([5, 3])}
    row = {0: "batch"}
    dynamic = {"x": {0: "batch", 1: "frames"}, "ignored": row, "lengths": row, "y": {0: "batch", 1: "frames"}}
    write(Masked(), Graph(inputs, ["y", "halves"], {**dynamic, "halves": row}), place, {"system": "test"})
    return place


def test_the_signature_is_that_of_the_module(path: Path) -> None:
    model = OnnxModel(path, threads=1)
    x, lengths = torch.randn(3, 8, requires_grad=True), torch.tensor([8, 1, 4], dtype=torch.int32)
    for given in (x, x.double(), x.detach().T.contiguous().T):
        y, halves = model(given, torch.zeros(3), lengths)
        torch.testing.assert_close(y, Masked()(x.detach(), None, lengths)[0])
        assert halves.tolist() == [4, 1, 2]
    assert not y.requires_grad
    assert not model.training
    assert not model.state_dict()
    with pytest.raises(ValueError, match="zip"):
        model(x, lengths)


def test_facts(path: Path) -> None:
    facts = OnnxModel(path).facts
    assert facts["system"] == "test"
    assert facts["voxkit"]
    assert facts["inputs"] == "x ignored lengths"


def test_damaged_foreign_and_absent_files(path: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    broken, foreign = tmp_path / "broken.onnx", tmp_path / "foreign.onnx"
    broken.write_bytes(path.read_bytes()[:200])
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, {"producer": "somebody"})
    onnx.save(graph, str(foreign))
    for bad, what in ((broken, "cannot load it"), (foreign, "not a model that voxkit exported")):
        with pytest.raises(UserError, match=what) as error:
            OnnxModel(bad)
        assert error.value.fix
    with pytest.raises(UserError, match="cannot load it"):
        OnnxModel(tmp_path / "absent.onnx")


def test_without_onnxruntime(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    normal = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "onnxruntime":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return normal(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError) as error:
        OnnxModel(path)
    assert error.value.fix == "pip install 'voxkit[export]'"


def test_sessions_are_free_of_torch() -> None:
    code = "import sys, voxkit.onnx_session; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

"""What is told of each 8-bit layer, against what onnxruntime computes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from tests.nn.test_onnx_graph import MODELS, attentive, convolutional, examples, recurrent
from voxkit.nn import onnx_graph
from voxkit.nn.onnx_layers import EightBitWeight, compare
from voxkit.onnx_model import OnnxModel


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def compared(make: Any, folder: Path, per_channel: bool = True) -> tuple[torch.nn.Module, list[EightBitWeight], Any]:
    model, graph = make()
    calls = examples(graph, 3)
    onnx_graph.write(model, graph, folder / "m.onnx", {})
    onnx_graph.to_int8(folder / "m.onnx", folder / "q.onnx", calls, per_channel)
    return model, compare(folder / "m.onnx", folder / "q.onnx", calls), calls


NAMES = {
    convolutional: ["first.0.weight", "second.0.weight", "last.0.weight", "score.weight"],
    recurrent: ["conv.weight", "rnn.weight_ih", "rnn.weight_hh", "out.weight"],
    attentive: ["query.weight", "key.weight", "out.weight"],
}


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("make", MODELS)
def test_weights_are_named_and_measured(make: Any, per_channel: bool, tmp_path: Path) -> None:
    _, found, _ = compared(make, tmp_path, per_channel)
    assert [one.name for one in found] == NAMES[make]
    seven = 6 if onnx_graph.saturates() else 0  # dB that a bit is worth
    for one in found:
        size = int(np.prod(one.shape))
        assert one.before == 4 * size
        assert size < one.after < size + 5 * sum(one.shape) * 2
        assert 44 - seven < one.snr < 56
        assert 15 < one.output < one.snr + 10


def test_the_error_of_the_last_layer_is_that_of_the_graph(tmp_path: Path) -> None:
    _, found, calls = compared(convolutional, tmp_path)
    full, small = OnnxModel(tmp_path / "m.onnx"), OnnxModel(tmp_path / "q.onnx")
    pairs = [(full(*inputs), small(*inputs)) for inputs in (tuple(map(torch.from_numpy, call)) for call in calls)]
    power = sum(float(ours.double().square().sum()) for ours, _ in pairs)
    noise = sum(float((theirs.double() - ours).square().sum()) for ours, theirs in pairs)
    assert found[-1].output == pytest.approx(10 * np.log10(power / noise), abs=0.5)


class Projected(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.both = torch.nn.ParameterList([torch.randn(32, 32) for _ in range(2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ self.both[0].T).relu() @ self.both[1].T


def test_weights_of_one_module_have_names_of_their_own(tmp_path: Path) -> None:
    _, found, _ = compared(lambda: (Projected(), attentive()[1]), tmp_path)
    assert len({one.name for one in found}) == 2


def test_a_weight_without_error_has_none(tmp_path: Path) -> None:
    model, graph = attentive()
    with torch.no_grad():
        for layer in (model.query, model.key, model.out):
            layer.weight.copy_(torch.randint(-1, 2, layer.weight.shape))
    onnx_graph.write(model, graph, tmp_path / "m.onnx", {})
    onnx_graph.to_int8(tmp_path / "m.onnx", tmp_path / "q.onnx", examples(graph, 2), reduce_range=False)
    codes = onnx.load(str(tmp_path / "q.onnx")).graph.initializer
    assert any(one.name.endswith("_quantized") for one in codes)
    found = compare(tmp_path / "m.onnx", tmp_path / "q.onnx", examples(graph, 2))
    assert all(one.snr > 100 for one in found)

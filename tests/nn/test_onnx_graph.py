"""Graphs that say what torch says, and int8 graphs that nearly do."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from voxkit.errors import UserError
from voxkit.nn import onnx_graph
from voxkit.nn.onnx_graph import Graph
from voxkit.onnx_model import OnnxModel


class Convolutional(nn.Module):
    """(B, T, F) -> (B, 5), with what such networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=4), nn.BatchNorm2d(16), nn.ReLU())
        self.last = nn.Sequential(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.score = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        first = nn.functional.max_pool2d(self.first(x.unsqueeze(1)), 2)
        return self.score(self.last(torch.cat([first, self.second(first) + first], 1)))


class Recurrent(nn.Module):
    """(B, T, F) and (B,) lengths -> (B, T, 7) and (B,)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(16, 32, 3, padding=1)
        self.rnn = nn.LSTM(32, 64, batch_first=True, bidirectional=True)
        self.out = nn.Linear(128, 7)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        valid = torch.arange(x.shape[1]) < lengths[:, None]
        return self.out(self.rnn(self.conv(x.transpose(1, 2)).relu().transpose(1, 2))[0]) * valid.unsqueeze(
            2
        ), lengths * 2


class Attentive(nn.Module):
    """(B, T, 32) -> (B, T, 32)."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.out = (nn.Linear(32, 32) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        weights = (self.query(x) @ self.key(x).transpose(1, 2)).softmax(2)
        return self.out(weights @ x)


FRAMES = {0: "batch", 1: "frames"}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def convolutional() -> tuple[nn.Module, Graph]:
    model = Convolutional().train()
    for _ in range(5):  # so that batch normalization has something to fold
        model(2 * torch.randn(4, 20, 16) + 1)
    return model, Graph({"x": torch.randn(2, 20, 16)}, ["y"], {"x": FRAMES, "y": {0: "batch"}})


def recurrent() -> tuple[nn.Module, Graph]:
    inputs = {"x": torch.randn(2, 20, 16), "lengths": torch.tensor([20, 11])}
    row = {0: "batch"}
    dynamic = {"x": FRAMES, "lengths": row, "y": FRAMES, "doubled": row}
    return Recurrent(), Graph(inputs, ["y", "doubled"], dynamic, {"lengths": "frames"})


def attentive() -> tuple[nn.Module, Graph]:
    return Attentive(), Graph({"x": torch.randn(2, 20, 32)}, ["y"], {"x": FRAMES, "y": FRAMES})


MODELS = [convolutional, recurrent, attentive]


def examples(graph: Graph, count: int = 12) -> list[list[np.ndarray[Any, Any]]]:
    return [[part.numpy() for part in batch] for n in range(count) for batch in [next(onnx_graph.batches(graph, n))]]


def operations(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(str(path)).graph.node)


@pytest.mark.parametrize("make", MODELS)
def test_the_graph_says_what_torch_says(make: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, graph = make()
    onnx_graph.write(model, graph, tmp_path / "m.onnx", {"system": "test"})
    assert not model.training
    assert onnx_graph.verify(model, graph, tmp_path / "m.onnx", 1e-4) < 1e-4
    told = capfd.readouterr()
    assert not told.out
    assert told.err.count("\n") == 1
    assert "outputs differ by at most" in told.err
    assert OnnxModel(tmp_path / "m.onnx").facts["system"] == "test"


def test_a_graph_that_says_other_things_is_told(tmp_path: Path) -> None:
    model, graph = attentive()
    onnx_graph.write(model, graph, tmp_path / "m.onnx", {})
    with torch.no_grad():
        model.out.bias += 0.25
    with pytest.raises(UserError, match=r"outputs differ from torch's by up to 0\.25"):
        onnx_graph.verify(model, graph, tmp_path / "m.onnx", 1e-4)


class Baked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.arange(float(int(x.shape[1])))


def test_a_graph_of_one_length_only_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    graph = Graph({"x": torch.randn(2, 20)}, ["y"], {"x": FRAMES, "y": FRAMES})
    onnx_graph.write(Baked(), graph, tmp_path / "m.onnx", {})
    with pytest.raises(UserError, match="cannot compute it"):
        onnx_graph.verify(Baked(), graph, tmp_path / "m.onnx", 1e-4)


class Odd(nn.Module):
    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.log() + self.offset, (x * 10).long()


@pytest.mark.parametrize(("offset", "gap"), [(0.0, 0.0), (0.5, 0.5), (float("nan"), float("inf"))])
def test_differences(offset: float, gap: float, tmp_path: Path) -> None:
    graph = Graph({"x": torch.tensor([0.0, 1.0])}, ["y", "n"], {})
    onnx_graph.write(Odd(0.0), graph, tmp_path / "m.onnx", {})
    inputs = [list(graph.inputs.values())]
    assert onnx_graph.difference(Odd(offset), tmp_path / "m.onnx", inputs) == pytest.approx(gap, abs=1e-6)
    shifted = nn.Module()
    shifted.forward = lambda x: (x.log(), (x * 10).long() + 1)
    assert onnx_graph.difference(shifted, tmp_path / "m.onnx", inputs) == float("inf")
    shifted.forward = lambda x: (x.log()[:1], (x * 10).long())
    assert onnx_graph.difference(shifted, tmp_path / "m.onnx", inputs) == float("inf")


def test_batches_have_the_shapes_that_a_graph_allows() -> None:
    _, graph = recurrent()
    found = list(onnx_graph.batches(graph))
    assert {x.shape for x, _ in found} == {(b, t, 16) for b in (1, 3) for t in (15, 20, 21, 40)}
    for x, lengths in found:
        assert lengths.dtype == torch.int64
        assert len(x) == len(lengths)
        assert lengths.max() == x.shape[1] == lengths[0]
        assert lengths.min() >= 1
    fixed = Graph({"x": torch.zeros(2, 3), "n": torch.tensor([4, 5])}, ["y"], {"n": {0: "items"}})
    assert [(x.shape, n.tolist()) for x, n in onnx_graph.batches(fixed)] == [((2, 3), [4]), ((2, 3), [4, 5, 4])]


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
@pytest.mark.parametrize(("per_channel", "symmetric"), [(True, False), (False, True)])
def test_convolutions_become_int8(
    method: Any, per_channel: bool, symmetric: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, graph = convolutional()
    source, target = tmp_path / "m.onnx", tmp_path / "q.onnx"
    onnx_graph.write(model, graph, source, {"system": "test"})
    onnx_graph.to_int8(source, target, examples(graph), per_channel, symmetric, method)
    told = capfd.readouterr()
    assert told.out == told.err == ""
    assert OnnxModel(target).facts == OnnxModel(source).facts
    assert not operations(target)["BatchNormalization"]
    weights = [one for one in onnx.load(str(target)).graph.initializer if len(one.dims) > 1]
    assert {one.data_type for one in weights} == {onnx.TensorProto.INT8}
    calls = [tuple(map(torch.from_numpy, batch)) for batch in examples(graph)]
    scale = float(torch.stack([model(*batch).detach() for batch in calls]).std())
    assert 0 < onnx_graph.difference(OnnxModel(source), target, calls) < 0.2 * scale
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "q.onnx"]


@pytest.mark.parametrize(
    ("make", "there", "limit"),
    [
        (recurrent, {"DynamicQuantizeLSTM", "QuantizeLinear"}, 0.02),
        (attentive, {"QuantizeLinear"}, 0.2),
    ],
)
def test_recurrence_is_quantized_while_it_runs_and_attention_has_small_weights(
    make: Any, there: set[str], limit: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, graph = make()
    source, target = tmp_path / "m.onnx", tmp_path / "q.onnx"
    onnx_graph.write(model, graph, source, {"system": "test"})
    onnx_graph.to_int8(source, target, examples(graph, 4))
    told = capfd.readouterr()
    assert told.out == told.err == ""
    assert there <= set(operations(target))
    assert OnnxModel(target).facts == OnnxModel(source).facts
    tensors = [one for one in onnx.load(str(target)).graph.initializer if len(one.dims) > 1]
    weights = [one for one in tensors if min(one.dims) > 2]  # an LSTM's biases are of both directions
    assert {one.data_type for one in weights} == {onnx.TensorProto.INT8}
    assert 0 < onnx_graph.difference(model, target, onnx_graph.batches(graph)) < limit


class Residual(nn.Module):
    """(B, T, 16) -> (B, T, 16): a stream with one channel far larger than all others, normalised for each layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16)) for _ in range(3)
        )
        self.norm = nn.LayerNorm(16)
        self.large = nn.Parameter(500.0 * torch.eye(16)[3])

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.large
        for layer in self.layers:
            x = x + layer(x)
        return self.norm(x)


def residual() -> tuple[nn.Module, Graph]:
    return Residual(), Graph({"x": torch.randn(2, 20, 16)}, ["y"], {"x": FRAMES, "y": FRAMES})


def test_a_stream_of_sums_stays_float(tmp_path: Path) -> None:
    model, graph = residual()
    source, target = tmp_path / "m.onnx", tmp_path / "q.onnx"
    onnx_graph.write(model, graph, source, {})
    onnx_graph.to_int8(source, target, examples(graph, 4))
    small = np.concatenate([model(*map(torch.from_numpy, one))[..., 4:].detach().numpy() for one in examples(graph, 4)])
    found = OnnxModel(target)
    gap = small - np.concatenate([found(*map(torch.from_numpy, one))[..., 4:].numpy() for one in examples(graph, 4)])
    assert np.abs(gap).std() < 0.05 * small.std()


@pytest.mark.parametrize("make", [convolutional, attentive, residual])
def test_an_example_of_a_batch_is_computed_as_alone(make: Any, tmp_path: Path) -> None:
    model, graph = make()
    onnx_graph.write(model, graph, tmp_path / "m.onnx", {})
    onnx_graph.to_int8(tmp_path / "m.onnx", tmp_path / "q.onnx", examples(graph, 4))
    found, (x, loud) = OnnxModel(tmp_path / "q.onnx"), torch.randn(2, 1, *next(iter(graph.inputs.values())).shape[1:])
    together = found(torch.cat([x, 30 * loud]))[:1]
    assert float((together - found(x)).abs().max()) < 1e-4


def test_int8_is_a_quarter_of_float(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 400))
    graph = Graph({"x": torch.randn(2, 400)}, ["y"], {"x": {0: "batch"}, "y": {0: "batch"}})
    onnx_graph.write(model, graph, tmp_path / "m.onnx", {})
    onnx_graph.to_int8(tmp_path / "m.onnx", tmp_path / "q.onnx", examples(graph, 4))
    sizes = [(tmp_path / name).stat().st_size for name in ("m.onnx", "q.onnx")]
    assert sizes[1] < 0.28 * sizes[0]


def test_int8_needs_examples_and_an_export(tmp_path: Path) -> None:
    model, graph = attentive()
    onnx_graph.write(model, graph, tmp_path / "m.onnx", {})
    with pytest.raises(UserError, match="nothing to calibrate with"):
        onnx_graph.to_int8(tmp_path / "m.onnx", tmp_path / "q.onnx", [])
    (tmp_path / "m.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match="cannot load it"):
        onnx_graph.to_int8(tmp_path / "m.onnx", tmp_path / "q.onnx", examples(graph, 1))
    assert not (tmp_path / "q.onnx").exists()


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(16, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]


def test_a_graph_that_would_stay_float_is_no_int8(tmp_path: Path) -> None:
    graph = Graph({"x": torch.randn(2, 20, 16)}, ["y"], {"x": FRAMES, "y": FRAMES})
    onnx_graph.write(Gated(), graph, tmp_path / "m.onnx", {})
    with pytest.raises(UserError, match="nothing in it can be computed in 8 bits"):
        onnx_graph.to_int8(tmp_path / "m.onnx", tmp_path / "q.onnx", examples(graph, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_processors_that_saturate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    flags = tmp_path / "cpuinfo"
    flags.write_text("flags : avx2 avx512_vnni\n")
    assert not onnx_graph.saturates(flags)
    flags.write_text("flags : avx2\n")
    assert onnx_graph.saturates(flags)
    assert onnx_graph.saturates(tmp_path / "absent")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not onnx_graph.saturates(flags)

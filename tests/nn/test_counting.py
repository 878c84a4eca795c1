"""Counts against formulas worked out by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from voxkit.nn.counting import Counts, count, count_example, table

SMALL = st.integers(1, 4)


@settings(deadline=None, max_examples=40)
@given(SMALL, SMALL, SMALL, st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.booleans(), SMALL)
def test_convolutions(
    groups: int, wide: int, out: int, tall: int, broad: int, stride: int, padded: bool, batch: int
) -> None:
    layer = nn.Conv2d(
        groups * wide, groups * out, (tall, broad), stride, padding=(tall // 2, 0) if padded else 0, groups=groups
    )
    x = torch.zeros(batch, groups * wide, 9, 7)
    frames, bins = layer(x).shape[2:]
    counts = count(layer, x)
    assert counts.multiply_adds == batch * tall * broad * wide * groups * out * frames * bins
    assert counts.parameters == groups * out * (wide * tall * broad + 1)
    assert counts.by_layer[0].shape == (batch, groups * out, frames, bins)


def test_transposed_convolutions() -> None:
    counts = count(nn.ConvTranspose2d(6, 9, 3, stride=2, groups=3), torch.zeros(2, 6, 9, 8))
    assert counts.multiply_adds == 2 * 9 * 8 * 6 * 3 * 9  # each input point meets 3 output channels of 9 weights


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_layers(kind: type[nn.RNNBase], gates: int, directions: int) -> None:
    layer = kind(5, 11, num_layers=2, batch_first=True, bidirectional=directions == 2)
    first, second = 11 * (5 + 11), 11 * (11 * directions + 11)
    counts = count(layer, torch.zeros(3, 7, 5))
    assert counts.multiply_adds == 3 * 7 * directions * gates * (first + second)
    assert counts.by_layer[0].shape == (3, 7, 11 * directions)


def test_packed_sequences_count_their_frames() -> None:
    packed = nn.utils.rnn.pack_padded_sequence(torch.zeros(3, 7, 5), torch.tensor([7, 5, 2]), batch_first=True)
    assert count(nn.LSTM(5, 11, batch_first=True), packed).multiply_adds == 14 * 4 * 11 * (5 + 11)


def test_attention() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    fused = torch.backends.mha.get_fastpath_enabled()
    counts = count(layer, torch.zeros(3, 7, 8))
    assert torch.backends.mha.get_fastpath_enabled() is fused
    projections, products, feed_forward = 3 * 7 * 4 * 8 * 8, 2 * 3 * 7 * 7 * 8, 2 * 3 * 7 * 8 * 16
    assert counts.multiply_adds == projections + products + feed_forward


class _Products(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return torch.einsum("btc,c->bt", a, b), a[0] @ b, b @ b, torch.addmv(a[0, :, 0], a[0], b), a @ a.mT


def test_plain_products() -> None:
    assert count(_Products(), torch.ones(3, 7, 8), torch.ones(8)).multiply_adds == 168 + 56 + 8 + 56 + 3 * 7 * 7 * 8


class _Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.again = nn.Sequential(self.first, nn.Dropout(), nn.Linear(4, 4))
        self.again[2].weight = self.first.weight
        self.own = nn.Parameter(torch.zeros(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.again(self.first(x)) @ self.own


def test_layers_add_up_and_what_is_shared_is_counted_once() -> None:
    model = _Shared().train()
    model.first.eval()
    counts = count(model, torch.ones(1, 4))
    assert [layer.training for layer in (model, model.first, model.again)] == [True, False, True]
    assert counts.parameters == 16 + 4 + 4 + 8 == sum(layer.parameters for layer in counts.by_layer)
    by_name = {layer.name: layer for layer in counts.by_layer}
    assert {name: layer.multiply_adds for name, layer in by_name.items()} == {"": 8, "first": 32, "again.2": 16}
    assert counts.multiply_adds == 56
    assert by_name["again.2"].parameters == 4
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class _Taken(nn.Module):
    """Layers whose weights are taken from them: an LSTM's step, and words scored by a table."""

    def __init__(self, tie: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.lstm = nn.LSTM(4, 3)
        self.middle = nn.Linear(3, 4, bias=False)
        self.output = nn.Linear(4, 9)
        if tie:
            self.output.weight = self.embedding.weight

    def forward(self, words: Tensor, asked: Tensor) -> Tensor:
        gates = F.linear(self.embedding(words), self.lstm.weight_ih_l0) + F.linear(
            torch.zeros(len(words), 3), self.lstm.weight_hh_l0
        )
        known = torch.matmul(gates[:, :3], self.middle.weight.t())
        return (known[asked] * self.output.weight[asked]).sum(1) + self.output.bias[asked]


@pytest.mark.parametrize("tie", [True, False])
def test_products_are_those_of_the_module_that_has_the_weights(tie: bool) -> None:
    counts = count(_Taken(tie), torch.tensor([1, 2]), torch.tensor([0, 1, 1]))
    found = {layer.name: layer.multiply_adds for layer in counts.by_layer}
    assert found == {"embedding": 0, "lstm": 2 * 4 * 3 * (4 + 3), "middle": 2 * 3 * 4, "output": 3 * 4}
    assert counts.multiply_adds == sum(found.values())


def test_attention_gives_each_layer_its_own() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.zeros(3, 7, 8)
    found = {one.name: one.multiply_adds for one in count(layer, x, x, x).by_layer}
    assert found == {"": 3 * 7 * 3 * 8 * 8 + 2 * 3 * 7 * 7 * 8, "out_proj": 3 * 7 * 8 * 8}


class _Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 4)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        return (self.embedding(words) * mask).sum(1)


def test_pooling_is_not_counted() -> None:
    assert count(_Pooled(), torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5, 1)).multiply_adds == 0


def test_counts_grow_with_the_batch() -> None:
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Conv1d(3, 3, 3, groups=3))
    one, four = (count(model, torch.zeros(batch, 2, 20)) for batch in (1, 4))
    assert four.multiply_adds == 4 * one.multiply_adds == 4 * (18 * 3 * 2 * 3 + 16 * 3 * 3)
    assert four.parameters == one.parameters


def test_the_first_example_of_a_batch_is_counted() -> None:
    model, batch = nn.Linear(4, 2), torch.zeros(3, 4)
    assert count_example(model, {"x": batch}).multiply_adds == 8 == count(model, batch).multiply_adds / 3


def test_only_the_cpu() -> None:
    with pytest.raises(ValueError, match="on the CPU"):
        count(nn.Linear(2, 2, device="meta"), torch.zeros(1, 2))


def test_table() -> None:
    counts = count(nn.Sequential(nn.Conv1d(2, 300, 3), nn.ReLU()), torch.zeros(1, 2, 20))
    assert table(counts).splitlines() == [
        "layer  kind    output        parameters  multiply-adds",
        "0      Conv1d  1 x 300 x 18       2,100         32,400",
        "all                               2,100         32,400",
    ]
    assert table(Counts(0, 0, [])).splitlines()[-1].split() == ["all", "0", "0"]

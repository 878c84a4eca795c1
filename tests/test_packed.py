import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from voxkit.errors import UserError
from voxkit.packed import (
    CLIPPINGS,
    Layout,
    Quantization,
    dequantize,
    pack,
    pack_state,
    packed_size,
    parameters,
    quantize,
    unpack,
    unpack_state,
)

schemes = st.builds(
    Quantization,
    bits=st.integers(2, 8),
    symmetric=st.booleans(),
    per=st.sampled_from(["tensor", "channel"]),
    range=st.sampled_from(["minmax", "mse"]),
    rest=st.sampled_from(["float16", "float32"]),
)
floats = st.floats(-(2.0**127), 2.0**127, width=32, allow_subnormal=False)
weights = hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=4, max_side=5), elements=floats)


class Net(nn.Module):
    """One of each that a layout knows: tied weights, batch norm, an integer buffer, a single element."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 5, 3)
        self.norm = nn.BatchNorm1d(5)
        self.lstm = nn.LSTM(5, 4)
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.one = nn.Linear(1, 1)
        self.register_buffer("seen", torch.tensor([7, 2**40]))
        self.register_buffer("flag", torch.tensor(True))
        self.register_buffer("table", torch.randn(3, 3))


def net(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    model = Net()
    model.norm(model.conv(torch.randn(2, 3, 9)))  # moves the statistics
    return model


def there_and_back(model: nn.Module, scheme: Quantization) -> dict[str, torch.Tensor]:
    layout = Layout.of(model.state_dict(), parameters(model), scheme)
    packed, exact = pack_state(model.state_dict(), layout)
    return unpack_state(packed, layout, exact)


@given(st.integers(2, 8), st.data())
def test_packing_keeps_the_codes_and_is_dense(bits, data):
    codes = data.draw(hnp.arrays(np.uint8, st.integers(0, 50), elements=st.integers(0, 2**bits - 1)))
    packed = pack(codes, bits)
    assert len(packed) == packed_size(len(codes), bits) == math.ceil(len(codes) * bits / 8)
    assert np.array_equal(unpack(packed, bits, len(codes)), codes)


def test_the_first_code_is_in_the_low_bits():
    assert pack(np.array([1, 2, 3], dtype=np.uint8), 4).tolist() == [0x21, 0x03]
    assert pack(np.array([7, 0, 7], dtype=np.uint8), 3).tolist() == [0b11000111, 0b1]


@given(weights, schemes)
def test_every_weight_moves_by_half_a_step_at_most(array, scheme):
    weight = torch.from_numpy(array)
    quantized = quantize(weight, scheme)
    found = dequantize(quantized)
    assert quantized.codes.dtype == torch.uint8
    assert found.shape == weight.shape
    assert found.isfinite().all()
    assert int(quantized.codes.max()) < 2**scheme.bits
    if scheme.range == "minmax":
        error = (found.double() - weight.double()).abs()
        slack = 1e-5 * weight.double().abs().max() + 1e-30
        # half a step, and a quarter more at the ends of the range where the scale was rounded
        share = 0.5 if scheme.rest == "float32" else 0.75
        constant = weight.double().abs() / 2048 if scheme.rest == "float16" else 0.0
        assert (error <= share * quantized.scale.double() + constant + slack).all()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_asymmetric_is_the_papers_equation(bits):
    weight = torch.randn(6, 7, dtype=torch.float64)
    step = (weight.max() - weight.min()) / (2**bits - 1)
    expected = ((weight - weight.min()) / step).round() * step + weight.min()
    found = dequantize(quantize(weight.float(), Quantization(bits=bits, rest="float32")))
    torch.testing.assert_close(found, expected.float())


def test_symmetric_levels_are_alike_on_both_sides_and_0_is_one():
    weight = torch.tensor([[-0.4, 0.0, 1.0, 0.2]])
    quantized = quantize(weight, Quantization(bits=3, symmetric=True, rest="float32"))
    assert quantized.codes.tolist() == [[2, 3, 6, 4]]
    torch.testing.assert_close(dequantize(quantized), torch.tensor([[-1 / 3, 0.0, 1.0, 1 / 3]]))
    assert dequantize(quantized)[0, 1] == 0.0


@given(schemes)
def test_what_is_constant_stays(scheme):
    for value in (0.0, 0.5, -2.0, 1000.0):
        found = dequantize(quantize(torch.full((3, 4), value), scheme))
        torch.testing.assert_close(found, torch.full((3, 4), value), rtol=2e-3, atol=0)


def test_channels_have_scales_of_their_own():
    weight = torch.randn(4, 3, 3) * torch.tensor([1.0, 10, 100, 1000])[:, None, None]
    together, apart = (
        (dequantize(quantize(weight, Quantization(bits=6, per=per))) - weight)[0].abs().max()
        for per in ("tensor", "channel")
    )
    assert apart < together / 10
    assert quantize(weight, Quantization(per="channel")).scale.shape == (4, 1, 1)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("per", ["tensor", "channel"])
def test_the_best_clipping_is_found(per, symmetric):
    """Against a search by hand, one channel at a time."""
    torch.manual_seed(0)
    weight = torch.distributions.Laplace(0.3, 1.0).sample((3, 200))
    settings = {"bits": 3, "symmetric": symmetric, "rest": "float32"}
    found = dequantize(quantize(weight, Quantization(**settings, per=per, range="mse")))
    for row, mine in zip(weight, found, strict=True) if per == "channel" else [(weight, found)]:
        errors = []
        for share in CLIPPINGS:
            low, high = (-row.abs().max(), row.abs().max()) if symmetric else (row.min(), row.max())
            centre = 0.0 if symmetric else row.mean()
            low, high = centre + share * (low - centre), centre + share * (high - centre)
            top = 6 if symmetric else 7
            step = (high - low) / top
            errors.append(float(((((row - low) / step).round().clamp(0, top) * step + low - row) ** 2).sum()))
        assert min(errors) < 0.9 * errors[0]
        assert float(((mine - row) ** 2).sum()) == pytest.approx(min(errors), rel=1e-4)


def test_a_scale_that_half_precision_would_spoil_stays_a_float():
    for weight in (torch.randn(5, 5) * 1e-7, torch.randn(5, 5) * 1e6, 1000 + torch.rand(5, 5)):
        found = dequantize(quantize(weight, Quantization(bits=8)))
        exact = dequantize(quantize(weight, Quantization(bits=8, rest="float32")))
        assert torch.equal(found, exact)
    ordinary = quantize(torch.randn(5, 5), Quantization(bits=8)).scale
    assert torch.equal(ordinary.half().float(), ordinary)


@given(schemes, st.integers(0, 3))
def test_a_state_comes_back_as_its_quantizer_has_it(scheme, seed):
    model = net(seed)
    state, found = model.state_dict(), there_and_back(model, scheme)
    assert set(found) == set(state)
    for name, tensor in state.items():
        assert found[name].shape == tensor.shape
        if name in parameters(model):
            assert torch.equal(found[name], dequantize(quantize(tensor, scheme)))
        elif name.endswith("num_batches_tracked"):
            assert found[name] == 0
        elif tensor.is_floating_point() and scheme.rest == "float16":
            torch.testing.assert_close(found[name], tensor, rtol=1e-3, atol=1e-4)
        else:
            assert torch.equal(found[name].to(tensor.dtype), tensor)
    Net().load_state_dict(found, strict=True)


def test_the_file_is_as_small_as_it_says():
    model = net()
    for scheme in (Quantization(bits=3), Quantization(bits=5, per="channel", symmetric=True, rest="float32")):
        layout = Layout.of(model.state_dict(), parameters(model), scheme)
        packed, exact = pack_state(model.state_dict(), layout)
        assert len(packed) <= 5
        assert exact == ()
        assert sum(t.numel() * t.element_size() for t in packed.values()) == sum(map(layout.size, layout.shapes))
        assert layout.size("second.weight") == layout.size("norm.num_batches_tracked") == 0


@pytest.mark.parametrize("symmetric", [False, True])
def test_one_weight_with_full_scales_does_not_widen_the_others(symmetric, capsys):
    model = nn.Sequential(nn.Linear(6, 40), nn.Linear(40, 40), nn.Linear(40, 3))
    with torch.no_grad():
        model[1].weight.mul_(1e-7)
        model[2].bias.mul_(1e7)
    scheme = Quantization(bits=4, per="channel", symmetric=symmetric)
    state = model.state_dict()
    layout = Layout.of(state, parameters(model), scheme)
    packed, exact = pack_state(state, layout)
    assert exact == ("1.weight", "2.bias")
    assert packed["scales"].dtype == torch.float16
    told = sum(layout.size(name, name in exact) for name in layout.shapes)
    assert told == sum(t.numel() * t.element_size() for t in packed.values())
    assert told > sum(map(layout.size, layout.shapes))
    found = unpack_state(packed, layout, exact)
    for name in layout.weights:
        assert torch.equal(found[name], dequantize(quantize(state[name], scheme)))
    assert "1.weight: scales in float32" in capsys.readouterr().err


def test_some_weights_are_kept_and_some_have_other_sizes():
    model = net()
    scheme = Quantization(bits=4, keep=("conv.*",), bits_of={"lstm.*": 8, "*_hh_*": 2}, rest="float32")
    layout = Layout.of(model.state_dict(), parameters(model), scheme)
    assert layout.weights == {"first.weight": 4, "lstm.weight_hh_l0": 2, "lstm.weight_ih_l0": 8, "one.weight": 4}
    assert torch.equal(there_and_back(model, scheme)["conv.weight"], model.conv.weight)
    with pytest.raises(UserError, match=r"no weight of the model is called 'convs\.\*'"):
        Layout.of(model.state_dict(), parameters(model), Quantization(keep=("convs.*",)))


def test_tied_weights_are_stored_once_and_buffers_are_no_weights():
    model = net()
    assert parameters(model)["second.weight"] == "first.weight"
    assert "table" not in parameters(model)
    layout = Layout.of(model.state_dict(), parameters(model), Quantization())
    assert layout.tied == {"second.weight": "first.weight"}
    assert "table" in layout.rest


def test_the_digest_tells_models_and_schemes_apart():
    def digest(model: nn.Module, **settings: object) -> str:
        return Layout.of(model.state_dict(), parameters(model), Quantization(**settings)).digest

    first = digest(nn.Linear(3, 4))
    assert digest(nn.Linear(3, 4), range="mse") == first
    others = [
        digest(nn.Linear(4, 3)),
        digest(nn.Linear(3, 4), bits=7),
        digest(nn.Linear(3, 4), per="channel"),
        digest(nn.Linear(3, 4), symmetric=True),
        digest(nn.Linear(3, 4), keep=("*",)),
        digest(nn.Sequential(nn.Linear(3, 4))),
    ]
    assert len({first, *others}) == 7


def test_what_half_precision_does_not_hold_stays_a_float(capsys):
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([1e6, 1.0, 0.0]))
        model[1].running_var.copy_(torch.tensor([1e-9, 1.0, 0.0]))
    found = there_and_back(model, Quantization(bits=8))
    assert torch.equal(found["0.bias"], model[0].bias)
    assert torch.equal(found["1.running_var"], model[1].running_var)
    assert "0.bias, 1.running_var: in float32" in capsys.readouterr().err


def test_weights_that_are_not_finite_are_named():
    model = net()
    with torch.no_grad():
        model.conv.weight[0, 0, 0] = float("nan")
    with pytest.raises(UserError, match=r"conv\.weight: not finite"):
        there_and_back(model, Quantization())


def test_a_damaged_file_is_told():
    model = net()
    layout = Layout.of(model.state_dict(), parameters(model), Quantization())
    packed, exact = pack_state(model.state_dict(), layout)
    for name, tensor in packed.items():
        with pytest.raises(UserError, match=f"'{name}' is too short"):
            unpack_state({**packed, name: tensor[:-1]}, layout, exact)
        with pytest.raises(UserError, match=f"'{name}' is too long"):
            unpack_state({**packed, name: torch.cat([tensor, tensor[:1]])}, layout, exact)
    with pytest.raises(UserError, match="too short"):
        unpack_state({}, layout, exact)

"""Sub-band networks: what each band sees, what is counted, and that one band makes a usual CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from voxkit.nn.counting import count
from voxkit.nn.subband import Band, ConvLayer, SubbandCnn

Join = Literal["channel", "frequency"]
FRAMES, FEATURES, CLASSES = 21, 12, 3
FULL = [(0, FEATURES)]
THREE = [(0, 6), (3, 9), (6, 12)]
UNEQUAL = [(0, 5), (4, 9), (8, 12)]


def layers(*channels: int) -> list[ConvLayer]:
    return [ConvLayer(some, (5, 3), (2, 1), (1, 2)) for some in channels]


def network(
    bands: Sequence[Band],
    banded: Sequence[ConvLayer],
    joint: Sequence[ConvLayer],
    concatenate: Join,
    hidden: Sequence[int] = (7,),
    time: Literal["flatten", "mean"] = "flatten",
    norm: bool = True,
) -> SubbandCnn:
    torch.manual_seed(0)
    return SubbandCnn(
        bands, banded, joint, concatenate, hidden, time, FRAMES, FEATURES, CLASSES, dropout=0.0, norm=norm
    ).eval()


def units(layer: nn.Module) -> int:
    """How many inputs a fully connected layer has."""
    assert isinstance(layer, nn.Linear)
    return layer.in_features


@pytest.mark.parametrize(("bands", "concatenate"), [(THREE, "channel"), (THREE, "frequency"), (UNEQUAL, "frequency")])
@pytest.mark.parametrize("band", [0, 1, 2])
def test_a_band_depends_on_its_features_alone(bands: list[Band], concatenate: Join, band: int) -> None:
    net = network(bands, layers(2, 4), [], concatenate)
    x = torch.randn(2, 1, FRAMES, FEATURES)
    begin, end = bands[band]
    for feature in range(FEATURES):
        changed = x.clone()
        changed[..., feature] += 1
        same = torch.equal(net.apart(x)[band], net.apart(changed)[band])
        assert same is not (begin <= feature < end)


def test_equal_bands_at_once_are_as_if_one_by_one() -> None:
    net = network(THREE, layers(2, 4), layers(6), "frequency")
    x = torch.randn(2, 1, FRAMES, FEATURES)
    for number, (begin, end) in enumerate(THREE):
        alone = network([(0, end - begin)], layers(2, 4), [], "channel").banded
        for name, value in alone.state_dict().items():
            part = net.banded.state_dict()[name]
            value.copy_(part.chunk(3)[number] if part.dim() else part)
        torch.testing.assert_close(alone[0](x[..., begin:end]), net.apart(x)[number])


def test_bands_are_joined_as_channels_or_along_the_frequency_axis() -> None:
    x = torch.randn(2, 1, FRAMES, FEATURES)
    ways: list[tuple[Join, int]] = [("channel", 1), ("frequency", 3)]
    for concatenate, axis in ways:
        net = network(THREE, layers(2), layers(4), concatenate)
        joined = net.joint(torch.cat(net.apart(x), axis)).flatten(1)
        torch.testing.assert_close(net(x), net.dense(joined))
    with pytest.raises(ValueError, match="unequal width"):
        network(UNEQUAL, layers(2), layers(4), "channel")


def test_fully_connected_layers_get_frames_or_their_mean() -> None:
    x = torch.randn(2, 1, FRAMES, FEATURES)
    every, mean = network(FULL, layers(4), [], "channel"), network(FULL, layers(4), [], "channel", time="mean")
    assert units(every.dense[1]) == 11 * units(mean.dense[1])
    image = mean.apart(x)[0]
    torch.testing.assert_close(mean(x), mean.dense(image.mean(2).flatten(1)))
    assert units(network(FULL, layers(4), [], "channel", hidden=()).dense[-1]) == 4 * 11 * 6


SIDES = st.tuples(st.integers(1, 4), st.integers(1, 4))
LAYERS = st.builds(ConvLayer, st.integers(1, 4), SIDES, SIDES, SIDES)


def convolved(layer: ConvLayer, size: tuple[int, int]) -> tuple[int, int]:
    """(frames, features) after a convolution that is padded by half its kernel."""
    padded = [length + 2 * (side // 2) - side for length, side in zip(size, layer.kernel, strict=True)]
    frames, features = (length // step + 1 for length, step in zip(padded, layer.stride, strict=True))
    return frames, features


def pooled(layer: ConvLayer, size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // layer.pool[0]), -(-size[1] // layer.pool[1])


@settings(max_examples=60)
@given(
    st.sampled_from([FULL, THREE, UNEQUAL]),
    st.lists(LAYERS, min_size=1, max_size=2),
    st.lists(LAYERS, max_size=2),
    st.booleans(),
    st.sampled_from([(), (5,), (5, 4)]),
    st.booleans(),
)
def test_counts_are_those_of_the_formula(
    bands: list[Band],
    banded: list[ConvLayer],
    joint: list[ConvLayer],
    channel: bool,
    hidden: tuple[int, ...],
    mean: bool,
) -> None:
    concatenate: Join = "channel" if channel and bands is not UNEQUAL else "frequency"
    net = network(bands, banded, joint, concatenate, hidden=hidden, time="mean" if mean else "flatten")
    parameters = multiply_adds = 0
    sizes = [(FRAMES, end - begin) for begin, end in bands]
    wide = 1

    def through(layer: ConvLayer, size: tuple[int, int]) -> tuple[int, int]:
        nonlocal parameters, multiply_adds
        frames, features = convolved(layer, size)
        kernel = layer.kernel[0] * layer.kernel[1] * wide * layer.channels
        parameters += kernel + 2 * layer.channels  # those of the normalisation
        multiply_adds += kernel * frames * features
        return pooled(layer, (frames, features))

    for layer in banded:
        sizes = [through(layer, size) for size in sizes]
        wide = layer.channels
    if concatenate == "channel":
        wide, size = wide * len(bands), sizes[0]
    else:
        size = (sizes[0][0], sum(features for _, features in sizes))
    for layer in joint:
        size = through(layer, size)
        wide = layer.channels
    given_to = wide * size[1] * (1 if mean else size[0])
    for units in (*hidden, CLASSES):
        parameters += (given_to + 1) * units
        multiply_adds += given_to * units
        given_to = units
    counts = count(net, torch.zeros(1, 1, FRAMES, FEATURES))
    assert (counts.parameters, counts.multiply_adds) == (parameters, multiply_adds)


def test_without_normalisation_convolutions_have_biases() -> None:
    with_norm, without = (network(THREE, layers(2), layers(4), "channel", norm=norm) for norm in (True, False))
    extra = sum(p.numel() for p in with_norm.parameters()) - sum(p.numel() for p in without.parameters())
    assert extra == 3 * 2 + 4


def test_statistics_of_normalisation_are_untouched_by_building() -> None:
    net = network(THREE, layers(2), layers(4), "channel")
    means = [value for name, value in net.state_dict().items() if name.endswith("running_mean")]
    assert len(means) == 2
    assert not any(value.any() for value in means)

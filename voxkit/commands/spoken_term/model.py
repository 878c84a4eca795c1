"""The network that tells words, and how a bundle is turned into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from voxkit.commands.spoken_term.command import SpokenTerm
from voxkit.config import from_mapping
from voxkit.data.clips import load_classes
from voxkit.data.clips import load_classes as outputs  # noqa: F401 - what the model's outputs stand for, to other rooms
from voxkit.nn.clip_classifier import ClipClassifier
from voxkit.nn.clip_classifier import graph as graph
from voxkit.nn.specaugment import SpecAugment
from voxkit.nn.subband import ConvLayer, SubbandCnn


def network(config: SpokenTerm, classes: int) -> nn.Module:
    """(B, 1, T, F) to logits (B, C), with random weights; T is the frames of clip.seconds."""
    net, features = config.model, config.features
    layers = len(net.channels)
    per_band = net.band_channels if net.bands > 1 and net.band_channels else [c // net.bands for c in net.channels]
    channels = [*per_band[: net.apart], *net.channels[net.apart :]]
    # one value stands for all layers
    kernels, strides, pools = (given * (layers // len(given)) for given in (net.kernels, net.strides, net.pools))
    convolutions = [ConvLayer(*layer) for layer in zip(channels, kernels, strides, pools, strict=True)]
    return SubbandCnn(
        net.edges(features.dim), convolutions[: net.apart], convolutions[net.apart :], net.concatenate, net.hidden,
        net.time, config.frames, features.dim, classes,
        net.dropout, net.norm,
    )  # fmt: skip


def build(config: SpokenTerm, classes: int) -> ClipClassifier:
    """A model for so many classes, with random weights."""
    masks = SpecAugment(**dict(config.spec_augment))
    return ClipClassifier(network(config, classes), config.features.dim, masks, config.frames)


def from_bundle(config: Mapping[str, Any], assets: Path) -> ClipClassifier:
    """An untrained model of the bundle's shape."""
    return build(from_mapping(SpokenTerm, config, "the bundle's config"), len(load_classes(assets)))

"""The detector's network, and how a bundle is turned into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from voxkit.commands.audio_event.command import AudioEvent
from voxkit.config import from_mapping
from voxkit.data.clips import load_classes
from voxkit.data.clips import load_classes as outputs  # noqa: F401 - what the model's outputs stand for, to other rooms
from voxkit.nn.clip_classifier import ClipClassifier
from voxkit.nn.clip_classifier import graph as graph
from voxkit.nn.sound_cnn import SoundCnn
from voxkit.nn.specaugment import SpecAugment


def network(config: AudioEvent, classes: int) -> nn.Module:
    """(B, 1, T, F) to logits (B, C), with random weights."""
    net = config.model
    return SoundCnn(net.channels, net.depth, net.separable, net.stem, classes, net.dropout)


def build(config: AudioEvent, classes: int) -> ClipClassifier:
    """A model for so many classes, with random weights."""
    masks = SpecAugment(**dict(config.spec_augment))
    return ClipClassifier(network(config, classes), config.features.dim, masks, config.frames)


def from_bundle(config: Mapping[str, Any], assets: Path) -> ClipClassifier:
    """An untrained model of the bundle's shape."""
    return build(from_mapping(AudioEvent, config, "the bundle's config"), len(load_classes(assets)))

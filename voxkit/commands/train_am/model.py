"""The acoustic model: normalise, subsample, encode, and say log posteriors of the units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voxkit.commands.train_am.command import ModelConfig, TrainAm
from voxkit.config import from_mapping
from voxkit.data.lang import Lang
from voxkit.nn.conformer import Conformer
from voxkit.nn.masks import padding_mask
from voxkit.nn.onnx_graph import Graph
from voxkit.nn.recurrent import BiLstm
from voxkit.nn.specaugment import SpecAugment
from voxkit.nn.subsampling import ConvSubsampling
from voxkit.nn.tdnn import Tdnn


class AcousticModel(nn.Module):
    """Features to log posteriors of V units, the blank at 0.

    Args:
        features: F, channels of the input.
        vocabulary: V.
        frame_shift: seconds between two input frames.
    """

    def __init__(self, config: ModelConfig, features: int, vocabulary: int, frame_shift: float) -> None:
        super().__init__()
        self.config = config
        self.frame_shift = frame_shift * config.subsampling
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.mean: Tensor
        self.deviation: Tensor
        augment = config.spec_augment
        self.augment = SpecAugment(
            augment.frequency_masks, augment.frequency_width, augment.time_share, augment.time_width, augment.warp
        )
        self.subsample = ConvSubsampling(features, config.width, config.subsampling, config.channels, config.dropout)
        self.encoder: nn.Module
        if config.encoder == "tdnn":
            self.encoder = Tdnn(config.width, config.kernel, config.dilations, config.dropout)
        elif config.encoder == "conformer":
            self.encoder = Conformer(config.width, config.layers, config.heads, config.kernel, config.dropout)
        else:
            self.encoder = BiLstm(config.width, config.layers, config.dropout)
        self.output = nn.Linear(config.width, vocabulary)

    def output_length(self, lengths: Tensor) -> Tensor:
        """How many output frames an input of so many frames gives."""
        return torch.div(lengths + self.config.subsampling - 1, self.config.subsampling, rounding_mode="floor")

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F), (B,) -> log posteriors (B, T', V) and their lengths (B,)."""
        mask = padding_mask(lengths, features.shape[1])
        x = (features - self.mean) / self.deviation
        if self.config.normalise == "utterance":
            x = x - (x * mask.unsqueeze(2)).sum(1, keepdim=True) / lengths.view(-1, 1, 1)
        x = self.subsample(self.augment(x, lengths), mask)
        lengths = self.output_length(lengths)
        x = self.encoder(x, lengths)
        return nn.functional.log_softmax(self.output(x).float(), dim=-1), lengths


def from_bundle(config: Mapping[str, Any], assets: Path) -> AcousticModel:
    """An untrained model of the bundle's shape."""
    trained = from_mapping(TrainAm, config, "the bundle's config")
    vocabulary = len(Lang.load(assets).tokens)
    return build(trained, vocabulary)


def outputs(assets: Path) -> list[str]:
    """The units that a bundle's model tells apart."""
    return list(Lang.load(assets).tokens)


def build(config: TrainAm, vocabulary: int) -> AcousticModel:
    """An untrained model for V units."""
    from voxkit.data.features import Extractor

    extractor = Extractor(config.features)
    return AcousticModel(config.model, extractor.dim, vocabulary, config.features.frame_shift)


def graph(model: AcousticModel) -> Graph:
    """What an exported model takes and gives: features (B, T, F) and lengths (B,); log_probs (B, T', V) and theirs."""
    random = torch.Generator().manual_seed(0)
    frames = 20 * model.config.subsampling
    noise = torch.randn(2, frames, len(model.mean), generator=random)
    return Graph(
        {"features": model.mean.cpu() + model.deviation.cpu() * noise, "lengths": torch.tensor([frames, frames // 2])},
        ["log_probs", "log_prob_lengths"],
        {
            "features": {0: "utterances", 1: "frames"},
            "lengths": {0: "utterances"},
            "log_probs": {0: "utterances", 1: "output_frames"},
            "log_prob_lengths": {0: "utterances"},
        },
        {"lengths": "frames"},
    )

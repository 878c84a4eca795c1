"""Around the network of every classifier of clips: normalisation before it, masks in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxkit.nn.onnx_graph import Graph
from voxkit.nn.specaugment import SpecAugment


class ClipClassifier(nn.Module):
    """Features of a clip to one logit a class.

    Args:
        net: (B, 1, T, F) normalised features to logits (B, C).
        features: F, channels of the input.
        augment: masks of the normalised features, in training.
        frames: T of a window, which an exported graph takes.
    """

    def __init__(self, net: nn.Module, features: int, augment: SpecAugment, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.mean: Tensor
        self.deviation: Tensor
        self.augment = augment
        self.net = net

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, F) -> logits (B, C)."""
        x = (features - self.mean) / self.deviation
        if self.training:
            x = self.augment(x, torch.full((len(x),), x.shape[1], device=x.device))
        return self.net(x.unsqueeze(1))


def graph(model: ClipClassifier) -> Graph:
    """What an exported classifier takes and gives: features (B, T, F) of whole windows, logits (B, C)."""
    example = torch.zeros(2, model.frames, len(model.mean))
    return Graph({"features": example}, ["logits"], {"features": {0: "clips"}, "logits": {0: "clips"}})

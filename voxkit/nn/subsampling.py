"""Convolutions that look at time and frequency and keep every n-th frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvSubsampling(nn.Module):
    """Two 3x3 convolutions over time and frequency, then a projection of all channels.

    The first keeps every frame, the second every `factor`-th; each halves the frequency axis.
    T frames become ceil(T / factor).
    """

    def __init__(self, features: int, width: int, factor: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.factor = factor
        kernel = max(3, 2 * (factor // 2) + 1)
        self.first = nn.Conv2d(1, channels, 3, stride=(1, 2), padding=1)
        self.second = nn.Conv2d(channels, channels, (kernel, 3), stride=(factor, 2), padding=(kernel // 2, 1))
        bands = (features + 3) // 4
        self.project = nn.Linear(channels * bands, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F), (B, T) bool, True on valid frames -> (B, T', C); padding does not reach valid frames."""
        y = torch.relu(self.first((x * mask.unsqueeze(2)).unsqueeze(1)))
        y = y * mask[:, None, :, None]  # what the bias made of padding
        y = torch.relu(self.second(y))  # (B, channels, T', F / 4)
        return self.dropout(self.norm(self.project(y.transpose(1, 2).flatten(2))))

"""SpecAugment (Park et al. 2019): masks over time and frequency, and a warp of the frequency axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpecAugment(nn.Module):
    """Masks blocks of channels and of frames with zeros (the mean, after normalisation), in training only.

    Args:
        frequency_masks: how many blocks of channels.
        frequency_width: the largest block [channels].
        time_share: the share of an utterance's frames that all time masks may cover together, in [0, 1].
        time_width: the largest time mask [frames].
        warp: the largest relative stretch of the frequency axis, as by a longer or shorter vocal tract
            (Jaitly and Hinton 2013); 0 for none.
    """

    def __init__(
        self, frequency_masks: int, frequency_width: int, time_share: float, time_width: int, warp: float
    ) -> None:
        super().__init__()
        self.frequency_masks, self.frequency_width = frequency_masks, frequency_width
        self.time_share, self.time_width = time_share, time_width
        self.warp = warp

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, F), (B,) -> (B, T, F)."""
        if not self.training:
            return features
        if self.warp > 0:
            features = self._stretch(features)
        batch, frames, channels = features.shape
        device = features.device
        keep = torch.ones_like(features, dtype=torch.bool)
        channel = torch.arange(channels, device=device)
        for _ in range(self.frequency_masks):
            width = torch.randint(0, self.frequency_width + 1, (batch, 1), device=device)
            start = (torch.rand(batch, 1, device=device) * (channels - width + 1)).long()
            keep &= ~((channel >= start) & (channel < start + width)).unsqueeze(1)
        if self.time_width > 0:
            frame = torch.arange(frames, device=device)
            count = max(1, round(self.time_share * frames / self.time_width * 2))  # the mean width is half the largest
            for _ in range(count if self.time_share > 0 else 0):
                width = torch.randint(0, self.time_width + 1, (batch, 1), device=device)
                width = torch.minimum(width, (self.time_share * lengths.unsqueeze(1)).long())
                start = (torch.rand(batch, 1, device=device) * (lengths.unsqueeze(1) - width + 1)).long()
                used = torch.rand(batch, 1, device=device) < lengths.unsqueeze(1) / frames  # fewer in short ones
                keep &= ~((frame >= start) & (frame < start + width) & used).unsqueeze(2)
        return features * keep

    def _stretch(self, features: Tensor) -> Tensor:
        """Read channel c at c * (1 + a), linearly interpolated, with one `a` per utterance."""
        batch, frames, channels = features.shape
        factor = 1 + self.warp * (2 * torch.rand(batch, 1, device=features.device) - 1)
        position = (torch.arange(channels, device=features.device) * factor).clamp(0, channels - 1)  # (B, F)
        low = position.floor().long().clamp(max=channels - 2)
        share = (position - low).unsqueeze(1).to(features.dtype)
        index = low.unsqueeze(1).expand(batch, frames, channels)
        return features.gather(2, index) * (1 - share) + features.gather(2, index + 1) * share

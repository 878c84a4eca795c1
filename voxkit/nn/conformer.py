"""The Conformer (Gulati et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.models import Conformer as Layers

from voxkit.nn.masks import padding_mask


class Conformer(nn.Module):
    """torchaudio's layers, in which padding does not reach valid frames.

    torchaudio masks padding in the attention only; its depth-wise convolutions would carry it over the end of a short
    utterance, whose posteriors would then depend on what else is in the batch.
    """

    def __init__(self, width: int, layers: int, heads: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.layers = Layers(width, heads, 4 * width, layers, kernel, dropout=dropout, convolution_first=True)
        self._mask: Tensor | None = None
        for module in self.layers.modules():
            if isinstance(module, nn.Conv1d) and module.groups > 1:
                module.register_forward_pre_hook(self._silence_padding)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, T, C)."""
        frames = x.shape[1]
        longest = int(lengths.max())  # torchaudio takes no padding behind the longest utterance
        self._mask = padding_mask(lengths, longest).unsqueeze(1).to(x.dtype)
        try:
            y, _ = self.layers(x[:, :longest], lengths)
            return nn.functional.pad(y, (0, 0, 0, frames - longest))
        finally:
            self._mask = None

    def _silence_padding(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """Zero the padding of a convolution's input (B, C, T)."""
        return inputs[0] if self._mask is None else torch.mul(inputs[0], self._mask)

"""The Conformer (Gulati et al. 2020)."""

from __future__ import annotations

from typing import Any

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
            elif isinstance(module, nn.MultiheadAttention):
                module.register_forward_pre_hook(_exportable, with_kwargs=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, T, C)."""
        frames = x.shape[1]
        if torch.onnx.is_in_onnx_export():  # a number taken from `lengths` would be that of the example for ever
            return self._masked(x, padding_mask(lengths, frames))
        longest = int(lengths.max())  # attention costs its square
        y = self._masked(x[:, :longest], padding_mask(lengths, longest))
        return nn.functional.pad(y, (0, 0, 0, frames - longest))

    def _masked(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, C), (B, T) bool, True on valid frames -> (B, T, C)."""
        self._mask = valid.unsqueeze(1).to(x.dtype)
        try:
            x = x.transpose(0, 1)
            for layer in self.layers.conformer_layers:
                x = layer(x, ~valid)
            return x.transpose(0, 1)
        finally:
            self._mask = None

    def _silence_padding(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        """Zero the padding of a convolution's input (B, C, T)."""
        return inputs[0] if self._mask is None else torch.mul(inputs[0], self._mask)


def _exportable(
    module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """In an export, give attention its keys as another tensor than its queries.

    With one tensor for both, it computes the same in a way of which the graph has the example's length for ever.
    """
    if torch.onnx.is_in_onnx_export():
        options = {**options, "key": options["key"].clone()}
    return inputs, options

"""Time-delay networks: dilated, depth-wise separable convolutions with residual connections."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from voxkit.nn.masks import padding_mask


class SeparableBlock(nn.Module):
    """Depth-wise convolution over time, then a gated point-wise expansion, around a residual connection."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(
            width, width, kernel, dilation=dilation, padding=dilation * (kernel - 1) // 2, groups=width
        )
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C), (B, T, 1) -> (B, T, C)."""
        y = self.depthwise((x * mask).transpose(1, 2)).transpose(1, 2)
        y = self.down(self.dropout(nn.functional.silu(self.up(self.norm(y)))))
        return x + self.dropout(y)


class Tdnn(nn.Module):
    """A stack of `SeparableBlock`s, one per dilation."""

    def __init__(self, width: int, kernel: int, dilations: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(SeparableBlock(width, kernel, dilation, dropout) for dilation in dilations)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, T, C)."""
        mask = padding_mask(lengths, x.shape[1]).unsqueeze(2).to(x.dtype)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)

"""Which frames of a padded batch are valid."""

from __future__ import annotations

import torch
from torch import Tensor


def padding_mask(lengths: Tensor, frames: int) -> Tensor:
    """(B,) -> (B, T) bool, True on valid frames."""
    return torch.arange(frames, device=lengths.device) < lengths.unsqueeze(1)

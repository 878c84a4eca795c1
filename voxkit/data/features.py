"""Features as torch tensors, for training and decoding on the fly; the arithmetic is `frontend`'s."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxkit.data.feature_config import FeatureConfig
from voxkit.data.frontend import FrontEnd


class Extractor:
    """Computes features of audio at `config.sampling_rate`; copies of it (one per worker) give the same values."""

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        self._front_end = FrontEnd(config)

    @property
    def dim(self) -> int:
        """Values per frame, F."""
        return self.config.dim

    @property
    def frame_shift(self) -> float:
        """From one frame to the next [s]."""
        return self.config.frame_shift

    def num_frames(self, num_samples: int) -> int:
        """Frames T of so many samples."""
        return self.config.num_frames(num_samples)

    def __call__(self, samples: NDArray[np.float32] | Tensor) -> Tensor:
        """Features of mono `samples` (N,) or (1, N) in [-1, 1]: float32 (T, F) on the CPU.

        Raises:
            ValueError: more than one channel.
        """
        array = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else np.asarray(samples)
        if array.ndim == 2 and array.shape[0] == 1:
            array = array[0]
        if array.ndim != 1:
            raise ValueError(f"expected mono samples (N,), not an array of shape {array.shape}")
        return torch.from_numpy(self._front_end(array.astype(np.float32, copy=False)))

    def batch(self, signals: Sequence[NDArray[np.float32] | Tensor], padding: float = 0.0) -> tuple[Tensor, Tensor]:
        """Features of B signals, padded at the end: float32 (B, T, F) and their lengths, int64 (B,)."""
        return pad_features([self(signal) for signal in signals], padding)


def pad_features(features: Sequence[Tensor], padding: float = 0.0) -> tuple[Tensor, Tensor]:
    """Stack B matrices (T_i, F), padded at the end: float32 (B, max T_i, F) and the lengths T_i, int64 (B,)."""
    lengths = torch.tensor([len(matrix) for matrix in features], dtype=torch.int64)
    padded = torch.nn.utils.rnn.pad_sequence(
        [matrix.float() for matrix in features], batch_first=True, padding_value=padding
    )
    return padded, lengths

"""Convolutional networks that look at bands of the frequency axis apart from each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Band = tuple[int, int]
Pair = tuple[int, int]


class ConvLayer(NamedTuple):
    """One convolution with what follows it.

    Attributes:
        channels: C_out; of each band where bands are apart.
        kernel, stride: (time, frequency).
        pool: side of the maxima that are kept, (time, frequency); what is left over at the end has one too.
    """

    channels: int
    kernel: Pair
    stride: Pair
    pool: Pair


class SubbandCnn(nn.Module):
    """Convolutions that are apart for each band, then convolutions over all, then fully connected layers.

    After Kao et al. 2019, "Sub-band convolutional neural networks for small-footprint spoken term classification": a
    pattern means other things at other frequencies, so that each band has kernels of its own. B bands with C / B
    channels each take 1 / B of the multiply-adds of C channels over all features. A further layer that is apart for
    each band too takes 1 / B^2 of those, and one over all bands 1 / B: it sees 1 / B of the frequencies where bands are
    joined as channels, and 1 / B of the channels where they are joined along the frequency axis.

    Args:
        bands: of the features, [begin, end) each, from low to high; one that has all makes a usual CNN.
        banded: the layers that are apart for each band, at least one.
        joint: the layers after these, over all bands.
        concatenate: what the bands' outputs become; bands of unequal width are joined along the frequency axis only.
        hidden: units of fully connected layers before the output.
        time: what the fully connected layers get: all frames ("flatten") or their mean.
        frames, features: T and F of the input.
        classes: C.
        dropout: probability, before each fully connected layer.
        norm: whether each convolution is followed by batch normalisation.

    Raises:
        ValueError: bands of unequal width that should be joined as channels.
    """

    def __init__(
        self,
        bands: Sequence[Band],
        banded: Sequence[ConvLayer],
        joint: Sequence[ConvLayer],
        concatenate: Literal["channel", "frequency"],
        hidden: Sequence[int],
        time: Literal["flatten", "mean"],
        frames: int,
        features: int,
        classes: int,
        dropout: float,
        norm: bool,
    ) -> None:
        super().__init__()
        self._bands, self._concatenate, self._time = list(bands), concatenate, time
        self._equal = len({end - begin for begin, end in bands}) == 1
        if concatenate == "channel" and not self._equal:
            raise ValueError("bands of unequal width cannot be joined as channels")
        # groups of one convolution compute what convolutions of their own would, at once
        groups = [len(bands)] if self._equal else [1] * len(bands)
        self.banded = nn.ModuleList(_stack(number, banded, number, norm) for number in groups)
        apart = len(bands) if concatenate == "channel" else 1
        self.joint = _stack(apart * banded[-1].channels, joint, 1, norm)
        with torch.no_grad():
            self.eval()
            size = self._convolved(torch.zeros(1, 1, frames, features)).shape[1]
            self.train()
        dense: list[nn.Module] = []
        for units in hidden:
            dense += [nn.Dropout(dropout), nn.Linear(size, units), nn.ReLU()]
            size = units
        self.dense = nn.Sequential(*dense, nn.Dropout(dropout), nn.Linear(size, classes))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, T, F) -> logits (B, C)."""
        logits: Tensor = self.dense(self._convolved(x))
        return logits

    def apart(self, x: Tensor) -> list[Tensor]:
        """(B, 1, T, F) -> of each band (B, C_band, T', F_band), which depends on its features alone."""
        parts = [x[..., begin:end] for begin, end in self._bands]
        if not self._equal:
            return [stack(part) for stack, part in zip(self.banded, parts, strict=True)]
        joined: Tensor = self.banded[0](torch.cat(parts, 1))
        return list(joined.chunk(len(parts), 1))

    def _convolved(self, x: Tensor) -> Tensor:
        """(B, 1, T, F) -> what the fully connected layers get (B, D)."""
        x = torch.cat(self.apart(x), 1 if self._concatenate == "channel" else 3)
        x = self.joint(x)
        return (x if self._time == "flatten" else x.mean(2)).flatten(1)


def _stack(channels: int, layers: Sequence[ConvLayer], groups: int, norm: bool) -> nn.Sequential:
    """Convolutions, each with normalisation, rectifier and pooling, that keep so many groups of channels apart."""
    parts: list[nn.Module] = []
    for layer in layers:
        wide = groups * layer.channels
        padding = (layer.kernel[0] // 2, layer.kernel[1] // 2)
        parts.append(nn.Conv2d(channels, wide, layer.kernel, layer.stride, padding, groups=groups, bias=not norm))
        if norm:
            parts.append(nn.BatchNorm2d(wide))
        parts.append(nn.ReLU())
        if layer.pool != (1, 1):
            parts.append(nn.MaxPool2d(layer.pool, ceil_mode=True))
        channels = wide
    return nn.Sequential(*parts)

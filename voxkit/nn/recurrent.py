"""Recurrent encoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from voxkit.nn.masks import padding_mask


class BiLstm(nn.Module):
    """Bidirectional LSTM layers of `width / 2` cells a direction, with dropout after each."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            width, width // 2, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, T, C)."""
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.dropout(output)


def reversed_places(lengths: Tensor, mask: Tensor) -> Tensor:
    """(B,), (B, T) -> (B, T): where the items of each sequence are when it is read backwards; padding stays last.

    `x.gather(1, places)` turns sequences round, and round again. A forward LSTM over these does what the backward
    direction of a bidirectional one does, whatever the sequences are padded to, and no sequence has to be packed, which
    ONNX cannot.
    """
    place = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, lengths.unsqueeze(1) - 1 - place, place)


class PaddedBiLstm(nn.Module):
    """A bidirectional LSTM layer over padded sequences."""

    def __init__(self, inputs: int, cells: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(inputs, cells, batch_first=True)
        self.behind = nn.LSTM(inputs, cells, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, T, 2 cells)."""
        back = self._back(x, lengths)
        behind = self.behind(x.gather(1, back.expand_as(x)))[0]
        return torch.cat([self.ahead(x)[0], behind.gather(1, back.expand_as(behind))], dim=2)

    def last(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, 2 cells): the states of both directions after their last items."""
        behind = self.behind(x.gather(1, self._back(x, lengths).expand_as(x)))[0]
        both = torch.cat([self.ahead(x)[0], behind], dim=2)
        return both.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, both.shape[2])).squeeze(1)

    @staticmethod
    def _back(x: Tensor, lengths: Tensor) -> Tensor:
        return reversed_places(lengths, padding_mask(lengths, x.shape[1])).unsqueeze(2)

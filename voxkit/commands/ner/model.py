"""A BiLSTM-CRF over words that are read by their characters, phones, bytes, or known as a whole.

Abujabal & Gaspers, "Neural named entity recognition from subword units", Interspeech 2019.

Shapes: B sentences, T words, N distinct words, L symbols, D width of a word's vector, C tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voxkit.commands.ner.command import Ner
from voxkit.commands.ner.crf import Crf, Scores
from voxkit.commands.ner.tables import FILE, PAD, Tables
from voxkit.config import from_mapping
from voxkit.nn.onnx_graph import Graph
from voxkit.nn.recurrent import PaddedBiLstm


class Speller(nn.Module):
    """Reads a word symbol by symbol, from both ends."""

    def __init__(self, symbols: int, width: int, cells: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width, padding_idx=PAD)
        self.lstm = PaddedBiLstm(width, cells)

    def forward(self, symbols: Tensor, lengths: Tensor) -> Tensor:
        """(N, L), (N,) -> (N, 2 cells)."""
        return self.lstm.last(self.embedding(symbols), lengths)


class NerModel(nn.Module):
    """Tags of words."""

    def __init__(self, config: Ner, tables: Tables) -> None:
        super().__init__()
        self.tables, self.units = tables, config.units
        self.words: nn.Embedding | None = None
        width = 0
        if "words" in config.units:
            self.words = nn.Embedding(len(tables.symbols["words"]), config.words.width, padding_idx=PAD)
            nn.init.normal_(self.words.weight, std=config.words.width**-0.5)
            width += config.words.width
        sizes = config.subwords
        self.spellers = nn.ModuleDict(
            {unit: Speller(len(tables.symbols[unit]), sizes.width, sizes.cells) for unit in config.subword_units()}
        )
        width += 2 * sizes.cells * len(self.spellers)
        cells = config.model.cells
        layers = range(config.model.layers)
        self.layers = nn.ModuleList(PaddedBiLstm(2 * cells if number else width, cells) for number in layers)
        self.output = nn.Linear(2 * cells, len(tables.tags))
        self.crf = Crf(tables.tags)
        self.dropout = nn.Dropout(config.model.dropout)

    def vectors(self, *parts: Tensor) -> Tensor:
        """The vectors (N, D) of distinct words.

        Args:
            parts: in the order of the units: for words their numbers (N,), for each other unit its symbols (N, L) and
                how many there are (N,).
        """
        waiting = iter(parts)
        found = [] if self.words is None else [self.words(next(waiting))]
        for speller in self.spellers.values():
            found.append(speller(next(waiting), next(waiting)))
        return torch.cat(found, dim=1)

    def emissions(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D), (B,) -> (B, T, C): a score for each tag of each word."""
        x = self.dropout(x)
        for layer in self.layers:
            x = self.dropout(layer(x, lengths))
        return self.output(x).float()

    def forward(self, lengths: Tensor, places: Tensor, *parts: Tensor) -> Scores:
        """How many words each sentence has (B,), which of the distinct words they are (B, T), and these (see
        `vectors`) -> the CRF's scores."""
        return Scores(self.emissions(self.vectors(*parts)[places], lengths), *self.crf())


def from_bundle(config: Mapping[str, Any], assets: Path) -> NerModel:
    """An untrained model of the bundle's shape."""
    ours = from_mapping(Ner, config, "the bundle's config")
    return NerModel(ours, Tables.load(assets / FILE, ours.units))


def graph(model: NerModel) -> Graph:
    """The forward pass, to be exported: any number of sentences, words and symbols."""
    examples: dict[str, Tensor] = {"lengths": torch.tensor([3, 2]), "places": torch.tensor([[0, 1, 2], [2, 1, 0]])}
    axes: dict[str, Mapping[int, str]] = {"lengths": {0: "sentences"}, "places": {0: "sentences", 1: "words"}}
    lengths, indices = {"lengths": "words"}, dict[str, str | int](places="distinct")
    for unit, names in model.tables.symbols.items():
        indices[unit], rows = len(names), {0: "distinct"}
        if unit == "words":
            examples[unit], axes[unit] = torch.tensor([1, 1, 1]), rows
            continue
        counts = f"{unit}_lengths"
        examples[unit] = torch.ones(3, 5, dtype=torch.int64)
        examples[counts], lengths[counts] = torch.tensor([5, 2, 1]), f"{unit}_symbols"
        axes[unit], axes[counts] = {**rows, 1: lengths[counts]}, rows
    axes["emissions"] = axes["places"]
    return Graph(examples, Scores._fields, axes, lengths, indices)

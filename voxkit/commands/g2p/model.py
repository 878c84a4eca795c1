"""Encoder-decoder networks from letters to phones, for many languages at once.

Shapes: B words, T letters, U phones, N hypotheses, C channels, H heads, V phones in the table, L languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxkit.commands.g2p.command import G2p, ModelConfig
from voxkit.commands.g2p.search import Hypothesis
from voxkit.commands.g2p.tables import FILE, LONGEST, PAD, START, Tables
from voxkit.config import from_mapping
from voxkit.nn.masks import padding_mask
from voxkit.nn.recurrent import reversed_places

NEVER = -1e4  # the log odds of a phone that may not be said; half precision holds it

State = tuple[Tensor, ...]


class Encoded(NamedTuple):
    """What the decoder knows of words: `memory` does not change from phone to phone, `state` does.

    All tensors have the words (or their hypotheses) first. `languages` (B, L) are log probabilities.
    """

    memory: State
    state: State
    languages: Tensor


class Attention(nn.Module):
    """Scaled dot-product attention of queries to the letters."""

    def __init__(self, queries: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(queries, width), nn.Linear(width, width)
        self.value, self.output = nn.Linear(width, width), nn.Linear(width, width)

    def split(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, H, T, C/H)."""
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def remember(self, letters: Tensor) -> State:
        """(B, T, C) -> keys and values, (B, H, T, C/H) each."""
        return self.split(self.key(letters)), self.split(self.value(letters))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """(N, U, Q), (N, H, T, C/H) twice, and which may be seen (N, 1, 1, T) or None -> (N, U, C)."""
        found = functional.scaled_dot_product_attention(self.split(self.query(queries)), keys, values, attn_mask=mask)
        return self.output(found.transpose(1, 2).flatten(2))


class LstmEncoder(nn.Module):
    """Bidirectional LSTM layers with residual connections."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        half = config.width // 2
        layers = range(config.layers)
        self.forwards = nn.ModuleList(nn.LSTM(config.width, half, batch_first=True) for _ in layers)
        self.backwards = nn.ModuleList(nn.LSTM(config.width, half, batch_first=True) for _ in layers)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C), (B,), (B, T) -> (B, T, C)."""
        back = reversed_places(lengths, mask).unsqueeze(2)
        for number, (forwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            ahead, _ = forwards(x)
            behind, _ = backwards(x.gather(1, back.expand_as(x)))
            found = torch.cat([ahead, behind.gather(1, back.expand_as(behind))], dim=2)
            x = self.dropout(found) + x if number else self.dropout(found)
        return x


class LstmDecoder(nn.Module):
    """LSTM layers, each followed by a look at the letters, which the next one takes in (as in GNMT, Wu et al. 2016)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, cells = config.width, config.decoder_width
        inputs = [width + config.language_width] + [cells + width] * (config.decoder_layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(size, cells, batch_first=True) for size in inputs)
        self.looks = nn.ModuleList(Attention(cells, width, config.heads) for _ in inputs)
        self.first = nn.Linear(width, cells)
        self.output = nn.Linear(cells + width, width)
        self.dropout = nn.Dropout(config.dropout)
        self.cells = cells

    def remember(self, letters: Tensor) -> State:
        return tuple(part for look in self.looks if isinstance(look, Attention) for part in look.remember(letters))

    def begin(self, mean: Tensor) -> State:
        """(B, C) -> hidden and cell of each layer, (B, cells)."""
        first = torch.tanh(self.first(mean))
        nothing = torch.zeros_like(first)
        return (first, nothing) + (nothing, nothing) * (len(self.layers) - 1)

    def forward(self, x: Tensor, memory: State, mask: Tensor, state: State) -> tuple[Tensor, State]:
        """(N, U, C + language), the letters, which of them there are (N, 1, 1, T), state -> (N, U, C), new state."""
        after: list[Tensor] = []
        before: Tensor | None = None
        for number, (lstm, look) in enumerate(zip(self.layers, self.looks, strict=True)):
            hidden, cell = state[2 * number : 2 * number + 2]
            found, hidden, cell = _run(lstm, x, hidden, cell)
            found = self.dropout(found)
            before = found if before is None else found + before
            x = torch.cat([before, look(before, *memory[2 * number : 2 * number + 2], mask)], dim=2)
            after += [hidden, cell]
        return self.dropout(torch.tanh(self.output(x))), tuple(after)


def _run(lstm: nn.Module, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, U, C), hidden and cell (N, cells) -> (N, U, cells) and both afterwards.

    One step alone is that of a cell, which on a CPU is faster than a sequence of one: oneDNN would bring the weights
    into its own order each time.
    """
    if x.shape[1] == 1 and isinstance(lstm, nn.LSTM) and not (lstm.training or torch.onnx.is_in_onnx_export()):
        weights = lstm.all_weights[0]  # input, hidden, and a bias of each
        hidden, cell = torch.lstm_cell(x[:, 0], (hidden, cell), weights[0], weights[1], weights[2], weights[3])
        return hidden.unsqueeze(1), hidden, cell
    found, (last, kept) = lstm(x, (hidden.unsqueeze(0), cell.unsqueeze(0)))
    return found, last.squeeze(0), kept.squeeze(0)


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward part, each behind a layer norm; a decoder's looks at the letters in between."""

    def __init__(self, config: ModelConfig, decodes: bool) -> None:
        super().__init__()
        width = config.width
        self.own, self.own_norm = Attention(width, width, config.heads), nn.LayerNorm(width)
        self.look = Attention(width, width, config.heads) if decodes else None
        self.look_norm = nn.LayerNorm(width) if decodes else None
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(config.dropout)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, mask: Tensor, past: State = (), letters: State = (), letter_mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """(N, U, C) -> (N, U, C) and the keys and values (N, U', C) of these places and the `past` ones.

        `mask` (N or 1, 1, U or 1, U') says what may be seen.
        """
        y = self.own_norm(x)
        keys, values = self.own.key(y), self.own.value(y)
        if past:
            keys, values = torch.cat([past[0], keys], dim=1), torch.cat([past[1], values], dim=1)
        x = x + self.dropout(self.own(y, self.own.split(keys), self.own.split(values), mask))
        if self.look is not None and self.look_norm is not None:
            x = x + self.dropout(self.look(self.look_norm(x), *letters, letter_mask))
        return x + self.dropout(self.outer(functional.gelu(self.inner(self.norm(x))))), (keys, values)


class TransformerEncoder(nn.Module):
    """Pre-norm Transformer with learnt positions (Vaswani et al. 2017)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.positions = nn.Embedding(LONGEST, config.width)
        self.layers = nn.ModuleList(TransformerLayer(config, decodes=False) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C), (B,), (B, T) -> (B, T, C)."""
        x = x + self.positions.weight[: x.shape[1]]
        for layer in self.layers:
            x, _ = layer(x, mask[:, None, None])
        return self.norm(x)


class TransformerDecoder(nn.Module):
    """The same with looks at the letters. Its state are the keys and values of the phones so far, (N, U, C) a layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.positions = nn.Embedding(LONGEST, config.width)
        self.input = nn.Linear(config.width + config.language_width, config.width)
        self.layers = nn.ModuleList(TransformerLayer(config, decodes=True) for _ in range(config.decoder_layers))
        self.norm, self.dropout = nn.LayerNorm(config.width), nn.Dropout(config.dropout)

    def remember(self, letters: Tensor) -> State:
        looks = [layer.look for layer in self.layers if isinstance(layer, TransformerLayer)]
        return tuple(part for look in looks if look is not None for part in look.remember(letters))

    def begin(self, mean: Tensor) -> State:
        """No phones yet: (B, 0, C)."""
        nothing = mean.new_zeros(mean.shape[0], 0, mean.shape[1])
        return (nothing,) * (2 * len(self.layers))

    def forward(self, x: Tensor, memory: State, mask: Tensor, state: State) -> tuple[Tensor, State]:
        """(N, U, C + language), the letters, which of them there are (N, 1, 1, T), state -> (N, U, C), new state."""
        past, here = state[0].shape[1], x.shape[1]
        places = torch.arange(past + here, device=x.device)
        x = self.dropout(self.input(x)) + self.positions(places[past:])
        causal = (places <= places[past:].unsqueeze(1))[None, None]
        after: State = ()
        for number, layer in enumerate(self.layers):
            pair = slice(2 * number, 2 * number + 2)
            x, found = layer(x, causal, state[pair], memory[pair], mask)
            after += found
        return self.norm(x), after


class G2pModel(nn.Module):
    """Letters to phones.

    Sokolov, Rohlin, Rastrow, "Neural machine translation for multilingual grapheme-to-phoneme conversion", Interspeech
    2019: one attentive encoder-decoder for all languages, which also learns which languages have the word.
    """

    def __init__(self, config: ModelConfig, tables: Tables) -> None:
        super().__init__()
        self.tables = tables
        lstm = config.kind == "lstm"
        languages = len(tables.languages)
        self.letters = nn.Embedding(len(tables.letters), config.width, padding_idx=PAD)
        self.phones = nn.Embedding(len(tables.phones), config.width)
        self.letter_language = nn.Embedding(languages, config.language_width)
        self.phone_language = nn.Embedding(languages, config.language_width)
        self.input = nn.Linear(config.width + config.language_width, config.width)
        self.encoder = LstmEncoder(config) if lstm else TransformerEncoder(config)
        self.decoder = LstmDecoder(config) if lstm else TransformerDecoder(config)
        self.output = nn.Linear(config.width, len(tables.phones))
        self.guess = nn.Linear(config.width, languages)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("allowed", torch.from_numpy(tables.allowed), persistent=False)
        self.allowed: Tensor

    def encode(self, letters: Tensor, lengths: Tensor, language: Tensor) -> Encoded:
        """(B, T), (B,), (B,) -> what the decoder starts with."""
        mask = padding_mask(lengths, letters.shape[1])
        tongue = self.letter_language(language).unsqueeze(1).expand(-1, letters.shape[1], -1)
        x = self.dropout(self.input(torch.cat([self.letters(letters), tongue], dim=2)))
        x = self.encoder(x, lengths, mask)
        mean = (x * mask.unsqueeze(2)).sum(1) / lengths.unsqueeze(1)
        guess = functional.log_softmax(self.guess(self.dropout(mean)).float(), dim=1)
        return Encoded((mask[:, None, None], *self.decoder.remember(x)), self.decoder.begin(mean), guess)

    def decode(self, previous: Tensor, language: Tensor, memory: State, state: State) -> tuple[Tensor, State]:
        """The phones before (N, U), languages (N,), memory and state -> log probabilities (N, U, V) and new state."""
        tongue = self.phone_language(language).unsqueeze(1).expand(-1, previous.shape[1], -1)
        x = self.dropout(torch.cat([self.phones(previous), tongue], dim=2))
        x, state = self.decoder(x, memory[1:], memory[0], state)
        scores = self.output(x).float().masked_fill(~self.allowed[language].unsqueeze(1), NEVER)
        return functional.log_softmax(scores, dim=2), state

    def forward(self, letters: Tensor, lengths: Tensor, language: Tensor, phones: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T), (B,), (B,) and the phones to say (B, U), ending with the end: log probabilities of each, given those
        before it (B, U, V), and of the word's languages (B, L)."""
        encoded = self.encode(letters, lengths, language)
        previous = functional.pad(phones[:, :-1], (1, 0), value=START)
        return self.decode(previous, language, encoded.memory, encoded.state)[0], encoded.languages

    def pronounce(self, words: Sequence[tuple[str, str]], beam: int = 5, nbest: int = 1) -> list[list[Hypothesis]]:
        """Pronunciations of words with their languages ("" is an unknown one), for other rooms that load the bundle."""
        from voxkit.commands.g2p.pronounce import Pronouncer
        from voxkit.commands.g2p.torch_scorer import TorchScorer

        return Pronouncer([TorchScorer(self)], beam).pronounce(words, nbest)


def build(config: G2p, tables: Tables) -> G2pModel:
    """An untrained model."""
    return G2pModel(config.model, tables)


def from_bundle(config: Mapping[str, Any], assets: Path) -> G2pModel:
    """An untrained model of the bundle's shape."""
    return build(from_mapping(G2p, config, "the bundle's config"), Tables.load(assets / FILE))

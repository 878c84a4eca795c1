"""Language models that read word after word: LSTM and Transformer.

Raju, Filimonov, Tiwari, Lan & Rastrow, "Scalable multi corpora neural language models for ASR", Interspeech 2019.

Shapes: B sentences, T words, N positions or hypotheses, V vocabulary, W width, L layers.

What a model remembers of the words before is a `State`: tensors with one row for each of N hypotheses, so that
hypotheses are chosen, doubled and joined by rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voxkit.commands.lm_nce.command import LmNce, ModelConfig
from voxkit.commands.lm_nce.objective import cross_entropy
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, UNKNOWN, Vocabulary
from voxkit.config import from_mapping
from voxkit.nn.onnx_graph import Graph

State = tuple[Tensor, ...]  # each (N, ...)


def take(state: State, rows: Tensor) -> State:
    """The state of some hypotheses, (M,) of the N rows."""
    return tuple(part.index_select(0, rows) for part in state)


class Lstm(nn.Module):
    """LSTM layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.layers = nn.ModuleList(nn.LSTM(width, width, batch_first=True) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        for layer in self.layers:
            x = self.dropout(layer(x)[0])
        return x

    def start(self, rows: int) -> State:
        """Output and cell of each layer, two tensors (N, L, W) of zeros."""
        weight = self._weights(0)[1]
        return (weight.new_zeros(rows, len(self.layers), weight.shape[1]),) * 2

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(N, W) and a state -> (N, W) and the next state."""
        outputs, cells = [], []
        for number in range(len(self.layers)):
            enters, returns, bias, other = self._weights(number)
            gates = F.linear(x, enters, bias) + F.linear(state[0][:, number], returns, other)
            enter, keep, new, show = gates.chunk(4, dim=1)
            cell = keep.sigmoid() * state[1][:, number] + enter.sigmoid() * new.tanh()
            x = show.sigmoid() * cell.tanh()
            outputs.append(x)
            cells.append(cell)
        return x, (torch.stack(outputs, 1), torch.stack(cells, 1))

    def _weights(self, layer: int) -> Sequence[Tensor]:
        """Of the input and of the last output, (4 W, W) each, and the biases beside them."""
        weights: Sequence[Tensor] = cast(nn.LSTM, self.layers[layer]).all_weights[0]
        return weights

    def join(self, states: Sequence[State]) -> State:
        """The rows of several states in one."""
        return tuple(torch.cat(parts) for parts in zip(*states, strict=True))


class Block(nn.Module):
    """Causal self-attention and a feed-forward network, each after a norm (pre-norm Transformer)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.rate = config.heads, config.dropout
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.projection, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(config.dropout)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, W) -> queries, keys and values (B, heads, T, W / heads)."""
        query, key, value = (
            self.projection(self.norms[0](x)).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        )
        return query, key, value

    def finish(self, x: Tensor, heard: Tensor) -> Tensor:
        """What comes in, and what attention (B, heads, T, W / heads) found for it."""
        x = x + self.dropout(self.mix(heard.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.feed(self.norms[1](x)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        rate = self.rate if self.training else 0.0
        query, key, value = self.parts(x)
        return self.finish(x, F.scaled_dot_product_attention(query, key, value, dropout_p=rate, is_causal=True))


class Transformer(nn.Module):
    """Transformer blocks with sinusoidal positions (Vaswani et al. 2017)."""

    rates: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.width = config.width
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        # what a word adds to the sum over the blocks would make it likely to come again where tables are tied
        nn.init.constant_(self.norm.weight, config.width**-0.5)
        rates = torch.exp(torch.arange(0, config.width, 2) * (-math.log(10000.0) / config.width))
        self.register_buffer("rates", rates, persistent=False)

    def _placed(self, x: Tensor, places: Tensor) -> Tensor:
        """Embeddings with the position of each, `places` of their shape without the last axis."""
        angles = places.unsqueeze(-1) * self.rates
        return x * math.sqrt(self.width) + torch.cat([angles.sin(), angles.cos()], dim=-1).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        x = self._placed(x, torch.arange(x.shape[1], device=x.device).expand(x.shape[:2]))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def start(self, rows: int) -> State:
        """Keys and values (N, L, heads, T, W / heads) of T = 0 words, and how many of them count for each (N,)."""
        heads, weight = self._block(0).heads, self.norm.weight
        empty = weight.new_zeros(rows, len(self.blocks), heads, 0, self.width // heads)
        return empty, empty, weight.new_zeros(rows, dtype=torch.int64)

    def advance(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(N, W) and a state -> (N, W) and the next state. Hypotheses may have read different numbers of words."""
        keys, values, lengths = state
        place = torch.arange(keys.shape[3] + 1, device=x.device)
        heard = (place < lengths.unsqueeze(1)) | (place == keys.shape[3])  # (N, T + 1): words before, and this one
        x = self._placed(x, lengths).unsqueeze(1)
        mine: list[tuple[Tensor, Tensor]] = []
        for number in range(len(self.blocks)):
            block = self._block(number)
            query, key, value = block.parts(x)
            mine.append((key, value))
            both = [torch.cat([old[:, number], new], 2) for old, new in ((keys, key), (values, value))]
            x = block.finish(x, F.scaled_dot_product_attention(query, both[0], both[1], attn_mask=heard[:, None, None]))
        # the new word goes after the last that counts, so that a row's words are its first
        grown = []
        for old, new in ((keys, [key for key, _ in mine]), (values, [value for _, value in mine])):
            room = torch.cat([old, torch.zeros_like(old[:, :, :, :1]) if old.shape[3] else torch.stack(new, 1)], 3)
            where = lengths.view(-1, 1, 1, 1, 1).expand(-1, *room.shape[1:3], 1, room.shape[4])
            grown.append(room.scatter(3, where, torch.stack(new, 1)))
        return self.norm(x.squeeze(1)), (grown[0], grown[1], lengths + 1)

    def _block(self, number: int) -> Block:
        return cast(Block, self.blocks[number])

    def join(self, states: Sequence[State]) -> State:
        """The rows of several states in one, with room for the longest and no more."""
        longest = max((int(lengths.max()) for _, _, lengths in states if len(lengths)), default=0)
        padded = [[F.pad(part, (0, 0, 0, longest - part.shape[3])) for part in state[:2]] for state in states]
        keys, values = (torch.cat([pair[which] for pair in padded]) for which in range(2))
        return keys, values, torch.cat([lengths for _, _, lengths in states])


class LmModel(nn.Module):
    """Scores of words after words: s(w, h), which self-normalised training makes ln P(w | h)."""

    def __init__(self, config: LmNce, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary, size, shape = vocabulary, len(vocabulary), config.model
        self.embedding = nn.Embedding(size, shape.width)
        nn.init.normal_(self.embedding.weight, std=shape.width**-0.5)
        self.body: Lstm | Transformer = Lstm(shape) if shape.kind == "lstm" else Transformer(shape)
        self.output = nn.Linear(shape.width, size)
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.constant_(self.output.bias, -math.log(size))
        self.tied = shape.tie
        if shape.tie:
            self.output.weight = self.embedding.weight
        self.dropout = nn.Dropout(shape.dropout)

    def hidden(self, inputs: Tensor) -> Tensor:
        """(B, T) words -> (B, T, W) what is known after each."""
        return self.body(self.dropout(self.embedding(inputs)))

    def forward(self, inputs: Tensor, *more: Any) -> tuple[Tensor, ...]:
        """`training_scores` of batches (B, T), or one `step` of hypotheses (N,), which is what is exported."""
        return self.training_scores(inputs, *more) if inputs.dim() == 2 else self.step(inputs, *more)

    def training_scores(
        self, inputs: Tensor, targets: Tensor, real: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """What the loss needs of a batch, over its N places that are real.

        Args:
            inputs: (B, T) words.
            targets: (B, T) the word after each.
            real: (B, T) whether it counts.
            noise: (K,) words to score beside the targets; none: all words.

        Returns:
            The cross-entropy, summed over the places; or the scores of the targets (N,) and of the noise (N, K).
        """
        wanted, weight, bias = targets[real], self.output.weight, self.output.bias
        if noise is None:
            return (cross_entropy(self.hidden(inputs)[real], weight, bias, wanted),)
        asked = torch.cat([wanted, noise])
        if self.tied:  # one gradient of the whole table and not several
            table = F.embedding(torch.cat([inputs.flatten(), asked]), weight)
            read, rows = table[: inputs.numel()].view(*inputs.shape, -1), table[inputs.numel() :]
        else:
            read, rows = self.embedding(inputs), F.embedding(asked, weight)
        known, biases, count = self.body(self.dropout(read))[real], bias[asked], len(wanted)
        target = (known * rows[:count]).sum(1) + biases[:count]
        return target, F.linear(known, rows[count:], biases[count:])

    def step(self, words: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """N hypotheses read a word each, and M words are scored after them.

        Args:
            words: (N,).
            more: the parts of the state, the words to score (M,), and for each the hypothesis that it comes after (M,).

        Returns:
            The scores (M,), what is known after the hypotheses (N, W), the parts of their states, and of the words that
            were scored the rows of the table of outputs (M, W) and their biases (M,).
        """
        *state, asked, parents = more
        known, after = self.advance(words, tuple(state))
        rows, biases = self.output.weight[asked], self.output.bias[asked]
        return (known[parents] * rows).sum(1) + biases, known, *after, rows, biases

    def scores(self, hidden: Tensor, words: Tensor) -> Tensor:
        """(N, W) and a word for each (N,) -> (N,) its score: no sum over the vocabulary."""
        return (hidden * self.output.weight[words]).sum(1) + self.output.bias[words]

    def all_scores(self, hidden: Tensor) -> Tensor:
        """(N, W) -> (N, V)."""
        return self.output(hidden)

    def start(self, rows: int) -> State:
        """The state of N hypotheses that have not read anything, not even the beginning of the sentence."""
        return self.body.start(rows)

    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """N hypotheses read a word each, (N,) -> (N, W), and their states after it."""
        return self.body.advance(self.embedding(words), state)

    def join(self, states: Sequence[State]) -> State:
        """The rows of several states in one."""
        return self.body.join(states)


def from_bundle(config: Mapping[str, Any], assets: Path) -> LmModel:
    """An untrained model of the bundle's shape."""
    ours = from_mapping(LmNce, config, "the bundle's config")
    return LmModel(ours, Vocabulary.load(assets))


@torch.no_grad()
def graph(model: LmModel) -> Graph:
    """One step of hypotheses, to be exported; see `LmModel.step`. What a Transformer remembers is a word at least."""
    state = model.start(2)
    for _ in range(3):  # so that a Transformer has a past of which the length is seen
        _, state = model.advance(torch.tensor([END, BEGIN]), state)
    names = [f"state{number}" for number in range(len(state))]
    row, asked = {0: "hypotheses"}, {0: "asked"}
    past = [{**row, **({3: "past"} if part.dim() == 5 else {})} for part in state]
    after = [{**row, **({3: "read"} if part.dim() == 5 else {})} for part in state]
    examples = (torch.tensor([END, BEGIN]), *state, torch.tensor([END, UNKNOWN, END]), torch.tensor([0, 1, 0]))
    inputs = {"words": row, **dict(zip(names, past, strict=True)), "asked": asked, "parents": asked}
    outputs = {"scores": asked, "hidden": row, **{f"after{n}": axes for n, axes in enumerate(after)}}
    outputs |= {"rows": asked, "biases": asked}
    return Graph(
        dict(zip(inputs, examples, strict=True)),
        list(outputs),
        {**inputs, **outputs},
        {name: "past" for name, part in zip(names, state, strict=True) if part.dim() == 1},
        {"words": len(model.vocabulary), "asked": len(model.vocabulary), "parents": "hypotheses"},
        tables=True,
    )

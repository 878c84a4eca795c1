"""`g2p export`: a model as ONNX graphs, which say what torch says.

Two graphs: `encoder.onnx` takes words once, `decoder.onnx` one phone of every hypothesis. Batch, letters and phones so
far have any length. Names and shapes are those of `G2pModel.encode` and `decode`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit import __version__, bundle
from voxkit.bundle import ASSETS
from voxkit.commands.g2p.model import G2pModel
from voxkit.commands.g2p.onnx_scorer import AFTER, FORMAT, MEMORY, STATE, OnnxScorer
from voxkit.commands.g2p.pronounce import ONNX
from voxkit.commands.g2p.search import Array, Begun, Numbers, beam_search
from voxkit.commands.g2p.tables import FILE, UNKNOWN, WORD_END, Tables
from voxkit.commands.g2p.torch_scorer import TorchScorer
from voxkit.errors import UserError
from voxkit.nn import onnx_graph
from voxkit.nn.onnx_graph import Graph
from voxkit.rundir import digest, output, read_config

TOLERANCE = 1e-3  # of the log probability of each phone at each step
IMPROBABLE = -20.0  # log probability below which differences do not matter
CHECKED = ((1, 1), (3, 7), (40, 12), (5, 30))  # words and their most letters, in batches that are compared
BEAM = 4

Arrays = tuple[NDArray[np.generic], ...]
Axes = Mapping[str, Mapping[int, str]]


class _Encode(nn.Module):
    """`G2pModel.encode` with a flat list of outputs."""

    def __init__(self, model: G2pModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, letters: Tensor, lengths: Tensor, language: Tensor) -> tuple[Tensor, ...]:
        encoded = self.model.encode(letters, lengths, language)
        return (*encoded.memory, *encoded.state, encoded.languages)


class _Decode(nn.Module):
    """One step of `G2pModel.decode` with flat lists of inputs, of which `remembered` are memory, and outputs."""

    def __init__(self, model: G2pModel, remembered: int) -> None:
        super().__init__()
        self.model, self.remembered = model, remembered

    def forward(self, previous: Tensor, language: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        memory, state = parts[: self.remembered], parts[self.remembered :]
        log_probs, after = self.model.decode(previous.unsqueeze(1), language, memory, state)
        return (log_probs[:, 0], *after)


def run(model: Path, out: Path) -> None:
    """Write a bundle's model as ONNX into a folder that is complete or absent.

    Raises:
        UserError: no model of `g2p train` there, no onnx or onnxruntime, or graphs that say other things than torch.
    """
    onnx_graph.require("g2p export")
    folder = bundle.locate(model)
    if (system := read_config(folder).get("system")) != "g2p":
        raise UserError(f"{model}: a model of {system}, not of g2p", fix="give a folder of g2p train")
    file = bundle.weights(folder)
    if file.name == bundle.ONNX:
        raise UserError(f"{model}: is an ONNX graph already", fix="give the bundle that it was made from")
    weights = digest(file)
    spec = {"model": weights, "tables": digest(folder / ASSETS / FILE), "format": FORMAT}
    with output(out, "g2p export", spec, resumable=False) as place:
        if not place.done:
            scorer = TorchScorer.load(folder)
            scorer.tables.save(place.work / FILE)
            facts = {
                "format": FORMAT,
                "voxkit": __version__,
                "model": weights,
                "tables": digest(place.work / FILE),
                "languages": " ".join(filter(None, scorer.tables.languages)),
                "config": json.dumps(read_config(folder)["config"]),
            }
            _write(scorer.model, place.work, facts)
            worst = difference(scorer, OnnxScorer(place.work))
            onnx_graph.agree(out, "log probabilities", worst, TOLERANCE)
    print(out)


def _write(model: G2pModel, folder: Path, facts: Mapping[str, str]) -> None:
    """Write both graphs."""
    letters, lengths = torch.tensor([[UNKNOWN, UNKNOWN, WORD_END], [UNKNOWN, WORD_END, 0]]), torch.tensor([3, 2])
    language, previous = torch.tensor([0, 0]), torch.tensor([1, 1])
    with torch.inference_mode():
        encoded = model.encode(letters, lengths, language)
        state = encoded.state
        for _ in range(2):  # so that a Transformer has a past of which the length is seen
            _, state = model.decode(previous.unsqueeze(1), language, encoded.memory, state)
    memory_axes: Axes = {
        f"{MEMORY}{n}": {0: "words", part.dim() - 1 if part.dtype == torch.bool else 2: "letters"}
        for n, part in enumerate(encoded.memory)
    }
    grows = [part.shape != first.shape for part, first in zip(state, encoded.state, strict=True)]
    state_axes: Axes = {f"{STATE}{n}": {0: "words", **({1: "past"} if g else {})} for n, g in enumerate(grows)}
    after_axes: Axes = {f"{AFTER}{n}": {0: "words", **({1: "phones"} if g else {})} for n, g in enumerate(grows)}
    row: Mapping[int, str] = {0: "words"}
    heads: Axes = {"letters": {0: "words", 1: "letters"}, "lengths": row, "language": row}
    encoder_out: Axes = {**memory_axes, **state_axes, "languages": row}
    examples: tuple[Tensor, ...] = (letters, lengths, language)
    encoder = Graph(dict(zip(heads, examples, strict=True)), list(encoder_out), {**heads, **encoder_out})
    onnx_graph.write(_Encode(model), encoder, folder / ONNX[0], facts)
    step: Axes = {"previous": row, "language": row, **memory_axes, **state_axes}
    returned: Axes = {"log_probs": row, **after_axes}
    examples = (previous, language, *encoded.memory, *state)
    decoder = Graph(dict(zip(step, examples, strict=True)), list(returned), {**step, **returned})
    onnx_graph.write(_Decode(model, len(encoded.memory)), decoder, folder / ONNX[1], facts)


class _Both:
    """A scorer that asks two, goes on with what the first says, and keeps the largest difference between them.

    Each has its own state, so that what they differ in adds up as it would.
    """

    def __init__(self, first: TorchScorer, second: OnnxScorer) -> None:
        self.first, self.second = first, second
        self.tables: Tables = first.tables
        self.worst = 0.0
        self.parts = (0, 0)

    def begin(self, letters: Numbers, lengths: Numbers, language: Numbers) -> Begun:
        one, other = (scorer.begin(letters, lengths, language) for scorer in (self.first, self.second))
        self._compare(one.languages, other.languages)
        self.parts = len(one.memory), len(one.state)
        return Begun((*one.memory, *other.memory), (*one.state, *other.state), one.languages)

    def step(self, previous: Numbers, language: Numbers, memory: Arrays, state: Arrays) -> tuple[Array, Arrays]:
        remembered, kept = self.parts
        log_probs, after = self.first.step(previous, language, memory[:remembered], state[:kept])
        others, after_others = self.second.step(previous, language, memory[remembered:], state[kept:])
        self._compare(log_probs, others)
        return log_probs, (*after, *after_others)

    def _compare(self, one: Array, other: Array) -> None:
        gap = float(np.abs(np.maximum(one, IMPROBABLE) - np.maximum(other, IMPROBABLE)).max())
        self.worst = max(self.worst, gap if np.isfinite(gap) else np.inf)


def difference(first: TorchScorer, second: OnnxScorer, seed: int = 0) -> float:
    """The largest difference of log probabilities in whole searches for the pronunciations of random words."""
    both, random = _Both(first, second), np.random.default_rng(seed)
    tables = first.tables
    for words, longest in CHECKED:
        sizes: Sequence[int] = random.integers(1, longest, words, endpoint=True).tolist()
        letters = [[*random.integers(UNKNOWN, len(tables.letters), size).tolist(), WORD_END] for size in sizes]
        beam_search([both], letters, random.integers(0, len(tables.languages), words).tolist(), BEAM)
    return both.worst

"""A trained language model that scores words one after the other: in torch, or as a graph that onnxruntime runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.model import LmModel, Lstm, State, Transformer
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, FILE, Vocabulary
from voxkit.config import from_mapping
from voxkit.errors import UserError
from voxkit.onnx_model import OnnxModel
from voxkit.packed import not_finite
from voxkit.rundir import digest

AT_ONCE = 1 << 23  # scores of whole vocabularies that are held in memory


class Scorer(Protocol):
    """What rescoring, perplexities and sampling ask of a model. N hypotheses, V vocabulary, W width."""

    vocabulary: Vocabulary
    normalised: bool

    def start(self, rows: int) -> State:
        """The state of N hypotheses that have not read anything, not even the beginning of the sentence."""

    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """N hypotheses read a word each, (N,) -> what they know (N, W), and their states after it."""

    def scores(self, hidden: Tensor, words: Tensor) -> Tensor:
        """(N, W) and a word for each (N,) -> ln P of it (N,): the score itself, or less ln Z where `normalised`."""

    def all_scores(self, hidden: Tensor) -> Tensor:
        """(N, W) -> the scores of all words (N, V), not normalised."""

    def log_z(self, hidden: Tensor) -> Tensor:
        """(N, W) -> ln of the sum of exp(score) over the vocabulary (N,)."""

    def join(self, states: Sequence[State]) -> State:
        """The rows of several states in one."""


class TableScorer:
    """Scores by a table of outputs.

    Args:
        weight, bias: of the words, (V, W) and (V,).
        normalised: take ln Z off each score, which costs a sum over the vocabulary.
    """

    def __init__(self, vocabulary: Vocabulary, weight: Tensor, bias: Tensor, normalised: bool = False) -> None:
        self.vocabulary, self.normalised = vocabulary, normalised
        self.weight, self.bias = weight.detach(), bias.detach()

    @torch.inference_mode()
    def scores(self, hidden: Tensor, words: Tensor) -> Tensor:
        """(N, W) and a word for each (N,) -> ln P of it (N,)."""
        found = (hidden * self.weight[words]).sum(1) + self.bias[words]
        return found - self.log_z(hidden) if self.normalised else found

    @torch.inference_mode()
    def all_scores(self, hidden: Tensor) -> Tensor:
        """(N, W) -> (N, V)."""
        return F.linear(hidden, self.weight, self.bias)

    @torch.inference_mode()
    def log_z(self, hidden: Tensor) -> Tensor:
        """(N, W) -> (N,), in memory that does not grow with N."""
        rows = max(1, AT_ONCE // len(self.vocabulary))
        parts = [self.all_scores(some).logsumexp(1) for some in torch.split(hidden, rows)]
        return torch.cat(parts) if parts else hidden.new_zeros(0)


class TorchScorer(TableScorer):
    """A model in eval mode, on whatever device it is."""

    def __init__(self, model: LmModel, normalised: bool = False) -> None:
        super().__init__(model.vocabulary, model.output.weight, model.output.bias, normalised)
        self.model = model

    def start(self, rows: int) -> State:
        """The state of N hypotheses that have not read anything."""
        return self.model.start(rows)

    @torch.inference_mode()
    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """(N,) words -> (N, W), and the states after them."""
        return self.model.advance(words, state)

    def join(self, states: Sequence[State]) -> State:
        """The rows of several states in one."""
        return self.model.join(states)


class OnnxScorer(TableScorer):
    """A graph of `lm-nce export` or of `quantize --int8`, see `voxkit.commands.lm_nce.model.graph`.

    The table of outputs, dequantised, is read out of the graph once, and kept in torch.
    """

    def __init__(self, graph: OnnxModel, config: LmNce, vocabulary: Vocabulary, normalised: bool = False) -> None:
        self.graph, shape = graph, config.model
        self.body = (Lstm if shape.kind == "lstm" else Transformer)(shape).requires_grad_(False)  # for shapes of states
        self._nothing = torch.zeros(0, dtype=torch.int64)
        everything = torch.arange(len(vocabulary))
        parents = torch.zeros_like(everything)
        *_, weight, bias = self.graph(torch.zeros(1, dtype=torch.int64), *self.start(1), everything, parents)
        super().__init__(vocabulary, weight, bias, normalised)

    def start(self, rows: int) -> State:
        """The state of N hypotheses that have not read anything. A Transformer's has room for a word from the start."""
        return _with_room(self.body.start(rows))

    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        """(N,) words -> (N, W), and the states after them."""
        if not len(words):
            return self.weight[words], state
        _, hidden, *after = self.graph(words, *state, self._nothing, self._nothing)
        return hidden, tuple(after[: len(state)])

    def join(self, states: Sequence[State]) -> State:
        """The rows of several states in one."""
        return _with_room(self.body.join(states))


def _with_room(state: State) -> State:
    """A Transformer's graph reads a word at least."""
    return tuple(F.pad(part, (0, 0, 0, 1)) if part.dim() == 5 and part.shape[3] == 0 else part for part in state)


def facts_of(assets: Path) -> dict[str, str]:
    """What a graph tells of a bundle's words, so that it is not used with others."""
    return {"vocabulary": digest(assets / FILE)}


def scorer_of(loaded: Bundle, normalised: bool = False, path: Path | None = None) -> TorchScorer | OnnxScorer:
    """The scorer of a loaded bundle.

    Raises:
        UserError: a model of another system, weights that are not finite, or a graph that has another vocabulary than
            its bundle.
    """
    where = path or loaded.path
    if loaded.system != "lm_nce":
        raise UserError(f"{where}: a model of {loaded.system}, not of lm-nce", fix="give a folder of lm-nce train")
    fix = "copy the bundle again, or train it again"
    if isinstance(loaded.model, OnnxModel):
        config = from_mapping(LmNce, loaded.config, f"{loaded.path}: config")
        if not facts_of(loaded.assets).items() <= loaded.model.facts.items():
            raise UserError(f"{where}: {FILE} is that of another model", fix="copy the bundle again")
        scorer = OnnxScorer(loaded.model, config, Vocabulary.load(loaded.assets), normalised)
        if not_finite({"weight": scorer.weight, "bias": scorer.bias, "hidden": _said(scorer)}):
            raise UserError(f"{where}: has weights that are no numbers", fix=fix)
        return scorer
    if not isinstance(loaded.model, LmModel):
        raise TypeError(f"scores by an LmModel, not a {type(loaded.model).__name__}")
    if not_finite(loaded.model.state_dict()):
        raise UserError(f"{where}: has weights that are no numbers", fix=fix)
    return TorchScorer(loaded.model, normalised)


def _said(scorer: OnnxScorer) -> Tensor:
    """(3, W) what a graph, whose weights are not to be seen, makes of the beginning of a sentence and two words."""
    hidden, state = scorer.advance(torch.tensor([BEGIN]), scorer.start(1))
    for word in (END, len(scorer.vocabulary) - 1):
        again, state = scorer.advance(torch.tensor([word]), state)
        hidden = torch.cat([hidden, again])
    return hidden


def open_scorer(path: Path, normalised: bool = False, threads: int = 1) -> TorchScorer | OnnxScorer:
    """Load an experiment, bundle, quantized bundle, or what `lm-nce export` wrote.

    Args:
        normalised: scores are true log probabilities, which takes a sum over the vocabulary for each.
        threads: of torch, or of onnxruntime.

    Raises:
        UserError: no model there, or one of another system.
    """
    torch.set_num_threads(threads)
    return scorer_of(bundle.load(path), normalised, path)

"""How well a language model foresees text, with its scores normalised and taken as they are.

Shapes: B sentences, T words, N places, V vocabulary, W width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from voxkit.commands.lm_nce.model import State
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, UNKNOWN, Vocabulary
from voxkit.data.batching import plan

Window = NDArray[np.integer]  # the word before, and the words to foresee
_WORDS = 4096  # in a batch
_CELLS = 1 << 23  # scores at a time, of all words at some places


class Windows(Protocol):
    """Windows in a list or on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Window: ...


class Reader(Protocol):
    """What knows something after each word, and scores all words after it: an `LmModel`, or `Stepwise`."""

    def hidden(self, inputs: Tensor) -> Tensor:
        """(B, T) words -> (B, T, W)."""

    def all_scores(self, hidden: Tensor) -> Tensor:
        """(N, W) -> (N, V)."""


class Stepper(Protocol):
    """A `Scorer`: one word at a time."""

    def start(self, rows: int) -> State: ...

    def advance(self, words: Tensor, state: State) -> tuple[Tensor, State]: ...

    def all_scores(self, hidden: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Stepwise:
    """Reads sentences one word at a time. A `Reader`."""

    scorer: Stepper

    def hidden(self, inputs: Tensor) -> Tensor:
        """(B, T) words -> (B, T, W)."""
        state, known = self.scorer.start(len(inputs)), []
        for words in inputs.unbind(1):
            after, state = self.scorer.advance(words, state)
            known.append(after)
        return torch.stack(known, 1)

    def all_scores(self, hidden: Tensor) -> Tensor:
        """(N, W) -> (N, V)."""
        return self.scorer.all_scores(hidden)


@dataclass(frozen=True)
class Foreseen:
    """What a model says of a window, for each word after the first: `score` s (T,) and `log_z` (T,), ln of the sum of
    exp(s) over the vocabulary. ln P is s - ln Z, and s alone where the model is self-normalised."""

    score: NDArray[np.float32]
    log_z: NDArray[np.float32]


@torch.no_grad()
def foresee(model: Reader, windows: Sequence[Window], device: torch.device | str = "cpu") -> list[Foreseen]:
    """What a model in eval mode says of windows, in their order; in memory that does not grow with V times words.

    Args:
        windows: each the word before, and the words to foresee, at least one.
        device: where the model is.
    """
    found: list[Foreseen | None] = [None] * len(windows)
    lengths = np.array([len(window) - 1 for window in windows])
    for batch in plan(lengths, max(_WORDS, *lengths), shuffle=False) if len(windows) else []:
        rows = [torch.from_numpy(np.asarray(windows[index], dtype=np.int64)) for index in batch]
        padded = pad_sequence(rows, batch_first=True, padding_value=END).to(device)
        real = torch.arange(padded.shape[1] - 1) < torch.from_numpy(lengths[batch]).unsqueeze(1)
        known = model.hidden(padded[:, :-1])[real.to(device)]
        score, log_z = _scores(model, known, padded[:, 1:][real.to(device)])
        ends = np.cumsum(lengths[batch])[:-1]
        for index, one, other in zip(batch, np.split(score, ends), np.split(log_z, ends), strict=True):
            found[index] = Foreseen(one, other)
    return [one for one in found if one is not None]


def _scores(model: Reader, known: Tensor, words: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The scores of the words (N,), and ln Z (N,)."""
    first = model.all_scores(known[:1])
    rows = max(1, _CELLS // first.shape[1])
    parts = []
    for some, wanted in zip(torch.split(known, rows), torch.split(words, rows), strict=True):
        scores = model.all_scores(some).float()
        parts.append(torch.stack([scores.gather(1, wanted.unsqueeze(1)).squeeze(1), scores.logsumexp(1)]))
    score, log_z = torch.cat(parts, 1).cpu().numpy()
    return score, log_z


@dataclass(frozen=True)
class Evaluation:
    """How well a text is foreseen.

    Unknown words are left out of the probabilities, but are part of what comes before other words. A word of several
    pieces has the sum of their ln P. The end of a sentence is a word too in perplexities, though not in `words`.

    Attributes:
        words: known ones.
        unknown: words that were left out.
        sentences: ends of sentences.
        log_normalised: sum of ln P = s - ln Z.
        log_self: sum of s, ln P for a self-normalised model.
        mean_ln_z, var_ln_z: over all places, those of unknown words too.
    """

    words: int
    unknown: int
    sentences: int
    log_normalised: float
    log_self: float
    mean_ln_z: float
    var_ln_z: float

    @property
    def perplexity(self) -> float:
        """With true probabilities."""
        return _perplexity(self.log_normalised, self.words + self.sentences)

    @property
    def self_perplexity(self) -> float:
        """With the scores as they are; no perplexity of anything where ln Z is not 0."""
        return _perplexity(self.log_self, self.words + self.sentences)

    def lines(self, name: str) -> list[str]:
        """What the user reads, of a text called so."""
        counts = f"{self.words} words, {self.sentences} sentences, {self.unknown} unknown"
        return [
            f"%PPL {self.perplexity:.2f} [ normalised, {counts} ] {name}",
            f"%PPL {self.self_perplexity:.2f} [ self-normalised, {counts} ] {name}",
            f"ln Z mean {self.mean_ln_z:.4f} variance {self.var_ln_z:.4f} {name}",
        ]


def evaluate(
    model: Reader, windows: Sequence[Window], vocabulary: Vocabulary, device: torch.device | str = "cpu"
) -> Evaluation:
    """How well a model in eval mode foresees windows; see `foresee`."""
    return summed(foresee(model, windows, device), windows, vocabulary)


def summed(found: Sequence[Foreseen], windows: Sequence[Window], vocabulary: Vocabulary) -> Evaluation:
    """The evaluation of what a model said of windows."""
    starts = _starts(vocabulary)
    words = unknown = sentences = 0
    log_normalised = log_self = 0.0
    all_z = np.concatenate([one.log_z for one in found]).astype(np.float64) if found else np.zeros(1)
    for one, window in zip(found, windows, strict=True):
        kept, begun, lost = counted(np.asarray(window[1:]), starts)
        ends = int((window[1:] == END).sum())
        words, unknown, sentences = words + begun - ends, unknown + lost, sentences + ends
        log_self += float(one.score[kept].sum(dtype=np.float64))
        log_normalised += float((one.score[kept].astype(np.float64) - one.log_z[kept]).sum())
    return Evaluation(words, unknown, sentences, log_normalised, log_self, float(all_z.mean()), float(all_z.var()))


def counted(tokens: Window, starts: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int, int]:
    """Which tokens count, how many words they are (ends of sentences among them), and how many words are left out.

    Args:
        tokens: (T,).
        starts: (V,) whether a word begins with the token.
    """
    begins = starts[tokens]
    begins[:1] = True  # the rest of a word that was cut
    word = np.cumsum(begins) - 1
    bad = np.zeros(int(begins.sum()), dtype=np.bool_)
    bad[word[tokens == UNKNOWN]] = True
    return ~bad[word], int((~bad).sum()), int(bad.sum())


def _starts(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """(V,) whether a word begins with the token."""
    if vocabulary.pieces is None:
        return np.ones(len(vocabulary), dtype=np.bool_)
    fixed = {BEGIN, END, *(vocabulary.class_id(name) for name in vocabulary.classes)}
    return np.array([n in fixed or token.startswith("\u2581") for n, token in enumerate(vocabulary.tokens)])


def some_windows(windows: Windows, words: int) -> Iterator[Window]:
    """The first windows, until there are so many words."""
    for place in range(len(windows)):
        if words <= 0:
            return
        yield np.array(windows[place])
        words -= len(windows[place]) - 1


def _perplexity(log_probability: float, words: int) -> float:
    mean = -log_probability / max(words, 1)
    return math.exp(mean) if mean < 700 else math.inf

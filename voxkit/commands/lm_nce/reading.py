"""Texts as a language model reads them: sentences of words, and the tokens of each word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from voxkit.commands.lm_nce.counting import marked
from voxkit.commands.lm_nce.perplexity import Foreseen, Reader, Stepwise, foresee
from voxkit.commands.lm_nce.scorer import OnnxScorer, TorchScorer
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, UNKNOWN, Vocabulary
from voxkit.data.batching import plan
from voxkit.data.sentences import sentences
from voxkit.data.text import normaliser

WORDS = 4096  # in a batch
AT_ONCE = 5000  # sentences that are ordered by length

Window = NDArray[np.int64]


@dataclass(frozen=True)
class Sentence:
    """Words, and what they are to a model.

    Attributes:
        words: as the model's normaliser writes them.
        tokens: (N + 1,) of the words, and of the end of the sentence.
        counts: (T + 1,) how many tokens each word has, and the end.
    """

    words: Sequence[str]
    tokens: Window
    counts: Window

    @classmethod
    def of(cls, words: Sequence[str], vocabulary: Vocabulary) -> Sentence:
        """Of normalised words."""
        ids = [vocabulary.word_ids(word) for word in words]
        tokens = [token for some in ids for token in some]
        counts = np.array([*map(len, ids), 1], dtype=np.int64)
        return cls(words, np.array([*tokens, END], dtype=np.int64), counts)

    def windows(self, longest: int) -> list[Window]:
        """What a model reads at once: the token before, and at most so many tokens to foresee."""
        whole = np.concatenate([[BEGIN], self.tokens])
        return [whole[start : start + longest + 1] for start in range(0, len(self.tokens), longest)]

    def known(self) -> NDArray[np.bool_]:
        """(T + 1,) whether the model knows all of each word; the end is known."""
        return (self.summed((self.tokens == UNKNOWN).astype(np.float64)) == 0) & (self.counts > 0)

    def summed(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N + 1,) of tokens -> (T + 1,) their sums over each word."""
        word = np.repeat(np.arange(len(self.counts)), self.counts)
        return np.bincount(word, values, minlength=len(self.counts)).astype(np.float64)


def read(path: Path, vocabulary: Vocabulary) -> Iterator[Sentence]:
    """The sentences of a text or manifest.

    Raises:
        UserError, DataError: see `voxkit.data.sentences.sentences`.
    """
    for words in sentences(path, marked(normaliser(vocabulary.normaliser))):
        yield Sentence.of(words, vocabulary)


def groups(some: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """Lists of sentences that are read together."""
    left = iter(some)
    while found := list(islice(left, AT_ONCE)):
        yield found


def reader_of(scorer: TorchScorer | OnnxScorer) -> Reader:
    """What reads whole sentences: the model, or a graph word by word."""
    return scorer.model if isinstance(scorer, TorchScorer) else Stepwise(scorer)


def normalised(reader: Reader, some: Sequence[Sentence], longest: int) -> list[Foreseen]:
    """Scores of the tokens of each sentence, and ln Z before each."""
    windows = [one.windows(longest) for one in some]
    found = iter(foresee(reader, [window for several in windows for window in several]))
    parts = [[next(found) for _ in several] for several in windows]
    return [
        Foreseen(np.concatenate([p.score for p in several]), np.concatenate([p.log_z for p in several]))
        for several in parts
    ]


@torch.inference_mode()
def self_normalised(
    scorer: TorchScorer | OnnxScorer, some: Sequence[Sentence], longest: int
) -> list[NDArray[np.float32]]:
    """Scores of the tokens of each sentence alone, without a sum over the vocabulary."""
    windows = [window for one in some for window in one.windows(longest)]
    lengths = np.array([len(window) - 1 for window in windows], dtype=np.int64)
    found: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(windows)
    for batch in plan(lengths, max(WORDS, *lengths), shuffle=False) if windows else []:
        padded = pad_sequence([torch.from_numpy(windows[place]) for place in batch], True, END)
        real = torch.arange(padded.shape[1] - 1) < torch.from_numpy(lengths[batch]).unsqueeze(1)
        known = reader_of(scorer).hidden(padded[:, :-1])[real]
        scores = scorer.scores(known, padded[:, 1:][real]).numpy()
        for place, one in zip(batch, np.split(scores, np.cumsum(lengths[batch])[:-1]), strict=True):
            found[place] = one
    parts = iter(found)
    return [np.concatenate([next(parts) for _ in one.windows(longest)]) for one in some]

"""A language model's probabilities of the words of texts, beside those of an n-gram model and mixed with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.lm_nce.perplexity import Evaluation
from voxkit.decode.arpa import Arpa
from voxkit.decode.interpolation import em
from voxkit.errors import UserError

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass
class Found:
    """What a model says of texts, one array for each sentence; the end of a sentence is a word.

    Attributes:
        score: s of each word, ln P of a self-normalised model.
        log_p: s - ln Z of each word; nothing where only s was computed.
        known: whether the network knows the word.
        ngram: ln P by the n-gram model, nan of words that it does not know; nothing where there is none.
        log_z: ln Z at each token; nothing where only s was computed.
    """

    score: list[Doubles] = field(default_factory=list)
    log_p: list[Doubles] = field(default_factory=list)
    known: list[Bools] = field(default_factory=list)
    ngram: list[Doubles] = field(default_factory=list)
    log_z: list[NDArray[np.float32]] = field(default_factory=list)

    def evaluation(self) -> Evaluation:
        """Over the words that the network knows; nan of what was not computed."""
        known, sentences = np.concatenate(self.known), len(self.known)
        score, log_p = _whole(self.score, len(known)), _whole(self.log_p, len(known))
        log_z = _whole(self.log_z, 1)
        counts = int(known.sum()) - sentences, int((~known).sum()), sentences
        return Evaluation(
            *counts, float(log_p[known].sum()), float(score[known].sum()), float(log_z.mean()), float(log_z.var())
        )


def _whole(parts: Sequence[NDArray[Any]], length: int) -> Doubles:
    """All sentences in one array; (length,) of nan if there are none."""
    return np.concatenate(parts).astype(np.float64) if parts else np.full(length, np.nan)


def ngram_log_p(arpa: Arpa, words: Sequence[str]) -> Doubles:
    """(T,) words of a sentence -> (T + 1,) ln P of each and of its end; nan of those that the model does not know."""
    return np.array([np.nan if score is None else score for score in arpa.scores(words)]) * math.log(10)


@dataclass(frozen=True)
class Comparison:
    """Perplexities of the words that two models both know, and of their ends of sentences.

    Attributes:
        words, sentences: how many are compared.
        ngram, network, both: perplexities.
        weight: of the network in the mixture.
        chosen: the weight is the one that is best for these words (EM), and not one that was given.
    """

    words: int
    sentences: int
    ngram: float
    network: float
    both: float
    weight: float
    chosen: bool

    def lines(self, arpa: Path, name: object) -> list[str]:
        """What the user reads."""
        counts = f"{self.words} words that both know, {self.sentences} sentences"
        how = "by EM on this text" if self.chosen else "as given"
        return [
            f"%PPL {self.ngram:.2f} [ {arpa}, {counts} ] {name}",
            f"%PPL {self.network:.2f} [ the network, the same words ] {name}",
            f"%PPL {self.both:.2f} [ both, the network with weight {self.weight:.3f} {how} ] {name}",
        ]


def compared(found: Found, weight: float | None, where: Path) -> Comparison:
    """The network, by ln P or by its scores as they are, beside an n-gram model.

    Args:
        weight: of the network in the mixture; none: the best for these words.
        where: the n-gram model, for the message.

    Raises:
        UserError: the models have no word in common.
    """
    ngram = np.concatenate(found.ngram)
    network = np.concatenate(found.log_p or found.score)
    common = np.concatenate(found.known) & ~np.isnan(ngram)
    sentences = len(found.known)
    words = int(common.sum()) - sentences
    if words <= 0:
        raise UserError(
            f"{where}: has none of the words of the texts that the network knows",
            fix="give an n-gram model of words of the same language",
        )
    both = np.stack([network[common], ngram[common]])
    chosen = weight is None
    if weight is None:
        weight = float(em(np.exp(both))[0][0])
    shares = np.array([[weight], [1 - weight]])
    with np.errstate(divide="ignore"):  # a weight of 0
        mixed = np.logaddexp.reduce(both + np.log(shares), axis=0)
    alone, mine, mixture = (math.exp(-some.mean()) for some in (both[1], both[0], mixed))
    return Comparison(words, sentences, alone, mine, mixture, weight, chosen)

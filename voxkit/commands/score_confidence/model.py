"""Confidence models: the two embedding nets, and the classifiers over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit.commands.score_confidence.command import AcousticConfig, HypothesisConfig, TrainConfidence
from voxkit.commands.score_confidence.features import NAMES, POSTERIOR, UTTERANCE, Floats
from voxkit.commands.score_confidence.vocabulary import FILE, Vocabulary
from voxkit.config import from_mapping
from voxkit.nn.masks import padding_mask

Kind = Literal["acoustic", "hypothesis"]
SUBSAMPLING = 4
OUTCOMES = 3  # right, substituted, inserted
WHOLE = ("mean_logit", "least_logit", "log_all_right", *UTTERANCE)  # what the whole utterance is judged by


@dataclass(frozen=True)
class Batch:
    """B utterances with N words in all, of which Q at most are in one, and F channels, D decoder features.

    Attributes:
        frames: (B, T, F) log-mel; empty (B, 0, F) for the hypothesis net.
        lengths: (B,) frames of each.
        counts: (B,) words of each.
        words: (N,) ids of the words.
        letters: (W, L) letters of the distinct words that are claimed or rivals, -1 behind their end.
        claimed, rival: (N,) rows of `letters`.
        spans: (N, 2) first frame and end of each word [frames of the features].
        features: (N, D) standardised decoder features.
        kind: (N,) 0 right, 1 substituted, 2 inserted, -1 not known.
        rival_right: (N,) whether the rival is what was said; -1 not known.
    """

    frames: Tensor
    lengths: Tensor
    counts: Tensor
    words: Tensor
    letters: Tensor
    claimed: Tensor
    rival: Tensor
    spans: Tensor
    features: Tensor
    kind: Tensor
    rival_right: Tensor

    @property
    def utterance(self) -> Tensor:
        """(N,) the utterance of each word."""
        return torch.repeat_interleave(torch.arange(len(self.counts), device=self.counts.device), self.counts)

    def to(self, device: torch.device | str) -> Batch:
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


class TwoWay(nn.Module):
    """An LSTM each way over padded sequences, `width / 2` cells each, with dropout after them.

    Sequences are turned round by hand, each within its own length, so that no packing is needed: with it, the same
    values take six times as long on a CPU.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.forth = nn.LSTM(width, width // 2, batch_first=True)
        self.back = nn.LSTM(width, width // 2, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, C), (B,) -> (B, T, C); what is behind the end of a sequence has no meaning."""
        place = torch.arange(x.shape[1], device=x.device)
        turned = torch.where(padding_mask(lengths, x.shape[1]), lengths.unsqueeze(1) - 1 - place, place)
        row = torch.arange(len(x), device=x.device).unsqueeze(1)
        back = self.back(x[row, turned])[0][row, turned]
        return self.dropout(torch.cat([self.forth(x)[0], back], 2))


class LetterEncoder(nn.Module):
    """Words as vectors of what they are spelled with: the strongest of each pattern of three letters."""

    def __init__(self, letters: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters + 1, width, padding_idx=letters)
        self.patterns = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, letters: Tensor) -> Tensor:
        """(W, L) ids, the padding behind words -1 -> (W, C)."""
        padding = letters < 0
        embedded = self.embedding(torch.where(padding, self.embedding.num_embeddings - 1, letters))
        found = self.patterns(embedded.transpose(1, 2)).masked_fill(padding.unsqueeze(1), -torch.inf)
        return torch.tanh(found.amax(2))


class AcousticNet(nn.Module):
    """Does the audio of a word say what is claimed?

    Convolutions and an LSTM each way go over the utterance's frames once. Each claimed word, encoded by its letters,
    attends to the frames of its span and a little around it; what it finds there, and the mean of the span, are
    compared with it. The strongest other word of the bin goes the same way, and the outcome is told from both.

    Args:
        features: F, channels of the input.
        letters: V, number of letters.
        frame_shift: [s]
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: AcousticConfig, features: int, letters: int, frame_shift: float) -> None:
        super().__init__()
        self.config = config
        self.margin = round(config.context / frame_shift / SUBSAMPLING)
        width, hidden = config.width, config.hidden
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.front = nn.Sequential(
            nn.Conv1d(features, width, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv1d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Dropout(config.dropout),
        )
        self.encoder = TwoWay(width, config.dropout) if config.lstm else None
        self.letters = LetterEncoder(letters, config.letters)
        self.query = nn.Linear(config.letters, hidden)
        self.key = nn.Linear(width, hidden)
        self.where = nn.Linear(3, hidden)
        self.energy = nn.Linear(hidden, 1, bias=False)
        self.expected = nn.Linear(config.letters, width)
        self.compare = nn.Sequential(
            nn.Linear(3 * width + config.letters + 1, hidden), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.match = nn.Linear(hidden, 1)
        self.outcome = nn.Linear(hidden * (3 if config.rivals else 1), OUTCOMES)

    @property
    def size(self) -> int:
        """Values of the embedding, E."""
        return self.outputs(self.config)

    @staticmethod
    def outputs(config: AcousticConfig) -> int:
        """The size of a net with this config."""
        return OUTCOMES + 1 if config.rivals else OUTCOMES

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Scores (N, 3) of the outcomes, and log odds that the claimed word, and its rival, were said (N, 2 or 1)."""
        encoded, lengths = self._encode(batch)
        window, inside, place = self._window(batch.spans, lengths[batch.utterance])
        heard = encoded[batch.utterance.unsqueeze(1), window]
        words = self.letters(batch.letters)
        mine, match = self._compare(heard, inside, place, words[batch.claimed], batch.spans)
        if not self.config.rivals:
            return self.outcome(mine), match
        other, rival = self._compare(heard, inside, place, words[batch.rival], batch.spans)
        return self.outcome(torch.cat([mine, other, mine - other], 1)), torch.cat([match, rival], 1)

    def embedding(self, batch: Batch) -> Tensor:
        """(N, E) log odds of a substitution and of an insertion, and of claimed word and rival having been said.

        Each value has a meaning of its own, so that nets may be averaged that were trained apart.
        """
        outcome, match = self(batch)
        return torch.cat([outcome[:, 1:] - outcome[:, :1], match], 1)

    def _encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, T', C) and lengths (B,), with T' = T / 4 rounded up."""
        mask = padding_mask(batch.lengths, batch.frames.shape[1])
        frames = (batch.frames - self.mean) / self.deviation * mask.unsqueeze(2)
        hidden = self.front(frames.transpose(1, 2)).transpose(1, 2)
        lengths = (batch.lengths + SUBSAMPLING - 1) // SUBSAMPLING
        return hidden if self.encoder is None else self.encoder(hidden, lengths), lengths

    def _window(self, spans: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The encoded frames of each word with its context: (N, W) which, whether they count, (N, W, 3) and where in
        relation to the word they are."""
        begin = torch.minimum(spans[:, 0] // SUBSAMPLING, lengths - 1)
        end = torch.maximum(torch.minimum((spans[:, 1] + SUBSAMPLING - 1) // SUBSAMPLING, lengths), begin + 1)
        first, last = (begin - self.margin).clamp(min=0), torch.minimum(end + self.margin, lengths)
        longest = int((last - first).max()) if len(spans) else 1
        at = first.unsqueeze(1) + torch.arange(longest, device=spans.device)
        inside = at < last.unsqueeze(1)
        at = torch.minimum(at, last.unsqueeze(1) - 1)
        size = (end - begin).unsqueeze(1)
        relative = (at - begin.unsqueeze(1)) / size
        word = (at >= begin.unsqueeze(1)) & (at < end.unsqueeze(1))
        return at, inside, torch.stack([relative, (relative - 0.5).abs(), word.float()], 2)

    def _compare(
        self, heard: Tensor, inside: Tensor, place: Tensor, words: Tensor, spans: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(N, H) how the words (N, C) compare with what is heard (N, W, C'), and (N, 1) whether they were said."""
        energy = self.energy(torch.tanh(self.key(heard) + self.where(place) + self.query(words).unsqueeze(1))).squeeze(
            2
        )
        share = energy.masked_fill(~inside, -torch.inf).softmax(1)
        found = torch.einsum("nw,nwc->nc", share, heard)
        word = place[:, :, 2] * inside
        mean = torch.einsum("nw,nwc->nc", word / word.sum(1, keepdim=True), heard)
        length = torch.log((spans[:, 1:] - spans[:, :1]).clamp(min=1).float())
        compared = self.compare(torch.cat([found, mean, found * self.expected(words), words, length], 1))
        return compared, self.match(compared)


class HypothesisNet(nn.Module):
    """Is a word right, among these words and with what the decoder says of them? A BiLSTM over the hypothesis.

    Args:
        features: D decoder features.
        words: V, number of words; 0 stands for those not seen.
    """

    size = OUTCOMES - 1

    def __init__(self, config: HypothesisConfig, features: int, words: int) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(words, config.words)
        self.inner = nn.Sequential(
            nn.Linear(config.words + features, config.width), nn.ReLU(), nn.Dropout(config.dropout)
        )
        self.encoder = TwoWay(config.width, config.dropout)
        self.outer = nn.Sequential(nn.Linear(2 * config.width, config.hidden), nn.ReLU(), nn.Dropout(config.dropout))
        self.outcome = nn.Linear(config.hidden, OUTCOMES)

    def forward(self, batch: Batch) -> tuple[Tensor, None]:
        """Scores (N, 3) of the three outcomes."""
        words = batch.words
        if self.training:
            words = torch.where(torch.rand(words.shape, device=words.device) < self.config.unknown, 0, words)
        inner = self.inner(torch.cat([self.embed(words), batch.features], 1))
        valid = padding_mask(batch.counts, int(batch.counts.max()))
        padded = inner.new_zeros(*valid.shape, inner.shape[1])
        padded[valid] = inner
        states = self.encoder(padded, batch.counts)[valid]
        return self.outcome(self.outer(torch.cat([inner, states], 1))), None

    def embedding(self, batch: Batch) -> Tensor:
        """(N, 2) log odds of a substitution and of an insertion."""
        outcome, _ = self(batch)
        return outcome[:, 1:] - outcome[:, :1]


class Classifier(nn.Module):
    """Log odds that a word is right, from the columns that its system uses: linear, or two layers.

    Args:
        inputs: D
        hidden: width of the hidden layer; 0 makes it linear (a logistic regression).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("deviation", torch.ones(inputs))
        self.first = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout)) if hidden else None
        self.last = nn.Linear(hidden or inputs, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, D) -> (N,)."""
        standard = (inputs - self.mean) / self.deviation
        return self.last(standard if self.first is None else self.first(standard)).squeeze(1)


class ConfidenceModel(nn.Module):
    """All that is needed to score words: nets of every fold, whose embeddings are averaged, and the classifiers."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: TrainConfidence, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.register_buffer("mean", torch.zeros(len(NAMES)))
        self.register_buffer("deviation", torch.ones(len(NAMES)))
        self.acoustic = nn.ModuleList(acoustic_net(config, vocabulary) for _ in range(config.folds * config.acoustic))
        self.hypothesis = nn.ModuleList(
            hypothesis_net(config, vocabulary) for _ in range(config.folds * config.hypothesis)
        )
        self.word = word_classifier(config)
        self.whole = Classifier(len(WHOLE), 0)


def acoustic_net(config: TrainConfidence, vocabulary: Vocabulary) -> AcousticNet:
    features = config.features
    return AcousticNet(config.acoustic_net, features.dim, vocabulary.num_letters, features.frame_shift)


def hypothesis_net(config: TrainConfidence, vocabulary: Vocabulary) -> HypothesisNet:
    return HypothesisNet(config.hypothesis_net, len(NAMES), vocabulary.num_words)


def kinds(settings: TrainConfidence) -> list[Kind]:
    """The embeddings that a system uses."""
    return [kind for kind in get_args(Kind) if getattr(settings, kind)]


def columns(settings: TrainConfidence, features: Floats, embeddings: Mapping[Kind, Floats]) -> Floats:
    """(N, D) what the classifier of a system sees.

    Args:
        features: (N, len(NAMES)) as measured.
        embeddings: (N, E) of each kind that the system uses.
    """
    chosen = range(len(NAMES)) if settings.decoder == "all" else [NAMES.index(name) for name in POSTERIOR]
    return np.concatenate([features[:, chosen], *(embeddings[kind] for kind in kinds(settings))], axis=1)


def word_classifier(settings: TrainConfidence) -> Classifier:
    """The classifier of words, over decoder features and embeddings."""
    sizes = {"acoustic": AcousticNet.outputs(settings.acoustic_net), "hypothesis": HypothesisNet.size}
    empty = {kind: np.zeros((0, sizes[kind]), dtype=np.float32) for kind in kinds(settings)}
    inputs = columns(settings, np.zeros((0, len(NAMES)), dtype=np.float32), empty).shape[1]
    network = settings.network
    return Classifier(inputs, network.hidden if settings.classifier == "network" else 0, network.dropout)


def whole_inputs(odds: Floats, utterance: Floats, bounds: NDArray[np.int64]) -> Floats:
    """(U, len(WHOLE)) what the probability that a whole utterance is right is told from.

    Args:
        odds: (N,) log odds of each word being right.
        utterance: (U, len(UTTERANCE)) features.
        bounds: (U + 1,) the words of utterance u are `bounds[u]:bounds[u + 1]`.
    """
    sizes = np.diff(bounds)
    spoken = sizes > 0
    sums = np.zeros((len(sizes), 3))
    if spoken.any():
        starts = bounds[:-1][spoken]
        log_right = -np.logaddexp(0, -odds.astype(np.float64))
        sums[spoken, 0] = np.add.reduceat(odds, starts) / sizes[spoken]
        sums[spoken, 1] = np.minimum.reduceat(odds, starts)
        sums[spoken, 2] = np.add.reduceat(log_right, starts)
    return np.concatenate([sums, utterance], axis=1).astype(np.float32)


def from_bundle(config: Mapping[str, Any], assets: Path) -> nn.Module:
    """The model of a bundle, with random weights: a whole one, or the part that a `PartConfig` names."""
    settings = from_mapping(
        TrainConfidence, {key: value for key, value in config.items() if key != "part"}, "the bundle"
    )
    vocabulary = Vocabulary.load(assets / FILE)
    match config.get("part"):
        case "acoustic":
            return acoustic_net(settings, vocabulary)
        case "hypothesis":
            return hypothesis_net(settings, vocabulary)
        case "network":
            return word_classifier(settings)
        case _:
            return ConfidenceModel(settings, vocabulary)

"""What the training loop needs of an acoustic model: cuts to batches, the loss, and dev error rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit.commands.train_am.command import TrainAm
from voxkit.commands.train_am.data import (
    Example,
    augmented,
    feasible_speeds,
    features_of,
    open_examples,
    open_noises,
)
from voxkit.commands.train_am.data import identified as identified
from voxkit.commands.train_am.initial import Initial
from voxkit.commands.train_am.model import AcousticModel, build
from voxkit.data.batching import plan, worst
from voxkit.data.features import Extractor, pad_features
from voxkit.data.lang import GRAPH, Lang
from voxkit.decode.greedy import greedy
from voxkit.decode.kaldi import KaldiDecoder
from voxkit.metrics.edit import Errors, errors
from voxkit.nn.graph_ctc import GraphBatch, batch_graphs, graph_ctc_loss
from voxkit.nn.k2_ctc import k2_ctc_loss
from voxkit.nn.k2_package import load_k2
from voxkit.nn.masks import padding_mask
from voxkit.progress import say
from voxkit.train.task import Loss, Score
from voxkit.train.teaching import Decisions

LOSSES = {"graph_ctc": graph_ctc_loss, "k2_ctc": k2_ctc_loss}


@dataclass(frozen=True)
class Batch:
    """`features` (B, T, F), `lengths` (B,), the transcripts' graphs, and a weight for each utterance (B,)."""

    features: Tensor
    lengths: Tensor
    graphs: GraphBatch
    weights: Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(self.features.to(device), self.lengths.to(device), self.graphs.to(device), self.weights.to(device))


class AcousticTask:
    """CTC over the pronunciations of the transcripts. A `voxkit.train.task.Task`."""

    system = "train_am"
    batch_option = "--set batch.max_duration"

    def __init__(self, config: TrainAm, rejected: Path) -> None:
        """Check and index the data.

        Args:
            rejected: an existing folder for the lists of cuts that are left out (with `data.max_bad`).

        Raises:
            UserError, DataError: inputs that are missing or damaged, words without pronunciation, a loss without k2.
        """
        self.config = config
        if config.loss == "k2_ctc":
            load_k2()
        self.lang = Lang.load(Path(config.data.lang))
        self.assets: Mapping[str, Path] = self.lang.assets()
        self.extractor = Extractor(config.features)
        self.initial = Initial.load(Path(config.data.init), config) if config.data.init else None
        limit = config.batch.max_duration
        self.examples = open_examples(config.data.train, self.lang, config, rejected / "train.jsonl", limit)
        if config.data.dev:
            self.scored, self.dev = "dev", open_examples(config.data.dev, self.lang, config, rejected / "dev.jsonl")
        else:
            self.scored, self.dev = "train", self.examples[:: max(1, len(self.examples) // 100)]
        self.noises = open_noises(config.data.noise, rejected / "noise.jsonl")
        change = config.augment
        self.changes_audio = change.speeds != (1.0,) or change.volume > 0 or bool(self.noises and change.noise)
        if self.changes_audio and any(example.cut.has_features for example in self.examples):
            say("note: the cuts have features, but the audio is to be augmented: they are computed anew")
        self._to_text: Callable[[NDArray[np.float32]], str] | None = self._decoder()

    def model(self) -> AcousticModel:
        """A new model that normalises with the statistics of the training set; or the one to start from."""
        model = build(self.config, len(self.lang.tokens))
        if self.initial is not None:
            self.initial.put_into(model, self.lang.tokens)
            return model
        total, square = torch.zeros(2, self.extractor.dim, dtype=torch.float64)
        frames = 0
        for example in self.examples[:: max(1, len(self.examples) // 500)]:
            features = features_of(example.cut, self.extractor).double()
            total, square = total + features.sum(0), square + features.square().sum(0)
            frames += len(features)
        mean = total / frames
        model.mean.copy_(mean)
        model.deviation.copy_((square / frames - mean**2).clamp(min=1e-4).sqrt())
        return model

    def batches(self, split: str, epoch: int) -> TrainBatches:
        """The epoch's batches; speeds, volumes and noises are drawn from (seed, epoch, cut)."""
        return TrainBatches(self, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The sum over utterances of weight * -log P(transcript), per weighted output frame."""
        return self.criterion(self.answers(model, batch), batch)

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Log posteriors (B, T', V) and their lengths (B,)."""
        log_probs, lengths = model(batch.features, batch.lengths)
        return log_probs, lengths

    def criterion(self, answers: tuple[Tensor, Tensor], batch: Batch) -> Loss:
        log_probs, lengths = answers
        losses = LOSSES[self.config.loss](log_probs, lengths, batch.graphs)
        return Loss((losses * batch.weights).sum(), (lengths * batch.weights).sum())

    def decisions(self, answers: tuple[Tensor, Tensor], batch: Batch) -> Decisions:
        """One decision a frame, of the units."""
        log_probs, lengths = answers
        valid = padding_mask(lengths, log_probs.shape[1])
        weights = batch.weights.to(log_probs).unsqueeze(1).expand_as(valid)
        return Decisions(log_probs[valid], "single", weights[valid], lengths)

    def view(self, epoch: int) -> int | None:
        """All epochs are alike if nothing changes the audio (masks are the model's, and not for a teacher)."""
        return None if self.changes_audio else 0

    def names(self) -> list[str]:
        return list(self.lang.tokens)

    def score(self, model: nn.Module) -> Score:
        """Error rates of the dev cuts, or of some training cuts if there are none.

        PER is that of greedily decoded units; WER is there where it is clear how words are found.
        """
        edits, total = 0, 0
        words = Errors()
        for examples, log_probs in self.posteriors(model, self.dev):
            for example, frames in zip(examples, log_probs, strict=True):
                edits += distance_to_graph(example.slots, greedy(frames))
                total += sum(len(slot[0][0]) for slot in example.slots)
                if self._to_text is not None:
                    words += errors(example.text.split(), self._to_text(frames).split())
        rate = 100 * edits / max(total, 1)
        name = {"phone": "PER", "char": "CER", "bpe": "TER"}[self.lang.units]
        lines, values = [f"%{name} {rate:.2f} [ {edits} / {total} ] {self.scored}"], {name.lower(): rate}
        if self._to_text is not None:
            lines, values = [words.line("WER", self.scored), *lines], {"wer": words.rate, **values}
        return Score(rate, name, lines, values)

    @torch.no_grad()
    def posteriors(
        self, model: nn.Module, examples: Sequence[Example]
    ) -> Iterator[tuple[list[Example], list[NDArray[np.float32]]]]:
        """The examples batch by batch, with the log posteriors (T', V) of each."""
        device = next((weight.device for weight in model.parameters()), torch.device("cpu"))  # a graph has none
        durations = [example.cut.duration for example in examples]
        limit = max(self.config.batch.max_duration, *durations)
        for indices in plan(durations, limit, self.config.batch.max_cuts, shuffle=False):
            chosen = [examples[i] for i in indices]
            features, lengths = pad_features([features_of(example.cut, self.extractor) for example in chosen])
            log_probs, lengths = model(features.to(device), lengths.to(device))
            yield chosen, [p[:n].float().cpu().numpy() for p, n in zip(log_probs, lengths.tolist(), strict=True)]

    def _decoder(self) -> Callable[[NDArray[np.float32]], str] | None:
        """Log posteriors to text: through the graph if the lang folder has one, else by spelling where units spell."""
        if (self.lang.path / GRAPH).exists():
            decoder = KaldiDecoder(self.lang)
            return lambda frames: decoder.words(decoder.best_path(frames))
        if self.lang.units == "phone":
            return None
        return lambda frames: self.lang.spell(greedy(frames))


def make(config: TrainAm, folder: Path) -> AcousticTask:
    """The task of a config; lists of what it leaves out go to `folder`."""
    return AcousticTask(config, folder)


def inputs(batch: Batch) -> tuple[Tensor, ...]:
    """What the model is called with for a batch."""
    return batch.features, batch.lengths


class TrainBatches:
    """One epoch, loaded batch by batch; a pure function of (seed, epoch, i)."""

    def __init__(self, task: AcousticTask, epoch: int) -> None:
        self.task, self.epoch = task, epoch
        config = task.config
        self.seed = config.train.seed
        draw = np.random.default_rng([self.seed, epoch])
        speeds = draw.choice(config.augment.speeds, size=len(task.examples))
        self.speeds = feasible_speeds(speeds, task.examples, config)
        self.durations = np.array([example.cut.duration for example in task.examples]) / self.speeds
        batch = config.batch
        self.plan = plan(
            self.durations, batch.max_duration, batch.max_cuts, seed=self.seed, epoch=epoch, buckets=batch.buckets
        )

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, i: int) -> Batch:
        examples = [self.task.examples[index] for index in self.plan[i]]
        features, lengths = pad_features([self._features(int(index)) for index in self.plan[i]])
        graphs = batch_graphs([example.graph for example in examples])
        return Batch(features, lengths, graphs, torch.tensor([example.weight for example in examples]))

    def ids(self, i: int) -> list[str]:
        return [self.task.examples[index].cut.id for index in self.plan[i]]

    def worst(self) -> int:
        return worst(self.plan, self.durations)

    def _features(self, index: int) -> Tensor:
        task, cut = self.task, self.task.examples[index].cut
        if not task.changes_audio:
            return features_of(cut, task.extractor)
        draw = np.random.default_rng([self.seed, self.epoch, index])
        rate, change = task.config.features.sampling_rate, task.config.augment
        return task.extractor(augmented(cut, rate, float(self.speeds[index]), change, task.noises, draw))


def distance_to_graph(slots: Sequence[Sequence[tuple[Sequence[int], float]]], units: Sequence[int]) -> int:
    """The fewest edits between a unit sequence and any choice of one pronunciation per slot."""
    row = np.arange(len(units) + 1)
    given = np.asarray(units, dtype=np.int64)
    ramp = np.arange(len(units) + 1)
    for slot in slots:
        ends = []
        for ids, _ in slot:
            current = row
            for unit in ids:
                best = current + 1  # the unit is missing
                best[1:] = np.minimum(best[1:], current[:-1] + (given != unit))
                current = np.minimum.accumulate(best - ramp) + ramp  # units too many
            ends.append(current)
        row = np.min(ends, axis=0)
    return int(row[-1])

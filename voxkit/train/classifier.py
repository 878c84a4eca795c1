"""What the training loop needs of a classifier of clips: clips to batches, the loss, and dev scores."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import get_worker_info

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.data.audio import Samples, load
from voxkit.data.batching import plan
from voxkit.data.clip_augment import augmented, between_classes, target
from voxkit.data.clip_config import ClipDataConfig
from voxkit.data.clips import CLASSES, Clip, class_names, clip_digests, decodable, load_clip, open_clips
from voxkit.data.features import Extractor
from voxkit.data.manifests import check_cuts, manifest_files, open_cuts
from voxkit.decode.classifier import Classifier, judge
from voxkit.decode.classifier_export import counted, facts_of, heard
from voxkit.errors import UserError
from voxkit.nn.clip_classifier import ClipClassifier
from voxkit.rundir import digest
from voxkit.train import run
from voxkit.train.classifier_config import ClassifierConfig
from voxkit.train.task import Loss, Score
from voxkit.train.teaching import Decisions

T = TypeVar("T")
C = TypeVar("C", bound=ClassifierConfig)

FEW = 100  # training clips to score where there are no dev clips
STATISTICS = 500  # clips that the normalisation is estimated from


@dataclass(frozen=True)
class Batch:
    """`features` (B, T, F) and `targets` (B, C) in [0, 1]."""

    features: Tensor
    targets: Tensor

    def to(self, device: torch.device | str) -> Batch:
        return Batch(self.features.to(device), self.targets.to(device))


class ClassifierTask:
    """Classes of clips, by cross-entropy. A `voxkit.train.task.Task` and `voxkit.train.teaching.Teachable`."""

    batch_option = "--set batch"

    def __init__(
        self,
        config: ClassifierConfig,
        folder: Path,
        system: str,
        build: Callable[[Any, int], ClipClassifier],
    ) -> None:
        """Check and index the data.

        Args:
            folder: an empty folder for assets and for lists of the clips that are left out.
            build: the network for so many classes, with random weights.

        Raises:
            UserError, DataError: data that are missing, damaged or without classes; dev clips of other classes.
        """
        self.config, self.system, self._build = config, system, build
        data = config.data
        self.extractor = Extractor(config.features)
        self.rate = config.features.sampling_rate
        self.length = round(config.clip.seconds * self.rate)
        shortest = config.features.frame_length
        self._memory = Memory(data.memory * 1e6)
        clips = open_clips(data.train, data.label, config.head, shortest, data.max_bad, folder / "train.jsonl")
        self.clips = self._decodable("train", clips, folder)
        self.classes = class_names(self.clips)
        least = 2 if config.head == "single" else 1
        if len(self.classes) < least:
            raise UserError(f"{data.train}: has {len(self.classes)} class(es), {least} are the least", fix="add clips")
        self.scored, self.dev = "train", self.clips
        self._tested = range(0, len(self.clips), max(1, len(self.clips) // FEW))
        if data.dev:
            listed = folder / "dev.jsonl"
            clips = open_clips(data.dev, data.label, config.head, shortest, data.max_bad, listed, self.classes)
            self.scored, self.dev = "dev", self._decodable("dev", clips, folder)
            self._tested = range(len(self.dev))
        noises = list(check_cuts(open_cuts(data.noise), data.noise)) if data.noise else []
        (folder / CLASSES).write_text("".join(f"{name}\n" for name in self.classes), encoding="utf-8")
        self.assets: Mapping[str, Path] = {CLASSES: folder / CLASSES}
        self._noises = [partial(load, cut, self.rate) for cut in noises]

    def _decodable(self, name: str, clips: Sequence[Clip], folder: Path) -> list[Clip]:
        """Those whose audio can be used; it is kept, so that processes which load data later have it in common."""

        def keep(index: int, samples: Samples) -> None:
            self._memory.get((name, index), lambda: samples)

        return decodable(clips, self.rate, self.config.data.max_bad, folder / f"{name}_audio.jsonl", keep)

    def model(self) -> ClipClassifier:
        """A new model that normalises with the statistics of the training clips."""
        model = self._build(self.config, len(self.classes))
        total, square = torch.zeros(2, self.extractor.dim, dtype=torch.float64)
        frames = 0
        for index in range(0, len(self.clips), max(1, len(self.clips) // STATISTICS)):
            features = self.extractor(self.samples(index)).double()
            total, square = total + features.sum(0), square + features.square().sum(0)
            frames += len(features)
        mean = total / frames
        model.mean.copy_(mean)
        model.deviation.copy_((square / frames - mean**2).clamp(min=1e-4).sqrt())
        return model

    def account(self) -> str:
        """How large the network is, and how much it computes for a window: what is said when it is trained."""
        model = self._build(self.config, len(self.classes))
        counts = counted(model)
        return (
            f"{counts['parameters']} parameters, {counts['multiply_adds']} multiply-adds for a window of "
            f"{self.config.clip.seconds:g} s"
        )

    def calibration(self) -> Iterator[tuple[Tensor]]:
        """Features (B, T, F) of training clips as they are heard when the model is used, in a mixed order."""
        for indices in self.batches("train", 0).plan:
            sounds = (heard(self.samples(int(index)), self.length, self.config.clip) for index in indices)
            yield (torch.stack([self.extractor(sound) for sound in sounds]),)

    def facts(self, trained: Bundle, bits: int) -> dict[str, str]:
        """What a deployment of a bundle needs to know."""
        classifier = Classifier.load(trained.path, self.system)
        weights = digest(bundle.weights(trained.path))
        return facts_of(classifier, self.system, weights, None, int8=bits == 8)

    def names(self) -> list[str]:
        return self.classes

    def view(self, epoch: int) -> int | None:
        views = self.config.augment.views
        return epoch % views if views else None

    def batches(self, split: str, epoch: int) -> ClipBatches:
        """The epoch's batches; what happens to a clip is drawn from (augment.seed, view or epoch, clip)."""
        return ClipBatches(self, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """The sum over clips of the cross-entropy, per clip."""
        return self.criterion(self.answers(model, batch), batch)

    def answers(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits (B, C)."""
        logits: Tensor = model(batch.features)
        return logits.float()

    def criterion(self, answers: Tensor, batch: Batch) -> Loss:
        """Cross-entropy of softmax, or the mean of the classes' binary cross-entropies."""
        share, count = self.config.label_smoothing, answers.shape[1]
        if self.config.head == "single":
            targets = (1 - share) * batch.targets + share / count
            losses = -(targets * answers.log_softmax(1)).sum(1)
        else:
            targets = (1 - share) * batch.targets + share / 2
            losses = nn.functional.binary_cross_entropy_with_logits(answers, targets, reduction="none").mean(1)
        return Loss(losses.sum(), len(losses))

    def decisions(self, answers: Tensor, batch: Batch) -> Decisions:
        ones = torch.ones(len(answers), device=answers.device)
        return Decisions(answers, self.config.head, ones, ones.long())

    def score(self, model: nn.Module) -> Score:
        """Error rate (single) or 100 minus macro AUC (multi) of the dev clips, or of some training clips."""
        config = self.config
        classifier = Classifier(model, config.head, self.classes, config.clip, config.features)
        sounds = (self._samples(self.scored, self.dev, index) for index in self._tested)
        report = judge(classifier, [self.dev[index] for index in self._tested], sounds)
        if config.head == "single":
            return Score(
                100 - report.accuracy.value, "ERR", report.lines(self.scored)[:1], {"acc": report.accuracy.value}
            )
        auc = report.auc.value if report.auc else 0.0  # none: a dev set in which nothing can be told apart
        return Score(100 - auc, "100-AUC", report.lines(self.scored)[:1], {"auc": auc})

    def samples(self, index: int) -> Samples:
        """The audio of a training clip at the features' sampling rate, kept in memory where there is room."""
        return self._samples("train", self.clips, index)

    def _samples(self, name: str, clips: Sequence[Clip], index: int) -> Samples:
        return self._memory.get((name, index), lambda: load_clip(clips[index], self.rate))

    def example(self, index: int, epoch: int) -> tuple[Tensor, Tensor]:
        """A training clip as the network sees it in an epoch: features (T, F), target (C,)."""
        view = self.view(epoch)
        if view is None:
            return self._made(index, epoch)
        features, wanted = self._memory.get(("view", view, index), lambda: self._kept(index, view))
        return features.float(), wanted

    def _kept(self, index: int, view: int) -> tuple[Tensor, Tensor]:
        features, wanted = self._made(index, view)
        return features.half(), wanted  # log energies: half precision is finer than their noise

    def _made(self, index: int, draw_of: int) -> tuple[Tensor, Tensor]:
        change = self.config.augment
        draw = np.random.default_rng([change.seed, draw_of, index])
        sound, wanted = self._changed(index, draw), target(self.clips[index].labels, self.classes)
        if draw.random() < change.mix:
            other = int(draw.integers(len(self.clips)))
            share = float(draw.uniform(0.05, 0.95))
            sound = between_classes(sound, self._changed(other, draw), share)
            wanted = share * wanted + (1 - share) * target(self.clips[other].labels, self.classes)
        return self.extractor(sound), torch.from_numpy(wanted.astype(np.float32))

    def _changed(self, index: int, draw: np.random.Generator) -> Samples:
        config = self.config
        return augmented(self.samples(index), self.length, self.rate, config.clip, config.augment, draw, self._noises)


class ClipBatches:
    """One epoch, loaded batch by batch; a pure function of (seeds, epoch, i)."""

    def __init__(self, task: ClassifierTask, epoch: int) -> None:
        self.task, self.epoch = task, epoch
        size = task.config.batch
        ones = np.ones(len(task.clips))
        self.plan = plan(ones, size, size, seed=task.config.train.seed, epoch=epoch, buckets=1)

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, i: int) -> Batch:
        features, targets = zip(*(self.task.example(int(index), self.epoch) for index in self.plan[i]), strict=True)
        return Batch(torch.stack(features), torch.stack(targets))

    def ids(self, i: int) -> list[str]:
        return [self.task.clips[index].id for index in self.plan[i]]

    def worst(self) -> int:
        return int(np.argmax([len(batch) for batch in self.plan]))


class Memory:
    """What was made once and fits into so many bytes; what does not fit is made again each time.

    A process that loads data for one epoch keeps nothing but what it began with: it needs nothing of its own twice.
    """

    def __init__(self, size: float) -> None:
        self._room = size
        self._kept: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `key` stands for, an array or a tuple of arrays; `make` is called if it is not here."""
        if key in self._kept:
            return cast(T, self._kept[key])
        made = make()
        parts: tuple[Any, ...] = made if isinstance(made, tuple) else (made,)
        size = sum(part.nbytes for part in parts)
        if size <= self._room and get_worker_info() is None:
            self._room -= size
            self._kept[key] = made
        return made


def train(command: str, settings: C, out: Path, make: Callable[[C, Path], ClassifierTask]) -> None:
    """Train a classifier of `settings` into an experiment folder; see `voxkit.train.run.train`."""
    known = settings.model_copy(update={"data": identified(settings.data)})
    run.train(command, known, known.train, out, lambda folder: make(known, folder))


def identified(data: ClipDataConfig) -> ClipDataConfig:
    """With digests of the inputs, so that a run is not resumed on others under the same names."""
    found = clip_digests(*filter(None, (data.train, data.dev)))
    found |= {str(file): digest(file) for file in (manifest_files(data.noise) if data.noise else [])}
    return data.model_copy(update={"digests": found})

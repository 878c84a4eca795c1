"""A trained classifier of clips at work: samples to posteriors, whole clips or windows along a recording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit import bundle
from voxkit.config import from_mapping
from voxkit.data.audio import Samples
from voxkit.data.clip_augment import target, windows
from voxkit.data.clip_config import ClipConfig
from voxkit.data.clips import Clip, load_classes
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.features import Extractor
from voxkit.errors import UserError
from voxkit.metrics.classify import ClassifyReport, Judged

Posteriors = NDArray[np.float64]
TOGETHER = 32  # windows in a batch


class Classifier:
    """A model in eval mode with what it needs to hear: posteriors of samples at `rate` Hz, mono, in [-1, 1].

    Args:
        model: (B, T, F) features to logits (B, C).
        head: "single": a softmax over the classes; "multi": a sigmoid for each.
        classes: names of the C outputs.
        label: where the classes were in the training data, see `ClipDataConfig.label`.
    """

    def __init__(
        self,
        model: nn.Module,
        head: Literal["single", "multi"],
        classes: Sequence[str],
        clip: ClipConfig,
        features: FeatureConfig,
        label: str = "auto",
    ) -> None:
        self.model, self.head, self.classes = model, head, list(classes)
        self.clip, self.label = clip, label
        self.extractor = Extractor(features)
        self.rate = features.sampling_rate
        self.length = round(clip.seconds * self.rate)  # samples of a window
        self.device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))

    def clips(self, sounds: Iterable[Samples]) -> Posteriors:
        """Posteriors (N, C) of N clips; of one longer than the network's input, the mean over overlapping windows."""
        owners: list[int] = []

        def heard() -> Iterator[Samples]:
            for owner, samples in enumerate(sounds):
                parts = windows(samples, self.length, self.clip)
                owners.extend([owner] * len(parts))
                yield from parts

        scores = self.windows(heard())
        count = owners[-1] + 1 if owners else 0
        found = np.zeros((count, len(self.classes)))
        np.add.at(found, owners, scores)
        return found / np.bincount(owners, minlength=count)[:, None] if count else found

    def along(self, samples: Samples, hop: float) -> Posteriors:
        """Posteriors (W, C) of windows that are centred every `hop` seconds, from the first sample on to the last.

        Those near either end reach into silence, so that what is there is heard in the middle of a window too; half a
        window of silence before a stream and after it gives the same ones.
        """
        around = np.pad(samples, self.half)
        starts = range(0, len(around) - self.length + 1, self.step(hop))
        return self.windows(around[start : start + self.length] for start in starts)

    @property
    def half(self) -> int:
        """Half a window [samples]: what of it is before its centre."""
        return self.length // 2

    def step(self, hop: float) -> int:
        """A hop of so many seconds in whole samples, at least one."""
        return max(1, round(hop * self.rate))

    @classmethod
    def load(cls, path: Path, system: str) -> Classifier:
        """That of a bundle or experiment folder of the room `system`.

        Raises:
            UserError: there is no such model.
        """
        found = bundle.load(path)
        if found.system != system:
            raise UserError(f"{path}: a model of {found.system}, not of {system}", fix="give a folder of that command")
        clip = from_mapping(ClipConfig, found.config["clip"], f"{found.path}: clip")
        features = from_mapping(FeatureConfig, found.config["features"], f"{found.path}: features")
        label = str(found.config["data"]["label"])
        return cls(found.model, found.config["head"], load_classes(found.assets), clip, features, label)

    @torch.no_grad()
    def windows(self, parts: Iterable[Samples]) -> Posteriors:
        """Posteriors (W, C) of W windows of exactly `length` samples each, computed some at a time."""
        found: list[NDArray[np.float64]] = []
        batch: list[Tensor] = []
        for part in parts:
            batch.append(self.extractor(part))
            if len(batch) == TOGETHER:
                found.append(self._judge(torch.stack(batch)))
                batch = []
        if batch:
            found.append(self._judge(torch.stack(batch)))
        return np.concatenate(found) if found else np.zeros((0, len(self.classes)))

    def _judge(self, features: Tensor) -> NDArray[np.float64]:
        logits = self.model(features.to(self.device)).double()
        scores = logits.softmax(1) if self.head == "single" else logits.sigmoid()
        return np.asarray(scores.cpu().numpy(), np.float64)


def judge(classifier: Classifier, clips: Sequence[Clip], sounds: Iterable[Samples]) -> ClassifyReport:
    """Measures of a classifier on labelled clips and their sounds, without intervals, as training looks at them."""
    scores = classifier.clips(sounds)
    reference = np.array([target(clip.labels, classifier.classes) for clip in clips]) > 0
    truth = reference.argmax(1) if classifier.head == "single" else reference
    ids = [clip.id for clip in clips]
    judged = Judged.of(ids, classifier.classes, truth, scores, classifier.head)
    return ClassifyReport(judged, replications=0)

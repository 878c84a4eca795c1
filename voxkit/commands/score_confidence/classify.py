"""The classifiers over decoder features and embeddings: logistic regression, and a network of two layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit.commands.score_confidence.command import PartConfig, TrainConfidence
from voxkit.commands.score_confidence.features import Floats
from voxkit.commands.score_confidence.model import Classifier
from voxkit.data.batching import plan
from voxkit.metrics.calibration import Judged
from voxkit.train.task import Loss, Score


def logistic(inputs: Floats, right: NDArray[np.bool_], l2: float) -> Classifier:
    """A logistic regression on standardised inputs.

    Args:
        inputs: (N, D)
        l2: the mean loss of a word is minimised plus l2 / 2 * |w|^2; the bias is free.

    Where all are right or all wrong it is the constant that one more of each would give.
    """
    classifier = normalised(inputs, 0)
    linear = classifier.last
    with torch.no_grad():
        if right.all() or not right.any():
            linear.weight.zero_()
            linear.bias.fill_(float(np.log((right.sum() + 1) / ((~right).sum() + 1))))
            return classifier
        from sklearn.linear_model import LogisticRegression

        standard = (inputs - classifier.mean.numpy()) / classifier.deviation.numpy()
        fitted = LogisticRegression(C=1 / max(l2 * len(inputs), 1e-9), max_iter=1000).fit(standard, right)
        linear.weight.copy_(torch.from_numpy(fitted.coef_))
        linear.bias.copy_(torch.from_numpy(fitted.intercept_))
    return classifier


def normalised(inputs: Floats, hidden: int, dropout: float = 0.0) -> Classifier:
    """A new classifier that standardises its inputs (N, D) as they are here."""
    classifier = Classifier(inputs.shape[1], hidden, dropout)
    classifier.mean.copy_(torch.from_numpy(inputs.mean(axis=0)))
    classifier.deviation.copy_(torch.from_numpy(np.maximum(inputs.std(axis=0), 1e-4)))
    return classifier


@dataclass(frozen=True)
class Rows:
    """`inputs` (N, D) and whether the words are right (N,)."""

    inputs: Tensor
    right: Tensor

    def to(self, device: torch.device | str) -> Rows:
        return Rows(self.inputs.to(device), self.right.to(device))


class NetworkTask:
    """The network of two layers, with the best weights by some speakers held out. A `voxkit.train.task.Task`.

    Args:
        inputs: (N, D)
        held_out: (N,) bool
    """

    system = "score_confidence"

    def __init__(
        self,
        settings: TrainConfidence,
        assets: Mapping[str, Path],
        inputs: Floats,
        right: NDArray[np.bool_],
        held_out: NDArray[np.bool_],
    ) -> None:
        self.config = PartConfig(**{**dict(settings), "part": "network"})
        self.assets, self.inputs, self.right = assets, inputs, right
        self.heard, self.held_out = np.flatnonzero(~held_out), np.flatnonzero(held_out)

    def model(self) -> Classifier:
        network = self.config.network
        return normalised(self.inputs, network.hidden, network.dropout)

    def batches(self, split: str, epoch: int) -> NetworkBatches:
        return NetworkBatches(self, epoch)

    def rows(self, chosen: NDArray[np.int64]) -> Rows:
        right = torch.from_numpy(self.right[chosen].astype(np.float32))
        return Rows(torch.from_numpy(self.inputs[chosen]), right)

    def loss(self, model: nn.Module, batch: Rows) -> Loss:
        """Binary cross entropy."""
        total = nn.functional.binary_cross_entropy_with_logits(model(batch.inputs), batch.right, reduction="sum")
        return Loss(total, float(len(batch.right)))

    def score(self, model: nn.Module) -> Score:
        """NCE and EER of the held-out words."""
        rows = self.rows(self.held_out)
        confidence = model(rows.inputs.to(next(model.parameters()).device)).sigmoid().double().cpu().numpy()
        found = Judged.of(confidence, self.right[self.held_out]).measures()
        return Score(-found.nce, "-NCE", [f"%NCE {found.nce:.2f} %EER {found.eer:.2f}"], {"eer": found.eer})


class NetworkBatches:
    """One epoch of words in random order; a pure function of (seed, epoch, i)."""

    def __init__(self, task: NetworkTask, epoch: int) -> None:
        self.task = task
        network = task.config.network
        size = min(network.max_words, len(task.heard))
        self.plan = plan(np.ones(len(task.heard)), size, seed=network.train.seed, epoch=epoch, buckets=1)

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, i: int) -> Rows:
        return self.task.rows(self.task.heard[self.plan[i]])

    def ids(self, i: int) -> list[str]:
        return [f"word {index}" for index in self.task.heard[self.plan[i]]]

    def worst(self) -> int:
        return 0


def log_odds(classifier: Classifier, inputs: Floats) -> Floats:
    """(N,) of the words (N, D)."""
    with torch.no_grad():
        return classifier.eval()(torch.from_numpy(inputs)).numpy()

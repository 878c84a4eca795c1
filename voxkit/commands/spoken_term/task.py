"""Training of word classifiers: what `voxkit.train` needs to know of this room."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from voxkit.commands.spoken_term.command import SpokenTerm
from voxkit.commands.spoken_term.model import build
from voxkit.train.classifier import Batch, ClassifierTask
from voxkit.train.classifier import identified as identified

SYSTEM = "spoken_term"


def make(config: SpokenTerm, folder: Path) -> ClassifierTask:
    """The task of a config; its assets and lists go to `folder`."""
    return ClassifierTask(config, folder, SYSTEM, build)


def inputs(batch: Batch) -> tuple[Tensor, ...]:
    """What the model is called with for a batch."""
    return (batch.features,)

"""What a system gives to the training loop: a model, batches, a loss and a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from voxkit.config import Config


@dataclass(frozen=True)
class Loss:
    """The loss of one batch as a sum and what it is a sum over.

    The gradient of a step is that of (sum of totals) / (sum of weights) over all its batches on all processes, so it
    does not depend on how the data was cut into batches.

    Args:
        total: scalar with a gradient, summed over examples (or frames, or labels).
        weight: how many there were; >= 0.
        parts: more sums over the same weight, to be logged only. The same names in every batch.
    """

    total: Tensor
    weight: float | Tensor
    parts: Mapping[str, float | Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """How good a model is on held-out data.

    Args:
        value: what decides which model is best; lower is better.
        name: what `value` is, for example "WER".
        lines: what the user reads, for example "%WER 4.27 [ 33 / 773, 4 ins, 6 del, 23 sub ]".
        values: more numbers to log.
    """

    value: float
    name: str
    lines: Sequence[str] = ()
    values: Mapping[str, float] = field(default_factory=dict)


class Batches(Protocol):
    """The batches of one epoch, in order. `batches[i]` is loaded when asked for, possibly in another process, and
    depends on (seed, epoch, i) only: that is what makes training resumable at any batch."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Any:
        """Tensors in a dict, list, tuple or dataclass, or an object with `.to(device)`."""

    def ids(self, i: int) -> list[str]:
        """The ids of the cuts in batch `i`; cheap (nothing is loaded)."""

    def worst(self) -> int:
        """The index of the batch that needs the most memory."""


class Task(Protocol):
    """One system that learns.

    `system`, `config` and `assets` describe the bundle that training ends with (see `voxkit.bundle.save`).
    A task may also have `state_dict() -> dict` and `load_state_dict(dict)` (tensors and plain values), which travel
    in the checkpoints, and `batch_option: str`, the option to lower when memory runs out. `finished(state) -> (state,
    Quantization, parameters)` turns the model's trained `state_dict()` into what the bundle gets: the weights by the
    names of the model that the room builds, how to quantize them, and `voxkit.packed.parameters` of that model.
    `account() -> str` is a line about the model that is said after training.
    """

    @property
    def system(self) -> str: ...

    @property
    def config(self) -> Config: ...

    @property
    def assets(self) -> Mapping[str, Path]: ...

    def model(self) -> nn.Module:
        """A new model with random weights, on the CPU."""

    def batches(self, split: str, epoch: int) -> Batches:
        """The batches of "train" in an epoch counted from 0."""

    def loss(self, model: nn.Module, batch: Any) -> Loss:
        """The loss of a batch on the model's device. `model` must be called itself, not a part of it: under data
        parallelism it is a wrapper that sees to the gradients."""

    def score(self, model: nn.Module) -> Score:
        """Judge a model in eval mode, on its device and without gradients. Runs on the first process only."""

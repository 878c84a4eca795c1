"""What a task must say of its model's outputs so that another model can teach it (Hinton, Vinyals & Dean 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from voxkit.train.task import Loss, Task


@dataclass(frozen=True)
class Decisions:
    """Everything that a model decides about a batch, one row for each decision (a clip, a frame).

    Args:
        logits: (N, C), up to a constant for each row if `kind` is "single".
        kind: one of C classes (softmax), or each of C classes or not (sigmoids).
        weights: (N,), what each row counts; they add up to the weight of the batch's loss.
        counts: (B,), how many rows each example of the batch has, in order.
    """

    logits: Tensor
    kind: Literal["single", "multi"]
    weights: Tensor
    counts: Tensor


@runtime_checkable
class Teachable(Task, Protocol):
    """A task whose model can be a teacher or a student: `loss` is the `criterion` of the `answers`."""

    def answers(self, model: nn.Module, batch: Any) -> Any:
        """What the model says of a batch; `model` is called itself."""

    def criterion(self, answers: Any, batch: Any) -> Loss:
        """The loss of those answers against the labels."""

    def decisions(self, answers: Any, batch: Any) -> Decisions:
        """The answers, as what a teacher and a student must agree on."""

    def view(self, epoch: int) -> int | None:
        """Epochs of equal views show the network the same inputs; None: every epoch shows new ones."""

    def names(self) -> list[str]:
        """What the C outputs stand for; a teacher's must be the same."""

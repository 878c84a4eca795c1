"""Quantization-aware training: any task, with a model that computes with quantized weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from voxkit import packed
from voxkit.nn.quantization import make_aware, plain_names
from voxkit.packed import Quantization
from voxkit.train.initial import start_from
from voxkit.train.task import Batches, Loss, Score, Task
from voxkit.train.wrapped import WrappedTask


class AwareTask(WrappedTask[Task]):
    """Another task whose model is made aware of its quantization, and whose bundle is quantized.

    What else the other task has (`batch_option`, `state_dict` and so on) is passed on.

    Args:
        initial: the `state_dict()` of a trained model to start from, by plain names; random weights if absent.
    """

    def __init__(self, inner: Task, scheme: Quantization, initial: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(inner)
        self.scheme, self.initial = scheme, initial
        self._parameters: dict[str, str] | None = None

    def model(self) -> nn.Module:
        """A new model, or the one to start from, made aware.

        Raises:
            UserError: the weights to start from do not fit, or the model cannot be made aware.
        """
        model = self.inner.model()
        start_from(model, self.initial)
        self._parameters = packed.parameters(model)
        return make_aware(model, self.scheme)

    def batches(self, split: str, epoch: int) -> Batches:
        return self.inner.batches(split, epoch)

    def loss(self, model: nn.Module, batch: Any) -> Loss:
        with parametrize.cached():
            return self.inner.loss(model, batch)

    def score(self, model: nn.Module) -> Score:
        """That of the quantized model."""
        with parametrize.cached():
            return self.inner.score(model)

    def finished(self, state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Quantization, Mapping[str, str]]:
        """The trained weights by plain names, how they are to be stored, and which of them are parameters."""
        if self._parameters is None:  # the training ended in an earlier process
            self._parameters = packed.parameters(self.inner.model())
        return plain_names(state), self.scheme, self._parameters

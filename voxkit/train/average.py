"""Averages of the weights along training: better than the last ones, and what is scored and kept."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from voxkit.train.settings import TrainConfig


class Average:
    """A running average of a model's weights; `model` is the averaged model, in eval mode.

    - ema: the past weighs min(ema_decay, (1 + n) / (10 + n)) at step n, so that the random start is soon forgotten.
    - mean: equal weights for all steps from `mean_from` of training on (Polyak & Juditsky 1992); the last weights
      before that.
    - none: `model` is the trained model itself.

    Floating-point buffers (such as batch norm's statistics) are averaged too, other buffers are copied.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.kind, self.decay, self.mean_from = config.average, config.ema_decay, config.mean_from
        self.model = model
        if self.kind != "none":
            self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._pairs = _pairs(self.model, model)

    @torch.no_grad()
    def update(self, step: int, horizon: int) -> None:
        """Take in the weights after step `step` (from 0) of `horizon`."""
        if self.kind == "none":
            return
        floating = [pair for pair in self._pairs if pair[0].is_floating_point()]
        weight = self._newest(step, horizon)
        torch._foreach_lerp_([mine for mine, _ in floating], [new for _, new in floating], weight)
        for mine, new in self._pairs:
            if not mine.is_floating_point():
                mine.copy_(new)

    def _newest(self, step: int, horizon: int) -> float:
        """How much the newest weights count, in (0, 1]."""
        if self.kind == "ema":
            return 1 - min(self.decay, (1 + step) / (10 + step))
        return 1 / max(step + 1 - int(self.mean_from * horizon), 1)

    def state_dict(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if self.kind != "none":
            self.model.load_state_dict(state, strict=True)


def _pairs(average: nn.Module, model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """The weights of both models side by side; shared ones once, so that they are not averaged twice."""
    new = model.state_dict()
    seen: set[int] = set()
    pairs = []
    for name, mine in average.state_dict().items():
        if mine.data_ptr() not in seen or mine.numel() == 0:
            pairs.append((mine, new[name]))
        seen.add(mine.data_ptr())
    return pairs

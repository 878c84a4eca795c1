"""One update of the weights. Another kind of update (two optimisers, say) is another class like `Supervised`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from voxkit.train.dist import World
from voxkit.train.feed import Group
from voxkit.train.numerics import autocast, seed_all, to_device
from voxkit.train.schedule import factor
from voxkit.train.settings import TrainConfig
from voxkit.train.strategies.ddp import Strategy
from voxkit.train.task import Task


@dataclass(frozen=True)
class Outcome:
    """What a step did, over all processes: equal on all of them, but for `suspects`.

    Args:
        total: sum of the losses.
        weight: what `total` is a sum over.
        examples: how many cuts were seen.
        finite: the weights were updated; otherwise nothing was changed.
        stop: how many processes were asked to stop before the step's end.
        lr: learning rate.
        grad_norm: norm of the gradient of the mean loss, before clipping.
        parts: more sums, from `Loss.parts`.
        suspects: if not finite, ids of the cuts of this process that may be the cause.
    """

    total: float
    weight: float
    examples: int
    finite: bool
    stop: bool
    lr: float
    grad_norm: float
    parts: Mapping[str, float] = field(default_factory=dict)
    suspects: tuple[str, ...] = ()


class Step(Protocol):
    """Owns the optimiser; makes one update from one group of batches."""

    def __call__(self, number: int, group: Group, stop: bool) -> Outcome:
        """Make step `number` (from 0). `stop`: this process was asked to stop, which all are to learn."""

    def rehearse(self, batch: Any) -> None:
        """The passes of one batch without an update and without an exchange between processes."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class StepFactory(Protocol):
    """Such as the class `Supervised`."""

    def __call__(
        self, task: Task, model: nn.Module, config: TrainConfig, world: World, strategy: Strategy, horizon: int
    ) -> Step: ...


class Supervised:
    """One loss, one optimiser, gradients accumulated over the group and over the processes.

    The gradient is that of (sum of totals) / (sum of weights), exactly: totals are differentiated, summed, and divided
    once. If a loss or a gradient is not finite on any process, all of them skip the step, and weights, optimiser and
    buffers are as before.
    """

    def __init__(
        self, task: Task, model: nn.Module, config: TrainConfig, world: World, strategy: Strategy, horizon: int
    ) -> None:
        self.task, self.model, self.config, self.world = task, model, config, world
        self.strategy, self.horizon = strategy, horizon
        self.wrapped = strategy.wrap(model, world)
        self.optimizer = build_optimizer(model, config)
        self.parameters = [p for p in model.parameters() if p.requires_grad]

    def __call__(self, number: int, group: Group, stop: bool) -> Outcome:
        before = [buffer.clone() for buffer in self.model.buffers()]
        sums, parts, seen = self._differentiate(group)
        self.strategy.gradients(self.model)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = get_total_norm(gradients).to(sums[0])
        mine = torch.stack(
            [*sums, (~norm.isfinite()).to(norm), torch.full_like(norm, stop), *parts.values(), norm]
        ).cpu()
        # One exchange tells all processes what they must agree on: the mean loss, whether to skip, whether to stop.
        facts = self.world.sum(mine[:-1].clone())
        total, weight, examples, infinite, stops, *extra = facts.tolist()
        divisor = weight if self.strategy.shared else mine[1].item()
        norm_of_mean = mine[-1].item() / divisor if divisor else math.nan
        rate = self.config.lr * factor(self.config, number, self.horizon)
        finite = math.isfinite(total) and weight > 0 and not infinite
        if finite and divisor:
            clip = self.config.clip_norm / norm_of_mean if self.config.clip_norm and norm_of_mean else 1.0
            torch._foreach_mul_(gradients, min(clip, 1.0) / divisor)
            for settings in self.optimizer.param_groups:
                settings["lr"] = rate
            self.optimizer.step()
            self.strategy.weights(self.model, number)
        elif not finite:
            for buffer, old in zip(self.model.buffers(), before, strict=True):
                buffer.copy_(old)
        self.optimizer.zero_grad(set_to_none=True)
        suspects = () if finite else _suspects(seen, total)
        return Outcome(
            total,
            weight,
            int(examples),
            finite,
            stops > 0,
            rate,
            norm_of_mean,
            dict(zip(parts, extra, strict=True)),
            suspects,
        )

    def _differentiate(self, group: Group) -> tuple[list[Tensor], dict[str, Tensor], list[tuple[Tensor, list[str]]]]:
        """Forward and backward passes: sums of totals, weights, cuts; of the parts; each batch's loss and ids."""
        sums = [torch.zeros((), dtype=torch.float64, device=self.world.device) for _ in range(3)]
        parts: dict[str, Tensor] = {}
        seen: list[tuple[Tensor, list[str]]] = []
        for count, micro in enumerate(group.micros, start=1):
            ids = group.batches.ids(micro.index)
            batch = to_device(micro.batch, self.world.device)
            seed_all(self.config.seed, "step", group.epoch, micro.position)
            with self.strategy.micro_batch(self.wrapped, last=count == group.size):
                with autocast(self.config, self.world.device):
                    loss = self.task.loss(self.wrapped, batch)
                loss.total.backward()  # type: ignore[no-untyped-call]
            total = loss.total.detach().double()
            for place, value in enumerate((total, loss.weight, len(ids))):
                sums[place] += value
            for name in sorted(loss.parts):
                parts[name] = parts.get(name, torch.zeros_like(sums[0])) + loss.parts[name]
            seen.append((total, ids))
        return sums, parts, seen

    def rehearse(self, batch: Any) -> None:
        batch = to_device(batch, self.world.device)
        with autocast(self.config, self.world.device):
            loss = self.task.loss(self.model, batch)
        loss.total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.optimizer.load_state_dict(dict(state))


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) or SGD; weights that multiply decay, biases and those of norms do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.optimizer == "adamw":
        betas = (config.momentum, config.beta2)
        return torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=config.epsilon, fused=True)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0)


def _suspects(seen: list[tuple[Tensor, list[str]]], total: float) -> tuple[str, ...]:
    """The cuts of this process's batches with a non-finite loss. If `total`, over all processes, is finite, a gradient
    is to blame, and any batch may be."""
    return tuple(name for loss, ids in seen if math.isfinite(total) or not loss.isfinite() for name in ids)

"""Synchronous data parallelism: every process has all weights, and gradients are summed at every step."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from voxkit.train.dist import World


class Strategy(Protocol):
    """What processes tell each other about gradients and weights, and when.

    One step is: `micro_batch` around the forward and backward pass of each batch, `gradients`, the optimiser,
    `weights`. A skipped step (non-finite somewhere) ends after `gradients`, on all processes.
    """

    shared: bool
    """True: the step uses the gradient summed over all processes, so that all have the same weights. False: each uses
    its own gradient and has its own weights and optimiser state, which checkpoints keep for each."""

    def wrap(self, model: nn.Module, world: World) -> nn.Module:
        """The module that the loss calls: `model`, or something around it that shares its parameters."""

    def micro_batch(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Around the passes of one batch on the wrapped model; `last`: the last one of this step."""

    def gradients(self, model: nn.Module) -> None:
        """After the last backward pass: leave in `.grad` what the step is to use (a sum, not a mean)."""

    def weights(self, model: nn.Module, step: int) -> None:
        """After the optimiser has made step `step` (from 0)."""

    def state_dict(self) -> dict[str, Any]:
        """What this process remembers between steps (tensors and plain values); empty if nothing."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; empty if nothing was saved, or by another number of processes."""


class DDP:
    """torch's `DistributedDataParallel`, or nothing at all for a single process.

    Gradients are exchanged once a step, under the backward pass of its last batch. They are summed: the division is
    by the weight of the whole step, which is known only afterwards. Buffers are those of the first process.
    """

    shared = True

    def wrap(self, model: nn.Module, world: World) -> nn.Module:
        if world.size == 1 or not any(p.requires_grad for p in model.parameters()):
            return model
        wrapped = DistributedDataParallel(model, device_ids=[world.device] if world.device.type == "cuda" else None)
        wrapped.register_comm_hook(None, lambda _, bucket: _sum(bucket.buffer()))
        return wrapped

    def micro_batch(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        return model.no_sync() if isinstance(model, DistributedDataParallel) and not last else nullcontext()

    def gradients(self, model: nn.Module) -> None:
        pass

    def weights(self, model: nn.Module, step: int) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


def _sum(gradients: Tensor) -> torch.futures.Future[Tensor]:
    reduced = dist.all_reduce(gradients, async_op=True)
    return reduced.get_future().then(lambda future: future.value()[0])

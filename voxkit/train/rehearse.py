"""Run out of memory before training begins, and not after an hour of it."""

from __future__ import annotations

import torch
from torch import nn

from voxkit.errors import UserError
from voxkit.progress import say
from voxkit.train.dist import World
from voxkit.train.numerics import seed_all
from voxkit.train.settings import TrainConfig
from voxkit.train.step import Step
from voxkit.train.task import Task


def rehearse(task: Task, update: Step, model: nn.Module, epoch: int, config: TrainConfig, world: World) -> None:
    """Pass the batch that needs the most memory forward and backward, and leave everything as it was.

    Raises:
        UserError: it does not fit; its cuts and the option to lower are named.
    """
    wanted = world.device.type == "cuda" if config.rehearse == "auto" else config.rehearse
    if not wanted:
        return
    batches = task.batches("train", epoch)
    worst = batches.worst()
    seed_all(config.seed, "rehearsal")
    batch = batches[worst]
    buffers = [buffer.clone() for buffer in model.buffers()]
    if world.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(world.device)
    try:
        update.rehearse(batch)
    except (torch.OutOfMemoryError, MemoryError) as error:
        option = getattr(task, "batch_option", "the batch size")
        names = ", ".join(batches.ids(worst)[:3])
        raise UserError(
            f"the largest batch ({len(batches.ids(worst))} cuts: {names} ...) does not fit into memory: {error}",
            fix=f"lower {option}; accumulate can make up for it",
        ) from error
    for buffer, old in zip(model.buffers(), buffers, strict=True):
        with torch.no_grad():
            buffer.copy_(old)
    if world.device.type == "cuda":
        peaks = world.gather(torch.cuda.max_memory_allocated(world.device))
        total = torch.cuda.get_device_properties(world.device).total_memory
        if world.main:
            say(f"rehearsal: the largest batch takes {max(peaks) / 2**30:.1f} of {total / 2**30:.1f} GiB of GPU memory")
    elif world.main:
        say(f"rehearsal: the largest batch ({len(batches.ids(worst))} cuts) fits")

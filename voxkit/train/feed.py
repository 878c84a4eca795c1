"""The order of the data: which process sees which batch at which step, from any point of an epoch on.

An epoch's batches have fixed positions 0, 1, 2, ... A step takes the next `size * accumulate` positions; process `r`
takes every `size`-th of them, starting with the `r`-th. So a step sees the same batches whether two processes take one
each or one process takes two, and since seeds belong to positions, with the same dropout. Past the end of the epoch
positions wrap around to its first batches until the last step is full: no process ever has fewer batches than
another, so none waits for one that never comes.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from voxkit.errors import UserError
from voxkit.train.dist import World
from voxkit.train.interrupt import WATCHED
from voxkit.train.numerics import seed_all
from voxkit.train.settings import TrainConfig
from voxkit.train.task import Batches, Task


@dataclass(frozen=True)
class Micro:
    """One batch of a step: its position in the epoch, and where the task keeps it."""

    position: int
    index: int
    batch: Any


@dataclass
class Group:
    """What one process does in one step. Read `micros` once: batches are loaded on the way.

    Args:
        epoch: counted from 0.
        end: the first position of the epoch after this step, over all processes.
        last: nothing of the epoch is left after this step.
        size: how many batches `micros` gives.
        waited: seconds spent waiting for data; grows while `micros` is read.
    """

    epoch: int
    end: int
    last: bool
    size: int
    batches: Batches
    micros: Iterator[Micro]
    waited: float = 0.0


def steps_per_epoch(batches: int, config: TrainConfig, world: World) -> int:
    """How many steps an epoch of so many batches has."""
    return math.ceil(batches / (config.accumulate * world.size))


def positions(batches: int, start: int, accumulate: int, rank: int, size: int) -> list[list[int]]:
    """The positions that process `rank` of `size` takes, step by step, from position `start` of an epoch on.

    >>> positions(5, 0, accumulate=1, rank=0, size=2), positions(5, 0, accumulate=1, rank=1, size=2)
    ([[0], [2], [4]], [[1], [3], [5]])
    """
    step = size * accumulate
    return [[first + a * size + rank for a in range(accumulate)] for first in range(start, batches, step)]


def groups(
    task: Task, config: TrainConfig, world: World, epoch: int, batch: int, release: Callable[[], None]
) -> Iterator[Group]:
    """The steps of this process without end, from position `batch` of `epoch` on.

    Args:
        release: called in every data process, to close what it inherited and must not hold on to.

    Raises:
        UserError: an epoch has no batches, or not as many in all processes.
    """
    while True:
        batches = task.batches("train", epoch)
        count = len(batches)
        if len(set(world.gather(count))) > 1:
            raise UserError(
                f"epoch {epoch}: the processes see different data ({world.gather(count)} batches)",
                fix="give all of them the same data and seed; who takes what is seen to here",
            )
        if count == 0:
            raise UserError(f"epoch {epoch} has no training batches", fix="check the training data and its filters")
        plan = positions(count, batch, config.accumulate, world.rank, world.size)
        loaded = _load(batches, [p % count for step in plan for p in step], epoch, config, world, release)
        for number, step in enumerate(plan):
            end = batch + (number + 1) * world.size * config.accumulate
            group = Group(epoch, end, end >= count, len(step), batches, iter(()))
            group.micros = _micros(group, step, count, loaded)
            yield group
        epoch, batch = epoch + 1, 0


def _micros(group: Group, step: list[int], count: int, loaded: Iterator[Any]) -> Iterator[Micro]:
    for position in step:
        start = time.perf_counter()
        batch = next(loaded)
        group.waited += time.perf_counter() - start
        yield Micro(position, position % count, batch)


class _Items(Dataset[Any]):
    """The batches as a torch dataset. Generators are set per batch, so that no augmentation depends on which process
    loads it, or on what was loaded before."""

    def __init__(self, batches: Batches, seed: int, epoch: int) -> None:
        self.batches, self.seed, self.epoch = batches, seed, epoch

    def __getitem__(self, i: int) -> Any:
        seed_all(self.seed, "data", self.epoch, i)
        return self.batches[i]


def _load(
    batches: Batches, order: list[int], epoch: int, config: TrainConfig, world: World, release: Callable[[], None]
) -> Iterator[Any]:
    loader = DataLoader(
        _Items(batches, config.seed, epoch),
        batch_size=None,
        sampler=order,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        worker_init_fn=partial(_start_worker, release),
        pin_memory=world.device.type == "cuda",
    )
    return iter(loader)


def _start_worker(release: Callable[[], None], _: int) -> None:
    """A scheduler signals every process of a job, but only the loop may decide to stop; workers end with it."""
    for number in WATCHED:
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    release()

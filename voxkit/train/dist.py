"""Several training processes as one: torchrun's environment in, a few collectives out. One process is the same code.

`torchrun --nproc-per-node N ...` (or whatever sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT) is the
only launcher. The processes must see the same run folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from voxkit.errors import UserError

PATIENCE = timedelta(hours=12)  # the others wait while the first process scores; one that dies is noticed at once


@dataclass(frozen=True)
class World:
    """This process among the `size` ones that train together."""

    rank: int
    size: int
    device: torch.device
    group: dist.ProcessGroup | None = None

    @property
    def main(self) -> bool:
        """True in the one process that writes files and talks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Add up `values`, on the CPU, over all processes, in place; every process gets the same bits."""
        if self.size > 1:
            dist.all_reduce(values, group=self.group)
        return values

    def any(self, flag: bool) -> bool:
        """True everywhere if it is anywhere."""
        return bool(self.sum(torch.tensor(float(flag))) > 0)

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values


@contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that the environment describes, and leave them whatever happens.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N"; several processes on a machine take one GPU each.

    Raises:
        UserError: the device does not exist or the environment is incomplete.
    """
    size = _number("WORLD_SIZE", 1)
    here = World(_number("RANK", 0), size, _device(device, _number("LOCAL_RANK", 0), size))
    if here.device.type == "cuda":
        torch.cuda.set_device(here.device)
    if size == 1:
        yield here
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise UserError(f"WORLD_SIZE is {size} but {', '.join(missing)} not set", fix="start it with torchrun")
    dist.init_process_group("nccl" if here.device.type == "cuda" else "gloo")
    try:
        # Gradients travel in the default group. What the processes agree on travels beside them, and may take its time.
        yield replace(here, group=dist.new_group(backend="gloo", timeout=PATIENCE))
    finally:
        dist.destroy_process_group()


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise UserError(f"environment variable {name} is {text!r}, not a number", fix="start it with torchrun")
    return int(text)


def _device(name: str, local_rank: int, size: int) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and count == 0):
        return torch.device("cpu")
    index = int(name.partition(":")[2] or 0) if size == 1 else local_rank
    if index >= count:
        has = f"this machine has {count} GPU(s)" if count else "no GPU is usable here"
        raise UserError(f"{name}: GPU {index} is wanted, but {has}", fix="choose another device, or fewer processes")
    return torch.device("cuda", index)

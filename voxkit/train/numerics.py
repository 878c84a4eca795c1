"""Random numbers that are no state, and the arithmetic of a run."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from voxkit.errors import UserError
from voxkit.train.settings import TrainConfig


def derive(*parts: int | str) -> int:
    """A 63-bit seed from a place in training, such as (seed, epoch, batch): equal for equal places, on any machine."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def seed_all(*parts: int | str) -> None:
    """Set torch's (on the CPU and the current GPU), numpy's and Python's generators to a function of `parts` alone."""
    seed = derive(*parts)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would format a stack trace for each absent device
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    random.seed(seed)


@contextmanager
def settled(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Threads and deterministic kernels for a run; put back afterwards.

    On a CPU every kernel is deterministic, so equal positions give equal bits (with an equal number of threads). On a
    GPU some losses (CTC among them) have no such kernel, and are let be.
    """
    threads = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = fill


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[Any]:
    """The forward pass in bf16 where it is wanted; weights, gradients and optimiser stay in fp32.

    Raises:
        UserError: bf16 is asked of a GPU that does not have it.
    """
    if config.precision == "fp32" or (config.precision == "auto" and device.type != "cuda"):
        return nullcontext()
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        if config.precision == "bf16":
            raise UserError("this GPU has no bf16", fix="set precision to fp32")
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def to_device(value: Any, device: torch.device) -> Any:
    """Move the tensors in a batch (nested dicts, lists, tuples, dataclasses, or anything with `.to`) to a device."""
    if hasattr(value, "to"):
        return value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value.to(device)
    if isinstance(value, Mapping):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(item, device) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(to_device(item, device) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        moved = {f.name: to_device(getattr(value, f.name), device) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **moved)
    return value

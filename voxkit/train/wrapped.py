"""A task around another one, which adds to it and passes on all else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from voxkit.config import Config
from voxkit.train.task import Task

T = TypeVar("T", bound=Task)


class WrappedTask(Generic[T]):
    """What the bundle is described by is the inner task's, and so is whatever a subclass does not define itself."""

    def __init__(self, inner: T) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not set yet: while it is unpickled
            raise AttributeError(name)
        return getattr(self.inner, name)

    @property
    def system(self) -> str:
        return self.inner.system

    @property
    def config(self) -> Config:
        return self.inner.config

    @property
    def assets(self) -> Mapping[str, Path]:
        return self.inner.assets

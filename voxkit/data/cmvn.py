"""Statistics for cepstral mean and variance normalisation, over a whole set or per speaker; free of torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.errors import UserError
from voxkit.rundir import write_atomic

GLOBAL = ""  # the key under which statistics of a whole set are kept


class CmvnStats:
    """Count, sum and sum of squares of feature frames for each key (a speaker, or `GLOBAL`), in float64.

    Sums of parts add up to the sums of the whole, so statistics of shards and parts can be merged exactly.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._sums: dict[str, NDArray[np.float64]] = {}  # key -> (2 F + 1,): frames, sums, sums of squares

    @property
    def keys(self) -> list[str]:
        """The speakers (or `GLOBAL`) seen, in alphabetical order."""
        return sorted(self._sums)

    def frames(self, key: str | None = None) -> int:
        """The number of frames of `key`; of all keys if None."""
        return int(self._total(key)[0])

    def add(self, features: NDArray[Any], key: str = GLOBAL) -> None:
        """Count the frames of `features` (T, F) for `key`."""
        values = np.asarray(features, dtype=np.float64)
        self._add_sums(key, np.concatenate([[len(values)], values.sum(axis=0), np.square(values).sum(axis=0)]))

    def merge(self, other: CmvnStats) -> None:
        """Add what `other` has counted."""
        if other.dim != self.dim:
            raise ValueError(f"statistics of {other.dim} values per frame do not go with {self.dim}")
        for key, sums in other._sums.items():
            self._add_sums(key, sums)

    def mean_std(self, key: str | None = None, floor: float = 1e-5) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation (at least `floor`) of each value, both (F,); over all keys if `key` is None.

        Raises:
            KeyError: nothing was counted for `key`.
        """
        total = self._total(key)
        if total[0] == 0:
            raise KeyError(key)
        mean = total[1 : 1 + self.dim] / total[0]
        variance = total[1 + self.dim :] / total[0] - mean**2
        return mean.astype(np.float32), np.sqrt(variance.clip(min=floor**2)).astype(np.float32)

    def apply(self, features: NDArray[Any], key: str | None = None) -> NDArray[np.float32]:
        """`features` (T, F) with mean 0 and variance 1 by the statistics of `key` (of all keys if None)."""
        mean, std = self.mean_std(key)
        return ((features - mean) / std).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write safetensors: `frames` (K,), `sum` and `sum_squares` (K, F), float64; the K keys in the metadata."""
        from safetensors.numpy import save

        keys = self.keys
        table = np.stack([self._sums[key] for key in keys]) if keys else np.zeros((0, 1 + 2 * self.dim))
        tensors = {
            "frames": np.ascontiguousarray(table[:, 0]),
            "sum": np.ascontiguousarray(table[:, 1 : 1 + self.dim]),
            "sum_squares": np.ascontiguousarray(table[:, 1 + self.dim :]),
        }
        write_atomic(path, save(tensors, metadata={"keys": json.dumps(keys)}))

    @classmethod
    def load(cls, path: Path) -> CmvnStats:
        """Read what `save` wrote.

        Raises:
            UserError: no such file, or not statistics.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                metadata: Mapping[str, str] = file.metadata()
                keys: list[str] = json.loads(metadata["keys"])
                frames, sums, squares = (file.get_tensor(name) for name in ("frames", "sum", "sum_squares"))
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file", fix="compute it: voxkit featurize --cmvn global") from error
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not CMVN statistics ({error})", fix="compute them again") from error
        stats = cls(sums.shape[1])
        for index, key in enumerate(keys):
            stats._add_sums(key, np.concatenate([[frames[index]], sums[index], squares[index]]))
        return stats

    @classmethod
    def merged(cls, parts: Iterable[CmvnStats], dim: int) -> CmvnStats:
        """The statistics of all parts together."""
        total = cls(dim)
        for part in parts:
            total.merge(part)
        return total

    def _add_sums(self, key: str, sums: NDArray[np.float64]) -> None:
        self._sums[key] = self._sums[key] + sums if key in self._sums else sums

    def _total(self, key: str | None) -> NDArray[np.float64]:
        if key is not None:
            return self._sums.get(key, np.zeros(1 + 2 * self.dim))
        return np.sum(list(self._sums.values()), axis=0) if self._sums else np.zeros(1 + 2 * self.dim)

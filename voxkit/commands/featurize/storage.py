"""Where feature matrices go, in formats that lhotse reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from voxkit.errors import UserError

DTYPES: dict[str, type[np.floating[Any]]] = {"float32": np.float32, "float16": np.float16}


class Store(Protocol):
    """Keeps the matrices of one part; `size` counts the bytes written."""

    size: int

    def write(self, features: NDArray[np.float32]) -> dict[str, str]:
        """Store (T, F); returns the storage fields of lhotse's `Features`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class NumpyStore:
    """One `.npy` file per cut (lhotse's "numpy_files")."""

    def __init__(self, folder: Path, final: Path, dtype: type[np.floating[Any]]) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # left by a part that was not finished
        folder.mkdir(parents=True)
        self.folder, self.final, self.dtype = folder, final, dtype
        self.count = self.size = 0

    def write(self, features: NDArray[np.float32]) -> dict[str, str]:
        key = f"{self.count:05d}.npy"
        with open(self.folder / key, "wb") as file:
            np.save(file, features.astype(self.dtype, copy=False), allow_pickle=False)
            self.size += file.tell()
        self.count += 1
        return {"storage_type": "numpy_files", "storage_path": str(self.final), "storage_key": key}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Every file is closed already."""


class LilcomStore:
    """One compressed file (lhotse's "lilcom_chunky"); a key is an offset and the sizes of the chunks from there."""

    CHUNK = 500  # frames, fixed by the format
    TICK = -5  # values are rounded to multiples of 2^-5

    def __init__(self, folder: Path, final: Path) -> None:
        from lilcom import compress

        folder.mkdir(parents=True, exist_ok=True)
        self.compress, self.final, self.size = compress, final / "feats.lca", 0
        self.file = open(folder / self.final.name, "wb")

    def write(self, features: NDArray[np.float32]) -> dict[str, str]:
        chunks = [features[begin : begin + self.CHUNK] for begin in range(0, len(features), self.CHUNK)]
        sizes = [self.file.write(self.compress(chunk, tick_power=self.TICK)) for chunk in chunks]
        key = ",".join(map(str, [self.size, *sizes]))
        self.size += sum(sizes)
        return {"storage_type": "lilcom_chunky", "storage_path": str(self.final), "storage_key": key}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def open_store(kind: str, folder: Path, final: Path) -> Store:
    """Begin to store a part in `folder`, which will be `final` when all is done; what is there is overwritten."""
    return LilcomStore(folder, final) if kind == "lilcom" else NumpyStore(folder, final, DTYPES[kind])


def require_storage(kind: str) -> None:
    """Raise UserError if a kind of storage needs a package that is not there."""
    if kind == "lilcom":
        try:
            import lilcom  # noqa: F401
        except ImportError as error:
            fix = "pip install lilcom, or --set storage=float16"
            raise UserError("storage=lilcom needs the package lilcom", fix=fix) from error


def stored_bytes(folder: Path) -> int:
    """How many bytes the files of a part have."""
    return sum(file.stat().st_size for file in folder.iterdir()) if folder.is_dir() else 0

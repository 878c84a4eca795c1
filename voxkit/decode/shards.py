"""Compressed files that hold the arrays of many utterances end to end, integers in as few bytes as hold them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.errors import UserError
from voxkit.rundir import write_atomic

Columns = dict[str, NDArray[Any]]


def write(path: Path, kind: str, version: int, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of integers and strings; `kind` says what they are."""
    buffer = io.BytesIO()
    marked = {"format": np.array([version], dtype=np.int32), "kind": np.array([kind])}
    np.savez_compressed(buffer, **marked, **{name: _small(column) for name, column in columns.items()})  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())


def read(path: Path, kind: str, version: int, names: Sequence[str]) -> Columns:
    """The columns `names` of a file.

    Raises:
        UserError: not there, damaged, of another kind or format.
    """
    try:
        with np.load(path, allow_pickle=False) as shard:
            found = {name: shard[name] for name in ("format", *names)}
            said = str(shard["kind"][0]) if "kind" in shard.files else kind
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot read {kind}: {error}", fix="decode again") from error
    if said != kind or int(found.pop("format")[0]) != version:
        raise UserError(f"{path}: {said} of an unknown format", fix="decode again with this version")
    return found


def joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """All arrays in one."""
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int32)


def _small(column: NDArray[Any]) -> NDArray[Any]:
    """The same integers in the smallest type that holds them."""
    if column.dtype.kind not in "iu":
        return column
    low, high = column.min(initial=0), column.max(initial=0)
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return column.astype(kind)
    return column

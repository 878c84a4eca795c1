"""The fewest errors that lattices would allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from voxkit.data.text import normaliser as normaliser_called
from voxkit.decode.alignment import oracle
from voxkit.decode.folder import DecodeFolder
from voxkit.metrics.edit import Errors, errors


def oracle_errors(folder: Path, normaliser: str) -> Errors:
    """Word errors of the path in each lattice that is closest to the reference, over all cuts that have one.

    Both sides are normalised. Exact, unless the normaliser makes several words of one.
    """
    clean = normaliser_called(normaliser)
    decoded = DecodeFolder(folder, lattices=True)
    table = _Table([clean(word) for word in decoded.words])
    total = Errors()
    for found in decoded:
        custom = found.supervision.get("custom") or {}
        if found.lattice is None or "reference" not in custom:
            continue
        reference = clean(custom["reference"]).split()
        lattice = replace(found.lattice, word=table.alike[found.lattice.word])
        path = oracle(lattice, table.ids(reference)).path
        total += errors(reference, " ".join(table.words[word] for word in path.words).split())
    return total


class _Table:
    """A word table in which words that are normalised to the same have the same id, and to nothing id 0."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._number: dict[str, int] = {"": 0}
        for number, word in enumerate(words[1:], start=1):
            self._number.setdefault(word, number)
        self.alike = np.array([0, *(self._number[word] for word in words[1:])], dtype=np.int32)

    def ids(self, words: Sequence[str]) -> list[int]:
        return [self._number.get(word, -1) for word in words]

"""Sentences as tokens on disk, of which memory holds only what is looked at.

NAME.tokens  the windows one after the other: uint16 where the vocabulary allows, else int32
NAME.bounds  int64, where each window begins, and the end of the last
NAME.sizes   int32, tokens of each window

A window is [token before, w1, ..., wn]; its first token is not to be foreseen: <s>, or the last token before where a
sentence was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.lm_nce.vocabulary import BEGIN, END
from voxkit.rundir import writing

AT_ONCE = 1 << 16  # tokens that are held in memory before they are written
KINDS = ("tokens", "bounds", "sizes")


def _paths(stem: Path) -> list[Path]:
    return [stem.with_name(f"{stem.name}.{kind}") for kind in KINDS]


def _type(vocabulary: int) -> type[np.generic]:
    """What holds the ids of so many tokens."""
    return np.uint16 if vocabulary <= 1 << 16 else np.int32


class TokenFile:
    """The windows of a text.

    Attributes:
        sizes: (len,) tokens of each window, the first included; memory mapped.
    """

    def __init__(self, stem: Path, vocabulary: int) -> None:
        """Open the files of a writer that was closed, of at least one window.

        Args:
            stem: their path without the endings.
            vocabulary: how many different tokens there are.
        """
        tokens, bounds, sizes = _paths(stem)
        self._tokens = np.memmap(tokens, dtype=_type(vocabulary), mode="r")
        self._bounds: NDArray[np.int64] = np.memmap(bounds, dtype=np.int64, mode="r")
        self.sizes: NDArray[np.int32] = np.memmap(sizes, dtype=np.int32, mode="r")

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, place: int) -> NDArray[np.int32]:
        """The tokens of a window, the first included."""
        begin, end = self._bounds[place : place + 2].tolist()
        return np.array(self._tokens[begin:end], dtype=np.int32)


class TokenWriter:
    """Writes a token file, sentence by sentence: `with TokenWriter(...) as writer: writer.add(...)`.

    Attributes:
        counts: (V,) how often each token is to be foreseen, once closed.
        windows: how many were written.
    """

    def __init__(self, stem: Path, vocabulary: int, longest: int) -> None:
        """Open the files.

        Args:
            stem: their path without the endings.
            vocabulary: V, how many different tokens there are.
            longest: window to write [tokens to foresee].
        """
        self.counts = np.zeros(vocabulary, dtype=np.int64)
        self.windows = 0
        self._stem, self._longest, self._type = stem, longest, _type(vocabulary)
        self._tokens: list[int] = []
        self._sizes: list[int] = []
        self._written = 0

    def __enter__(self) -> TokenWriter:
        self._stack = ExitStack()
        with writing(self._stem):
            self._files = [self._stack.enter_context(open(path, "wb")) for path in _paths(self._stem)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                self._flush()
                with writing(self._stem):
                    self._files[1].write(np.int64(self._written).tobytes())

    def add(self, ids: Sequence[int]) -> None:
        """A sentence, without marks; a long one gives several windows."""
        whole = [BEGIN, *ids, END]
        for begin in range(0, len(whole) - 1, self._longest):
            window = whole[begin : begin + self._longest + 1]
            self._tokens += window
            self._sizes.append(len(window))
        if len(self._tokens) >= AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        tokens, sizes = np.array(self._tokens, dtype=np.int64), np.array(self._sizes, dtype=np.int64)
        ends = np.cumsum(sizes)
        begins = ends - sizes
        self.counts += np.bincount(tokens, minlength=len(self.counts))
        self.counts -= np.bincount(tokens[begins], minlength=len(self.counts))
        with writing(self._stem):
            parts = (tokens.astype(self._type), begins + self._written, sizes.astype(np.int32))
            for file, part in zip(self._files, parts, strict=True):
                file.write(part.tobytes())
        self._written += len(tokens)
        self.windows += len(sizes)
        self._tokens, self._sizes = [], []

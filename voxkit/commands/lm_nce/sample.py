"""`lm-nce sample`: sentences drawn from a model, for n-gram models of the first pass."""

from __future__ import annotations

import gzip
import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from voxkit.commands.lm_nce.model import take
from voxkit.commands.lm_nce.scorer import OnnxScorer, TorchScorer, open_scorer
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, UNKNOWN
from voxkit.errors import UserError
from voxkit.progress import Meter, say
from voxkit.rundir import make_folder, writing

STDOUT = Path("-")
AT_ONCE = 256  # hypotheses
ROWS = 64  # of scores of the whole vocabulary that are computed together, in memory that is near
HOPELESS = 20  # times AT_ONCE sentences, of which none ends: no use in going on


@dataclass(frozen=True)
class Request:
    """What is drawn.

    Attributes:
        words, sentences: how much; one of them.
        longest: sentences with more are drawn again [words, or pieces of them].
        temperature: scores are divided by this; below 1 likely words become likelier.
    """

    words: int | None = None
    sentences: int | None = None
    seed: int = 0
    temperature: float = 1.0
    longest: int = 50

    def enough(self, words: int, sentences: int) -> bool:
        """Whether this is as much as is wanted."""
        if self.words is not None:
            return words >= self.words
        return self.sentences is not None and sentences >= self.sentences

    @property
    def amount(self) -> tuple[int, str]:
        """How much of what, for the meter."""
        return (self.words, "words") if self.words is not None else (self.sentences or 0, "sentences")


class Sampler:
    """Draws sentences; those that are not empty, have no unknown word and no class, and are not too long.

    Hypotheses are read together; where one has ended another begins. Sentences come in the order in which they were
    begun: were they to come as they end, the first ones would be the short ones.
    """

    def __init__(self, scorer: TorchScorer | OnnxScorer, request: Request, at_once: int = AT_ONCE) -> None:
        self.scorer, self.request, self.at_once = scorer, request, at_once
        vocabulary = scorer.vocabulary
        classes = [vocabulary.class_id(name) for name in vocabulary.classes]
        self.bias = scorer.bias / request.temperature
        self.bias[[UNKNOWN, BEGIN, *classes]] = -torch.inf
        self.buffers = torch.empty(2, min(at_once, ROWS), len(vocabulary))
        self.random = torch.Generator().manual_seed(request.seed)
        self.begun = 0  # sentences
        self.rejected = 0

    def sentences(self) -> Iterator[str]:
        """As many as are wanted.

        Raises:
            UserError: the model ends no sentence that is short enough.
        """
        done: dict[int, str | None] = {}  # that wait for one begun before them; None: left out
        told = words = count = 0
        for number, ids in self._drawn():
            done[number] = None if ids is None else self.scorer.vocabulary.text(ids) or None
            self.rejected += done[number] is None
            if self.rejected == len(done) + told >= HOPELESS * self.at_once:
                raise UserError(
                    f"the model ends none of {self.rejected} sentences within {self.request.longest} words",
                    fix="allow longer ones with --longest, or train the model longer",
                )
            while told in done:
                text = done.pop(told)
                told += 1
                if text is None:
                    continue
                yield text
                words, count = words + len(text.split()), count + 1
                if self.request.enough(words, count):
                    return

    @torch.inference_mode()
    def _drawn(self) -> Iterator[tuple[int, list[int] | None]]:
        """Sentences as they end, by their number; None of one that is too long."""
        longest = self.request.longest
        numbers = np.zeros(0, dtype=np.int64)  # of the running sentences
        tokens = np.zeros((0, longest), dtype=np.int64)
        lengths = np.zeros(0, dtype=np.int64)
        state, read = self.scorer.start(0), torch.zeros(0, dtype=torch.int64)
        while True:
            fresh = self.at_once - len(numbers)
            numbers = np.concatenate([numbers, self.begun + np.arange(fresh)])
            self.begun += fresh
            tokens = np.concatenate([tokens, np.zeros((fresh, longest), dtype=np.int64)])
            lengths = np.concatenate([lengths, np.zeros(fresh, dtype=np.int64)])
            read = torch.cat([read, torch.full((fresh,), BEGIN)])
            if fresh:
                state = self.scorer.join([state, self.scorer.start(fresh)])
            hidden, state = self.scorer.advance(read, state)
            read = self._choose(hidden, torch.from_numpy(lengths == 0))
            ended = (read == END).numpy()
            over = ~ended & (lengths == longest)
            for row in np.flatnonzero(ended | over):
                yield int(numbers[row]), tokens[row, : lengths[row]].tolist() if ended[row] else None
            left = np.flatnonzero(~ended & ~over)
            kept = torch.from_numpy(left)
            tokens[left, lengths[left]] = read.numpy()[left]
            numbers, tokens, lengths = numbers[left], tokens[left], lengths[left] + 1
            read, state = read[kept], take(state, kept)

    def _choose(self, hidden: Tensor, first: Tensor) -> Tensor:
        """A token for each of N hypotheses, by the inverse of the distribution; no end where it is the first."""
        points = torch.rand(len(hidden), 1, generator=self.random)
        parts = []
        for known, begins, point in zip(*(torch.split(part, ROWS) for part in (hidden, first, points)), strict=True):
            scores, sums = (buffer[: len(known)] for buffer in self.buffers)
            torch.addmm(self.bias, known / self.request.temperature, self.scorer.weight.t(), out=scores)
            scores[begins, END] = -torch.inf
            scores.sub_(scores.amax(1, keepdim=True)).exp_()
            torch.cumsum(scores, 1, out=sums)
            whole = sums[:, -1:]
            before = torch.nextafter(whole, torch.zeros_like(whole))  # the end of the last that may come, not past it
            parts.append(torch.searchsorted(sums, torch.minimum(point * whole, before), right=True).squeeze(1))
        return torch.cat(parts)


@contextmanager
def _written(out: Path) -> Iterator[IO[str]]:
    """A text to write: a file that is complete or absent, gzipped if its name ends in .gz; stdout for `-`; or a pipe or
    device, which gets it as it comes.
    """
    if out == STDOUT:
        yield sys.stdout
        return
    stream = out.exists() and not out.is_file()
    out = out if stream else Path(os.path.realpath(out))  # a link stays one
    make_folder(out.parent)
    temporary = None if stream else out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with writing(out), open(temporary or out, "wb") as raw:
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if out.suffix == ".gz" else nullcontext(raw) as packed:
                text = io.TextIOWrapper(packed, encoding="utf-8")
                yield text
                text.detach()  # written out, and `packed` stays open
            raw.flush()
            if temporary is not None:
                os.fsync(raw.fileno())
        if temporary is not None:
            os.replace(temporary, out)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def run(model: Path, request: Request, out: Path, threads: int) -> None:
    """Write sentences, one a line, into a file, a pipe or stdout (see `_written`), and say how many there are.

    Raises:
        UserError: no such model, or one that ends no sentences; `out` is a folder.
    """
    if out != STDOUT and out.is_dir():
        raise UserError(f"{out}: a folder", fix=f"name a file: --out {out / 'sentences.txt'}")
    if out != STDOUT and out.is_file():
        say(f"{out}: is written anew")
    sampler = Sampler(open_scorer(model, threads=threads), request)
    start, words, count = time.perf_counter(), 0, 0
    total, unit = request.amount
    with _written(out) as file, Meter(total, "drawing", unit) as meter:
        for text in sampler.sentences():
            file.write(text + "\n")
            size = len(text.split())
            words, count = words + size, count + 1
            meter.advance(size if unit == "words" else 1)
    seconds = time.perf_counter() - start
    left_out = f", {sampler.rejected} sentences left out as too long" if sampler.rejected else ""
    told = f"{words} words, {count} sentences{left_out}, {words / max(seconds, 1e-9):.0f} words per second"
    if out == STDOUT:
        say(told)
    else:
        print(f"{told}\n{out}")

"""Batches on one or several processes, each with its own recogniser."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from voxkit.commands.decode.command import Decode
from voxkit.commands.decode.recognise import Recogniser
from voxkit.errors import UserError

T = TypeVar("T")
Work = Callable[[Recogniser, Sequence[Any]], T]


def over(
    batches: Sequence[Sequence[Any]], work: Work[T], num_jobs: int, exp: Path, graph: Path | None, config: Decode
) -> Iterator[T]:
    """`work(recogniser, batch)` for every batch, in order.

    Args:
        work: a function of a module, so that other processes find it.

    Raises:
        UserError: what the work raised, or a process that was killed.
    """
    num_jobs = min(num_jobs, len(batches))
    if num_jobs <= 1:
        recogniser = Recogniser(exp, graph, config)
        yield from (work(recogniser, batch) for batch in batches)
        return
    context = multiprocessing.get_context("spawn")  # no threads or locks inherited in an unknown state
    pool = ProcessPoolExecutor(num_jobs, context, initializer=_begin, initargs=(exp, graph, config))
    try:
        for result, error in pool.map(_work, [work] * len(batches), batches):
            if error is not None:
                raise UserError(*error)
            yield result
    except BrokenProcessPool as error:
        raise UserError(
            "a decoding process was killed", fix="use fewer --num-jobs: most often the memory is used up"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_setup: tuple[Path, Path | None, Decode] | None = None
_recogniser: Recogniser | None = None


def _begin(exp: Path, graph: Path | None, config: Decode) -> None:
    global _setup
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)  # the parent's business
    _setup = (exp, graph, config)


def _work(work: Work[Any], batch: Sequence[Any]) -> tuple[Any, tuple[str, str] | None]:
    """The result, or the message and fix of a user's error (whose classes do not all survive pickling)."""
    global _recogniser
    try:
        if _recogniser is None:
            if _setup is None:
                raise RuntimeError("the process was not prepared")
            _recogniser = Recogniser(*_setup)
        return work(_recogniser, batch), None
    except UserError as error:
        return None, (error.message, error.fix)

"""Work spread over processes of this machine, none of which outlives the one that asked for it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from voxkit.errors import UserError

I = TypeVar("I")  # noqa: E741 - an item
O = TypeVar("O")  # noqa: E741 - an outcome
W = TypeVar("W")  # a worker

POLL = 0.2  # how often `stop` is asked while processes work [s]


class WorkerDied(Exception):
    """A process of the pool ended on its own."""


def spread(
    items: Iterable[I],
    worker: Callable[[], W],
    work: Callable[[W, I], O],
    num_jobs: int,
    stop: Callable[[], object] = lambda: False,
) -> Generator[tuple[I, O], None, None]:
    """`work(worker(), item)` for every item; each comes back with its outcome, in the order of completion.

    Args:
        items: taken one by one as processes become free.
        worker: makes what does the work, once in each process. It and `work` must survive pickling, so they are
            functions or classes of modules (or `functools.partial` of them).
        num_jobs: processes; with one, the work is done in this process.
        stop: asked often; once it says so, nothing more comes, and what is under way is dropped where it stands.

    Raises:
        UserError: what `worker` or `work` raised.
        WorkerDied: a process ended on its own, for example killed by the system for want of memory.
    """
    if num_jobs > 1:
        yield from _parallel(items, worker, work, num_jobs, stop)
        return
    made: W | None = None
    for item in items:
        if stop():
            return
        made = worker() if made is None else made
        yield item, work(made, item)


def _parallel(
    items: Iterable[I],
    worker: Callable[[], W],
    work: Callable[[W, I], O],
    num_jobs: int,
    stop: Callable[[], object],
) -> Generator[tuple[I, O], None, None]:
    # A fresh interpreter per process: no locks or threads inherited in an unknown state.
    context = multiprocessing.get_context("spawn")
    watched, held = context.Pipe(duplex=False)  # closes when this process closes it, or ends in any way
    pool = ProcessPoolExecutor(num_jobs, context, initializer=_begin, initargs=(watched, worker))
    running: dict[Future[Any], I] = {}
    queue = iter(items)
    try:
        while not stop():
            for item in islice(queue, 2 * num_jobs - len(running)):
                running[pool.submit(_work, work, item)] = item
            if not running:
                return
            finished, _ = wait(running, timeout=POLL, return_when=FIRST_COMPLETED)
            for future in finished:
                outcome, error = future.result()
                if error is not None:
                    raise UserError(*error)
                yield running.pop(future), outcome
    except BrokenProcessPool as error:
        if not stop():
            raise WorkerDied(str(error)) from error
    finally:
        if running:
            held.close()  # nobody waits for the rest: end the processes now
        pool.shutdown(wait=True, cancel_futures=True)
        held.close()
        watched.close()


_make: Callable[[], Any] | None = None
_made: Any = None


def belong_to_parent(watched: Connection) -> None:
    """In a process that helps another: signals are its parent's business, and without a parent it ends.

    Args:
        watched: the receiving end of a pipe whose other end only the parent has; the process ends at once when that
            closes.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(watched,), daemon=True).start()


def _begin(watched: Connection, worker: Callable[[], Any]) -> None:
    """Prepare a process of the pool."""
    global _make
    belong_to_parent(watched)
    _make = worker


def _end_with_parent(watched: Connection) -> None:
    watched.poll(None)  # nothing is ever sent: it returns when the other end is closed
    os._exit(1)


def _work(work: Callable[[Any, Any], Any], item: Any) -> tuple[Any, tuple[str, str] | None]:
    """The outcome, or the message and fix of a user's error (whose classes do not all survive pickling)."""
    global _made
    try:
        if _made is None:
            if _make is None:
                raise RuntimeError("the process was not prepared")
            _made = _make()
        return work(_made, item), None
    except UserError as error:
        return None, (error.message, error.fix)

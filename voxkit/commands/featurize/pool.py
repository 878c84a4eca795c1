"""Parts on one or several processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait as wait_for

from voxkit.commands.featurize.command import Featurize
from voxkit.commands.featurize.part import Layout, Part, Worker
from voxkit.errors import Problem


class WorkerDied(Exception):
    """A process of the pool ended on its own."""


def compute(
    pending: Sequence[Part], settings: Featurize, layout: Layout, num_jobs: int, hopeless: Callable[[], bool]
) -> Generator[tuple[Part, list[Problem]], None, None]:
    """Compute parts; each comes back with its problems, in the order of completion.

    Args:
        hopeless: asked before each part; if it says so, parts are only inspected.

    Raises:
        WorkerDied: for example killed by the system for want of memory.
    """
    num_jobs = min(num_jobs, len(pending))
    if num_jobs <= 1:
        worker = Worker(settings, layout)
        for part in pending:
            yield part, worker.inspect(part) if hopeless() else worker.compute(part)
        return
    # A fresh interpreter per process: no locks or threads inherited in an unknown state.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_jobs, context, initializer=_begin, initargs=(settings, layout))
    running: dict[Future[list[Problem]], Part] = {}
    queue = iter(pending)
    try:
        while True:
            for part in islice(queue, 2 * num_jobs - len(running)):
                running[pool.submit(_work, part, hopeless())] = part
            if not running:
                return
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise WorkerDied(str(error)) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: Worker | None = None


def _begin(settings: Featurize, layout: Layout) -> None:
    """Prepare a process of the pool: signals are its parent's business, and without a parent it ends."""
    global _worker
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(settings, layout)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)


def _work(part: Part, only_inspect: bool) -> list[Problem]:
    if _worker is None:
        raise RuntimeError("the process was not prepared")
    return _worker.inspect(part) if only_inspect else _worker.compute(part)

"""Jobs on this machine, a few at a time, without a scheduler.

The jobs are plain child processes: they keep this process's view of the GPUs, and none starts before there is room.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence

from voxkit.cluster.jobs import POLL, Attempt, Busy, Job, Status, catching
from voxkit.errors import Interrupted
from voxkit.progress import say


def run(jobs: Sequence[Job], at_once: int, requeues: int) -> Iterator[Job]:
    """Run the jobs, at most `at_once` at a time, and yield each when it has ended for good.

    A job that ends as interrupted (exit code 75) is started again, up to `requeues` times. SIGINT, SIGTERM or SIGUSR1
    to this process asks all running jobs to save and end; a second signal kills them.

    Raises:
        Interrupted: after such a signal, when the jobs have ended.
    """
    waiting = deque(jobs)
    held: set[Job] = set()  # jobs that a former run's process still holds
    running: list[Attempt] = []
    env = _threads(at_once)
    for job in jobs:
        job.record(Status())
    with catching(signal.SIGINT, signal.SIGTERM, signal.SIGUSR1) as caught:
        told = 0
        try:
            while running or waiting:
                if len(caught) > told:
                    told = len(caught)
                    waiting.clear()
                    say("stopping: waiting for the jobs to save" if told == 1 else "killing the jobs")
                    for attempt in running:
                        attempt.stop(kill=told > 1)
                for _ in range(min(len(waiting), at_once - len(running))):
                    job = waiting.popleft()
                    try:
                        running.append(Attempt(job, env, own_session=True))
                    except Busy:
                        if job not in held:
                            say(f"job {job.name} is still running from before; waiting for it to end")
                            held.add(job)
                        waiting.append(job)
                for attempt in list(running):
                    status = attempt.poll()
                    if status is None:
                        continue
                    running.remove(attempt)
                    if status.state == "interrupted" and not caught and status.attempt <= requeues:
                        say(f"job {attempt.job.name} was interrupted and goes on (attempt {status.attempt + 1})")
                        waiting.append(attempt.job)
                    else:
                        yield attempt.job
                time.sleep(POLL)
        finally:
            _end(running)
        if caught:
            raise Interrupted(f"by {caught[0].name}; the same command goes on from here")


def _end(running: Sequence[Attempt]) -> None:
    """Leave no process behind, whatever ended the loop."""
    for attempt in running:
        attempt.stop()
    for attempt in running:
        while attempt.poll() is None:
            time.sleep(POLL)


def _threads(at_once: int) -> dict[str, str]:
    """Share the cores: without this every job would start as many threads as there are cores."""
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // at_once))}

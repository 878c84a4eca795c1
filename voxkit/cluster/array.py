"""Runs a submission's jobs on a backend, follows them and concludes: the parts merged, or what went wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from voxkit.cluster import local, slurm
from voxkit.cluster.jobs import Job
from voxkit.cluster.submission import Submission
from voxkit.errors import EXIT_INTERRUPTED, Interrupted, UserError
from voxkit.progress import Meter, say


def on_this_machine(submission: Submission, at_once: int, requeues: int, wait: bool) -> Iterator[Job] | None:
    """Run what is left to do here; None in the caller's process if it is done in the background instead."""
    todo = submission.todo()
    if slurm.alive(todo, slurm.load_ids(submission.folder / "slurm")):
        raise UserError(
            f"{submission.folder}: some of these jobs are in Slurm's queue",
            fix="use --backend slurm to wait for them, or cancel them with scancel",
        )
    if todo and not wait:
        log = submission.folder / "submit.log"
        process = _to_background(log)
        if process:
            say(f"running {len(todo)} jobs in the background (process {process}); log: {log}")
            say("the same command without --no-wait waits for them")
            return None
    return local.run(todo, at_once, requeues)


def on_slurm(
    submission: Submission, name: str, at_once: int, requeues: int, options: Sequence[str], wait: bool
) -> Iterator[Job] | None:
    """Put what is left to do, and is not there yet, into Slurm's queue; None if it is not waited for."""
    slurm.require()
    folder = submission.folder / "slurm"
    todo = submission.todo()
    ids = slurm.load_ids(folder)
    there = slurm.alive(todo, ids)
    new = [job for job in todo if job not in there]
    if new:
        parameters = slurm.parameters(options)
        ids = slurm.submit(new, folder, name.replace(" ", "-"), parameters, at_once, requeues)
        arrays = ", ".join(sorted({ids[job.index].partition("_")[0] for job in new}))
        say(f"Slurm job {arrays}: {len(new)} jobs; logs: {submission.folder / 'log'}")
    if there:
        say(f"{len(there)} jobs are in the queue from before")
    if todo and not wait:
        say("the same command without --no-wait waits for them")
        return None
    return slurm.watch(todo, ids)


def follow(submission: Submission, finished: Iterator[Job]) -> None:
    """Show progress until all jobs have ended."""
    done = len(submission.jobs) - len(submission.todo())
    if done:
        say(f"{done} of {len(submission.jobs)} jobs are done already")
    with Meter(len(submission.jobs), "jobs", "jobs", done=done) as meter:
        for job in finished:
            status = job.status()
            if status.state == "done":
                meter.advance()
            else:
                say(f"job {job.index} of {job.count} {status}; log: {job.log}")


def conclude(submission: Submission, out: Path | None, merges: bool) -> None:
    """Merge the parts, or say where they are.

    Raises:
        UserError: some jobs failed; the message is the whole report.
        Interrupted: some jobs were interrupted more often than allowed, and none failed.
    """
    states = {job.status().state for job in submission.failed()}
    if states == {"interrupted"}:
        raise Interrupted(f"{submission.report()}\nthe same command goes on from here")
    if states:
        raise UserError(
            submission.report(),
            fix="mend the cause and run the same command again; it runs only the jobs that have not succeeded",
        )
    say(f"all {len(submission.jobs)} jobs are done; logs: {submission.folder / 'log'}")
    if merges and len(submission.jobs) > 1:
        _merge(submission)  # it says where the result is
    elif len(submission.jobs) == 1 or out is None:
        print(out or submission.folder)
    else:
        for job in submission.jobs:
            print(out / f"shard-{job.name}")


def _merge(submission: Submission) -> None:
    say("merging the parts")
    code = subprocess.run([sys.executable, "-m", "voxkit", *submission.command[1:], "--merge"]).returncode
    if code == EXIT_INTERRUPTED:
        raise Interrupted("while merging; the same command goes on from here")
    if code:
        raise UserError(f"merging failed with exit code {code}", fix="see above, then run the same command again")


def _to_background(log: Path) -> int:
    """Split off a process that outlives the terminal and writes to `log`; 0 in it, its number in the caller."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        os.setsid()
        with open(os.devnull) as null, open(log, "a") as file:
            os.dup2(null.fileno(), 0)
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    return process

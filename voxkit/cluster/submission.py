"""A submission: one command as an array of jobs, in a folder that knows which of them are done."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from voxkit.cluster.jobs import Job
from voxkit.errors import UserError
from voxkit.progress import Meter, say
from voxkit.rundir import try_lock, write_atomic


@dataclass(frozen=True)
class Submission:
    """`command` as `len(jobs)` jobs; `out` is the command's own output folder, if it has one."""

    folder: Path
    command: tuple[str, ...]
    jobs: tuple[Job, ...]
    out: Path | None

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it this submission and no other."""
        return {"command": list(self.command), "jobs": len(self.jobs), "cwd": str(self.jobs[0].cwd)}

    def todo(self) -> list[Job]:
        """The jobs that have not succeeded, or whose output is gone again."""
        return [job for job in self.jobs if job.status().state != "done" or self._is_gone(job)]

    def failed(self) -> list[Job]:
        return [job for job in self.jobs if job.status().state != "done"]

    def report(self) -> str:
        """What went wrong: each job that did not succeed, with its log and the last lines of it."""
        failed = self.failed()
        lines = [f"{len(failed)} of {len(self.jobs)} jobs did not succeed"]
        for job in failed:
            status = job.status()
            run = f"attempt {status.attempt} on {status.host}" if status.host else "never started"
            lines += [f"  job {job.index} of {job.count}: {status} ({run}); log: {job.log}"]
            lines += [f"    | {line}" for line in job.last_lines()]
        return "\n".join(lines)

    def _is_gone(self, job: Job) -> bool:
        if self.out is None:
            return False
        part = self.out if job.count == 1 else self.out / f"shard-{job.name}"
        return not part.exists() and not (self.out / "config.yaml").exists()


def plan(folder: Path, command: Sequence[str], count: int, out: Path | None) -> Submission:
    """The jobs of `command`; with more than one, each gets `--shard i/count`.

    Args:
        command: the command as typed; the program `voxkit` is run by this Python, so that the jobs find the same one.
        out: the command's output folder.
    """
    cwd = Path.cwd()
    program = [sys.executable, "-m", "voxkit"] if command[0] == "voxkit" else [command[0]]
    jobs = []
    for index in range(1, count + 1):
        shard = ["--shard", f"{index}/{count}"] if count > 1 else []
        jobs.append(Job(index, count, (*program, *command[1:], *shard), cwd, folder))
    return Submission(folder, tuple(command), tuple(jobs), out)


@contextmanager
def held(submission: Submission) -> Iterator[None]:
    """Hold the submission's folder, creating it if need be; waits while another process is running its jobs.

    Raises:
        UserError: the folder belongs to another command or number of jobs, or cannot be written.
    """
    folder = submission.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}", fix="choose another --out") from error
    with lock:
        _check_same(submission)
        if not try_lock(lock):
            say(f"{folder}: another `voxkit submit` is at work on these jobs; waiting for it")
            _follow(submission, lock)
        write_atomic(folder / "submit.json", json.dumps(submission.identity, indent=2) + "\n")
        yield


def _check_same(submission: Submission) -> None:
    file = submission.folder / "submit.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if {path.name for path in submission.folder.iterdir()} - {".lock"}:
            raise UserError(
                f"{submission.folder}: not empty and not made by `voxkit submit`", fix="choose another --out"
            ) from None
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: damaged: {error}", fix=f"remove {submission.folder}") from error
    wanted = submission.identity
    if found != wanted:
        raise UserError(
            f"{submission.folder}: belongs to another submission\n"
            f"  there: {found.get('jobs')} jobs in {found.get('cwd')}: {shlex.join(found.get('command', []))}\n"
            f"  now:   {wanted['jobs']} jobs in {wanted['cwd']}: {shlex.join(submission.command)}",
            fix=f"choose another --out, or remove {submission.folder} to start afresh",
        )


def _follow(submission: Submission, lock: IO[str]) -> None:
    done = len(submission.jobs) - len(submission.failed())
    with Meter(len(submission.jobs), "jobs", "jobs", done=done) as meter:
        while not try_lock(lock):
            time.sleep(0.5)
            meter.advance(len(submission.jobs) - len(submission.failed()) - meter.done)

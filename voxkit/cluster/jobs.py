"""One job of an array: its command, its log and its status file.

A job's status is a small file beside its log, written by whoever runs the job. That is the only truth about it: it
survives the submitter, a requeue and a change of backend, and needs no accounting database.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Literal

from voxkit.errors import EXIT_INTERRUPTED, UserError
from voxkit.rundir import try_lock, write_atomic

State = Literal["waiting", "running", "done", "failed", "interrupted"]
POLL = 0.1  # seconds between two looks at a child process


@dataclass(frozen=True, slots=True)
class Status:
    """How far a job is; `code` is the exit status of the last attempt, negative for a signal."""

    state: State = "waiting"
    attempt: int = 0
    code: int | None = None
    reason: str = ""
    host: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.reason:
            return f"{self.state}: {self.reason}"
        if self.code is None:
            return self.state
        if self.code >= 0:
            return f"{self.state}: exit code {self.code}"
        name = signal.Signals(-self.code).name if -self.code in set(signal.Signals) else f"signal {-self.code}"
        return f"{self.state}: killed by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")


@dataclass(frozen=True, slots=True)
class Job:
    """Number `index` of `count` jobs (1-based), running `argv` in `cwd`; its files are in `folder`."""

    index: int
    count: int
    argv: tuple[str, ...]
    cwd: Path
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.index}-of-{self.count}"

    @property
    def log(self) -> Path:
        return self.folder / "log" / f"{self.name}.log"

    def status(self) -> Status:
        """The status on disk; a job that was never started is waiting."""
        try:
            return Status(**json.loads(self._status_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Status()
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{self._status_file}: damaged: {error}", fix="remove it") from error

    def record(self, status: Status) -> Status:
        self._status_file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._status_file, json.dumps(asdict(status)) + "\n")
        return status

    def last_lines(self, count: int = 5) -> list[str]:
        """The last lines that the command itself wrote to the log."""
        try:
            with open(self.log, "rb") as file:
                file.seek(max(0, self.log.stat().st_size - 16384))
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip() and not line.startswith(MARK)][-count:]

    @property
    def _status_file(self) -> Path:
        return self.folder / "status" / f"{self.name}.json"


MARK = "## "  # begins the lines that are the runner's, not the command's


class Busy(Exception):
    """Another process, perhaps left over from a killed submission, is still running the job."""


class Attempt:
    """One run of a job's command. The log is locked by the command itself for as long as it or a child of it lives."""

    def __init__(
        self,
        job: Job,
        env: Mapping[str, str] | None = None,
        own_session: bool = False,
        deaf_to: Sequence[signal.Signals] = (),
    ) -> None:
        """Start the command.

        Args:
            env: what to add to this process's environment.
            own_session: keep the terminal's Ctrl-C away from the command; `stop` is then the only way.
            deaf_to: signals that must not reach the command, because they mean something to this process only.

        Raises:
            Busy: the job is being run by somebody else.
        """
        self.job = job
        self._own_session = own_session
        self._stopped = False
        self._start = time.monotonic()
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "ab", buffering=0) as log:
            if not try_lock(log):
                raise Busy(job.name)
            host = platform.node()
            self.status = job.record(Status("running", job.status().attempt + 1, host=host))
            self._note(f"{shlex.join(job.argv)}\nattempt {self.status.attempt} on {host}, {_now()}")
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, deaf_to)  # a child inherits what is blocked
            try:
                self._process = subprocess.Popen(
                    job.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=job.cwd,
                    env={**os.environ, **(env or {})},
                    start_new_session=own_session,
                )
            except OSError as error:
                self._note(f"cannot start: {error}")
                job.record(replace(self.status, state="failed", reason=f"cannot start: {error}"))
                raise UserError(f"{job.argv[0]}: cannot start: {error}", fix="check the command") from error
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def stop(self, kill: bool = False) -> None:
        """Ask the command to save and end, or end it at once."""
        self._stopped = True
        if kill and self._own_session and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # and what it started
        else:
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)

    def poll(self) -> Status | None:
        """None while the command runs, then how it ended, which is also recorded."""
        code = self._process.poll()
        if code is None:
            return None
        if self.status.state == "running":
            seconds = round(time.monotonic() - self._start, 1)
            self._note(f"ended with code {code} after {seconds} s, {_now()}")
            self.status = self.job.record(replace(self.status, state=self._state(code), code=code, seconds=seconds))
        return self.status

    def _state(self, code: int) -> State:
        if code == 0:
            return "done"
        asked_to_end = code in (EXIT_INTERRUPTED, -signal.SIGTERM, 128 + signal.SIGTERM)
        return "interrupted" if asked_to_end or (self._stopped and code == -signal.SIGKILL) else "failed"

    def _note(self, text: str) -> None:
        with open(self.job.log, "a", encoding="utf-8") as file:
            file.writelines(f"{MARK}{line}\n" for line in text.splitlines())


@contextmanager
def catching(*signals: signal.Signals) -> Iterator[list[signal.Signals]]:
    """Collect these signals in a list, in order of arrival, instead of dying of them; restored afterwards."""
    caught: list[signal.Signals] = []

    def note(number: int, _: FrameType | None) -> None:
        caught.append(signal.Signals(number))

    before = {number: signal.signal(number, note) for number in signals}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

"""Jobs as a Slurm array, through submitit.

submitit writes the batch script and carries the job to the node; `Task` runs the command there. Near its time limit,
or when it is preempted with submitit's signal, a job asks its command to save (SIGTERM), and is put back into the queue
if the command ends with exit code 75. How a job ended is read from its status file; `squeue` and `scontrol` are asked
only for what such a file cannot tell: why a job waits, and that one has vanished.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxkit.cluster.jobs import POLL, Attempt, Busy, Job, Status, catching
from voxkit.errors import Interrupted, UserError
from voxkit.progress import say
from voxkit.rundir import write_atomic

LOOK_EVERY = 2.0  # seconds between two looks at the queue
LOST_AFTER = 5  # looks without a trace of a job: its status may arrive late on a shared disk
DEFAULT_MINUTES = 24 * 60
WAIT_FOR_LOCK = 60.0  # seconds that a requeued job waits for its former self to end


class Task:
    """What submitit runs on the node: one attempt at a job."""

    def __init__(self, job: Job, requeues: int) -> None:
        self.job, self.requeues = job, requeues

    def __call__(self) -> None:
        """Run the command; an interrupted one goes back into the queue.

        Raises:
            RuntimeError: the command failed; it makes Slurm see the job as failed.
        """
        requeue = _requeue_signal()
        with catching(signal.SIGTERM, signal.SIGUSR1, requeue) as caught:
            status = self._attempt(caught)
        # SIGTERM comes from Slurm itself: after scancel, the job must stay away; after a preemption, Slurm requeues it.
        if status.state == "interrupted" and signal.SIGTERM not in caught and status.attempt <= self.requeues:
            signal.raise_signal(requeue)  # submitit's handler: checkpoint(), `scontrol requeue`, exit
        if status.state != "done":
            raise RuntimeError(str(status))

    def checkpoint(self) -> Any:
        """submitit's protocol: what to run when the job starts again. The command itself knows where to go on."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self)

    def _attempt(self, caught: Sequence[signal.Signals]) -> Status:
        cpus = os.environ.get("SLURM_CPUS_PER_TASK")
        env = {"OMP_NUM_THREADS": cpus} if cpus and "OMP_NUM_THREADS" not in os.environ else {}
        attempt = self._start(env)
        if attempt is None:
            return self.job.record(Status("failed", reason="another process still holds its log"))
        told = False
        while (status := attempt.poll()) is None:
            if caught and not told:
                attempt.stop()
                told = True
            time.sleep(POLL)
        return status

    def _start(self, env: Mapping[str, str]) -> Attempt | None:
        deadline = time.monotonic() + WAIT_FOR_LOCK
        while time.monotonic() < deadline:
            try:
                return Attempt(self.job, env, deaf_to=[_requeue_signal()])  # Slurm signals the whole job
            except Busy:
                time.sleep(1.0)
        return None


def _requeue_signal() -> signal.Signals:
    from submitit.core.job_environment import JobEnvironment

    return signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]


def require() -> None:
    """Check that this machine can submit.

    Raises:
        UserError: submitit or Slurm's commands are missing.
    """
    missing = [name for name in ("sbatch", "srun", "squeue", "scontrol") if shutil.which(name) is None]
    if missing:
        raise UserError(
            f"--backend slurm: not on the PATH: {', '.join(missing)}",
            fix="run this on a login node of the cluster, or use --backend local",
        )
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UserError("--backend slurm: submitit is not installed", fix="pip install 'voxkit[slurm]'") from error


def parameters(options: Sequence[str]) -> dict[str, Any]:
    """Turn `key=value` options (sbatch's long names, `-` or `_`) into parameters of submitit's executor.

    `time` takes any of Slurm's notations and is given as whole minutes.

    Raises:
        UserError: not of the form key=value, a bad time, or a key that is voxkit's own business.
    """
    from submitit.slurm.slurm import SlurmExecutor

    known = SlurmExecutor._valid_parameters()
    found: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        name = key.strip().lstrip("-").replace("-", "_")
        if not name:
            raise UserError(
                f"--slurm-option {option}: not of the form key=value", fix="write for example partition=gpu"
            )
        if name in ("array", "output", "error", "job_name", "signal", "requeue", "ntasks", "nodes", "ntasks_per_node"):
            raise UserError(f"--slurm-option {option}: voxkit sets this itself", fix="leave it out")
        if name == "time":
            found["time"] = minutes(value)
        elif name in known:
            found[name] = int(value) if re.fullmatch(r"-?\d+", value) else value if equals else True
        else:
            extra[name] = value if equals else True
    if "time" not in found:
        found["time"] = _default_minutes(found.get("partition"))
    if "cpus_per_task" in found:  # since Slurm 22.05 a step does not inherit it
        found["srun_args"] = [f"--cpus-per-task={found['cpus_per_task']}"]
    # A grace period as long as the job itself would stop it at once, for ever.
    found["signal_delay_s"] = min(found.get("signal_delay_s", 90), found["time"] * 30)
    return {**found, "additional_parameters": extra} if extra else found


def minutes(text: str) -> int:
    """Slurm's notations of a time limit: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`; rounded up to minutes.

    >>> minutes("90"), minutes("1:30:00"), minutes("2-12"), minutes("10:30")
    (90, 90, 3600, 11)
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        raise UserError(
            f"--slurm-option time={text}: not a time limit", fix="write 90 (minutes), 1:30:00 or 2-12:00:00"
        )
    days, first, second, third = (int(part) if part else 0 for part in match.groups())
    if match[1] is not None:
        seconds = ((days * 24 + first) * 60 + second) * 60 + third
    elif match[4] is not None:
        seconds = (first * 60 + second) * 60 + third
    else:
        seconds = first * 60 + second
    if seconds == 0:
        raise UserError(f"--slurm-option time={text}: must be more than nothing", fix="give the time a shard needs")
    return math.ceil(seconds / 60)


def _default_minutes(partition: Any) -> int:
    """A day, or the longest time that the partition allows."""
    only = ["-p", str(partition)] if partition else []
    limits = (_ask(["sinfo", "-h", "-o", "%P|%l", *only]) or "").splitlines()
    for line in limits:
        name, _, limit = line.partition("|")
        if (partition or name.endswith("*")) and limit and limit != "infinite":
            return min(DEFAULT_MINUTES, minutes(limit))
    return DEFAULT_MINUTES


def submit(
    jobs: Sequence[Job], folder: Path, name: str, options: Mapping[str, Any], at_once: int, requeues: int
) -> dict[int, str]:
    """Put the jobs into the queue as one array and remember their Slurm ids in `folder`.

    Args:
        options: from `parameters`.
        at_once: how many may run at a time.
        requeues: how often an interrupted job is put back.

    Returns:
        Slurm's id of each job of the folder, by the job's index.

    Raises:
        UserError: Slurm refuses the array.
    """
    import submitit

    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=requeues)
    executor.update_parameters(job_name=name, array_parallelism=at_once, stderr_to_stdout=True, **options)
    for job in jobs:
        job.record(Status())
    try:
        submitted = executor.submit_array([Task(job, requeues) for job in jobs])
    except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
        reason = str(error).strip().splitlines() or ["no reason given"]
        raise UserError(f"Slurm refuses the jobs: {reason[-1]}", fix="mend the --slurm-option values") from error
    ids = {**load_ids(folder), **{job.index: item.job_id for job, item in zip(jobs, submitted, strict=True)}}
    write_atomic(folder / "ids.json", json.dumps(ids) + "\n")
    return ids


def load_ids(folder: Path) -> dict[int, str]:
    """The Slurm ids that `submit` remembered."""
    try:
        return {int(index): str(id) for index, id in json.loads((folder / "ids.json").read_text()).items()}
    except FileNotFoundError:
        return {}


def alive(jobs: Sequence[Job], ids: Mapping[int, str]) -> list[Job]:
    """Those of the jobs that are in the queue or running.

    Raises:
        UserError: Slurm does not answer, so that nobody can tell.
    """
    if not any(job.index in ids for job in jobs):
        return []
    queue = _queue()
    if queue is None:
        raise UserError("squeue does not answer", fix="see `voxkit doctor`, and run the same command again later")
    return [job for job in jobs if ids.get(job.index) in queue]


def watch(jobs: Sequence[Job], ids: Mapping[int, str]) -> Iterator[Job]:
    """Yield each job when it has ended for good; one that vanished from the queue is recorded as failed.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the jobs go on without this process.
    """
    left = list(jobs)
    unseen: Counter[Job] = Counter()
    told: set[str] = set()
    with catching(signal.SIGINT, signal.SIGTERM) as caught:
        while left:
            queue = _queue()
            if queue is not None:
                unseen.update(job for job in left if ids[job.index] not in queue)
                told |= _tell_why(queue, [ids[job.index] for job in left], told)
            for job in list(left):
                if _has_ended(job, ids[job.index], lost=unseen[job] >= LOST_AFTER):
                    left.remove(job)
                    yield job
            if caught:
                raise Interrupted(
                    f"by {caught[0].name}; the jobs go on (scancel {' '.join(_arrays(ids[j.index] for j in left))} "
                    "ends them), and the same command waits for them again"
                )
            if left:
                time.sleep(LOOK_EVERY)


def _has_ended(job: Job, id: str, lost: bool) -> bool:
    status = job.status()
    if lost and status.state in ("waiting", "running"):
        job.record(replace(status, state="failed", reason=f"Slurm ended it ({_fate(id)})"))
    return lost or status.state in ("done", "failed")


def _arrays(ids: Iterable[str]) -> list[str]:
    return sorted({id.partition("_")[0] for id in ids})


def _tell_why(queue: Mapping[str, tuple[str, str]], ids: Sequence[str], told: set[str]) -> set[str]:
    """Say once why jobs wait, where it is something that the user may have to mend."""
    usual = {"None", "Resources", "Priority", "BeginTime", "JobArrayTaskLimit"}
    waiting = {id: reason for id in ids for state, reason in [queue.get(id, ("", ""))] if state == "PENDING"}
    new = {reason: id for id, reason in waiting.items() if reason not in usual | told}
    for reason, id in new.items():
        say(f"job {id} waits in the queue: {reason}")
    return set(new)


def _queue() -> dict[str, tuple[str, str]] | None:
    """State and reason of each of the user's jobs that are in the queue or running; None if Slurm does not answer."""
    answer = _ask(["squeue", "-h", "-r", "-u", str(os.getuid()), "-o", "%i|%T|%r"])
    if answer is None:
        return None
    rows = (line.split("|", 2) for line in answer.splitlines())
    return {row[0].strip(): (row[1], row[2]) for row in rows if len(row) == 3}


def _fate(id: str) -> str:
    """What Slurm remembers of a job that is gone, such as TIMEOUT or OUT_OF_MEMORY."""
    match = re.search(r"\bJobState=(\S+)", _ask(["scontrol", "-o", "show", "job", id]) or "")
    return match[1] if match else "it remembers no reason: out of memory, time limit or cancelled"


def _ask(argv: list[str]) -> str | None:
    try:
        result = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None

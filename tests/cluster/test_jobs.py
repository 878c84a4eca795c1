import os
import signal
import sys
import time
from pathlib import Path

import pytest

from voxkit.cluster.jobs import Attempt, Busy, Job, Status, catching
from voxkit.errors import UserError


def job(tmp_path: Path, code: str, index: int = 1, count: int = 1) -> Job:
    return Job(index, count, (sys.executable, "-c", code), tmp_path, tmp_path / "array")


def ended(attempt: Attempt) -> Status:
    while (status := attempt.poll()) is None:
        time.sleep(0.01)
    return status


@pytest.mark.parametrize(("code", "state"), [(0, "done"), (2, "failed"), (1, "failed"), (75, "interrupted")])
def test_exit_codes(tmp_path: Path, code: int, state: str) -> None:
    a_job = job(tmp_path, f"print('a result'); raise SystemExit({code})")
    status = ended(Attempt(a_job))
    assert (status.state, status.code, status.attempt) == (state, code, 1)
    assert a_job.status() == status
    assert a_job.last_lines() == ["a result"]
    assert f"ended with code {code}" in a_job.log.read_text()


def test_never_started(tmp_path: Path) -> None:
    a_job = job(tmp_path, "")
    assert a_job.status() == Status()
    assert a_job.last_lines() == []


def test_attempts_are_counted_and_logs_kept(tmp_path: Path) -> None:
    a_job = job(tmp_path, "import sys; print('again', file=sys.stderr)")
    assert [ended(Attempt(a_job)).attempt for _ in range(3)] == [1, 2, 3]
    assert a_job.last_lines() == ["again"] * 3


def test_killed_names_the_signal(tmp_path: Path) -> None:
    a_job = job(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    status = ended(Attempt(a_job))
    assert status.state == "failed"
    assert "SIGKILL" in str(status)
    assert "memory" in str(status)


def test_stop_counts_as_interrupted(tmp_path: Path) -> None:
    attempt = Attempt(job(tmp_path, "import time; time.sleep(60)"), own_session=True)
    attempt.stop()
    assert ended(attempt).state == "interrupted"


def test_a_schedulers_sigterm_counts_as_interrupted(tmp_path: Path) -> None:
    a_job = job(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert ended(Attempt(a_job)).state == "interrupted"


def test_kill_ends_the_children_too(tmp_path: Path) -> None:
    inner = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    a_job = job(tmp_path, inner)
    attempt = Attempt(a_job, own_session=True)
    while not a_job.last_lines():
        time.sleep(0.01)
    child = int(a_job.last_lines()[0])
    attempt.stop(kill=True)
    assert ended(attempt).state == "interrupted"
    for _ in range(200):
        if not Path(f"/proc/{child}").exists() or "State:\tZ" in Path(f"/proc/{child}/status").read_text():
            break
        time.sleep(0.01)
    else:
        pytest.fail("the child lives on")


def test_a_running_job_cannot_be_started_twice(tmp_path: Path) -> None:
    a_job = job(tmp_path, "import time; time.sleep(60)")
    attempt = Attempt(a_job)
    with pytest.raises(Busy):
        Attempt(a_job)
    attempt.stop(kill=True)
    ended(attempt)
    assert ended(Attempt(job(tmp_path, ""))).state == "done"


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    a_job = Job(1, 1, ("/no/such/program",), tmp_path, tmp_path / "array")
    with pytest.raises(UserError, match="cannot start"):
        Attempt(a_job)
    assert a_job.status().state == "failed"


def test_damaged_status(tmp_path: Path) -> None:
    a_job = job(tmp_path, "")
    a_job.record(Status("done"))
    (tmp_path / "array" / "status" / "1-of-1.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        a_job.status()


def test_environment_is_added(tmp_path: Path) -> None:
    a_job = job(tmp_path, "import os; print(os.environ['VOXKIT_TEST'], 'PATH' in os.environ)")
    ended(Attempt(a_job, {"VOXKIT_TEST": "here"}))
    assert a_job.last_lines() == ["here True"]


def test_a_signal_that_is_not_for_the_command(tmp_path: Path) -> None:
    a_job = job(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGUSR2); print('alive')")
    assert ended(Attempt(a_job)).code == -signal.SIGUSR2
    assert ended(Attempt(a_job, deaf_to=[signal.SIGUSR2])).state == "done"
    assert signal.SIGUSR2 not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_catching_restores_the_handlers() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with catching(signal.SIGUSR1, signal.SIGTERM) as caught:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert caught == [signal.SIGTERM, signal.SIGUSR1]
    assert signal.getsignal(signal.SIGUSR1) is before

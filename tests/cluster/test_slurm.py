"""Against a real Slurm; `tools/slurm_one_node.sh` sets one up on a developer's machine."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from voxkit.cluster import slurm
from voxkit.cluster.jobs import Job


def no_slurm() -> str:
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return "Slurm is not installed"
    try:
        answer = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, timeout=5)
    except subprocess.TimeoutExpired:
        return "Slurm does not answer"
    up = any(state.rstrip("*~#") in ("idle", "mixed", "allocated") for state in answer.stdout.split())
    return "" if answer.returncode == 0 and up else "Slurm has no node that is up"


REASON = no_slurm()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON or "Slurm is there")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setattr(slurm, "LOOK_EVERY", 0.3)


def jobs(tmp_path: Path, code: str, count: int) -> list[Job]:
    return [
        Job(i, count, (sys.executable, "-c", code, str(i)), tmp_path, tmp_path / "array") for i in range(1, count + 1)
    ]


def submit(tmp_path: Path, todo: list[Job], requeues: int = 5, time_limit: str = "time=10") -> dict[int, str]:
    options = slurm.parameters([time_limit])
    return slurm.submit(todo, tmp_path / "array" / "slurm", "voxkit-test", options, at_once=4, requeues=requeues)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("waited in vain")
        time.sleep(0.1)


SAVES = """
import pathlib, signal, sys, time
runs = pathlib.Path('runs'); n = len(runs.read_text()) if runs.exists() else 0
def save(*_):
    pathlib.Path('saved').touch(); sys.exit(75)
signal.signal(signal.SIGTERM, save)
runs.write_text('x' * (n + 1))
print('run', n + 1, flush=True)
time.sleep(0 if n else 120)
"""


def test_an_array_with_a_failing_job_that_is_run_again(tmp_path: Path) -> None:
    code = "import pathlib, sys; sys.exit(3 if sys.argv[1] == '2' and not pathlib.Path('mended').exists() else 0)"
    todo = jobs(tmp_path, code, 3)
    ids = submit(tmp_path, todo)
    assert {id.partition("_")[2] for id in ids.values()} == {"0", "1", "2"}
    finished = list(slurm.watch(todo, ids))
    assert {job.index for job in finished} == {1, 2, 3}
    assert [job.status().state for job in todo] == ["done", "failed", "done"]
    assert todo[1].status().code == 3

    (tmp_path / "mended").touch()
    again = submit(tmp_path, [todo[1]])
    assert again[1] == ids[1]
    assert again[2] != ids[2]
    assert slurm.load_ids(tmp_path / "array" / "slurm") == again
    assert [job.index for job in slurm.watch([todo[1]], again)] == [2]
    assert todo[1].status().state == "done"
    assert todo[0].status().attempt == 1


def test_a_preempted_job_saves_and_is_requeued(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, SAVES, 1)
    ids = submit(tmp_path, [job])
    until(lambda: (tmp_path / "runs").exists())
    assert slurm.alive([job], ids) == [job]
    subprocess.run(["scancel", "--signal=USR2", ids[1]], check=True)
    assert [j.index for j in slurm.watch([job], ids)] == [1]
    assert (tmp_path / "saved").exists()
    assert (job.status().state, job.status().attempt) == ("done", 2)
    assert job.last_lines() == ["run 1", "run 2"]
    assert slurm.alive([job], ids) == [] or job.status().state == "done"


def test_a_job_that_says_75_of_itself_is_requeued_so_often_and_no_more(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, "raise SystemExit(75)", 1)
    ids = submit(tmp_path, [job], requeues=1)
    assert [j.index for j in slurm.watch([job], ids)] == [1]
    assert (job.status().state, job.status().attempt) == ("interrupted", 2)


def test_a_cancelled_job_saves_and_stays_away(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, SAVES, 1)
    ids = submit(tmp_path, [job])
    until(lambda: (tmp_path / "runs").exists())
    threading.Timer(0.5, subprocess.run, [["scancel", ids[1]]]).start()
    assert [j.index for j in slurm.watch([job], ids)] == [1]
    assert job.status().attempt == 1
    assert job.status().state == "interrupted"
    assert (tmp_path / "saved").exists()


def test_a_job_cancelled_in_the_queue_is_reported(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, "", 1)
    options = {**slurm.parameters(["time=10"]), "additional_parameters": {"hold": True}}
    ids = slurm.submit([job], tmp_path / "array" / "slurm", "voxkit-test", options, at_once=1, requeues=0)
    subprocess.run(["scancel", ids[1]], check=True)
    assert [j.index for j in slurm.watch([job], ids)] == [1]
    assert "CANCELLED" in str(job.status())


def test_the_command_submits_leaves_and_collects(tmp_path: Path) -> None:
    code = "import sys; print('a result'); sys.exit(4)"
    options = ["--backend", "slurm", "--jobs", "1", "--slurm-option", "time=5", "--out", "s"]
    command = [sys.executable, "-m", "voxkit", "submit", *options, "--", sys.executable, "-c", code]
    left = subprocess.run([*command[:4], "--no-wait", *command[4:]], cwd=tmp_path, capture_output=True, text=True)
    assert left.returncode == 0, left.stderr
    assert "without --no-wait waits for them" in left.stderr
    collected = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert collected.returncode == 2
    for words in ("1 of 1 jobs did not succeed", "exit code 4", "| a result", "run the same command again"):
        assert words in collected.stderr
    assert "Traceback" not in collected.stderr


def test_a_time_limit_requeues(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, SAVES.replace("120", "600"), 1)
    ids = submit(tmp_path, [job], time_limit="time=1")
    assert [j.index for j in slurm.watch([job], ids)] == [1]
    assert (job.status().state, job.status().attempt) == ("done", 2)

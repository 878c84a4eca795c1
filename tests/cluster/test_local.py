import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from voxkit.cluster import local
from voxkit.cluster.jobs import Job
from voxkit.errors import Interrupted


def jobs(tmp_path: Path, code: str, count: int) -> list[Job]:
    """`code` sees its 1-based number as sys.argv[1] and runs in tmp_path."""
    return [
        Job(i, count, (sys.executable, "-c", code, str(i)), tmp_path, tmp_path / "array") for i in range(1, count + 1)
    ]


def test_all_run_and_some_fail(tmp_path: Path) -> None:
    todo = jobs(tmp_path, "import sys; sys.exit(3 if sys.argv[1] == '2' else 0)", 4)
    finished = list(local.run(todo, at_once=2, requeues=0))
    assert {job.index for job in finished} == {1, 2, 3, 4}
    assert [job.status().state for job in todo] == ["done", "failed", "done", "done"]


def test_at_most_so_many_at_once(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time; me = pathlib.Path(f'on-{sys.argv[1]}'); me.touch(); "
        "print(len(list(pathlib.Path('.').glob('on-*')))); time.sleep(0.2); me.unlink()"
    )
    todo = jobs(tmp_path, code, 5)
    list(local.run(todo, at_once=2, requeues=0))
    assert max(int(job.last_lines()[-1]) for job in todo) <= 2


@pytest.mark.parametrize(("requeues", "state"), [(0, "interrupted"), (1, "interrupted"), (2, "done"), (10, "done")])
def test_interrupted_jobs_go_on(tmp_path: Path, requeues: int, state: str) -> None:
    code = (
        "import pathlib, sys; p = pathlib.Path('runs'); n = len(p.read_text()) if p.exists() else 0; "
        "p.write_text('x' * (n + 1)); sys.exit(75 if n < 2 else 0)"
    )
    (job,) = jobs(tmp_path, code, 1)
    assert [j.index for j in local.run([job], at_once=1, requeues=requeues)] == [1]
    assert job.status().state == state
    assert job.status().attempt == min(requeues + 1, 3)


def test_cores_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (job,) = jobs(tmp_path, "import os; print(os.environ['OMP_NUM_THREADS'])", 1)
    list(local.run([job], at_once=1000, requeues=0))
    assert job.last_lines() == ["1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    list(local.run([job], at_once=1, requeues=0))
    assert job.last_lines()[-1] == "7"


def test_a_signal_asks_the_jobs_to_save(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        "def save(*_):\n    pathlib.Path(f'saved-{sys.argv[1]}').touch(); sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, save); pathlib.Path(f'ready-{sys.argv[1]}').touch(); time.sleep(60)"
    )
    todo = jobs(tmp_path, code, 3)

    def interrupt() -> None:
        while len(list(tmp_path.glob("ready-*"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted, match="SIGTERM"):
        list(local.run(todo, at_once=2, requeues=5))
    assert [job.status().state for job in todo] == ["interrupted", "interrupted", "waiting"]
    assert len(list(tmp_path.glob("saved-*"))) == 2


def test_leaves_no_process_when_abandoned(tmp_path: Path) -> None:
    todo = jobs(tmp_path, "import sys, time; time.sleep(60 if sys.argv[1] == '2' else 0)", 2)
    run = local.run(todo, at_once=2, requeues=0)
    next(run)
    run.close()
    assert todo[1].status().state == "interrupted"


def test_waits_for_a_job_left_over_from_a_killed_submission(tmp_path: Path) -> None:
    (job,) = jobs(tmp_path, "import time; time.sleep(0.5); print('ran')", 1)
    code = f"""
import os
from pathlib import Path
from voxkit.cluster.jobs import Attempt, Job
Attempt(Job(1, 1, {job.argv!r}, Path({str(tmp_path)!r}), Path({str(job.folder)!r})), own_session=True)
os._exit(9)
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], env=env, check=False)
    assert [j.index for j in local.run([job], at_once=1, requeues=0)] == [1]
    assert job.status().state == "done"
    assert job.last_lines() == ["ran", "ran"]


def test_a_job_that_cannot_start_stops_the_rest(tmp_path: Path) -> None:
    good, _ = jobs(tmp_path, "import time; time.sleep(60)", 2)
    bad = Job(2, 2, ("/no/such/program",), tmp_path, good.folder)
    with pytest.raises(Exception, match="cannot start"):
        list(local.run([good, bad], at_once=2, requeues=0))
    assert good.status().state == "interrupted"

"""The processes that speak `mini`: they end with the command, and what stops them is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")

ROOT = Path(__file__).resolve().parents[3]
SMALL = ("--hours", "0.1", "--set", "lm_sentences=3000", "--num-jobs", "2")


@pytest.fixture
def speaking(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`prepare mini` in a process group of its own, once it has something to keep."""
    with start(tmp_path / "mini") as process:
        try:
            until(lambda: any(tmp_path.glob("mini.partial/parts/*.json")) or process.poll() is not None)
            yield process
        finally:
            if group(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


def start(out: Path, *prefix: str) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-m", "voxkit", "prepare", "mini", "--out", str(out), *SMALL]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def until(come: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def group(leader: int) -> list[str]:
    """The processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == leader and state != "Z":
            found.append(stat.parent.name)
    return found


def test_what_stops_a_process_is_told(small_disk: Path) -> None:
    with start(small_disk / "mini") as process:
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 2, told
        assert f"error: no space left on the disk: {small_disk}" in told
        assert "Traceback" not in told
        until(lambda: not group(process.pid))


def test_no_process_outlives_a_killed_command(speaking: subprocess.Popen[str]) -> None:
    assert len(group(speaking.pid)) > 2
    speaking.kill()
    until(lambda: not group(speaking.pid))


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["command", "group"])
def test_sigterm_is_an_interruption_and_the_same_command_goes_on(
    speaking: subprocess.Popen[str], tmp_path: Path, send: Callable[[int, int], None]
) -> None:
    send(speaking.pid, signal.SIGTERM)
    _, told = speaking.communicate(timeout=60)
    assert speaking.returncode == 75, told
    assert told.splitlines()[-1] == f"stopped: SIGTERM; the same command goes on with {tmp_path / 'mini.partial'}"
    assert "Traceback" not in told
    until(lambda: not group(speaking.pid))
    assert any(tmp_path.glob("mini.partial/parts/*.json"))
    if send is os.killpg:
        with start(tmp_path / "mini") as again:
            told = again.communicate(timeout=120)[1]
        assert again.returncode == 0, told
        assert (tmp_path / "mini" / "cuts_train.jsonl.gz").exists()

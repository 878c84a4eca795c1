import gzip
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import soundfile
import typer

from voxkit.commands import COMMANDS
from voxkit.commands.submit.target import inspect_command
from voxkit.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
RATE = 16000


def voxkit(*arguments: str, cwd: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "voxkit", *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture
def cuts(tmp_path: Path) -> Path:
    """Six cuts of noise, as lhotse writes them."""
    lines = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        noise = np.random.default_rng(number).normal(0, 0.1, RATE // 2)
        soundfile.write(path, noise, RATE)
        source = {"type": "file", "channels": [0], "source": str(path)}
        recording = {
            **{"id": f"r{number}", "sources": [source], "sampling_rate": RATE},
            **{"num_samples": RATE // 2, "duration": 0.5, "channel_ids": [0]},
        }
        cut = {
            **{"id": f"c{number}", "start": 0, "duration": 0.5, "channel": 0, "supervisions": []},
            **{"recording": recording, "type": "MonoCut"},
        }
        lines.append(json.dumps(cut))
    manifest = tmp_path / "cuts.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def ids(manifest: Path) -> list[str]:
    with gzip.open(manifest, "rt") as file:
        return sorted(json.loads(line)["id"] for line in file)


# ----------------------------------------------------------------------------------------- what may be submitted


def test_dry_run_prints_the_commands(tmp_path: Path) -> None:
    result = voxkit(
        "submit", "--jobs", "2", "--dry-run", "--", "voxkit", "featurize", "a b", "--out", "o", cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    lines = [shlex.split(line) for line in result.stdout.splitlines()]
    assert [line[1:] for line in lines] == [
        ["-m", "voxkit", "featurize", "a b", "--out", "o", "--shard", f"{i}/2"] for i in (1, 2)
    ]
    assert list(tmp_path.iterdir()) == []


def test_the_dashes_may_be_left_out(tmp_path: Path) -> None:
    result = voxkit("submit", "--jobs", "1", "--dry-run", "voxkit", "train-am", "--out", "o", cwd=tmp_path)
    assert result.stdout.split()[1:] == ["-m", "voxkit", "train-am", "--out", "o"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--jobs", "2", "--", "voxkit", "train-am", "--out", "o"], ["no --shard", "--jobs 1"]),
        (["--jobs", "2", "--", "python", "x.py"], ["no --shard", "--jobs 1"]),
        (["--jobs", "2", "--", "voxkit", "featurise", "c"], ["'featurise'", "featurize"]),
        (["--jobs", "2", "--", "voxkit"], ["no command"]),
        (["--jobs", "1", "--", "voxkit", "submit", "--jobs", "1"], ["submit"]),
        (["--jobs", "2", "--", "voxkit", "featurize", "c", "--out", "o", "--shard", "1/2"], ["--shard", "leave"]),
        (["--jobs", "2", "--", "voxkit", "featurize", "c", "--out", "o", "--shard=1/2"], ["--shard", "leave"]),
        (["--jobs", "2", "--", "voxkit", "featurize", "c"], ["--out"]),
        (["--jobs", "2", "--slurm-option", "mem=1G", "--", "voxkit", "featurize", "c", "--out", "o"], ["slurm"]),
        (["--jobs", "0", "--", "voxkit", "featurize", "c", "--out", "o"], ["--jobs"]),
    ],
)
def test_what_cannot_be_submitted(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    result = voxkit("submit", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert [word for word in words if word not in result.stderr] == []
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_slurm_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = voxkit(
        "submit", "--backend", "slurm", "--jobs", "2", "--", "voxkit", "featurize", "c", "--out", "o", cwd=tmp_path
    )
    assert result.returncode == 2
    assert "sbatch" in result.stderr


@pytest.fixture
def a_room_with_verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()

    @app.command()
    def train(out: Path) -> None: ...

    @app.command("apply")
    def apply_(out: Path, shard: Annotated[str | None, typer.Option()] = None) -> None: ...

    room = types.ModuleType("voxkit.commands.g2p.command")
    room.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "voxkit.commands.g2p", types.ModuleType("voxkit.commands.g2p"))
    monkeypatch.setitem(sys.modules, "voxkit.commands.g2p.command", room)
    monkeypatch.setitem(COMMANDS, "g2p", "Learn to pronounce.")


@pytest.mark.usefixtures("a_room_with_verbs")
def test_verbs_of_a_group() -> None:
    target = inspect_command(["voxkit", "g2p", "apply", "--out=x/y"])
    assert (target.name, target.out, target.shards, target.merges) == ("voxkit g2p apply", Path("x/y"), True, False)
    assert not inspect_command(["voxkit", "g2p", "train", "--out", "x"]).shards
    with pytest.raises(UserError, match="one of: train, apply"):
        inspect_command(["voxkit", "g2p", "learn"])


def test_the_last_out_counts() -> None:
    assert inspect_command(["voxkit", "featurize", "c", "--out", "a", "--out=b"]).out == Path("b")
    assert inspect_command(["voxkit", "featurize", "c", "-o", "a"]).out == Path("a")


# ----------------------------------------------------------------------------------------- from end to end


def test_features_in_three_jobs_and_merged(tmp_path: Path, cuts: Path) -> None:
    command = ["submit", "--jobs", "3", "-j", "3", "--", "voxkit", "featurize", cuts.name, "--out", "feats"]
    result = voxkit(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["feats/cuts.jsonl.gz"]
    assert ids(tmp_path / "feats" / "cuts.jsonl.gz") == [f"c{i}" for i in range(6)]
    for index in (1, 2, 3):
        assert (tmp_path / "feats" / f"shard-{index}-of-3").is_dir()
        log = (tmp_path / "feats.submit" / "log" / f"{index}-of-3.log").read_text()
        assert f"--shard {index}/3" in log.splitlines()[0]
        assert "ended with code 0" in log.splitlines()[-1]

    again = voxkit(*command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "3 of 3 jobs are done already" in again.stderr

    other = voxkit(*command, "--cmvn", "global", cwd=tmp_path)
    assert other.returncode == 2
    assert "belongs to another submission" in other.stderr


def test_a_failing_shard_is_reported_and_alone_run_again(tmp_path: Path, cuts: Path) -> None:
    broken = tmp_path / "5.wav"
    good = broken.read_bytes()
    broken.unlink()
    command = ["submit", "--jobs", "2", "--", "voxkit", "featurize", cuts.name, "--out", "feats"]
    result = voxkit(*command, cwd=tmp_path)
    assert result.returncode == 2
    for words in ("1 of 2 jobs did not succeed", "exit code 2", "5.wav", "run the same command again", "-of-2.log"):
        assert words in result.stderr
    assert not (tmp_path / "feats" / "config.yaml").exists()
    statuses = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "feats.submit" / "status").iterdir()}
    (failed,) = [name for name, status in statuses.items() if status["state"] == "failed"]
    (done,) = [name for name, status in statuses.items() if status["state"] == "done"]
    first_log = (tmp_path / "feats.submit" / "log" / f"{done}.log").read_text()

    broken.write_bytes(good)
    result = voxkit(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert ids(tmp_path / "feats" / "cuts.jsonl.gz") == [f"c{i}" for i in range(6)]
    assert (tmp_path / "feats.submit" / "log" / f"{done}.log").read_text() == first_log
    assert (tmp_path / "feats.submit" / "log" / f"{failed}.log").read_text().count("attempt") == 2


def test_any_program_as_one_job(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; p = pathlib.Path('ran'); n = p.exists(); p.touch(); print('hi'); sys.exit(0 if n else 75)"
    )
    result = voxkit("submit", "--jobs", "1", "--out", "logs", "--", sys.executable, "-c", code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "was interrupted and goes on" in result.stderr
    assert (tmp_path / "logs" / "log" / "1-of-1.log").read_text().splitlines().count("hi") == 2


def test_a_stopped_submission_exits_75_and_goes_on(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
        "if pathlib.Path('begun').exists():\n    sys.exit(0)\n"
        "pathlib.Path('begun').touch(); time.sleep(60)"
    )
    command = [sys.executable, "-m", "voxkit", "submit", "--jobs", "1", "--out", "s", "--", sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "begun").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert "Traceback" not in stderr
    assert subprocess.run(command, cwd=tmp_path, env=env, capture_output=True).returncode == 0


def test_in_the_background_and_collected(tmp_path: Path) -> None:
    code = "import time; time.sleep(2); print('done')"
    command = ["submit", "--jobs", "1", "--out", "s", "--", sys.executable, "-c", code]
    start = time.monotonic()
    result = voxkit(*[command[0], "--no-wait", *command[1:]], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "in the background" in result.stderr
    collected = voxkit(*command, cwd=tmp_path)
    assert collected.returncode == 0, collected.stderr
    assert time.monotonic() - start >= 2
    assert (tmp_path / "s" / "log" / "1-of-1.log").read_text().splitlines().count("done") == 1

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from voxkit import rundir
from voxkit.config import Config
from voxkit.data.sharding import PARTS, parts, shard_out
from voxkit.errors import UserError
from voxkit.rundir import RunDir, environment, output, read_config, write_atomic, writing

ROOT = Path(__file__).resolve().parents[1]


class Toy(Config):
    steps: int = Field(10, description="updates")
    rate: float = Field(1e-5, description="learning rate")
    widths: tuple[int, ...] = (3, 4)
    name: str | None = None


def made(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ------------------------------------------------------------------------------------------------- output


def test_output_is_complete_and_describes_itself(tmp_path: Path) -> None:
    out = tmp_path / "new" / "feats"
    with output(out, "featurize", {"mels": 80, "cuts": Path("a/b")}) as folder:
        assert not folder.done
        assert not out.exists()
        (folder.work / "feats.bin").write_bytes(b"x")
    assert made(out) == {"feats.bin", "config.yaml", "command.txt", "env.json"}
    assert made(out.parent) == {"feats"}
    found = read_config(out)
    assert (found["command"], found["mels"], found["cuts"]) == ("featurize", 80, "a/b")
    assert "torch" in json.loads((out / "env.json").read_text())["packages"]


def test_the_same_again_has_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = {"mels": 80, "range": (1, 2), "x": None, "lr": 1e-5, "nested": {1: "a"}}
    with output(tmp_path / "o", "featurize", spec):
        pass
    with output(tmp_path / "o", "featurize", spec) as folder:
        assert folder.done
        assert folder.work == folder.out
    assert "nothing to do" in capsys.readouterr().err


def test_another_spec_is_refused_with_the_difference(tmp_path: Path) -> None:
    with output(tmp_path / "o", "featurize", {"features": {"mels": 80}}):
        pass
    with (
        pytest.raises(UserError, match=r"features\.mels: 80 -> 40"),
        output(tmp_path / "o", "featurize", {"features": {"mels": 40}}),
    ):
        pass
    with pytest.raises(UserError, match="command: featurize -> decode"), output(tmp_path / "o", "decode", {}):
        pass


def test_a_foreign_folder_or_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "file").touch()
    for name in ("mine", "file"):
        with pytest.raises(UserError), output(tmp_path / name, "featurize", {}):
            pass
    assert made(tmp_path) == {"mine", "file"}
    with pytest.raises(UserError, match="cannot create"), output(tmp_path / "file" / "o", "featurize", {}):
        pass


def test_an_error_leaves_no_output_but_the_work(tmp_path: Path) -> None:
    out = tmp_path / "o"
    with pytest.raises(FileNotFoundError), output(out, "featurize", {"a": 1}) as folder:
        [(folder.work / name).touch() for name in ("half", "no/such/folder")]
    assert made(tmp_path) == {"o.partial"}
    with pytest.raises(UserError, match=r"a: 1 -> 2"), output(out, "featurize", {"a": 2}):
        pass
    with output(out, "featurize", {"a": 1}) as folder:
        assert (folder.work / "half").exists()
    assert made(tmp_path) == {"o"}
    assert (out / "half").exists()


def test_work_that_cannot_be_resumed_is_thrown_away(tmp_path: Path) -> None:
    out = tmp_path / "o"
    with pytest.raises(FileNotFoundError), output(out, "make-graph", {"a": 1}, resumable=False) as folder:
        [(folder.work / name).touch() for name in ("oov.txt", "no/such/folder")]
    (folder.work / "feats").mkdir()
    assert (tmp_path / "o.partial" / "oov.txt").exists()  # to be looked at
    with output(out, "make-graph", {"a": 2}, resumable=False) as folder:
        assert made(folder.work) == {"config.yaml", ".lock", ".disposable"}
    assert made(tmp_path) == {"o"}
    assert made(out) == {"config.yaml", "command.txt", "env.json"}
    assert read_config(out)["a"] == 2


def test_work_that_can_be_resumed_is_kept_from_a_command_that_cannot_use_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), output(tmp_path / "o", "prepare", {"a": 1}) as folder:
        [(folder.work / name).touch() for name in ("hours", "no/such/folder")]
    with (
        pytest.raises(UserError, match="finish it with those settings"),
        output(tmp_path / "o", "prepare", {"a": 2}, resumable=False),
    ):
        pass
    assert (tmp_path / "o.partial" / "hours").exists()


def test_an_error_before_any_work_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="bad"), output(tmp_path / "o", "featurize", {}):
        raise UserError("bad data")
    assert made(tmp_path) == set()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom voxkit.rundir import output\n"
        f"with output(Path({str(tmp_path / 'o')!r}), 'featurize', {{}}): pass"
    )
    with output(tmp_path / "o", "featurize", {}):
        result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "in use by process" in result.stderr
    assert str(os.getpid()) in result.stderr
    assert (tmp_path / "o" / "config.yaml").exists()
    assert not (tmp_path / "o" / ".lock").exists()


def test_a_file_system_without_locks_is_told_of_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(rundir.fcntl, "flock", flock)
    rundir._say_unlocked.cache_clear()
    for name in "ab":
        with output(tmp_path / name, "featurize", {}):
            pass
    RunDir.open(tmp_path / "exp", "train-am", Toy()).close()
    assert made(tmp_path) == {"a", "b", "exp"}
    assert capsys.readouterr().err.count("No locks available") == 1


def test_killed_and_resumed(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom voxkit.rundir import output\n"
        f"with output(Path({str(tmp_path / 'o')!r}), 'featurize', {{'a': 1}}) as f:\n"
        "    (f.work / 'part-1').touch()\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == -signal.SIGKILL
    assert made(tmp_path) == {"o.partial"}
    with output(tmp_path / "o", "featurize", {"a": 1}) as folder:
        assert (folder.work / "part-1").exists()


text = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=8)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(spec=st.dictionaries(text.map("key {}".format), plain, max_size=4))
def test_any_spec_is_recognised_again(tmp_path_factory: pytest.TempPathFactory, spec: dict[str, object]) -> None:
    out = tmp_path_factory.mktemp("spec") / "o"
    with output(out, "featurize", spec):
        pass
    with output(out, "featurize", spec) as folder:
        assert folder.done


# ------------------------------------------------------------------------------------------------- shards


def run_shard(out: Path, shard: str) -> None:
    with output(shard_out(out, shard), "featurize", {"shard": shard}) as folder:
        (folder.work / "cuts").write_text(shard)


def merge(out: Path) -> bool:
    with output(out, "featurize", {"a": 1}, keep=PARTS) as folder:
        if not folder.done:
            (folder.work / "cuts").write_text(" ".join((part / "cuts").read_text() for part in parts(out)))
            (folder.work / "sub").mkdir(exist_ok=True)
            (folder.work / "sub" / "x").touch()
        return folder.done


def test_parts_are_merged_beside_themselves(tmp_path: Path) -> None:
    out = tmp_path / "o"
    for index in (2, 1, 3):
        run_shard(out, f"{index}/3")
    assert merge(out) is False
    assert (out / "cuts").read_text() == "1/3 2/3 3/3"
    assert made(tmp_path) == {"o"}
    assert made(out) == {
        *(f"shard-{index}-of-3" for index in (1, 2, 3)),
        *("cuts", "sub", "config.yaml", "command.txt", "env.json"),
    }
    assert merge(out) is True


def test_a_merge_that_was_killed_is_done_again(tmp_path: Path) -> None:
    out = tmp_path / "o"
    run_shard(out, "1/1")
    merge(out)
    (out / "config.yaml").unlink()  # as if killed before the last move
    (tmp_path / "o.partial").mkdir()
    assert merge(out) is False
    assert (out / "cuts").read_text() == "1/1"
    assert (out / "sub" / "x").exists()


def test_without_keep_the_parts_are_somebody_elses(tmp_path: Path) -> None:
    run_shard(tmp_path / "o", "1/2")
    with pytest.raises(UserError, match="not made by this command"), output(tmp_path / "o", "featurize", {}):
        pass


def test_parts_that_do_not_belong_together(tmp_path: Path) -> None:
    out = tmp_path / "o"
    with pytest.raises(UserError, match="no parts"):
        parts(out)
    for shard in ("1/3", "3/3"):
        run_shard(out, shard)
    with pytest.raises(UserError, match="missing: 2/3"):
        parts(out)
    (out / "shard-2-of-3.partial").mkdir()
    with pytest.raises(UserError, match="missing: 2/3"):
        parts(out)
    run_shard(out, "1/2")
    with pytest.raises(UserError, match="2 and 3"):
        parts(out)


def test_no_shard_is_the_folder_itself(tmp_path: Path) -> None:
    assert shard_out(tmp_path, None) == tmp_path
    with pytest.raises(UserError):
        shard_out(tmp_path, "5/4")


# ------------------------------------------------------------------------------------------------- RunDir


def test_a_run_folder_goes_on_with_the_same_config(tmp_path: Path) -> None:
    for step in (1, 2):
        with RunDir.open(tmp_path / "exp", "train-am", Toy()) as run:
            run.log(step=step, loss=0.5)
    lines = (tmp_path / "exp" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.5}]
    assert read_config(tmp_path / "exp") == {
        **{"command": "train-am", "steps": 10, "rate": 1e-5, "widths": [3, 4], "name": None}
    }
    assert (tmp_path / "exp" / "command.txt").read_text().count("#") == 2


def test_another_config_is_refused_with_the_difference(tmp_path: Path) -> None:
    RunDir.open(tmp_path / "exp", "train-am", Toy()).close()
    with pytest.raises(UserError, match=r"rate: 1e-05 -> 0\.1"):
        RunDir.open(tmp_path / "exp", "train-am", Toy(rate=0.1, steps=20), resumable=["steps"])
    with pytest.raises(UserError, match="command"):
        RunDir.open(tmp_path / "exp", "g2p", Toy())
    assert read_config(tmp_path / "exp")["rate"] == 1e-5


def test_resumable_keys_may_change(tmp_path: Path) -> None:
    RunDir.open(tmp_path / "exp", "train-am", Toy()).close()
    RunDir.open(tmp_path / "exp", "train-am", Toy(steps=20), resumable=["steps"]).close()
    assert read_config(tmp_path / "exp")["steps"] == 20


def _try_open(path: Path, answers: "multiprocessing.Queue[str]") -> None:
    try:
        RunDir.open(path, "train-am", Toy())
        answers.put("opened")
    except UserError as error:
        answers.put(error.message)


def test_a_setting_that_is_new_since_then_is_at_its_default(tmp_path: Path) -> None:
    class Newer(Toy):
        bias: bool = False

    RunDir.open(tmp_path, "train-toy", Toy()).close()
    with pytest.raises(UserError, match="bias: False -> True"):
        RunDir.open(tmp_path, "train-toy", Newer(bias=True))
    RunDir.open(tmp_path, "train-toy", Newer()).close()
    with pytest.raises(UserError, match=r"bias: False -> \(absent\)"):
        RunDir.open(tmp_path, "train-toy", Toy())


def test_a_second_process_on_a_run_folder_is_refused(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[str] = context.Queue()
    with RunDir.open(tmp_path / "exp", "train-am", Toy()):
        process = context.Process(target=_try_open, args=(tmp_path / "exp", answers))
        process.start()
        assert f"in use by process {os.getpid()}" in answers.get(timeout=60)
        process.join()
    RunDir.open(tmp_path / "exp", "train-am", Toy()).close()


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="not an experiment folder"):
        RunDir.open(tmp_path, "train-am", Toy())


def test_what_a_kill_in_the_first_moment_leaves_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.yaml.123.tmp").touch()
    RunDir.open(tmp_path, "train-am", Toy()).close()


def test_only_the_first_of_torchruns_processes_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunDir.open(tmp_path / "exp", "train-am", Toy()) as first:
        monkeypatch.setenv("RANK", "1")
        with RunDir.open(tmp_path / "exp", "train-am", Toy()) as second:
            second.log(step=1)
        first.log(step=2)
    assert (tmp_path / "exp" / "metrics.jsonl").read_text() == '{"step": 2}\n'


# ------------------------------------------------------------------------------------------------- the rest


def test_read_config_of_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a folder made by voxkit"):
        read_config(tmp_path)
    (tmp_path / "config.yaml").write_text("- a")
    with pytest.raises(UserError, match="damaged"):
        read_config(tmp_path)
    (tmp_path / "config.yaml").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        read_config(tmp_path)


def test_write_atomic(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "é")
    write_atomic(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert made(tmp_path) == {"a"}


def test_environment_tells_no_host() -> None:
    found = environment()
    assert {"time", "voxkit", "git", "python", "platform", "cpus", "packages"} == set(found)
    assert os.uname().nodename not in json.dumps(found["platform"])


# ---------------------------------------------------------------------------------------------- a full disk


def test_a_full_disk_is_told_with_the_place_and_what_is_finished_stays(small_disk: Path) -> None:
    def make(size: int) -> None:
        with output(small_disk / "out", "prepare", {"a": 1}) as folder:
            (folder.work / "finished").touch()
            with open(folder.work / "big", "wb") as file:
                file.write(bytes(size))  # such an error names no file

    with pytest.raises(OSError, match="No space left on device") as caught:
        make(100_000)
    assert caught.value.filename == str(small_disk / "out.partial")
    assert (small_disk / "out.partial" / "finished").exists()
    make(100)
    assert (small_disk / "out" / "big").stat().st_size == 100


def test_an_error_text_of_a_library_becomes_the_error_it_was(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as caught, writing(tmp_path):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path))
    for other in (ValueError("28"), PermissionError(errno.EACCES, "Permission denied"), UserError("no")):
        with pytest.raises(type(other)) as kept, writing(tmp_path):
            raise other
        assert kept.value is other

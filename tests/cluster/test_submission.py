import sys
from pathlib import Path

import pytest

from voxkit.cluster import array, slurm
from voxkit.cluster.jobs import Status
from voxkit.cluster.submission import held, plan
from voxkit.errors import Interrupted, UserError


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_each_job_gets_its_shard(tmp_path: Path) -> None:
    submission = plan(tmp_path / "s", ["voxkit", "featurize", "a b", "--out", "o"], 3, Path("o"))
    program = (sys.executable, "-m", "voxkit")
    assert [job.argv for job in submission.jobs] == [
        (*program, "featurize", "a b", "--out", "o", "--shard", f"{i}/3") for i in (1, 2, 3)
    ]


def test_a_single_job_is_the_command_itself(tmp_path: Path) -> None:
    (job,) = plan(tmp_path / "s", ["torchrun", "x"], 1, None).jobs
    assert job.argv == ("torchrun", "x")


def test_another_command_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with held(plan(tmp_path / "s", ["voxkit", "decode", "--beam", "8"], 2, None)):
        pass
    with held(plan(tmp_path / "s", ["voxkit", "decode", "--beam", "8"], 2, None)):
        pass
    with (
        pytest.raises(UserError, match=r"(?s)belongs to another.*beam 8.*beam 9"),
        held(plan(tmp_path / "s", ["voxkit", "decode", "--beam", "9"], 2, None)),
    ):
        pass
    with (
        pytest.raises(UserError, match=r"(?s)2 jobs.*3 jobs"),
        held(plan(tmp_path / "s", ["voxkit", "decode", "--beam", "8"], 3, None)),
    ):
        pass


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UserError, match="not made by"), held(plan(tmp_path / "mine", ["voxkit", "x"], 1, None)):
        pass


def test_what_is_left_to_do(tmp_path: Path) -> None:
    out = tmp_path / "feats"
    submission = plan(tmp_path / "s", ["voxkit", "featurize"], 3, out)
    assert len(submission.todo()) == 3
    for job in submission.jobs:
        job.record(Status("done", 1, 0))
        (out / f"shard-{job.name}").mkdir(parents=True)
    assert submission.todo() == []
    (out / "shard-2-of-3").rmdir()
    assert [job.index for job in submission.todo()] == [2]  # its output was removed
    (out / "config.yaml").touch()
    assert submission.todo() == []  # the parts were merged
    submission.jobs[0].record(Status("failed", 1, 2))
    assert [job.index for job in submission.todo()] == [1]


def test_the_report_says_which_where_and_why(tmp_path: Path) -> None:
    submission = plan(tmp_path / "s", ["voxkit", "featurize"], 3, None)
    first, second, third = submission.jobs
    first.record(Status("done", 1, 0))
    second.record(Status("failed", 2, 2, host="node7"))
    second.log.parent.mkdir()
    second.log.write_text("## runner\n" + "".join(f"line {i}\n" for i in range(9)) + "## ended\n")
    third.record(Status("failed", 1, reason="Slurm ended it (TIMEOUT)", host="node8"))
    report = submission.report()
    assert "2 of 3 jobs did not succeed" in report
    assert "job 2 of 3: failed: exit code 2 (attempt 2 on node7)" in report
    assert str(second.log) in report
    assert "    | line 8" in report
    assert "line 3" not in report
    assert "runner" not in report
    assert "job 3 of 3: failed: Slurm ended it (TIMEOUT)" in report
    with pytest.raises(UserError, match="2 of 3"):
        array.conclude(submission, None, merges=False)


def test_only_interrupted_is_not_a_failure(tmp_path: Path) -> None:
    submission = plan(tmp_path / "s", ["voxkit", "train-am"], 1, None)
    submission.jobs[0].record(Status("interrupted", 11, 75))
    with pytest.raises(Interrupted):
        array.conclude(submission, None, merges=False)


def test_parts_are_named_when_there_is_no_merge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submission = plan(tmp_path / "s", ["voxkit", "decode"], 2, Path("hyp"))
    for job in submission.jobs:
        job.record(Status("done", 1, 0))
    array.conclude(submission, Path("hyp"), merges=False)
    assert capsys.readouterr().out.split() == ["hyp/shard-1-of-2", "hyp/shard-2-of-2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("10:30", 11), ("1:30:00", 90), ("2-12", 3600), ("1-00:30", 1470), ("1-0:0:1", 1441), ("0:1", 1)],
)
def test_time_limits(text: str, expected: int) -> None:
    assert slurm.minutes(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "1:2:3:4", "-5", "0", "1h"])
def test_bad_time_limits(text: str) -> None:
    with pytest.raises(UserError, match="--slurm-option time"):
        slurm.minutes(text)


def test_slurm_parameters() -> None:
    pytest.importorskip("submitit")
    found = slurm.parameters(
        ["time=1:00:00", "cpus-per-task=4", "mem=8G", "partition=gpu", "reservation=r", "exclusive"]
    )
    assert found["time"] == 60
    assert found["cpus_per_task"] == 4
    assert found["srun_args"] == ["--cpus-per-task=4"]
    assert found["mem"] == "8G"
    assert found["exclusive"] is True
    assert found["additional_parameters"] == {"reservation": "r"}
    assert slurm.parameters(["time=1"])["signal_delay_s"] == 30


@pytest.mark.parametrize("option", ["=x", "array=1-5", "nodes=2", "--output=x"])
def test_bad_slurm_parameters(option: str) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(UserError, match="--slurm-option"):
        slurm.parameters([option, "time=1"])


def test_slurm_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch"):
        slurm.require()
    submission = plan(tmp_path / "s", ["voxkit", "x"], 1, None)
    assert slurm.alive(submission.jobs, {}) == []
    with pytest.raises(UserError, match="squeue"):
        slurm.alive(submission.jobs, {1: "77"})

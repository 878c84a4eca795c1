"""`voxkit featurize` from the command line: content, bad data, killing, sharding, moving."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from lhotse import CutSet, Fbank, FbankConfig, MonoCut, Recording, SupervisionSegment, validate
from typer.testing import CliRunner

from voxkit.commands.featurize.command import featurize
from voxkit.data.cmvn import CmvnStats
from voxkit.data.manifests import open_cuts, write_cuts
from voxkit.errors import UserError

RATE = 16000
ROOT = Path(__file__).parents[2]


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def voxkit(*arguments: object, cwd: Path) -> Done:
    """Run `voxkit featurize` in this process, with the exit status that the command line gives."""
    app = typer.Typer()
    app.command()(featurize)
    with contextlib.chdir(cwd):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, UserError):
        return Done(2, result.stdout, f"{result.stderr}error: {result.exception}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def make_cuts(folder: Path, count: int = 12, rate: int = RATE, seconds: float = 1.0) -> CutSet:
    rng = np.random.default_rng(0)
    cuts = []
    for i in range(count):
        path = folder / f"a{i}.flac"
        soundfile.write(path, 0.1 * rng.standard_normal(int((seconds + 0.01 * i) * rate)), rate)
        cut = Recording.from_file(path, recording_id=f"r{i}").to_cut()
        cut.id = f"c/{i}"
        cut.supervisions = [SupervisionSegment(f"s{i}", f"r{i}", 0, cut.duration, text="yes", speaker=f"p{i % 3}")]
        cuts.append(cut)
    return CutSet.from_cuts(cuts)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_cuts(make_cuts(tmp_path), tmp_path / "cuts.jsonl.gz")
    return tmp_path


def features_of(path: Path) -> dict[str, np.ndarray]:
    return {cut.id: cut.load_features() for cut in CutSet.from_file(path)}


def damage(folder: Path, index: int) -> None:
    content = (folder / f"a{index}.flac").read_bytes()
    (folder / f"a{index}.flac").write_bytes(content[: len(content) // 2])


def test_plain_lhotse_loads_what_lhotse_would_have_computed(corpus: Path) -> None:
    done = voxkit("cuts.jsonl.gz", "--out", "feats", "--set", "part_seconds=5", cwd=corpus)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "feats/cuts.jsonl.gz\n"
    assert "progress=features" in done.stderr
    assert "12 cuts" in done.stderr
    assert sorted(path.name for path in (corpus / "feats").iterdir()) == [
        "command.txt", "config.yaml", "cuts.jsonl.gz", "env.json", "feats",
    ]  # fmt: skip
    cuts = CutSet.from_file(corpus / "feats" / "cuts.jsonl.gz")
    assert [cut.id for cut in cuts] == [f"c/{i}" for i in range(12)]
    validate(cuts, read_data=True)
    for cut in cuts:
        expected = Fbank().extract(cut.load_audio(), RATE)
        assert cut.load_features().dtype == np.float32
        np.testing.assert_allclose(cut.load_features(), expected, atol=2e-3)
        part = cut.truncate(offset=0.2, duration=0.5)
        np.testing.assert_array_equal(part.load_features(), cut.load_features()[20:70])
    again = voxkit("cuts.jsonl.gz", "--out", "feats", "--set", "part_seconds=5", cwd=corpus)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    other = voxkit("cuts.jsonl.gz", "--out", "feats", "--set", "features.num_mels=40", cwd=corpus)
    assert other.returncode == 2
    assert "num_mels: 80 -> 40" in other.stderr


def test_processes_give_the_same_bytes(corpus: Path) -> None:
    for jobs in (1, 2):
        arguments = ["--num-jobs", jobs, "--cmvn", "speaker", "--config", ROOT / "conf" / "featurize" / "mfcc.yaml"]
        done = voxkit("cuts.jsonl.gz", "--out", f"f{jobs}", "--set", "part_seconds=2", *arguments, cwd=corpus)
        assert done.returncode == 0, done.stderr
    one, two = features_of(corpus / "f1" / "cuts.jsonl.gz"), features_of(corpus / "f2" / "cuts.jsonl.gz")
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert one["c/0"].shape == (100, 13)
    assert (corpus / "f1" / "cmvn.safetensors").read_bytes() == (corpus / "f2" / "cmvn.safetensors").read_bytes()
    stats = CmvnStats.load(corpus / "f1" / "cmvn.safetensors")
    assert stats.keys == ["p0", "p1", "p2"]
    mean, std = stats.mean_std("p1")
    frames = np.concatenate([one[f"c/{i}"] for i in (1, 4, 7, 10)])
    np.testing.assert_allclose(mean, frames.mean(0), atol=1e-4)
    np.testing.assert_allclose(std, frames.std(0), atol=1e-4)


@pytest.mark.parametrize("jobs", [1, 2])
def test_after_kill_9_the_finished_parts_are_kept(tmp_path: Path, jobs: int) -> None:
    write_cuts(make_cuts(tmp_path, count=40, seconds=4), tmp_path / "cuts.jsonl.gz")
    arguments = ["cuts.jsonl.gz", "--out", "feats", "--num-jobs", str(jobs), "--cmvn", "global"]
    arguments += ["--set", "part_seconds=1", "--set", "features.num_mels=512"]
    command = [sys.executable, "-m", "voxkit", "featurize", *arguments]
    killed = subprocess.Popen(command, cwd=tmp_path, env=environment(), start_new_session=True)
    parts = tmp_path / "feats.partial" / "parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("[0-9]*.jsonl"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    while jobs > 1 and group_lives(killed.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not group_lives(killed.pid), "a worker outlived its parent"
    assert not (tmp_path / "feats").exists()
    finished = {path: path.stat().st_mtime_ns for path in parts.glob("[0-9]*.jsonl")}
    assert 5 <= len(finished) < 40
    first = min(finished)
    (tmp_path / "feats.partial" / "feats" / first.stem / "00000.npy").write_bytes(
        b"lost"
    )  # its data never reached disk
    resumed = voxkit(*arguments, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"going on after {len(finished) - 1} of 40 parts" in resumed.stderr
    whole = voxkit(*arguments[:2], "whole", *arguments[3:], cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    one, two = (features_of(tmp_path / name / "cuts.jsonl.gz") for name in ("feats", "whole"))
    assert len(one) == 40
    assert all(np.array_equal(one[name], two[name]) for name in two)
    stats = [(tmp_path / name / "cmvn.safetensors").read_bytes() for name in ("feats", "whole")]
    assert stats[0] == stats[1]


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_sigterm_stops_with_the_status_that_says_go_on(tmp_path: Path) -> None:
    write_cuts(make_cuts(tmp_path, count=40, seconds=4), tmp_path / "cuts.jsonl.gz")
    arguments = ["cuts.jsonl.gz", "--out", "feats", "--num-jobs", "2", "--set", "part_seconds=1"]
    arguments += ["--set", "features.num_mels=512"]
    command = [sys.executable, "-m", "voxkit", "featurize", *arguments]
    stopped = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "feats.partial").glob("parts/[0-9]*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.killpg(stopped.pid, signal.SIGTERM)
    _, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 75, errors
    assert "the same command goes on" in errors
    assert voxkit(*arguments, cwd=tmp_path).returncode == 0


def test_bad_data_are_all_reported_and_nothing_is_written(corpus: Path) -> None:
    damage(corpus, 3)
    damage(corpus, 9)
    (corpus / "a5.flac").unlink()
    soundfile.write(corpus / "a7.flac", np.zeros(int(1.07 * RATE)), RATE)
    before = sorted(corpus.iterdir())
    for jobs in (1, 2):
        done = voxkit("cuts.jsonl.gz", "-o", "feats", "--num-jobs", jobs, "--set", "part_seconds=1", cwd=corpus)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        for expected in ("truncated audio: 2", "missing file: 1", "silent audio: 1", "cuts.jsonl.gz:4  c/3"):
            assert expected in done.stderr
        assert sorted(corpus.iterdir()) == before
    some = voxkit("cuts.jsonl.gz", "-o", "feats", "--max-bad", 0.4, cwd=corpus)
    assert some.returncode == 0, some.stderr
    assert "4 of 12 cuts left out" in some.stderr
    rejected = [json.loads(line) for line in (corpus / "feats" / "rejected.jsonl").read_text().splitlines()]
    assert [problem["id"] for problem in rejected] == ["c/3", "c/5", "c/7", "c/9"]
    assert set(features_of(corpus / "feats" / "cuts.jsonl.gz")) == {f"c/{i}" for i in (0, 1, 2, 4, 6, 8, 10, 11)}


def test_a_cut_mended_between_two_runs_is_not_lost(corpus: Path) -> None:
    content = (corpus / "a3.flac").read_bytes()
    (corpus / "a3.flac").unlink()
    arguments = ["cuts.jsonl.gz", "-o", "feats", "--max-bad", "0.5", "--set", "part_seconds=1"]
    assert voxkit(*arguments, cwd=corpus).returncode == 0
    shutil.copytree(corpus / "feats", corpus / "feats.partial")  # as if it had been stopped before the end
    shutil.rmtree(corpus / "feats")
    (corpus / "feats.partial" / "cuts.jsonl.gz").unlink()
    (corpus / "a3.flac").write_bytes(content)
    assert voxkit(*arguments, cwd=corpus).returncode == 0
    assert len(features_of(corpus / "feats" / "cuts.jsonl.gz")) == 12


def test_shards_are_joined(corpus: Path) -> None:
    damage(corpus, 4)
    options = ["--cmvn", "global", "--max-bad", "0.5"]
    assert voxkit("cuts.jsonl.gz", "-o", "whole", *options, cwd=corpus).returncode == 0
    for index in (1, 2, 3):
        early = voxkit("cuts.jsonl.gz", "-o", "feats", *options, "--merge", cwd=corpus)
        assert early.returncode == 2
        done = voxkit("cuts.jsonl.gz", "-o", "feats", *options, "--shard", f"{index}/3", cwd=corpus)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"feats/shard-{index}-of-3/cuts.jsonl.gz\n"
    done = voxkit("cuts.jsonl.gz", "-o", "feats", *options, "--merge", cwd=corpus)
    assert done.returncode == 0, done.stderr
    whole, joined = (features_of(corpus / name / "cuts.jsonl.gz") for name in ("whole", "feats"))
    assert whole.keys() == joined.keys()
    assert all(np.array_equal(whole[name], joined[name]) for name in whole)
    means = [CmvnStats.load(corpus / name / "cmvn.safetensors").mean_std() for name in ("whole", "feats")]
    np.testing.assert_allclose(means[0], means[1], rtol=1e-6)
    assert "c/4" in (corpus / "feats" / "rejected.jsonl").read_text()
    shutil.move(corpus / "feats", corpus / "moved")
    assert np.array_equal(next(iter(open_cuts(corpus / "moved"))).load_features(), whole["c/0"])


def test_a_moved_folder_still_has_its_features(corpus: Path) -> None:
    assert voxkit("cuts.jsonl.gz", "-o", "deep/feats", cwd=corpus).returncode == 0
    expected = features_of(corpus / "deep" / "feats" / "cuts.jsonl.gz")
    shutil.move(corpus / "deep" / "feats", corpus / "elsewhere")
    for cut in open_cuts(corpus / "elsewhere"):
        np.testing.assert_array_equal(cut.load_features(), expected[cut.id])


def test_other_audio_than_plain_files(tmp_path: Path) -> None:
    cuts = make_cuts(tmp_path, 4, rate=8000).to_eager()
    stereo = 0.1 * np.random.default_rng(1).standard_normal((8000, 2))
    soundfile.write(tmp_path / "stereo.wav", stereo, 8000)
    two_channels = Recording.from_file(tmp_path / "stereo.wav").to_cut()
    right = MonoCut("right", 0.0, 1.0, channel=1, recording=two_channels.recording)
    mixed = cuts[0].mix(cuts[1], offset_other_by=0.3, snr=5)
    made = [
        cuts[0],
        cuts[1].perturb_speed(0.9),
        cuts[2].truncate(offset=0.25, duration=0.5),
        mixed,
        two_channels,
        right,
    ]
    write_cuts(made, tmp_path / "cuts.jsonl")
    done = voxkit("cuts.jsonl", "-o", "feats", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "at 8000 Hz are resampled to 16000 Hz" in done.stderr
    cuts = CutSet.from_file(tmp_path / "feats" / "cuts.jsonl.gz").to_eager()
    validate(cuts, read_data=True)
    assert [cut.num_features for cut in cuts] == [80] * 6
    assert [s.text for s in cuts[3].supervisions] == ["yes", "yes"]
    expected = Fbank(FbankConfig()).extract(mixed.resample(RATE).load_audio(), RATE)
    np.testing.assert_allclose(cuts[3].load_features(), expected, atol=5e-3)
    expected = Fbank(FbankConfig()).extract(right.resample(RATE).load_audio(), RATE)
    np.testing.assert_allclose(cuts[5].load_features(), expected, atol=5e-3)


def test_half_precision(corpus: Path) -> None:
    assert voxkit("cuts.jsonl.gz", "-o", "f", "--set", "storage=float16", cwd=corpus).returncode == 0
    cut = next(iter(CutSet.from_file(corpus / "f" / "cuts.jsonl.gz")))
    assert cut.load_features().dtype == np.float16
    np.testing.assert_allclose(cut.load_features(), Fbank().extract(cut.load_audio(), RATE), atol=0.02)


def test_lilcom(corpus: Path) -> None:
    done = voxkit("cuts.jsonl.gz", "-o", "f", "--set", "storage=lilcom", cwd=corpus)
    try:
        import lilcom  # noqa: F401
    except ImportError:
        assert done.returncode == 2
        assert "pip install lilcom" in done.stderr
        return
    for cut in CutSet.from_file(corpus / "f" / "cuts.jsonl.gz"):
        np.testing.assert_allclose(cut.load_features(), Fbank().extract(cut.load_audio(), RATE), atol=0.05)


def test_speakers_that_are_not_known(corpus: Path) -> None:
    cuts = list(CutSet.from_file(corpus / "cuts.jsonl.gz"))
    cuts[2].supervisions[0].speaker = None
    write_cuts(cuts, corpus / "cuts.jsonl.gz")
    done = voxkit("cuts.jsonl.gz", "-o", "f", "--cmvn", "speaker", cwd=corpus)
    assert done.returncode == 2
    assert "use --cmvn global" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "featurize needs CUTS and --out"),
        (["cuts.jsonl.gz"], "featurize needs --out"),
        (["none.jsonl.gz", "-o", "f"], "no such manifest"),
        (["cuts.jsonl.gz", "-o", "f", "--shard", "3/2"], "--shard 3/2: not a part"),
        (["cuts.jsonl.gz", "-o", "f", "--shard", "1/2", "--merge"], "give one of them"),
        (["cuts.jsonl.gz", "-o", "f", "--set", "features.num_mel=40"], "did you mean"),
        (["cuts.jsonl.gz", "-o", "f", "--num-jobs", "0"], "num-jobs"),
        (["cuts.jsonl.gz", "-o", "."], "was not made by this command"),
    ],
)
def test_mistakes_are_told_with_a_fix(corpus: Path, arguments: list[str], message: str) -> None:
    done = voxkit(*arguments, cwd=corpus)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (corpus / "f").exists()


def test_the_printed_config_can_be_fed_back(tmp_path: Path) -> None:
    first = voxkit("--print-config", "--cmvn", "global", "--set", "features.kind=mfcc", cwd=tmp_path)
    (tmp_path / "c.yaml").write_text(first.stdout)
    assert voxkit("--config", "c.yaml", "--print-config", cwd=tmp_path).stdout == first.stdout
    assert "kind: mfcc" in first.stdout


def test_starts_without_torch_and_lhotse() -> None:
    code = (
        "import sys, voxkit.commands.featurize.command, voxkit.commands.featurize.job\n"
        "sys.exit(' '.join({'torch', 'lhotse', 'torchaudio'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_help_says_who_needs_the_statistics(tmp_path: Path) -> None:
    text = " ".join(voxkit("--help", cwd=tmp_path).stdout.split())
    assert "for use by other tools" in text
    assert "train-am needs none" in text

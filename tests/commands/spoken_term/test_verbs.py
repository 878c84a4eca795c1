"""`spoken-term apply`, `score` and `export` on a model of tones, with the code that `audio-event` has too."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.decode import tones
from voxkit.commands.spoken_term.command import apply, export, score, train
from voxkit.data.clips import open_clips
from voxkit.data.manifests import write_cuts

CONF = Path(__file__).parents[3] / "conf" / "spoken_term" / "tiny.yaml"
SETS = [
    f"features.sampling_rate={tones.RATE}",
    f"clip.seconds={tones.SECONDS}",
    "augment.noise=0",
    "augment.speeds=[1.0]",
    "model.channels=[8,16]",
    "model.hidden=[16]",
    "train.epochs=12",
    "train.score_every=12",
    "train.lr=0.01",
]
SCENE = (("quiet", 0.7), ("low", 0.5), ("quiet", 1.0), ("high", 0.5), ("quiet", 1.0))
STARTS = {"low": 0.7, "high": 2.2}
STREAM = ["--stream", "--background", "quiet", "--threshold", "0.5"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tones` and quiet, a model of them, and a recording as a file, a manifest and raw samples."""
    folder = tmp_path_factory.mktemp("place")
    tones.write(folder / "tones", 6)
    (folder / "tones" / "quiet").mkdir()
    for number in range(12):
        soundfile.write(folder / "tones" / "quiet" / f"{number}.wav", tones.tone("quiet", seed=number), tones.RATE)
    train(train=folder / "tones", out=folder / "model", seed=1, config=CONF, set_=SETS)
    samples = tones.scene(*SCENE)
    soundfile.write(folder / "scene.wav", samples, tones.RATE)
    (folder / "scene.raw").write_bytes((samples * 32767).astype("<i2").tobytes())
    (clip,) = open_clips(folder / "scene.wav", "auto", "multi", 0.02, need_labels=False)
    said = [
        {"id": name, "recording_id": "scene", "start": start, "duration": 0.5, "channel": 0, "custom": {"class": name}}
        for name, start in STARTS.items()
    ]
    write_cuts([{**clip.cut, "supervisions": said}], folder / "scene.jsonl.gz")
    return folder


def test_words_are_told(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score([place / "model", place / "tones"], tmp_path / "score")
    assert "%ACC 100.00 [ 30 / 30" in capsys.readouterr().out
    apply(place / "model", [place / "tones" / "low" / "0.wav"])
    assert capsys.readouterr().out.startswith("0\tlow\t")


def test_a_stream_of_a_recording(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(place / "model", [place / "scene.wav"], stream=True, background=["quiet"], set_=["smoothing=0.2"])
    found = {row[1]: float(row[0]) for row in map(str.split, capsys.readouterr().out.splitlines())}
    for name, start in STARTS.items():
        assert start < found[name] < start + 1


def test_recordings_are_scored_as_a_stream_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score([place / "model", place / "scene.jsonl.gz"], events=True, background=["quiet"], set_=["smoothing=0.2"])
    told = capsys.readouterr().out
    assert "%F1 " in told
    assert "%FRR 0.00 [ at " in told
    assert "threshold 0.500, 0 / 2 missed" in told


def test_the_exported_model_says_the_same(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(place / "model", tmp_path / "onnx")
    capsys.readouterr()
    outs = []
    for model in (place / "model", tmp_path / "onnx"):
        apply(model, [place / "tones"], top=2)
        outs.append([line.split("\t") for line in capsys.readouterr().out.splitlines()])
    assert [row[:2] for row in outs[0]] == [row[:2] for row in outs[1]]
    assert [float(row[2]) for row in outs[0]] == pytest.approx([float(row[2]) for row in outs[1]], abs=2e-4)


def started(place: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "voxkit", "spoken-term", "apply", str(place / "model"), "-", *STREAM, *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)


def test_a_pipe_is_answered_at_once_and_ends_by_ctrl_c(place: Path) -> None:
    process = started(place, "--set", "smoothing=0.2")
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("no pipes")
    process.stdin.write((place / "scene.raw").read_bytes())
    process.stdin.flush()
    first = process.stdout.readline().decode().split("\t")  # though the pipe is open
    assert first[1] in STARTS
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert b"stopped: by Ctrl-C" in process.stderr.read()
    process.stdin.close()


def test_a_pipe_that_nobody_reads_ends_quietly(place: Path) -> None:
    process = started(place, "--set", "smoothing=0.2", "--set", "refractory=0")
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise AssertionError("no pipes")
    process.stdout.close()
    try:
        process.stdin.write((place / "scene.raw").read_bytes() * 3)
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.wait(60) == 141
    assert b"Traceback" not in process.stderr.read()

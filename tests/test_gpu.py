"""Training on a GPU: the same command as on a CPU, bf16 where it may, and bundles that any machine loads.

VOXKIT_TEST_GPU=1 pytest tests/test_gpu.py tests/commands/ner/test_tagger.py
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from voxkit import bundle

ROOT = Path(__file__).parents[1]
WORDS = "call alice bob and the a in on at it is was to of you me my your cat dog".split()

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and VOXKIT_TEST_GPU=1")


def voxkit(*options: object, gpu: bool = True) -> str:
    """What a command prints; it must go well."""
    environ = {**os.environ, **({} if gpu else {"CUDA_VISIBLE_DEVICES": ""})}
    command = [sys.executable, "-m", "voxkit", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def data(system: str, folder: Path) -> list[object]:
    """The options of a small training."""
    if system == "lm-nce":
        text = folder / "text.txt"
        text.write_text("".join(" ".join(WORDS[n % 7 : n % 7 + n % 11 + 1]) + "\n" for n in range(300)))
        return ["--corpus", text, "--dev", text]
    if system == "g2p":
        words = folder / "words.tsv"
        words.write_text("".join(f"{word}\t{' '.join(word.upper())}\ten\n" for word in WORDS))
        return ["--train", words, "--dev", words]
    tags = folder / "tags.conll"
    tags.write_text("call O\nalice B-name\n\nbob B-name\nand O\nthe O\ncat O\n\n" * 20)
    return ["--train", tags, "--dev", tags]


@pytest.mark.parametrize("system", ["lm-nce", "g2p", "ner"])
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_training(system: str, precision: str, tmp_path: Path) -> None:
    exp, config = tmp_path / "exp", ROOT / "conf" / system.replace("-", "_") / "tiny.yaml"
    more = ["--set", "train.steps=60", "--set", "train.lr=0.01", "--set", "train.log_every=1"]
    train = [system, "train", *data(system, tmp_path), "--config", config, "--out", exp, *more]
    voxkit(*train, "--set", f"train.precision={precision}")
    summary = json.loads((exp / "summary.json").read_text())
    assert torch.cuda.get_device_name() in summary["device"]
    losses = [
        record["loss"]
        for record in map(json.loads, (exp / "metrics.jsonl").read_text().splitlines())
        if record["kind"] == "train"
    ]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    state = bundle.load(exp).model.state_dict()
    assert all(tensor.device.type == "cpu" for tensor in state.values())
    assert all(tensor.isfinite().all() for tensor in state.values() if tensor.is_floating_point())


def test_a_stopped_training_goes_on_to_the_same_weights_but_for_rounding(tmp_path: Path) -> None:
    given = data("lm-nce", tmp_path)
    settings = ["--set", "train.steps=2000", "--set", "train.save_every=3"]
    train = ["lm-nce", "train", *given, "--config", ROOT / "conf" / "lm_nce" / "tiny.yaml", *settings]
    voxkit(*train, "--out", tmp_path / "whole")
    command = [sys.executable, "-m", "voxkit", *map(str, train), "--out", str(tmp_path / "parts")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while process.poll() is None and not list((tmp_path / "parts" / "checkpoints").glob("step-*")):
        assert time.monotonic() < until
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "parts" / "bundle").exists()
    voxkit(*train, "--out", tmp_path / "parts")
    whole, parts = (bundle.load(tmp_path / name).model.state_dict() for name in ("whole", "parts"))
    for name, tensor in whole.items():  # sums on a GPU have no fixed order
        torch.testing.assert_close(parts[name], tensor, rtol=0.02, atol=0.002)


def test_scores_without_the_gpu_are_those_of_training(tmp_path: Path) -> None:
    given = data("lm-nce", tmp_path)
    config = ROOT / "conf" / "lm_nce" / "tiny.yaml"
    voxkit("lm-nce", "train", *given, "--config", config, "--set", "train.precision=fp32", "--out", tmp_path / "exp")
    best = json.loads((tmp_path / "exp" / "summary.json").read_text())["best_score"]
    told = voxkit("lm-nce", "score", tmp_path / "exp", tmp_path / "text.txt", gpu=False)
    (line,) = (line for line in told.splitlines() if line.startswith("%PPL") and "[ normalised" in line)
    assert float(line.split()[1]) == pytest.approx(best, rel=0.02)

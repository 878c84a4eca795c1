"""A run that is stopped in its last step is scored when it goes on."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.commands.ner import small_ner
from voxkit import bundle
from voxkit.commands.ner.command import train
from voxkit.commands.ner.task import Batch, NerTask
from voxkit.errors import Interrupted
from voxkit.train.task import Loss

STEPS = 20
SETS = ["train.device=cpu", "train.threads=1", f"train.steps={STEPS}", "train.lr=0.02", "words.hide=0.2"]
CONFIG = Path(__file__).resolve().parents[3] / "conf/ner/tiny.yaml"


def test_a_stop_in_the_last_step_costs_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = small_ner.columns(tmp_path / "train.conll", *small_ner.sentences())

    def run(name: str) -> None:
        train(train=[data], out=tmp_path / name, config=CONFIG, set_=SETS)

    run("whole")
    loss, calls = NerTask.loss, iter(range(STEPS))

    def stopped(self: NerTask, model: torch.nn.Module, batch: Batch) -> Loss:
        if next(calls) == STEPS - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(NerTask, "loss", stopped)
        with pytest.raises(Interrupted):
            run("stopped")
    run("stopped")
    whole, again = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "stopped"))
    assert whole["selected_step"] == again["selected_step"]
    one, two = (load_file(bundle.weights(tmp_path / name)) for name in ("whole", "stopped"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())

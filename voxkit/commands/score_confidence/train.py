"""`score-confidence train`: a bundle, and the comparison of systems."""

from __future__ import annotations

from pathlib import Path

import torch

from voxkit.commands.score_confidence.ablation import DECODER, TABLE, Ablation
from voxkit.commands.score_confidence.command import TrainConfidence
from voxkit.commands.score_confidence.trainer import Trainer, identified, look_over
from voxkit.errors import Interrupted
from voxkit.metrics.calibration import lines
from voxkit.metrics.calibration_plots import det_curve, reliability_diagram
from voxkit.progress import say
from voxkit.rundir import RunDir, write_atomic
from voxkit.train.interrupt import listening
from voxkit.train.loop import BUNDLE

SCORES, RELIABILITY, DET = "scores.txt", "reliability.png", "det.png"


def run(settings: TrainConfidence, out: Path, ablate: bool) -> None:
    """Train and write `out`/bundle; judge it on the dev folders and, with `ablate`, every other system too.

    Raises:
        UserError, DataError: folders that cannot be used; nothing to learn from.
        Interrupted: SIGTERM or SIGUSR1 came; the same call goes on.
    """
    wanted = [BUNDLE, *([SCORES] if settings.data.dev else []), *([TABLE] if ablate else [])]
    if not all((out / name).exists() for name in wanted):
        look_over(settings)
    settings = identified(settings)
    torch.set_num_threads(1)
    with listening() as signals, RunDir.open(out, "score-confidence train", settings) as run:
        if all((run.path / name).exists() for name in wanted):
            say(f"{out}: complete, nothing to do")
        elif not signals.attempt(lambda: _train(Trainer(settings, run.path), out, ablate)):
            raise Interrupted(f"{signals.received}; the same command goes on after the parts that are trained")
    if (out / SCORES).exists():
        print((out / SCORES).read_text(encoding="utf-8"), end="")
    say(f"confidence model: {out / BUNDLE}")


def _train(trainer: Trainer, out: Path, ablate: bool) -> None:
    trainer.save()
    if not trainer.settings.data.dev:
        return
    found = Ablation(trainer, every=ablate)
    shown = found.pictured
    few = {
        name: words for name, words in shown.items() if not name.startswith("+") or words is next(iter(shown.values()))
    }
    reliability_diagram(few, trainer.out / RELIABILITY)
    det_curve(shown, trainer.out / DET)
    told: list[str] = []
    for name in found.names:
        told += lines(found.comparison.measures(name), f"{name}, {found.detail}", out)
        if name != DECODER and ablate:
            told += [found.change(name)]
    if ablate:
        write_atomic(trainer.out / TABLE, found.table())
    write_atomic(trainer.out / SCORES, "".join(f"{line}\n" for line in told))

"""What training tells: `metrics.jsonl` is the truth; the console and TensorBoard are views of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from voxkit.progress import Meter, say
from voxkit.rundir import RunDir
from voxkit.train.checkpoint import State
from voxkit.train.settings import TrainConfig
from voxkit.train.step import Outcome
from voxkit.train.task import Score

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NONFINITE = "nonfinite.jsonl"


class Logbook:
    """Sums up steps and writes a record every `log_every` of them; only the main process writes.

    The sums are part of `State`, so that a resumed run writes the records of an uninterrupted one.
    """

    def __init__(self, run: RunDir, config: TrainConfig, state: State, horizon: int, main: bool) -> None:
        self.run, self.config, self.state, self.horizon, self.main = run, config, state, horizon, main
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> Logbook:
        if self.main:
            if self.config.tensorboard:
                from torch.utils.tensorboard import SummaryWriter

                place = self.run.path / "tensorboard"
                self._writer = SummaryWriter(str(place), purge_step=self.state.step or None)
            self._meter = Meter(self.horizon, "training", "steps", done=self.state.step)
            self._meter.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.main:
            self._meter.__exit__(kind, error, trace)
            if self._writer is not None:
                self._writer.close()

    def step(self, outcome: Outcome, seconds: float, waited: float, last: bool) -> None:
        """Count a step that has just been made. `seconds` it took, of which `waited` for data."""
        sums = self.state.meter
        gains = {"seconds": seconds, "waited": waited, "examples": outcome.examples}
        if outcome.finite:
            gains |= {"total": outcome.total, "weight": outcome.weight, "grad_norm": outcome.grad_norm, "finite": 1}
            gains |= {f"part.{name}": value for name, value in outcome.parts.items()}
        for name, value in gains.items():
            sums[name] = sums.get(name, 0.0) + value
        if self.main:
            notes = {"loss": outcome.total / outcome.weight} if outcome.finite else {}
            self._meter.advance(1, epoch=str(self.state.epoch), **notes, lr=outcome.lr)
        if self.state.step % self.config.log_every == 0 or last:
            self._record(outcome.lr)
            sums.clear()

    def _record(self, lr: float) -> None:
        sums = self.state.meter
        weight, finite = sums.get("weight", 0.0), sums.get("finite", 0.0)
        if not finite:
            return
        self._log(
            "train",
            {
                "loss": sums["total"] / weight,
                **{name[5:]: value / weight for name, value in sums.items() if name.startswith("part.")},
                "lr": lr,
                "grad_norm": sums["grad_norm"] / finite,
                "examples_per_second": round(sums["examples"] / max(sums["seconds"], 1e-9), 2),
                "waiting": round(sums["waited"] / max(sums["seconds"], 1e-9), 3),
            },
        )

    def score(self, score: Score) -> None:
        """Record and show how good the model is."""
        self._log("score", {"score": score.value, "name": score.name, **score.values})
        best = " (best)" if self.state.best_step == self.state.step else ""
        say(f"score step={self.state.step} epoch={self.state.epoch} {score.name}={score.value:.6g}{best}")
        for line in score.lines:
            say(line)

    def nonfinite(self, outcome: Outcome, suspects: list[str]) -> None:
        """Record and show a step that was skipped, and the cuts that were in it."""
        if not self.main:
            return
        state = self.state
        facts = {"loss": _number(outcome.total / outcome.weight if outcome.weight else math.nan)}
        facts["grad_norm"] = _number(outcome.grad_norm)
        record = {"step": state.step, "epoch": state.epoch, **facts, "ids": suspects}
        with open(self.run.path / NONFINITE, "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._log("nonfinite", {"skipped": state.nonfinite, "ids": suspects})
        shown = ", ".join(suspects[:5]) + (f" ... ({len(suspects)}, see {NONFINITE})" if len(suspects) > 5 else "")
        what = "loss" if facts["loss"] is None else "gradient"
        say(f"step {state.step}: the {what} is not finite, the step is skipped; cuts: {shown}")

    def _log(self, kind: str, values: Mapping[str, Any]) -> None:
        if not self.main:
            return
        state = self.state
        clean = {name: _number(value) if isinstance(value, float) else value for name, value in values.items()}
        self.run.log(kind=kind, step=state.step, epoch=state.epoch, seconds=round(state.seconds, 2), **clean)
        if self._writer is not None:
            for name, value in clean.items():
                if isinstance(value, int | float):
                    self._writer.add_scalar(f"{kind}/{name}", value, state.step)


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None

"""The one training loop: from a task and a config to a bundle, resumable at every step."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from voxkit import bundle
from voxkit.errors import Interrupted, UserError
from voxkit.progress import say
from voxkit.rundir import RunDir, write_atomic
from voxkit.train import checkpoint
from voxkit.train.average import Average
from voxkit.train.checkpoint import Checkpoint, State
from voxkit.train.dist import World, joined
from voxkit.train.feed import groups, steps_per_epoch
from voxkit.train.interrupt import Signals, listening
from voxkit.train.logbook import NONFINITE, Logbook
from voxkit.train.numerics import seed_all, settled, to_device
from voxkit.train.rehearse import rehearse
from voxkit.train.settings import TrainConfig, tenth
from voxkit.train.step import Step, StepFactory, Supervised
from voxkit.train.strategies.ddp import DDP, Strategy
from voxkit.train.task import Task

CHECKPOINTS, BUNDLE, SUMMARY, CURVES = "checkpoints", "bundle", "summary.json", "curves.png"


def fit(
    task: Task,
    config: TrainConfig,
    run: RunDir,
    strategy: Strategy | None = None,
    step: StepFactory = Supervised,
) -> Path:
    """Train until the config's end, or go on with a run that was stopped, and write the bundle.

    What happens at a step depends on (seed, epoch, position in the epoch) and on the weights alone, so a run that was
    killed and resumed any number of times ends with the bits of one that was not (on a CPU, with the same number of
    threads). The run folder gets checkpoints/, metrics.jsonl, nonfinite.jsonl (if anything was), tensorboard/, and at
    the end bundle/, summary.json and curves.png.

    Args:
        run: the experiment folder, open; under torchrun every process opens it.
        strategy: how processes share gradients or weights; data parallelism if absent.
        step: how the weights are updated from a group of batches.

    Returns:
        The bundle's folder.

    Raises:
        Interrupted: SIGTERM, SIGUSR1 or Ctrl-C came; all is saved, and the same call goes on.
        UserError: no data, not enough memory, too many non-finite steps or nothing else, a damaged checkpoint.
    """
    folder = run.path / CHECKPOINTS
    with joined(config.device) as world, settled(config, world.device), listening() as signals:
        saved = _newest(folder, world)
        # a run that was stopped in its last step has not been scored there
        if saved is None or not _finished(saved.state, config) or _score_due(saved.state, config):
            state = _train(task, config, run, world, signals, strategy or DDP(), step, saved)
            saved = None
        else:
            state = saved.state
        _require_learnt(state, run)
        if world.main and saved is not None and _concluded(run) == (saved.state.step, config.select):
            say(f"{run.path}: training is finished ({saved.state.step} steps), nothing to do")
        elif world.main:
            _conclude(task, config, run, folder, world)
        world.any(False)  # nobody returns before the bundle is there
    return run.path / BUNDLE


def _train(
    task: Task,
    config: TrainConfig,
    run: RunDir,
    world: World,
    signals: Signals,
    strategy: Strategy,
    make_step: StepFactory,
    saved: Checkpoint | None,
) -> State:
    # Epochs may differ in length by a few batches; the first one stands for all, and nothing has to be planned ahead.
    horizon = config.steps or config.epochs * steps_per_epoch(len(task.batches("train", 0)), config, world)
    seed_all(config.seed, "weights")
    model = task.model().to(world.device).train()
    average = Average(model, config)
    update = make_step(task, model, config, world, strategy, horizon)
    state = State() if saved is None else _restore(saved, task, model, average, update, strategy, world)
    if world.main:
        _announce(state, model, config, world, horizon)
    state.horizon, state.group = horizon, world.size * config.accumulate
    written = state.step, state.scored
    rehearse(task, update, model, state.epoch, config, world)

    feed = groups(task, config, world, state.epoch, state.batch, release=run.close)
    stop = False
    with Logbook(run, config, state, horizon, world.main) as book:
        clock = time.monotonic()
        while True:
            if not stop and _score_due(state, config):
                stop = _score(task, average.model, state, book, world, signals)
            now = time.monotonic()
            state.seconds, clock = state.seconds + now - clock, now
            due = stop or state.scored == state.step or state.step % config.save_every == 0
            if due and state.step > 0 and written != (state.step, state.scored):
                _save(run.path / CHECKPOINTS, task, model, average, update, strategy, state, config, world)
                written = state.step, state.scored
            if stop:
                raise Interrupted(f"at step {state.step}, saved; the same command goes on from there")
            if _finished(state, config):
                return state

            start, group = time.perf_counter(), next(feed)
            waited = time.perf_counter() - start
            outcome = update(state.step, group, bool(signals))
            if outcome.finite:
                average.update(state.step, horizon)
            state.step += 1
            state.epoch, state.batch = (group.epoch + 1, 0) if group.last else (group.epoch, group.end)
            seconds = time.perf_counter() - start
            book.step(outcome, seconds, waited + group.waited, last=_finished(state, config))
            if not outcome.finite:
                state.nonfinite += 1
                suspects = [name for names in world.gather(outcome.suspects) for name in names]
                book.nonfinite(outcome, suspects)
                _give_up(state, config, run, suspects)
            stop = outcome.stop


def _finished(state: State, config: TrainConfig) -> bool:
    return state.epoch >= config.epochs if config.steps is None else state.step >= config.steps


def _score_due(state: State, config: TrainConfig) -> bool:
    if state.step == 0 or state.scored == state.step:
        return False
    if config.score_unit == "steps":
        due = state.step % config.score_every == 0
    else:
        due = state.batch == 0 and state.epoch % config.score_every == 0
    return due or _finished(state, config)


def _score(task: Task, model: nn.Module, state: State, book: Logbook, world: World, signals: Signals) -> bool:
    """Score the model on the first process. True: a signal came, and it is to be done again after the resume."""

    def score() -> None:
        training = model.training
        try:
            with torch.no_grad():
                result = task.score(model.eval())
        finally:
            model.train(training)
        if math.isfinite(result.value) and (state.best_value is None or result.value < state.best_value):
            state.best_step, state.best_value = state.step, result.value
        book.score(result)

    if world.main:
        signals.attempt(score)
    if world.any(bool(signals)):
        return True
    state.scored = state.step
    return False


def _give_up(state: State, config: TrainConfig, run: RunDir, suspects: list[str]) -> None:
    if state.nonfinite > config.max_nonfinite:
        raise UserError(
            f"{state.nonfinite} steps had a non-finite loss or gradient, the last at step {state.step} with the cuts "
            + ", ".join(suspects[:5])
            + (" ..." if len(suspects) > 5 else ""),
            fix=f"look at the cuts in {run.path / NONFINITE}; lower lr or clip_norm, or raise max_nonfinite",
        )


def _require_learnt(state: State, run: RunDir) -> None:
    if state.nonfinite >= state.step > 0:
        raise UserError(
            f"nothing was learnt: all {state.step} steps had a non-finite loss or gradient; no bundle is written",
            fix=f"look at the cuts in {run.path / NONFINITE}, at lr and at the model to start from; then train with "
            "another --out",
        )


def _newest(folder: Path, world: World) -> Checkpoint | None:
    """The last checkpoint, the same for all processes."""
    path = None
    if world.main:
        checkpoint.clean(folder)
        path = checkpoint.latest(folder)
    path = world.gather(path)[0]
    return checkpoint.load(path) if path else None


def _save(
    folder: Path,
    task: Task,
    model: nn.Module,
    average: Average,
    update: Step,
    strategy: Strategy,
    state: State,
    config: TrainConfig,
    world: World,
) -> None:
    own = {"strategy": strategy.state_dict()}
    if not strategy.shared:
        own |= {"model": model.state_dict(), "update": update.state_dict()}
    ranks = world.gather(to_device(own, torch.device("cpu"))) if any(own.values()) else None
    if not world.main:
        return
    tensors = {"model": model.state_dict()}
    if config.average != "none":
        tensors["average"] = average.state_dict()
    objects: dict[str, Any] = {"optimizer": update.state_dict()}
    if ranks is not None:
        objects["ranks"] = ranks
    if hasattr(task, "state_dict"):
        objects["task"] = task.state_dict()
    checkpoint.save(folder, state, tensors, objects)
    checkpoint.prune(folder, config.keep_last, also={state.best_step})


def _restore(
    saved: Checkpoint,
    task: Task,
    model: nn.Module,
    average: Average,
    update: Step,
    strategy: Strategy,
    world: World,
) -> State:
    ranks = saved.objects.get("ranks", [])
    own = ranks[world.rank] if len(ranks) == world.size else {}
    try:
        model.load_state_dict(own.get("model", saved.tensors["model"]), strict=True)
        average.load_state_dict(saved.tensors.get("average", {}))
        update.load_state_dict(own.get("update", saved.objects["optimizer"]))
        strategy.load_state_dict(own.get("strategy", {}))
    except (RuntimeError, KeyError, ValueError) as error:
        raise UserError(
            f"the checkpoint of step {saved.state.step} does not fit the model: {error}",
            fix="go back to the code that made it, or start anew with another --out",
        ) from error
    if "task" in saved.objects and hasattr(task, "load_state_dict"):
        task.load_state_dict(saved.objects["task"])
    return saved.state


def _announce(state: State, model: nn.Module, config: TrainConfig, world: World, horizon: int) -> None:
    size = sum(p.numel() for p in model.parameters())
    group = world.size * config.accumulate
    say(
        f"training {size / 1e6:.2f} M parameters for {horizon} steps of {group} batch(es) on {world.size} x "
        f"{world.device.type}" + (f", going on from step {state.step}" if state.step else "")
    )
    warmup = config.warmup_steps(horizon)
    if config.warmup >= horizon and not state.step:
        taken = "takes all of the training" if warmup == horizon else f"is shortened to {warmup}"
        say(
            f"note: the warm-up of {config.warmup} steps {taken}, since the training has {horizon}; "
            f"--set train.warmup={tenth(horizon)} sets one that fits"
        )
    if state.step and state.group != group:
        say(f"note: a step now takes {group} batches, before the stop it took {state.group}")
    if state.step and state.horizon != horizon and config.schedule in ("cosine", "linear"):
        say(
            f"note: the learning rate now falls over {horizon} steps instead of {state.horizon}; "
            "the result is not that of one run of this length"
        )
    if state.step and (before := config.warmup_steps(state.horizon)) != warmup:
        say(f"note: the warm-up is now of {warmup} steps instead of {before}")


def _conclude(task: Task, config: TrainConfig, run: RunDir, folder: Path, world: World) -> None:
    """Write the bundle from the checkpoints, the picture, and last of all the summary."""
    from voxkit.train.curves import draw

    newest = checkpoint.latest(folder)
    if newest is None:
        raise UserError(f"{folder}: no checkpoint", fix="train again with another --out")
    last = checkpoint.load(newest)
    best = folder / f"step-{last.state.best_step}"
    chosen = checkpoint.load(best) if config.select == "best" and best.exists() else last
    weights = chosen.tensors.get("average", chosen.tensors["model"])
    finished = getattr(task, "finished", None)
    state, quantization, names = (weights, None, None) if finished is None else finished(weights)
    bundle.save(run.path / BUNDLE, task.system, task.config, state, task.assets, quantization, names)
    draw(run.path / "metrics.jsonl", run.path / CURVES, title=run.path.resolve().name)
    summary = {
        "step": last.state.step,
        "epoch": last.state.epoch,
        "select": config.select,
        "selected_step": chosen.state.step,
        "best_step": last.state.best_step,
        "best_score": last.state.best_value,
        "skipped_steps": last.state.nonfinite,
        "seconds": round(last.state.seconds, 1),
        "device": f"{world.size} x {_device(world)}",
    }
    write_atomic(run.path / SUMMARY, json.dumps(summary, indent=2) + "\n")
    say(f"{run.path / BUNDLE}: weights of step {chosen.state.step} of {last.state.step}")


def _device(world: World) -> str:
    return torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else world.device.type


def _concluded(run: RunDir) -> tuple[int, str] | None:
    """How many steps the bundle was concluded after, and how its weights were selected."""
    path = run.path / SUMMARY
    if not path.exists() or not (run.path / BUNDLE).exists():
        return None
    summary = json.loads(path.read_text(encoding="utf-8"))
    return summary["step"], summary["select"]

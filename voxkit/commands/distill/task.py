"""A student's task with a teacher beside the labels (Hinton, Vinyals & Dean 2015; Polino, Pascanu & Alistarh 2018)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voxkit import bundle
from voxkit.commands.distill.answers import Answers
from voxkit.commands.distill.command import Distill, TeachingConfig
from voxkit.config import diff, to_dict
from voxkit.data.clips import clip_files
from voxkit.errors import UserError
from voxkit.train.aware import AwareTask
from voxkit.train.initial import start_from, weights_of
from voxkit.train.numerics import to_device
from voxkit.train.task import Batches, Loss, Score
from voxkit.train.teaching import Decisions, Teachable
from voxkit.train.wrapped import WrappedTask

SHOWN = 8  # names in a message
INPUTS = ("features", "clip", "head")  # sections that decide what a model hears and says


@dataclass(frozen=True)
class Taught:
    """A batch of the student's task, the ids of its examples, and the view that they are in."""

    batch: Any
    ids: list[str]
    view: int | None

    def to(self, device: torch.device | str) -> Taught:
        return Taught(to_device(self.batch, torch.device(device)), self.ids, self.view)


class DistilledTask(WrappedTask[Teachable]):
    """Another task whose loss has a teacher's part too. A `voxkit.train.task.Task`.

    Args:
        inner: the student's task.
        teacher: a model in eval mode, called as the student is.
        initial: the weights of a trained student to start from.
    """

    def __init__(
        self,
        inner: Teachable,
        teacher: nn.Module,
        config: TeachingConfig,
        answers: Answers | None = None,
        initial: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__(inner)
        self.teaching, self.answers_of, self.initial = config, answers, initial
        self.teacher = teacher.eval().requires_grad_(False)

    def model(self) -> nn.Module:
        """A new student, or the one to start from."""
        model = self.inner.model()
        start_from(model, self.initial)
        return model

    def batches(self, split: str, epoch: int) -> TaughtBatches:
        inner = self.inner.batches(split, epoch)
        view = self.inner.view(epoch)
        if self.answers_of is not None and view is not None:
            self.answers_of.expect(view, sum(len(inner.ids(i)) for i in range(len(inner))))
        return TaughtBatches(inner, view)

    def loss(self, model: nn.Module, batch: Taught) -> Loss:
        """a * loss(labels) + (1 - a) * T^2 * divergence from the teacher, per clip or frame; both parts are logged."""
        share = self.teaching.hard_weight
        answers = self.inner.answers(model, batch.batch)
        labels = self.inner.criterion(answers, batch.batch)
        decisions = self.inner.decisions(answers, batch.batch)
        taught = divergence(decisions, self._teacher_says(batch, decisions), self.teaching.temperature)
        total = share * labels.total + (1 - share) * taught
        return Loss(total, labels.weight, {"labels": labels.total.detach(), "teacher": taught.detach()})

    def score(self, model: nn.Module) -> Score:
        """That of the student."""
        return self.inner.score(model)

    @torch.no_grad()
    def _teacher_says(self, batch: Taught, student: Decisions) -> Tensor:
        """The teacher's logits (N, C) for the student's decisions: remembered ones, or new ones.

        Raises:
            UserError: the teacher decides another number of times, as with another frame rate.
        """
        known = self.answers_of.find(batch.ids, batch.view) if self.answers_of is not None else None
        if known is not None:
            logits = known.to(student.logits.device)
        else:
            self.teacher.to(student.logits.device)
            says = self.inner.decisions(self.inner.answers(self.teacher, batch.batch), batch.batch)
            logits = says.logits.float().to(student.logits.device)  # onnxruntime's are on the CPU
            if self.answers_of is not None and batch.view is not None:
                self.answers_of.keep(batch.ids, batch.view, torch.split(logits, says.counts.tolist()))
        if logits.shape != student.logits.shape:
            fix = "give the student the teacher's frame rate (features.frame_shift, model.subsampling)"
            if known is not None and self.answers_of is not None:
                fix += f"; if it has that, {self.answers_of.folder} is damaged or of another teacher: remove it"
            raise UserError(
                f"the teacher says {len(logits)} x {logits.shape[1]} values of a batch, the student "
                f"{len(student.logits)} x {student.logits.shape[1]}",
                fix=fix,
            )
        return logits


def divergence(student: Decisions, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher / T || student / T), summed over decisions by their weights: a scalar.

    Of multi-label classifiers, whose classes are independent, the mean over classes of the binary divergences, as
    their loss is the mean of binary cross-entropies. T^2 keeps the gradient's size (Hinton et al. 2015, section 2).

    Args:
        teacher: logits (N, C).
    """
    own, others = student.logits.float() / temperature, teacher.float() / temperature
    if student.kind == "single":
        says = others.log_softmax(1)
        each = (says.exp() * (says - own.log_softmax(1))).sum(1)
    else:
        yes, no = nn.functional.logsigmoid(others), nn.functional.logsigmoid(-others)
        mine, not_mine = nn.functional.logsigmoid(own), nn.functional.logsigmoid(-own)
        each = (yes.exp() * (yes - mine) + no.exp() * (no - not_mine)).mean(1)
    return temperature**2 * (each * student.weights).sum()


class TaughtBatches:
    """The student's batches of an epoch, with what the teacher's answers are remembered by."""

    def __init__(self, inner: Batches, view: int | None) -> None:
        self.inner, self.view = inner, view

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, i: int) -> Taught:
        return Taught(self.inner[i], self.inner.ids(i), self.view)

    def ids(self, i: int) -> list[str]:
        return self.inner.ids(i)

    def worst(self) -> int:
        return self.inner.worst()


def make(settings: Distill[Any], folder: Path) -> DistilledTask | AwareTask:
    """The task of a config; its assets and lists go to `folder`.

    Raises:
        UserError: a teacher and a student that do not hear or say the same; weights that do not fit.
        DataError: see the student's own task.
    """
    teacher = bundle.load(Path(settings.teacher))
    inner = bundle.room(teacher.system, "task").make(settings.student, folder)
    if not isinstance(inner, Teachable):
        raise UserError(f"{settings.teacher}: a model of {teacher.system} cannot teach", fix="give another model")
    _agree(settings, teacher, inner)
    initial = None
    if settings.init is not None:
        initial = weights_of(bundle.load(Path(settings.init)))
    answers = None
    if settings.teaching.cache is not None:
        if inner.view(0) is None:
            raise UserError(
                "--cache: every epoch has new inputs, so that no answer of the teacher is asked for twice",
                fix="--set augment.views=N (classifiers), or no change of the audio (train-am: speeds=[1], volume=0)",
            )
        answers = Answers.open(Path(settings.teaching.cache), _known_by(settings, inner))
    if settings.quantization is not None:
        inner_or_aware: Any = AwareTask(inner, settings.quantization, initial)
        return DistilledTask(inner_or_aware, teacher.model, settings.teaching, answers)
    return DistilledTask(inner, teacher.model, settings.teaching, answers, initial)


def _agree(settings: Distill[Any], teacher: bundle.Bundle, student: Teachable) -> None:
    """Raise a UserError unless both models have the same inputs and outputs."""
    names, mine = list(bundle.room(teacher.system, "model").outputs(teacher.assets)), list(student.names())
    if names != mine:
        told = [
            f"only the {who} knows {', '.join(only[:SHOWN])}"
            for who, only in (("teacher", _without(names, mine)), ("student", _without(mine, names)))
            if only
        ]
        raise UserError(
            f"{settings.teacher}: has other outputs than the student's data: {'; '.join(told) or 'another order'}",
            fix="train on clips of the teacher's classes (CTC: --set data.lang=LANG, the teacher's lang folder)",
        )
    own = to_dict(settings.student)
    before, after = ({name: config[name] for name in INPUTS if name in config} for config in (teacher.config, own))
    changed = diff(before, after)
    if changed:
        raise UserError(
            "teacher and student do not hear the same:\n  " + "\n  ".join(changed),
            fix="give the student the teacher's settings",
        )


def _without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    return [name for name in names if name not in others]


def _known_by(settings: Distill[Any], student: Teachable) -> dict[str, Any]:
    """What the teacher's answers depend on. Its arithmetic is the student's, so that this is a part of it."""
    config = to_dict(settings.student)
    data, training = config["data"], config["train"]
    dev = [str(file) for file in clip_files(data["dev"])] if data["dev"] else []
    return {
        "teacher": settings.digests[str(bundle.weights(Path(settings.teacher)))],
        "outputs": list(student.names()),
        "data": sorted(found for path, found in data["digests"].items() if path not in dev),
        "precision": f"{training['precision']} on {training['device']}",
        **{name: data[name] for name in ("label", "max_bad") if name in data},
        **{name: config[name] for name in ("head", "features", "clip", "augment") if name in config},
    }

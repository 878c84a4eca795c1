"""`voxkit distill`: the signature, the config and the help."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import typer
from pydantic import Field

from voxkit.commands.options import MaxBad
from voxkit.config import Config, PrintConfig, Set, to_yaml
from voxkit.errors import UserError
from voxkit.packed import Quantization

S = TypeVar("S", bound=Config)


class TeachingConfig(Config):
    """What the student learns from the teacher, and how much."""

    temperature: float = Field(2.0, gt=0, le=100, description="both models' logits are divided by it")
    hard_weight: float = Field(
        0.25, ge=0, le=1, description="weight of the labels' loss; the rest is that of the teacher's answers"
    )
    cache: str | None = Field(None, description="folder for the teacher's answers, shared by runs; none: not kept")


class Distill(Config, Generic[S]):
    """Everything that `distill` can be told; `student` is the config of the teacher's own command."""

    teacher: str = Field(description="experiment or bundle folder")
    init: str | None = Field(None, description="trained student to start from")
    teaching: TeachingConfig = TeachingConfig()
    quantization: Quantization | None = Field(None, description="of the student's weights, in training and on disk")
    digests: dict[str, str] = Field({}, description="of the models; written by the command")
    student: S


def distill(
    teacher: Annotated[
        Path | None, typer.Option("--teacher", help="Experiment or bundle of the model to learn from.")
    ] = None,
    train: Annotated[Path | None, typer.Option("--train", help="What to train on, as for the teacher.")] = None,
    dev: Annotated[Path | None, typer.Option("--dev", help="What to score on during training.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Experiment folder; run again to resume.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="YAML file of the student, as for the command that trained the teacher."),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "-t", help="Softens both models' answers.  (default: 2)")
    ] = None,
    hard_weight: Annotated[
        float | None, typer.Option("--hard-weight", "-a", help="Weight of the labels, 0 to 1.  (default: 0.25)")
    ] = None,
    bits: Annotated[
        int | None, typer.Option("--bits", "-b", min=2, max=8, help="Train for weights of so many bits.")
    ] = None,
    per: Annotated[str | None, typer.Option("--per", help="Scales for each `tensor` or output `channel`.")] = None,
    symmetric: Annotated[
        bool | None, typer.Option("--symmetric/--asymmetric", help="Levels around 0, or from min to max.")
    ] = None,
    range_: Annotated[
        str | None, typer.Option("--range", help="`minmax`, or `mse`: clip where that errs less.")
    ] = None,
    init: Annotated[Path | None, typer.Option("--init", help="Trained student to start from.")] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder that keeps the teacher's answers for further runs.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Same as --set train.seed=N.")] = None,
    max_bad: MaxBad = 0.0,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Train a small model with a large one's answers, at full precision or for weights of a few bits.

    The loss is  a * loss(labels) + (1 - a) * T^2 * KL(teacher / T || student / T)  with a = --hard-weight and
    T = --temperature: over classes for classifiers, per class for multi-label ones, per frame for CTC models. The
    student is a model of the teacher's command with another --config; --set changes that. Where it says nothing of
    features, clips and labels, these are the teacher's.

    With --bits the student computes with quantized weights all along, keeps full ones to update, and is stored in so
    many bits (quantized distillation). --init starts from a student that is trained already.

    --cache keeps the teacher's answers, which takes inputs that repeat: augment.views=N for classifiers, no
    augmentation of the audio for train-am.

    [bold]Examples[/bold]

      voxkit distill --teacher exp/teacher --config conf/audio_event/esc10_student.yaml --train sounds/ --out exp/small

      voxkit distill ... --init exp/small --bits 3 --per channel --out exp/tiny

      voxkit distill --teacher exp/am --train cuts.jsonl.gz --set model.width=96 --set model.layers=4 --out exp/am_small
    """
    if teacher is None:
        raise UserError("distill needs --teacher", fix="see voxkit distill --help")
    teaching = {"temperature": temperature, "hard_weight": hard_weight, "cache": None if cache is None else str(cache)}
    scheme = {"bits": bits, "per": per, "symmetric": symmetric, "range": range_}
    given: dict[str, Any] = {
        "teaching": {name: value for name, value in teaching.items() if value is not None},
        "quantization": {name: value for name, value in scheme.items() if value is not None},
        "init": None if init is None else str(init),
    }
    if given["quantization"] and bits is None:
        raise UserError("--per, --symmetric and --range are about quantized weights", fix="say how many --bits")

    from voxkit.commands.distill.settings import assemble

    data = {"train": train, "dev": dev, "max_bad": max_bad or None}
    settings = assemble(teacher, config, set_, given, data, seed)
    if print_config:  # the student's, which --config takes back; the rest are options
        others = settings.model_dump(mode="json", exclude={"student", "digests"})
        print("".join(f"# {name}: {json.dumps(value)}\n" for name, value in others.items()), end="")
        print(to_yaml(settings.student), end="")
        return
    missing = [] if settings.student.data.train else ["--train"]
    missing += ["--out"] if out is None else []
    if out is None or missing:
        raise UserError(f"distill needs {' and '.join(missing)}", fix="see voxkit distill --help")
    if cache is not None and cache.absolute().is_relative_to(out.absolute()):
        raise UserError(f"--cache {cache}: lies in --out, which is a new folder", fix="name a folder beside it")

    from voxkit.commands.distill.task import make
    from voxkit.train import run

    run.train("distill", settings, settings.student.train, out, lambda folder: make(settings, folder), "student.train")

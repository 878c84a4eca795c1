"""`voxkit quantize`: the signature, the configs and the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import typer
from pydantic import Field

from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.errors import UserError
from voxkit.packed import Quantization

S = TypeVar("S", bound=Config)


class CalibrationConfig(Config):
    """How the ranges of activations are found, for --int8."""

    batches: int = Field(16, ge=1, description="batches of the calibration data that are looked at")
    method: Literal["minmax", "entropy", "percentile"] = Field(
        "minmax", description="ranges from extremes, from least divergence, or from the 99.999th percentile"
    )
    symmetric: bool = Field(False, description="ranges of activations around 0")


class MeasureConfig(Config):
    """How models are timed, for --int8 --report."""

    repeats: int = Field(50, ge=1, description="runs whose median counts")


class Quantize(Config):
    """Everything that `quantize` can be told."""

    quantization: Quantization = Quantization()
    calibration: CalibrationConfig = CalibrationConfig()
    measure: MeasureConfig = MeasureConfig()
    train: dict[str, Any] = Field(
        {}, description="with --aware, settings of the training that are not those which the model was trained with"
    )


CONFIG = Quantize


class Retraining(Config, Generic[S]):
    """Config of a quantization-aware training; `own` is that of the model's own command."""

    model: str = Field(description="experiment or bundle folder")
    from_scratch: bool = Field(False, description="start from random weights, not the model's")
    quantization: Quantization
    digests: dict[str, str] = Field({}, description="of the model; written by the command")
    own: S


def quantize(
    model: Annotated[
        Path | None, typer.Argument(help="Experiment or bundle folder of any training command.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Experiment folder to write.")] = None,
    bits: Annotated[
        int | None, typer.Option("--bits", "-b", min=2, max=8, help="Size of a weight.  (default: 8)")
    ] = None,
    per: Annotated[
        str | None,
        typer.Option(
            "--per",
            help="Scales for each `tensor` or output `channel`.  (default: tensor; --int8: channel)",
            show_default=False,
        ),
    ] = None,
    symmetric: Annotated[
        bool | None,
        typer.Option(
            "--symmetric/--asymmetric",
            help="Levels around 0, or from min to max.  (default: asymmetric; --int8: weights symmetric)",
            show_default=False,
        ),
    ] = None,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range", help="`minmax`, or `mse`: clip where that errs less.  (default: minmax)", show_default=False
        ),
    ] = None,
    aware: Annotated[bool, typer.Option("--aware", help="Train on, with quantized weights; needs --train.")] = False,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="With --aware, start from random weights.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="Compute in 8 bits too, by onnxruntime; needs --calibrate.")
    ] = False,
    train: Annotated[
        Path | None, typer.Option("--train", help="What to train on, as for the command that trained the model.")
    ] = None,
    dev: Annotated[Path | None, typer.Option("--dev", help="What to score on, in training and in the report.")] = None,
    calibrate: Annotated[
        Path | None, typer.Option("--calibrate", help="Some of the training data, for the ranges of --int8.")
    ] = None,
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Write report.txt, .json and .png: sizes in bytes, errors in dB, scores in per cent (PPL: no unit).",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be quantized; write nothing.")] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="With --aware, same as --set train.seed=N.")] = None,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Store a model's weights in 2 to 8 bits, after training or by training for it; int8 inference.

    OUT holds a bundle that all commands take like the original. Its weights are packed, so that the file is small, and
    unpacked when it is loaded. That is for voxkit: an export of it is a graph of the floats that they stand for, as
    large as that of the original; a small graph for onnxruntime is that of --int8. Biases, normalisation and buffers
    become half floats (--set quantization.rest=float32 leaves them); --set 'quantization.keep=["*embed*"]' leaves out
    weights by name, and --set 'quantization.bits_of={"*.first.*": 8}' gives some another size.

    --aware trains on from the model's weights while it computes with quantized ones, with the settings that it was
    trained with; --set train.KEY=VALUE changes those. Killed or interrupted, the same command goes on.

    --int8 quantizes activations as well and leaves the computing to onnxruntime's 8-bit kernels. Those of LSTMs find
    their ranges over the batch, so that what such a model says of a sentence depends a little on the others of its
    batch.

    --report tells for each layer its size, how much of its weights is noise, and its multiply-adds; with --dev also
    how well the model does before and after, and with each layer alone quantized; with --int8 how much of each layer's
    output is noise, and time and memory. Lower scores are better: ERR, WER, 100-AUC and 100-F1 are in per cent, PPL is
    a perplexity.

    [bold]Examples[/bold]

      voxkit quantize exp/am --bits 4 --per channel --out exp/am_4bit --report --dev dev.jsonl.gz

      voxkit quantize exp/small --bits 3 --aware --train train.jsonl.gz --dev dev.jsonl.gz --out exp/small_3bit

      voxkit quantize exp/small --int8 --calibrate train.jsonl.gz --report --out exp/small_int8
    """
    flags: dict[str, Any] = {
        "quantization": {"bits": bits, "per": per, "symmetric": symmetric, "range": range_},
        "train": {"seed": seed},
    }
    settings = build(Quantize, config, set_, **flags)
    if int8 and "per" not in settings.quantization.model_fields_set:
        by_channel = settings.quantization.model_copy(update={"per": "channel"})
        settings = settings.model_copy(update={"quantization": by_channel})
    if print_config:
        print(to_yaml(settings), end="")
        return
    missing = ["MODEL"] if model is None else []
    missing += ["--out"] if out is None and not dry_run else []
    if model is None or missing:
        raise UserError(f"quantize needs {' and '.join(missing)}", fix="see voxkit quantize --help")
    _require_consistent(settings, aware, int8, from_scratch, train, calibrate)
    _require_effect(aware, int8, report, dry_run, train, dev)

    from voxkit.commands.quantize.source import Data, open_source

    loaded = open_source(model)
    data = Data(train, dev, calibrate)
    if dry_run or out is None:
        from voxkit.commands.quantize.layers import preview

        print(preview(loaded, settings.quantization))
    elif aware:
        from voxkit.commands.quantize.training import run as run_training

        run_training(model, loaded, settings, data, out, from_scratch, report)
    elif int8:
        from voxkit.commands.quantize.eight import run as run_int8

        run_int8(loaded, settings, data, out, report)
    else:
        from voxkit.commands.quantize.afterwards import run as run_afterwards

        run_afterwards(loaded, settings, data, out, report)


def _require_consistent(
    settings: Quantize, aware: bool, int8: bool, from_scratch: bool, train: Path | None, calibrate: Path | None
) -> None:
    """Raise a UserError for options that do not go together."""
    scheme = settings.quantization
    if aware and int8:
        raise UserError("--aware and --int8 do not go together", fix="give one of them")
    if aware and train is None:
        raise UserError("--aware trains, and has nothing to train on", fix="give --train")
    if from_scratch and not aware:
        raise UserError("--from-scratch is about training", fix="add --aware and --train")
    if settings.train and not aware:
        what = ", ".join(f"train.{name}" for name in settings.train)
        raise UserError(f"{what} is about training", fix="add --aware and --train, or leave it out")
    if int8 and calibrate is None:
        raise UserError("--int8 needs data to find the ranges of activations", fix="give --calibrate")
    if calibrate is not None and not int8:
        raise UserError("--calibrate is about activations", fix="add --int8, or leave it out")
    if int8 and (scheme.bits != 8 or scheme.bits_of or scheme.keep or scheme.range == "mse"):
        raise UserError(
            "--int8 is 8 bits for all weights, over their whole range", fix="leave out bits, keep and range"
        )


def _require_effect(aware: bool, int8: bool, report: bool, dry_run: bool, train: Path | None, dev: Path | None) -> None:
    """Raise a UserError for options that would change nothing."""
    if dry_run and int8:
        raise UserError("--dry-run shows packed weights, and --int8 makes a graph", fix="leave out one of them")
    if dev is not None and not aware and not report:
        raise UserError("--dev is scored on in training and for a report", fix="add --report, or leave out --dev")
    if train is not None and not aware and dev is None:
        raise UserError("--train is for --aware, and tells --report --dev the classes", fix="leave it out")

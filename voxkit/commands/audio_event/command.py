"""`voxkit audio-event`: the signatures, the configs and the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import typer
from pydantic import Field, model_validator

from voxkit.commands.options import MaxBad
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.data.clip_config import ClipAugmentConfig
from voxkit.data.feature_config import FeatureConfig, SpecAugmentConfig
from voxkit.errors import UserError
from voxkit.train.classifier_config import ClassifierConfig

app = typer.Typer(no_args_is_help=True)


class ModelConfig(Config):
    """The network: a strided convolution, then blocks of 3x3 convolutions with pooling between them."""

    channels: tuple[int, ...] = Field((32, 64, 128, 256), min_length=1, description="of each block")
    depth: int = Field(2, ge=1, le=10, description="convolutions in a block")
    separable: bool = Field(False, description="depth-wise and point-wise convolutions instead of full ones")
    stem: int = Field(5, ge=1, le=15, description="side of the first convolution, which has a stride of 2; odd")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout probability before the output")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.stem % 2 == 0:
            raise ValueError(f"stem {self.stem}: must be odd")
        if any(channels < 1 for channels in self.channels):
            raise ValueError(f"channels {self.channels}: each is at least 1")
        return self


class AudioEvent(ClassifierConfig):
    """Everything that `audio-event train` can be told."""

    model: ModelConfig = ModelConfig()
    features: FeatureConfig = FeatureConfig(
        num_mels=64, frame_length=0.04, frame_shift=0.02, preemphasis=0.0, high_freq=0.0
    )
    augment: ClipAugmentConfig = ClipAugmentConfig(mix=0.5)
    spec_augment: SpecAugmentConfig = SpecAugmentConfig(
        frequency_masks=2, frequency_width=8, time_share=0.2, time_width=25, warp=0.0
    )


CONFIG = AudioEvent


@app.command()
def train(
    train: Annotated[
        Path | None, typer.Option("--train", help="CutSet, or folder with a sub-folder of audio for each class.")
    ] = None,
    dev: Annotated[
        Path | None, typer.Option("--dev", help="The same to score on during training; else some of --train.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Experiment folder; run again to resume.")] = None,
    noise: Annotated[Path | None, typer.Option("--noise", help="CutSet of noises to mix in.")] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Field that has the class; `text` for the text.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Same as --set train.seed=N.")] = None,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Learn to tell sounds: one class a clip, or (--set head=multi) any number of them.

    Clips of any length and rate are resampled, filled or cut to clip.seconds. A cut's class is in the custom fields of
    its supervision (class, label, labels, keyword, event) or is its text; of a folder, each sub-folder is a class.
    Training shifts, mixes and masks; see --print-config.

    [bold]Examples[/bold]

      voxkit audio-event train --train data/train.jsonl.gz --dev data/dev.jsonl.gz --out exp/teacher

      voxkit audio-event train --train sounds/ --out exp/sounds --set clip.seconds=2 --set head=multi

      voxkit audio-event train ... --set model.channels=[16,32,64] --set model.depth=1 --out exp/small
    """
    data = {
        name: str(value)
        for name, value in {"train": train, "dev": dev, "noise": noise, "label": label}.items()
        if value is not None
    }
    flags = {"data": {**data, **({"max_bad": max_bad} if max_bad else {})}}
    if seed is not None:
        flags["train"] = {"seed": seed}
    settings = build(AudioEvent, config, set_, **flags)
    if print_config:
        print(to_yaml(settings), end="")
        return
    missing = [] if settings.data.train else ["--train"]
    missing += ["--out"] if out is None else []
    if out is None or missing:
        raise UserError(f"audio-event train needs {' and '.join(missing)}", fix="see voxkit audio-event train --help")

    from voxkit.commands.audio_event.task import identified, make
    from voxkit.train import run

    settings = settings.model_copy(update={"data": identified(settings.data)})
    run.train("audio-event train", settings, settings.train, out, lambda folder: make(settings, folder))

"""Clips of sound: where their labels are, what a network sees of them, how training changes them. Free of torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from voxkit.config import Config


class ClipDataConfig(Config):
    """What the model is trained on; the command's options fill this in."""

    train: str = Field("", description="CutSet, or folder with a sub-folder for each class, to train on")
    dev: str = Field("", description="the same to score on during training; empty: 100 training clips")
    noise: str | None = Field(None, description="CutSet of noises to mix in")
    label: str = Field(
        "auto",
        description="where a clip's class is: `text`, or a name in the custom fields of its supervisions; auto: the "
        "first of class, label, labels, keyword, event that is there, else text",
    )
    max_bad: float = Field(0.0, ge=0, le=1, description="share of bad clips that is tolerated")
    memory: float = Field(
        2000.0, ge=0, description="most audio and features to keep in memory; features: without workers alone [MB]"
    )
    digests: dict[str, str] = Field({}, description="of these files; written by the command")


class ClipConfig(Config):
    """What the network sees of a clip."""

    seconds: float = Field(5.0, gt=0, le=3600, description="length of the network's input [s]")
    fill: Literal["silence", "repeat"] = Field("silence", description="how shorter clips are made that long")
    place: Literal["centre", "start"] = Field("centre", description="where a shorter clip stands in the silence")
    hop: float = Field(
        0.5, gt=0, le=1, description="a longer clip is heard in windows so far apart [share of seconds]; mean of them"
    )


class ClipAugmentConfig(Config):
    """What happens to the audio of a training clip."""

    shift: float = Field(
        1.0,
        ge=0,
        le=1,
        description="largest shift in time, either way [share of the input]; of clips longer by that, a part",
    )
    wrap: bool = Field(True, description="what is shifted out at one end comes in at the other, else it is lost")
    volume: float = Field(6.0, ge=0, le=40, description="largest change of the level, up or down [dB]")
    speeds: tuple[float, ...] = Field((1.0,), min_length=1, description="speed factors to choose from")
    noise: float = Field(0.0, ge=0, le=1, description="share of the clips that noise is added to")
    snr: tuple[float, float] = Field((5.0, 30.0), description="range of the signal-to-noise ratio of added noise [dB]")
    mix: float = Field(
        0.0, ge=0, le=1, description="share of the clips that another one is mixed into, labels too (between-class)"
    )
    seed: int = Field(0, ge=0, description="decides all of it, apart from the seed of training")
    views: int = Field(
        0, ge=0, description="so many versions of each clip, one an epoch, then the first again; 0: always new ones"
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if any(not 0.3 <= speed <= 3 for speed in self.speeds):
            raise ValueError(f"speeds {self.speeds}: each is between 0.3 and 3")
        if self.snr[0] > self.snr[1]:
            raise ValueError(f"snr {self.snr}: the lower end comes first")
        return self

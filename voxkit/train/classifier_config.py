"""What all classifiers of clips can be told, free of torch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from voxkit.config import Config
from voxkit.data.clip_config import ClipAugmentConfig, ClipConfig, ClipDataConfig
from voxkit.data.feature_config import FeatureConfig, SpecAugmentConfig
from voxkit.train.settings import TrainConfig


class ClassifierTraining(TrainConfig):
    """The training loop's settings, with what suits small sets of clips."""

    epochs: int = Field(60, ge=1, description="length of training where `steps` is none [passes over the data]")
    lr: float = Field(2e-3, gt=0, le=100, description="highest learning rate")
    warmup: int = Field(50, ge=0, description="linear rise of the learning rate from 0 [steps]")
    average: Literal["ema", "mean", "none"] = Field(
        "none", description="weights to score and to keep: exponential or running mean over steps, or the last ones"
    )
    score_every: int = Field(10, ge=1, description="how often the model is scored [score_unit]")
    select: Literal["best", "last"] = Field("last", description="the weights that the bundle gets")


class ClassifierConfig(Config):
    """What all classifiers of clips can be told; a system adds its network as `model`."""

    data: ClipDataConfig = ClipDataConfig()
    head: Literal["single", "multi"] = Field(
        "single", description="exactly one class a clip (softmax), or any number of them (sigmoids)"
    )
    clip: ClipConfig = ClipConfig()
    features: FeatureConfig = FeatureConfig()
    augment: ClipAugmentConfig = ClipAugmentConfig()
    spec_augment: SpecAugmentConfig = SpecAugmentConfig()
    batch: int = Field(32, ge=1, description="clips in a batch")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target that all classes get")
    train: ClassifierTraining = ClassifierTraining()

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.clip.seconds < self.features.frame_length:
            raise ValueError(f"clip.seconds {self.clip.seconds:g} is shorter than a frame")
        return self

    @property
    def frames(self) -> int:
        """Frames T of the network's input."""
        return self.features.num_frames(round(self.clip.seconds * self.features.sampling_rate))

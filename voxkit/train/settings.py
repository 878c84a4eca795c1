"""How to train: every knob of the one loop. Free of torch, so that `--help` and `--print-config` are quick."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from voxkit.config import Config


class TrainConfig(Config):
    """Settings of `voxkit.train.loop.fit`. A step is one update of the weights; it may see several batches.

    A `warmup` that is the default gives way to a short training (see `warmup_steps`); any other value must fit it.
    """

    steps: int | None = Field(None, ge=1, description="length of training [steps]; none: `epochs` decides")
    epochs: int = Field(20, ge=1, description="length of training where `steps` is none [passes over the data]")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are added up for one step, per process")

    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="AdamW, or SGD with Nesterov momentum")
    lr: float = Field(1e-3, gt=0, le=100, description="highest learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="AdamW's first beta, SGD's momentum")
    beta2: float = Field(0.98, ge=0, lt=1, description="AdamW's second beta")
    epsilon: float = Field(1e-8, gt=0, le=1, description="AdamW's epsilon")
    weight_decay: float = Field(1e-2, ge=0, le=10, description="decoupled decay; biases and norms are exempt")
    clip_norm: float = Field(5.0, ge=0, description="largest norm of the gradient of the mean loss; 0: no limit")

    schedule: Literal["cosine", "linear", "inverse_sqrt", "constant"] = Field(
        "cosine", description="course of the learning rate after the warm-up"
    )
    warmup: int = Field(
        500,
        ge=0,
        description="linear rise of the learning rate from 0; the default shrinks where it must [steps]",
    )
    final_lr: float = Field(0.0, ge=0, le=1, description="cosine and linear end here [share of lr]")

    average: Literal["ema", "mean", "none"] = Field(
        "ema", description="weights to score and to keep: exponential or running mean over steps, or the last ones"
    )
    ema_decay: float = Field(0.999, ge=0, lt=1, description="weight of the past per step, reached after a warm-up")
    mean_from: float = Field(0.5, ge=0, lt=1, description="the running mean starts here [share of training]")

    score_every: int = Field(1, ge=1, description="how often the model is scored [score_unit]")
    score_unit: Literal["epochs", "steps"] = Field("epochs", description="what score_every counts")
    select: Literal["best", "last"] = Field("best", description="the weights that the bundle gets")

    save_every: int = Field(1000, ge=1, description="distance of checkpoints [steps]; every score saves one too")
    keep_last: int = Field(2, ge=1, description="checkpoints that are kept besides the best [checkpoints]")
    log_every: int = Field(10, ge=1, description="distance of records in metrics.jsonl [steps]")
    tensorboard: bool = Field(True, description="write scalars for TensorBoard")

    max_nonfinite: int = Field(
        10, ge=0, description="steps with a non-finite loss or gradient to skip before giving up [steps]"
    )
    rehearse: Literal["auto"] | bool = Field(
        "auto", description="run the largest batch first, to run out of memory now and not later; auto: on a GPU"
    )

    seed: int = Field(0, ge=0, description="decides initial weights, order of the data and dropout")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="arithmetic of the forward pass; auto: bf16 on a GPU that has it"
    )
    workers: int = Field(0, ge=0, le=64, description="processes that load data ahead of the loop; 0: the loop itself")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of one training process; 0: as many as torch likes")

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        falls = self.schedule in ("cosine", "linear")
        if self.steps is not None and falls and self.warmup_steps(self.steps) >= self.steps:
            raise ValueError(
                f"warmup ({self.warmup}) leaves nothing of the {self.steps} steps to decay over: "
                f"--set train.warmup={tenth(self.steps)} fits"
            )
        return self

    def warmup_steps(self, horizon: int) -> int:
        """How many of `horizon` steps the learning rate rises.

        A default that would take them all becomes a tenth of them. Whether it is the default is told by the value, so
        that a config that was written and read again means the same.
        """
        if self.warmup >= horizon and self.warmup == type(self).model_fields["warmup"].default:
            return tenth(horizon)
        return min(self.warmup, horizon)


def tenth(horizon: int) -> int:
    """A warm-up that fits a training of `horizon` steps: a tenth of it, a step at least, less than all.

    >>> [tenth(steps) for steps in (1, 2, 16, 100)]
    [0, 1, 1, 10]
    """
    return min(max(horizon // 10, 1), horizon - 1)


def resumable(section: str = "train") -> tuple[str, ...]:
    """Keys that may change when a run goes on (for `RunDir.open`), where the config holds a `TrainConfig` there."""
    names = (
        "steps epochs score_every score_unit select save_every keep_last log_every tensorboard max_nonfinite rehearse "
        "device workers threads"
    )
    return tuple(f"{section}.{name}" for name in names.split())

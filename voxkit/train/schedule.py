"""Learning rates as pure functions of the step: nothing to save, nothing to get wrong on resume."""

from __future__ import annotations

import math

from voxkit.train.settings import TrainConfig


def factor(config: TrainConfig, step: int, horizon: int) -> float:
    """The learning rate of step `step` (from 0) of `horizon`, as a share of the highest one.

    Rises linearly over the first `TrainConfig.warmup_steps`, then
    - cosine: half a cosine from 1 to `final_lr` at `horizon` (Loshchilov & Hutter 2017),
    - linear: a line from 1 to `final_lr` at `horizon`,
    - inverse_sqrt: sqrt(warmup / step) (Vaswani et al. 2017), whatever the horizon,
    - constant: 1.
    Beyond the horizon it stays where it was.

    >>> [factor(TrainConfig(warmup=2, steps=10, schedule="linear"), step, 10) for step in (0, 1, 2, 6)]
    [0.5, 1.0, 1.0, 0.5]
    """
    warmup = config.warmup_steps(horizon)
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "inverse_sqrt":
        return math.sqrt(max(warmup, 1) / max(step, warmup, 1))
    done = min((step - warmup) / max(horizon - warmup, 1), 1.0)
    left = 0.5 * (1 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1 - done
    return config.final_lr + (1 - config.final_lr) * left

"""How posteriors in time become events: the settings, free of torch so that commands can show them at once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from voxkit.config import Config

Threshold = Annotated[float, Field(gt=0, le=1)]


class DetectConfig(Config):
    """Detection in long audio: the classifier hears windows `hop` apart, and this decides what is an event."""

    hop: float = Field(0.1, gt=0, le=60, description="from one window to the next [s]")
    threshold: Threshold = Field(0.5, description="smoothed posterior that an event reaches, where no other is given")
    thresholds: dict[str, Threshold] = Field({}, description="the same by class; goes before those that were tuned")
    low: float = Field(
        0.8, gt=0, le=1, description="an event lasts while the smoothed posterior is that high [share of threshold]"
    )
    smooth: Literal["mean", "median"] = Field("mean", description="how posteriors of windows are smoothed")
    smoothing: float = Field(0.3, ge=0, le=60, description="over so long, to whole hops; 0 is off [s]")
    min_duration: float = Field(0.1, ge=0, le=3600, description="shorter events are dropped [s]")
    min_gap: float = Field(0.2, ge=0, le=3600, description="events of a class so close together are one [s]")
    refractory: float = Field(0.5, ge=0, le=3600, description="after a keyword none is reported for so long [s]")

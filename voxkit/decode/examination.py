"""What `score` of the classifiers of sound was told, and what is known of a model before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxkit import bundle
from voxkit.config import from_mapping
from voxkit.data.clips import Clip, Head, load_classes, open_clips
from voxkit.data.detect_config import DetectConfig
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.manifests import CUTS
from voxkit.decode.detecting import EVENTS
from voxkit.decode.predictions import PREDICTIONS, Predictions
from voxkit.errors import UserError
from voxkit.rundir import CONFIG, digest, read_config

AUTO = "auto"  # the label field is found by what the clips have
LONG = 2.0  # times the network's input: longer audio files are recordings, in which events are looked for


@dataclass(frozen=True)
class Examination:
    """What is scored: a model of the room `system`, or a folder of what it said or found, on labelled clips."""

    system: str
    model: Path
    test: Path
    label: str | None = None
    by: str = ""
    threshold: float | None = None
    thresholds: Path | None = None
    tune: bool = False
    events: bool = False
    max_bad: float = 0.0
    detect: DetectConfig = field(default_factory=DetectConfig)
    background: tuple[str, ...] = ()
    collar: float = 0.2  # how far off the onset of an event may be [s]
    as_stream: bool = False  # whether recordings with events are scored as a stream too

    @property
    def is_applied(self) -> bool:
        """Whether the model has spoken already."""
        return (self.model / PREDICTIONS).exists()

    @property
    def has_events(self) -> bool:
        """Whether the model has found events already."""
        return (self.model / EVENTS).exists() and (self.model / CUTS).exists()

    @property
    def command(self) -> str:
        return f"{self.system.replace('_', '-')} score"


@dataclass(frozen=True)
class Known:
    """What is known of a model without loading it."""

    head: Head
    classes: list[str]
    label: str
    shortest: float  # duration of a clip [s]
    seconds: float  # of the network's input
    identity: dict[str, str]
    background: tuple[str, ...] = ()  # classes that were no events where these are found already

    @classmethod
    def of(cls, examined: Examination) -> Known:
        """Of a bundle, or of a folder of predictions or events.

        Raises:
            UserError: there is none, or it belongs to another room; events that are scored as clips.
        """
        if examined.has_events:
            return cls.of_events(examined)
        if examined.is_applied:
            found = Predictions.read(examined.model)
            identity = {PREDICTIONS: digest(examined.model / PREDICTIONS)}
            label = str(read_config(examined.model).get("label") or AUTO)
            return cls(found.head, list(found.classes), label, 0.0, 0.0, identity)
        return cls.of_bundle(examined.model, examined.system)

    @classmethod
    def of_events(cls, examined: Examination) -> Known:
        """Of a folder of events; raises as `of`."""
        if not examined.events:
            raise UserError(
                f"{examined.model}: holds the events of recordings, not labels of clips", fix="give --events"
            )
        config: Any = read_config(examined.model)
        if not config.get("classes"):
            raise UserError(f"{examined.model}: its config.yaml names no classes", fix="apply the model again")
        identity = {name: digest(examined.model / name) for name in (CUTS, CONFIG)}
        label, background = str(config.get("label") or AUTO), tuple(config.get("background") or ())
        return cls(config.get("head", "multi"), list(config["classes"]), label, 0.0, 0.0, identity, background)

    def field(self, told: str | None) -> str | None:
        """Where labels are, for the `label` of a folder of predictions: as told, else as in training; None is auto."""
        return told or (None if self.label == AUTO else self.label)

    @classmethod
    def of_bundle(cls, path: Path, system: str) -> Known:
        """Of a bundle or experiment folder of the room `system`."""
        folder = bundle.locate(path)
        head = read_config(folder)
        if head.get("system") != system:
            raise UserError(
                f"{path}: a model of {head.get('system')}, not of {system}", fix="give a folder of that command"
            )
        config: Any = head["config"]
        features = from_mapping(FeatureConfig, config["features"], f"{folder / CONFIG}: features")
        identity = {"weights": digest(bundle.weights(folder)), "config": digest(folder / CONFIG)}
        classes = load_classes(folder / bundle.ASSETS)
        label, seconds = str(config["data"]["label"]), float(config["clip"]["seconds"])
        return cls(config["head"], classes, label, features.frame_length, seconds, identity)


def clips_of(examined: Examination, known: Known, rejected: Path | None) -> list[Clip]:
    """The clips to score, checked; recordings with events may have any number of classes. Raises as `open_clips`."""
    head: Head = "multi" if examined.events else known.head
    return open_clips(
        examined.test,
        examined.label or known.label,
        head,
        known.shortest,
        examined.max_bad,
        rejected,
        [*known.classes, *examined.background],
        need_labels=not examined.events,
    )

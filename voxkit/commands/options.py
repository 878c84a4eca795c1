"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from voxkit.errors import UserError

Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Do part I of N (1-based).", show_default=False),
]
Merge = Annotated[bool, typer.Option("--merge", help="Join the parts that --shard I/N wrote into --out.")]
NumJobs = Annotated[int, typer.Option("--num-jobs", "-j", min=1, help="Processes on this machine.")]
MaxBad = Annotated[
    float,
    typer.Option("--max-bad", min=0.0, max=1.0, help="Go on if at most this share of the items is bad."),
]

# of the classifiers of sound
Model = Annotated[
    Path | None, typer.Argument(help="Experiment or bundle of train, distill or quantize, or folder of export.")
]
TrainClips = Annotated[
    Path | None, typer.Option("--train", help="CutSet, or folder with a sub-folder of audio for each class.")
]
DevClips = Annotated[
    Path | None,
    typer.Option("--dev", help="The same to score on during training; else 100 clips of --train, which says little."),
]
Noises = Annotated[Path | None, typer.Option("--noise", help="CutSet of noises to mix in.")]
Experiment = Annotated[Path | None, typer.Option("--out", "-o", help="Experiment folder; run again to resume.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Same as --set train.seed=N.")]
LabelField = Annotated[
    str | None, typer.Option("--label", help="Field that has the class; `text` for the text.", show_default=False)
]
Label = Annotated[
    str | None,
    typer.Option("--label", help="Field that has the class; else that of the training.", show_default=False),
]
Inputs = Annotated[
    list[Path] | None,
    typer.Argument(help="Manifests, audio files, or folders of them; with --stream one audio file, or `-`."),
]
Manifests = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for manifests; else stdout.", show_default=False)
]
Detect = Annotated[
    bool | None,
    typer.Option("--detect/--clips", help="Find classes with their times, or label whole clips.", show_default=False),
]
Stream = Annotated[bool, typer.Option("--stream", help="Report each class as soon as it is heard.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        help="Posterior from which a class holds, up to 1: 0.5 for events and for clips of several classes, else none.",
        show_default=False,
    ),
]
Thresholds = Annotated[
    Path | None,
    typer.Option("--thresholds", help="Those of each class, by score --tune; file or folder.", show_default=False),
]
Top = Annotated[
    int | None, typer.Option("--top", min=1, help="Print the best so many classes of a clip.", show_default=False)
]
Hop = Annotated[
    float | None,
    typer.Option(
        "--hop", help="From one window of a recording to the next, in seconds, 0.1 by default.", show_default=False
    ),
]
Background = Annotated[
    list[str] | None,
    typer.Option(
        "--background",
        metavar="CLASS",
        help="One of the training classes that is no event, such as noise or other words (repeatable).",
        show_default=False,
    ),
]
Plot = Annotated[
    list[str] | None, typer.Option("--plot", metavar="ID", help="Draw this recording and its classes (repeatable).")
]
Encoding = Annotated[str, typer.Option("--encoding", help="Of samples on stdin: s16le or f32le.")]
Rate = Annotated[
    int | None, typer.Option("--rate", min=1, help="Of stdin, in Hz; else the model's.", show_default=False)
]
Channels = Annotated[int, typer.Option("--channels", min=1, help="Of stdin; their mean is heard.")]
ModelAndTest = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="MODEL TEST",
        help="A model, or what apply --out wrote (with --events: the events), and labelled clips.",
    ),
]
Results = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for the results; else lines only.", show_default=False)
]
By = Annotated[str, typer.Option("--by", help="Field of the clips to tell groups by, such as fold or speaker.")]
Pooled = Annotated[
    bool, typer.Option("--predictions", help="Pool results of score --out: the arguments are their folders.")
]
Events = Annotated[bool, typer.Option("--events", help="Find classes in recordings that have their times.")]
Collar = Annotated[
    float, typer.Option("--collar", min=0, help="How far off the onset and end of an event may be, in seconds.")
]
Tune = Annotated[
    bool, typer.Option("--tune", help="Find the best thresholds for TEST (a dev set): OUT/thresholds.yaml.")
]
Trained = Annotated[Path, typer.Argument(help="Experiment or bundle of train, distill or quantize.")]
NewFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Weights and activations in 8 bits; needs --calibrate.")]
Calibrate = Annotated[
    Path | None,
    typer.Option("--calibrate", help="Clips to find the ranges of activations on.", show_default=False),
]


def training_flags(
    train: Path | None, dev: Path | None, noise: Path | None, label: str | None, seed: int | None, max_bad: float
) -> dict[str, dict[str, Any]]:
    """What the options of `train` say of a `ClassifierConfig`; nothing of those that were not given."""
    given = {"train": train, "dev": dev, "noise": noise, "label": label}
    data: dict[str, Any] = {name: str(value) for name, value in given.items() if value is not None}
    if max_bad:
        data["max_bad"] = max_bad
    return {"data": data, **({} if seed is None else {"train": {"seed": seed}})}


def require_folders(command: str, train: str, out: Path | None) -> Path:
    """The experiment folder of `train`.

    Raises:
        UserError: it, or the data, are missing.
    """
    missing = [] if train else ["--train"]
    missing += ["--out"] if out is None else []
    if out is None or missing:
        raise UserError(f"{command} needs {' and '.join(missing)}", fix=f"see voxkit {command} --help")
    return out


def require_inputs(command: str, model: Path | None, inputs: Sequence[Path] | None) -> tuple[Path, tuple[Path, ...]]:
    """The model and what it is applied to.

    Raises:
        UserError: one of them is missing.
    """
    if model is None or not inputs:
        what = "a model" if model is None else "clips or audio"
        raise UserError(f"{command} needs {what}", fix=f"see voxkit {command} --help")
    return model, tuple(inputs)


def require_paths(command: str, paths: Sequence[Path] | None) -> Sequence[Path]:
    """The paths that a command works on.

    Raises:
        UserError: there are none.
    """
    if not paths:
        raise UserError(f"{command} needs folders", fix=f"see voxkit {command.partition(' --')[0]} --help")
    return paths


def require_two(command: str, paths: Sequence[Path] | None) -> tuple[Path, Path]:
    """The model and the clips that it is scored on.

    Raises:
        UserError: there are more or fewer paths.
    """
    if not paths:
        raise UserError(f"{command} needs a model and clips", fix=f"see voxkit {command} --help")
    if len(paths) != 2:
        raise UserError(
            f"{command} takes a model and clips, not {len(paths)} paths", fix="join clips: voxkit cuts join"
        )
    return paths[0], paths[1]

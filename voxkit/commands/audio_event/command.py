"""`voxkit audio-event`: the signatures, the configs and the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

import typer
from pydantic import Field, model_validator

from voxkit.commands.options import MaxBad
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.data.clip_config import ClipAugmentConfig
from voxkit.data.detect_config import DetectConfig
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


class SoundFeatures(FeatureConfig):
    """Log-mel energies in frames twice as long as for speech."""

    num_mels: int = Field(64, ge=4, le=512, description="mel channels of fbank and mfcc; Kaldi's MFCC has 23")
    frame_length: float = Field(0.04, gt=0, le=1, description="width of the analysis window [s]")
    frame_shift: float = Field(0.02, gt=0, le=1, description="from one frame to the next, whole samples [s]")
    preemphasis: float = Field(0.0, ge=0, le=1, description="x[n] - c x[n-1]; 0 is off")
    high_freq: float = Field(0.0, description="upper edge [Hz]; zero or negative counts from half the sampling rate")


class SoundAugment(ClipAugmentConfig):
    """What happens to the audio of a training clip: half of them have another one mixed in."""

    mix: float = Field(
        0.5, ge=0, le=1, description="share of the clips that another one is mixed into, labels too (between-class)"
    )


class SoundMasks(SpecAugmentConfig):
    """Masks on the normalised features, in training only."""

    frequency_width: int = Field(8, ge=0, le=80, description="largest block [channels]")
    time_width: int = Field(25, ge=0, description="largest time mask [frames]")
    warp: float = Field(0.0, ge=0, le=0.3, description="largest relative stretch of the frequency axis")


class AudioEvent(ClassifierConfig):
    """Everything that `audio-event train` can be told."""

    model: ModelConfig = ModelConfig()
    features: SoundFeatures = SoundFeatures()
    augment: SoundAugment = SoundAugment()
    spec_augment: SoundMasks = SoundMasks()


CONFIG = AudioEvent

Model = Annotated[
    Path | None, typer.Argument(help="Experiment or bundle of audio-event train, or folder of audio-event export.")
]
Label = Annotated[
    str | None,
    typer.Option("--label", help="Field that has the class; else that of the training.", show_default=False),
]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", help="Posterior from which a class holds.", show_default=False),
]
Thresholds = Annotated[
    Path | None,
    typer.Option("--thresholds", help="Those of each class, by score --tune; file or folder.", show_default=False),
]
Background = Annotated[
    list[str] | None,
    typer.Option("--background", help="Class that is not to be reported (repeatable).", show_default=False),
]
Hop = Annotated[
    float | None,
    typer.Option(
        "--hop", help="From one window of a recording to the next, in seconds; --set hop.", show_default=False
    ),
]


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


@app.command()
def apply(
    model: Model = None,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="Manifests, folders of classes, or audio files; with --stream one file, or `-`."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for manifests; else stdout.", show_default=False)
    ] = None,
    detect: Annotated[
        bool | None,
        typer.Option(
            "--detect/--clips", help="Find classes with their times, or label whole clips.", show_default=False
        ),
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Report each class as soon as it is heard.")] = False,
    threshold: Threshold = None,
    thresholds: Thresholds = None,
    top: Annotated[
        int | None, typer.Option("--top", min=1, help="Print the best so many classes of a clip.", show_default=False)
    ] = None,
    hop: Hop = None,
    background: Background = None,
    plot: Annotated[
        list[str] | None,
        typer.Option("--plot", metavar="ID", help="Draw this recording and its classes (repeatable)."),
    ] = None,
    encoding: Annotated[str, typer.Option("--encoding", help="Of samples on stdin: s16le or f32le.")] = "s16le",
    rate: Annotated[
        int | None, typer.Option("--rate", min=1, help="Of stdin, in Hz; else the model's.", show_default=False)
    ] = None,
    channels: Annotated[int, typer.Option("--channels", min=1, help="Of stdin; their mean is heard.")] = 1,
    label: Label = None,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Label clips, or find events in long recordings, or in a stream.

    Clips: prints `id<TAB>class<TAB>posterior`, the best class, or of a model with several (head multi) each that
    reaches its threshold; `-` if none does. OUT/cuts.jsonl.gz holds the cuts with the custom fields predicted and
    posteriors, and OUT/predictions.jsonl is what `score` takes. Stereo is averaged and other rates are resampled.

    Long recordings (audio files of which one is more than twice as long as the model's window, or --detect): prints
    start, end, label and score of each event. OUT gets events.tsv, supervisions.jsonl.gz, and cuts.jsonl.gz with the
    events in place of the recordings' own supervisions; --plot draws them. See --print-config for --set smoothing,
    low, min_duration, min_gap.

    --stream reads one file, or samples without a header on standard input (`-`), and prints `time<TAB>label<TAB>score`
    for each event at once; after it nothing is reported for --set refractory seconds.

    [bold]Examples[/bold]

      voxkit audio-event apply exp/sounds data/test.jsonl.gz --out exp/labelled

      voxkit audio-event apply exp/sounds street.wav --threshold 0.7 --out exp/street --plot street

      sox street.wav -t raw -r 16000 -e signed -b 16 -c 1 - | voxkit audio-event apply exp/sounds - --stream
    """
    settings = build(DetectConfig, config, set_, hop=hop, threshold=threshold)
    if print_config:
        print(to_yaml(settings), end="")
        return
    if model is None or not inputs:
        raise UserError(
            f"audio-event apply needs {'a model' if model is None else 'clips or audio'}",
            fix="see voxkit audio-event apply --help",
        )

    from voxkit.decode.classifier_apply import Request, run
    from voxkit.decode.listening import Source, only_stream

    request = Request(
        "audio_event", model, tuple(inputs), detect, label, threshold, thresholds, top, settings,
        tuple(background or ()), tuple(plot or ()), max_bad,
    )  # fmt: skip
    if stream:
        only_stream(request, Source(str(inputs[0]), encoding, rate, channels), out)
    else:
        run(request, out)


@app.command()
def score(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL TEST", help="A model, or what apply --out wrote, and labelled clips."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results; else lines only.", show_default=False)
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="Field of the clips to tell groups by, such as fold or speaker.")
    ] = "",
    predictions: Annotated[
        bool, typer.Option("--predictions", help="Pool results of score --out: the arguments are their folders.")
    ] = False,
    events: Annotated[bool, typer.Option("--events", help="Find classes in recordings that have their times.")] = False,
    collar: Annotated[
        float, typer.Option("--collar", min=0, help="How far off the onset and end of an event may be, in seconds.")
    ] = 0.2,
    tune: Annotated[
        bool, typer.Option("--tune", help="Find the best thresholds for TEST (a dev set): OUT/thresholds.yaml.")
    ] = False,
    threshold: Threshold = None,
    thresholds: Thresholds = None,
    hop: Hop = None,
    background: Background = None,
    label: Label = None,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
) -> None:
    """Label clips whose classes are known, and count.

    Prints accuracy (`%ACC`), macro AUC and EER over classes with 95 % intervals; of a model with several classes a
    clip mean average precision and F1. OUT gets scores.txt, score.json, by_class.txt, confusion.txt, predictions.jsonl
    and pictures. --by fold gives the accuracy of each fold too. A class that the model does not know is an error.

    --predictions pools the folders of several runs on different clips, such as those of a cross-validation; --by says
    what the runs are called, such as fold.

    --events: TEST has recordings with events as timed supervisions; prints F1 by event and by segment. With --tune
    each class gets the threshold of the highest F1, which `apply` and `score` take with --thresholds OUT.

    [bold]Examples[/bold]

      voxkit audio-event score exp/sounds data/test.jsonl.gz --out exp/sounds/test --by fold

      voxkit audio-event score --predictions exp/fold*/test --out exp/all_folds

      voxkit audio-event score exp/sounds data/scenes_dev.jsonl.gz --events --tune --out exp/tuned
    """
    settings = build(DetectConfig, config, set_, hop=hop, threshold=threshold)
    from voxkit.decode.classifier_score import pool, run
    from voxkit.decode.examination import Examination

    if predictions:
        pool("audio_event", paths, thresholds, by, out)
        return
    if len(paths) != 2:
        raise UserError(
            f"audio-event score takes a model and clips, not {len(paths)} paths", fix="join clips: voxkit cuts join"
        )
    examined = Examination(
        "audio_event", paths[0], paths[1], label, by, threshold, thresholds, tune, events, max_bad, settings,
        tuple(background or ()), collar,
    )  # fmt: skip
    run(examined, out)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="Experiment or bundle of audio-event train, distill or quantize.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    int8: Annotated[bool, typer.Option("--int8", help="Weights and activations in 8 bits; needs --calibrate.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option("--calibrate", help="Clips to find the ranges of activations on.", show_default=False),
    ] = None,
    thresholds: Thresholds = None,
) -> None:
    """Write a model as ONNX, for onnxruntime: model.onnx, and model.json with all that a deployment needs to know.

    The graph takes features of windows (clips, frames, features) and gives logits (clips, classes). Its metadata and
    model.json say how features are computed, how long a window is, what the classes are and how logits become
    posteriors. It is written only if onnxruntime says what torch says. `audio-event apply` and `score` take the folder
    like any model.

    [bold]Examples[/bold]

      voxkit audio-event export exp/sounds --out exp/sounds_onnx

      voxkit audio-event export exp/sounds --out exp/sounds_int8 --int8 --calibrate data/train.jsonl.gz
    """
    from voxkit.decode.classifier_export import run

    run(model, "audio_event", out, thresholds, int8, calibrate)

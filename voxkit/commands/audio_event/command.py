"""`voxkit audio-event`: the signatures, the configs and the help."""

from __future__ import annotations

from typing import Self

import typer
from pydantic import Field, model_validator

from voxkit.commands import options
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.data.clip_config import ClipAugmentConfig
from voxkit.data.detect_config import DetectConfig
from voxkit.data.feature_config import FeatureConfig, SpecAugmentConfig
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


@app.command()
def train(
    train: options.TrainClips = None,
    dev: options.DevClips = None,
    out: options.Experiment = None,
    noise: options.Noises = None,
    label: options.LabelField = None,
    seed: options.Seed = None,
    max_bad: options.MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Learn to tell sounds: one class a clip, or (--set head=multi) any number of them.

    Clips of any length and rate are resampled, filled or cut to clip.seconds. A cut's class is in the custom fields of
    its supervision (class, label, labels, keyword, event) or is its text; of a folder, each sub-folder is a class.
    Training shifts, mixes and masks; see --print-config. Without --dev the scores during training (`train`) are those
    of clips that the model has learnt from, which says little of others.

    [bold]Examples[/bold]

      voxkit audio-event train --train data/train.jsonl.gz --dev data/dev.jsonl.gz --out exp/teacher

      voxkit audio-event train --train sounds/ --out exp/sounds --set clip.seconds=2 --set head=multi

      voxkit audio-event train ... --set model.channels=[16,32,64] --set model.depth=1 --out exp/small
    """
    settings = build(CONFIG, config, set_, **options.training_flags(train, dev, noise, label, seed, max_bad))
    if print_config:
        print(to_yaml(settings), end="")
        return
    folder = options.require_folders("audio-event train", settings.data.train, out)

    from voxkit.commands.audio_event.task import make
    from voxkit.train import classifier

    classifier.train("audio-event train", settings, folder, make)


@app.command()
def apply(
    model: options.Model = None,
    inputs: options.Inputs = None,
    out: options.Manifests = None,
    detect: options.Detect = None,
    stream: options.Stream = False,
    threshold: options.Threshold = None,
    thresholds: options.Thresholds = None,
    top: options.Top = None,
    hop: options.Hop = None,
    background: options.Background = None,
    plot: options.Plot = None,
    encoding: options.Encoding = "s16le",
    rate: options.Rate = None,
    channels: options.Channels = 1,
    label: options.Label = None,
    max_bad: options.MaxBad = 0.0,
    shard: options.Shard = None,
    merge: options.Merge = False,
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
    low, min_duration, min_gap. The model's window (clip.seconds of its training) cannot place events much shorter than
    itself. A model of one class a clip (head single) gives every stretch one of its classes: for it to find nothing
    where there is nothing, train it with a class of other sounds and name that with --background, or take head multi.

    --stream reads one file, or samples without a header on standard input (`-`), and prints `time<TAB>label<TAB>score`
    for each event at once. The time is the end of the window that it was heard in, in seconds of the stream, when it
    is reported: half a window or more after the middle of the event. Then nothing is reported for --set refractory
    seconds.

    --shard I/N does every N-th clip or recording, from the I-th on; afterwards the same command with --merge in its
    place joins the parts into OUT.

    [bold]Examples[/bold]

      voxkit audio-event apply exp/sounds data/test.jsonl.gz --out exp/labelled

      voxkit audio-event apply exp/sounds street.wav --threshold 0.7 --out exp/street --plot street

      sox street.wav -t raw -r 16000 -e signed -b 16 -c 1 - | voxkit audio-event apply exp/sounds - --stream
    """
    settings = build(DetectConfig, config, set_, hop=hop, threshold=threshold)
    if print_config:
        print(to_yaml(settings), end="")
        return
    model, given = options.require_inputs("audio-event apply", model, inputs)

    from voxkit.decode.classifier_apply import Request
    from voxkit.decode.listening import Source, label_or_listen

    request = Request(
        "audio_event", model, given, detect, label, threshold, thresholds, top, settings,
        tuple(background or ()), tuple(plot or ()), max_bad, shard, merge,
    )  # fmt: skip
    label_or_listen(request, Source(str(given[0]), encoding, rate, channels) if stream else None, out)


@app.command()
def score(
    paths: options.ModelAndTest = None,
    out: options.Results = None,
    by: options.By = "",
    predictions: options.Pooled = False,
    events: options.Events = False,
    collar: options.Collar = 0.2,
    tune: options.Tune = False,
    threshold: options.Threshold = None,
    thresholds: options.Thresholds = None,
    hop: options.Hop = None,
    background: options.Background = None,
    label: options.Label = None,
    max_bad: options.MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Label clips whose classes are known, and count.

    Prints accuracy (`%ACC`), macro AUC and EER over classes with 95 % intervals; of a model with several classes a
    clip mean average precision and F1. OUT gets scores.txt, score.json, by_class.txt, confusion.txt, predictions.jsonl
    and pictures. --by fold gives the accuracy of each fold too. A class that the model does not know is an error.

    --predictions pools the folders of several runs on different clips, such as those of a cross-validation; --by says
    what the runs are called, such as fold.

    --events: TEST has recordings with events as timed supervisions; prints F1 by event and by segment. With --tune
    each class gets the threshold of the highest F1, of equally good ones that with the fewest false alarms, which
    `apply` and `score` take with --thresholds OUT. In place of MODEL it takes the folder of events that `apply --out`
    wrote, but not with --tune.

    [bold]Examples[/bold]

      voxkit audio-event score exp/sounds data/test.jsonl.gz --out exp/sounds/test --by fold

      voxkit audio-event score --predictions exp/fold*/test --out exp/all_folds

      voxkit audio-event score exp/sounds data/scenes_dev.jsonl.gz --events --tune --out exp/tuned
    """
    settings = build(DetectConfig, config, set_, hop=hop, threshold=threshold)
    if print_config:
        print(to_yaml(settings), end="")
        return

    from voxkit.decode.classifier_score import pool, run
    from voxkit.decode.examination import Examination

    if predictions:
        pool("audio_event", options.require_paths("audio-event score --predictions", paths), thresholds, by, out)
        return
    examined = Examination(
        "audio_event", *options.require_two("audio-event score", paths), label, by, threshold, thresholds, tune, events,
        max_bad, settings, tuple(background or ()), collar,
    )  # fmt: skip
    run(examined, out)


@app.command()
def export(
    model: options.Trained,
    out: options.NewFolder,
    int8: options.Int8 = False,
    calibrate: options.Calibrate = None,
    thresholds: options.Thresholds = None,
) -> None:
    """Write a model as ONNX, for onnxruntime: bundle/model.onnx, and model.json with all that a deployment needs.

    The graph takes features of windows (clips, frames, features) and gives logits (clips, classes). model.json says
    how features are computed, how clips become windows, what the classes are, how logits become posteriors and those
    events: as values, and in words from which it can be done without voxkit. It is written only if onnxruntime says
    what torch says. `audio-event apply` and `score` take the folder like any model.

    Packed weights (`quantize --bits`) are for voxkit: the graph has the floats that they stand for, and is as large as
    that of the full model. The small graph is that of --int8, here or of `quantize`.

    [bold]Examples[/bold]

      voxkit audio-event export exp/sounds --out exp/sounds_onnx

      voxkit audio-event export exp/sounds --out exp/sounds_int8 --int8 --calibrate data/train.jsonl.gz
    """
    from voxkit.decode.classifier_export import run

    run(model, "audio_event", out, thresholds, int8, calibrate)

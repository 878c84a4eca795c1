"""`voxkit spoken-term`: the signatures, the configs and the help."""

from __future__ import annotations

from typing import Literal, Self

import typer
from pydantic import Field, PositiveInt, model_validator

from voxkit.commands import options
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.data.clip_config import ClipAugmentConfig, ClipConfig
from voxkit.data.detect_config import DetectConfig
from voxkit.data.feature_config import FeatureConfig, SpecAugmentConfig
from voxkit.train.classifier_config import ClassifierConfig, ClassifierTraining

app = typer.Typer(no_args_is_help=True)

Pair = tuple[PositiveInt, PositiveInt]


class ModelConfig(Config):
    """The network: convolutions, over all features or apart for each band of them, then fully connected layers."""

    bands: int = Field(1, ge=1, le=64, description="parts of the feature axis with kernels of their own; 1: full-band")
    overlap: int = Field(0, ge=0, description="features that neighbouring bands share [channels]")
    split: Literal["first", "all"] = Field(
        "first", description="convolutions that are apart for each band: the first one, or all of them"
    )
    concatenate: Literal["channel", "frequency"] = Field(
        "channel", description="what the outputs of the bands become: more channels, or one frequency axis again"
    )
    channels: tuple[PositiveInt, ...] = Field(
        (16, 24, 32), min_length=1, description="of each convolution, of all bands together"
    )
    band_channels: tuple[PositiveInt, ...] = Field(
        (), description="of each band, of the convolutions that are apart; empty: channels / bands"
    )
    kernels: tuple[Pair, ...] = Field(
        ((5, 5), (3, 3), (3, 3)), min_length=1, description="[frames, channels], of each convolution or one for all"
    )
    strides: tuple[Pair, ...] = Field(
        ((2, 1), (1, 1), (1, 1)), min_length=1, description="[frames, channels], of each convolution or one for all"
    )
    pools: tuple[Pair, ...] = Field(
        ((2, 2),), min_length=1, description="maxima kept of so many [frames, channels], as the kernels"
    )
    hidden: tuple[PositiveInt, ...] = Field(
        (64,), max_length=2, description="units of fully connected layers before the output"
    )
    time: Literal["flatten", "mean"] = Field(
        "flatten", description="what the fully connected layers get of the frames: all, or their mean"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout probability before each fully connected layer")
    norm: bool = Field(True, description="batch normalisation after each convolution")

    @property
    def apart(self) -> int:
        """How many convolutions are apart for each band."""
        return 1 if self.split == "first" and self.bands > 1 else len(self.channels)

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        layers = len(self.channels)
        for name in ("kernels", "strides", "pools"):
            given = len(getattr(self, name))
            if given not in (1, layers):
                raise ValueError(f"{name}: has {given} entries; {layers} convolutions take one each, or one for all")
        if self.bands > 1 and self.band_channels:
            if len(self.band_channels) != self.apart:
                raise ValueError(
                    f"band_channels: has {len(self.band_channels)} entries, and {self.apart} convolutions are apart"
                )
        elif any(channels % self.bands for channels in self.channels[: self.apart]):
            raise ValueError(
                f"channels {self.channels[: self.apart]}: cannot be shared out equally to {self.bands} bands; "
                "give band_channels"
            )
        return self

    def edges(self, features: int) -> list[tuple[int, int]]:
        """[begin, end) of each band of so many features, from low to high; the first ones are wider if any are.

        Raises:
            ValueError: bands that would be empty or lie within their neighbours, or unequal ones that should become
                channels.
        """
        width, wider = divmod(features + (self.bands - 1) * self.overlap, self.bands)
        if width < 1 or (self.bands > 1 and self.overlap >= width):
            raise ValueError(
                f"overlap {self.overlap}: {self.bands} bands of {features} features would be {width} wide, "
                "which must be more than the overlap"
            )
        if self.concatenate == "channel" and wider:
            raise ValueError(
                f"bands {self.bands}, overlap {self.overlap}: {features} features make bands of {width + 1} and "
                f"{width}, which cannot become channels of one another; choose others, or concatenate: frequency"
            )
        found = []
        begin = 0
        for band in range(self.bands):
            end = begin + width + (band < wider)
            found.append((begin, end))
            begin = end - self.overlap
        return found


class WordClip(ClipConfig):
    """What the network sees of a clip, with what suits words."""

    seconds: float = Field(1.0, gt=0, le=3600, description="length of the network's input [s]")


class WordFeatures(FeatureConfig):
    """Acoustic features, with what suits small networks."""

    num_mels: int = Field(40, ge=4, le=512, description="mel channels of fbank and mfcc")


class WordAugment(ClipAugmentConfig):
    """What happens to the audio of a training clip, with what suits words in the middle of a clip."""

    shift: float = Field(0.1, ge=0, le=1, description="largest shift in time, either way [share of the input]")
    wrap: bool = Field(False, description="what is shifted out at one end comes in at the other, else it is lost")
    speeds: tuple[float, ...] = Field((0.9, 1.0, 1.1), min_length=1, description="speed factors to choose from")
    noise: float = Field(0.5, ge=0, le=1, description="share of the clips that noise is added to")


class WordMasks(SpecAugmentConfig):
    """Masks on the normalised features, with what suits forty channels."""

    frequency_masks: int = Field(1, ge=0, le=20, description="blocks of channels masked in each clip")
    frequency_width: int = Field(6, ge=0, le=80, description="largest block [channels]")
    time_share: float = Field(0.1, ge=0, le=1, description="most that all time masks cover [share of the frames]")
    time_width: int = Field(10, ge=0, description="largest time mask [frames]")
    warp: float = Field(0.0, ge=0, le=0.3, description="largest relative stretch of the frequency axis")


class WordTraining(ClassifierTraining):
    """The training loop's settings, with what suits some thousand words."""

    epochs: int = Field(30, ge=1, description="length of training where `steps` is none [passes over the data]")


class SpokenTerm(ClassifierConfig):
    """Everything that `spoken-term train` can be told."""

    model: ModelConfig = ModelConfig()
    clip: WordClip = WordClip()
    features: WordFeatures = WordFeatures()
    augment: WordAugment = WordAugment()
    spec_augment: WordMasks = WordMasks()
    train: WordTraining = WordTraining()

    @model_validator(mode="after")
    def _bands_fit(self) -> Self:
        self.model.edges(self.features.dim)
        return self


CONFIG = SpokenTerm


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
    """Learn to tell spoken words, such as digits, commands or wake words.

    A cut's word is in the custom fields of its supervision (class, label, labels, keyword, event) or is its text; of a
    folder, each sub-folder is a word. Words are put in the middle of clip.seconds. Without --dev the scores during
    training (`train`) are those of clips that the model has learnt from, which says little of others.

    With --set model.bands=B each band of the features has kernels of its own. Of the multiply-adds of as many channels
    over all features that takes about 1 / B with model.split=first (more with model.concatenate=frequency), where the
    first convolution alone is apart for each band; with model.split=all it takes 1 / B in the first one and 1 / B² in
    the others. model.overlap adds features to both: the last example, with B = 2, takes 0.35.

    [bold]Examples[/bold]

      voxkit spoken-term train --train data/cuts_train.jsonl.gz --dev data/cuts_dev.jsonl.gz --out exp/words

      voxkit spoken-term train --train words/ --out exp/words --set features.sampling_rate=8000 --set clip.seconds=1.5

      voxkit spoken-term train ... --set model.bands=2 --set model.overlap=4 --set model.split=all --out exp/subband
    """
    settings = build(CONFIG, config, set_, **options.training_flags(train, dev, noise, label, seed, max_bad))
    if print_config:
        print(to_yaml(settings), end="")
        return
    folder = options.require_folders("spoken-term train", settings.data.train, out)

    from voxkit.commands.spoken_term.task import make
    from voxkit.train import classifier

    classifier.train("spoken-term train", settings, folder, make)


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
    """Tell the words of clips, or spot words in a stream or in long recordings.

    Clips: prints `id<TAB>word<TAB>posterior`, the best word, or `-` if it does not reach --threshold.
    OUT/cuts.jsonl.gz holds the cuts with the custom fields predicted and posteriors, and OUT/predictions.jsonl is what
    `score` takes. Stereo is averaged and other rates are resampled.

    --stream reads one file, or samples without a header on standard input (`-`), and prints `time<TAB>label<TAB>score`
    as soon as a word is heard. The time is the end of the window that it was heard in, in seconds of the stream, when
    it is reported: half a window or more after the middle of the word. Posteriors are smoothed over --set smoothing
    seconds; after a word nothing is reported for --set refractory seconds. It ends with the stream or by Ctrl-C.

    Long recordings (audio files of which one is more than twice as long as the model's window, or --detect): prints
    start, end, word and score. OUT gets events.tsv, supervisions.jsonl.gz, and cuts.jsonl.gz with the words in place of
    the recordings' own supervisions; --plot draws them. The model's window (clip.seconds of its training) cannot place
    words much shorter than itself.

    In both, a model of one word a clip (head single) takes every stretch for one of its words. Train it with a class
    more, of noise and of other words (`noise` in the example), and name that with --background: it is heard and not
    reported.

    --shard I/N does every N-th clip or recording, from the I-th on; afterwards the same command with --merge in its
    place joins the parts into OUT.

    [bold]Examples[/bold]

      voxkit spoken-term apply exp/words data/test.jsonl.gz --out exp/told

      voxkit spoken-term apply exp/words recording.wav --stream --threshold 0.8 --background noise

      arecord -t raw -f S16_LE -r 16000 -c 1 | voxkit spoken-term apply exp/words - --stream --set refractory=1
    """
    settings = build(DetectConfig, config, set_, hop=hop, threshold=threshold)
    if print_config:
        print(to_yaml(settings), end="")
        return
    model, given = options.require_inputs("spoken-term apply", model, inputs)

    from voxkit.decode.classifier_apply import Request
    from voxkit.decode.listening import Source, label_or_listen

    request = Request(
        "spoken_term", model, given, detect, label, threshold, thresholds, top, settings,
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
    """Tell the words of clips that are known, and count.

    Prints accuracy (`%ACC`), and macro AUC and EER over words with 95 % intervals. OUT gets scores.txt, score.json,
    by_class.txt, confusion.txt, predictions.jsonl and pictures. --by speaker gives the accuracy of each speaker too. A
    word that the model does not know is an error.

    --predictions pools the folders of several runs on different clips, such as those of a cross-validation; --by says
    what the runs are called, such as fold.

    --events: TEST has recordings with words as timed supervisions; prints F1 by event and by segment, and the share of
    words that a stream would miss (`%FRR`) at its false alarms an hour. With --tune each word gets the threshold of
    the highest F1, of equally good ones that with the fewest false alarms, which `apply` and `score` take with
    --thresholds OUT. In place of MODEL it takes the folder of words that `apply --out` wrote for recordings, but not
    with --tune, and without `%FRR`.

    [bold]Examples[/bold]

      voxkit spoken-term score exp/words data/test.jsonl.gz --out exp/words/test --by speaker

      voxkit spoken-term score --predictions exp/fold*/test --out exp/all_folds

      voxkit spoken-term score exp/words data/recordings.jsonl.gz --events --background noise
    """
    settings = build(DetectConfig, config, set_, hop=hop, threshold=threshold)
    if print_config:
        print(to_yaml(settings), end="")
        return

    from voxkit.decode.classifier_score import pool, run
    from voxkit.decode.examination import Examination

    if predictions:
        pool("spoken_term", options.require_paths("spoken-term score --predictions", paths), thresholds, by, out)
        return
    examined = Examination(
        "spoken_term", *options.require_two("spoken-term score", paths), label, by, threshold, thresholds, tune, events,
        max_bad, settings, tuple(background or ()), collar, as_stream=True,
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
    what torch says. `spoken-term apply` and `score` take the folder like any model.

    Packed weights (`quantize --bits`) are for voxkit: the graph has the floats that they stand for, and is as large as
    that of the full model. The small graph is that of --int8, here or of `quantize`.

    [bold]Examples[/bold]

      voxkit spoken-term export exp/words --out exp/words_onnx

      voxkit spoken-term export exp/words --out exp/words_int8 --int8 --calibrate data/train.jsonl.gz
    """
    from voxkit.decode.classifier_export import run

    run(model, "spoken_term", out, thresholds, int8, calibrate)

"""`voxkit score-confidence`: the signatures, the configs and the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import Field

from voxkit.commands.options import NumJobs
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.data.feature_config import FeatureConfig
from voxkit.errors import UserError
from voxkit.train.settings import TrainConfig

app = typer.Typer(no_args_is_help=True)


class NetTraining(TrainConfig):
    """The training loop's settings, with what suits nets that are small."""

    steps: int | None = Field(600, ge=1, description="length of training [steps]; none: `epochs` decides")
    lr: float = Field(3e-3, gt=0, le=100, description="highest learning rate")
    warmup: int = Field(50, ge=0, description="linear rise of the learning rate from 0 [steps]")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="weight of the past per step, reached after a warm-up")
    score_every: int = Field(100, ge=1, description="how often the model is scored [score_unit]")
    score_unit: Literal["epochs", "steps"] = Field("steps", description="what score_every counts")
    select: Literal["best", "last"] = Field(
        "last", description="the weights that are kept; the best would be chosen on the words that they are to judge"
    )
    tensorboard: bool = Field(False, description="write scalars for TensorBoard")
    threads: int = Field(1, ge=0, le=1024, description="CPU threads of one training process; 0: as many as torch likes")


class AcousticTraining(NetTraining):
    """The acoustic net has more to learn."""

    steps: int | None = Field(800, ge=1, description="length of training [steps]; none: `epochs` decides")


class HypothesisTraining(NetTraining):
    """The hypothesis net has learnt early what it can."""

    steps: int | None = Field(400, ge=1, description="length of training [steps]; none: `epochs` decides")


class AcousticConfig(Config):
    """The net over the audio of a word and the letters that are claimed for it."""

    width: int = Field(96, ge=8, description="of the encoder over frames; even")
    letters: int = Field(48, ge=4, description="width of the encoder over letters")
    hidden: int = Field(64, ge=4, description="width of the layers over a word")
    context: float = Field(0.1, ge=0, le=5, description="audio before and after the word that it sees too [s]")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout probability")
    lstm: bool = Field(True, description="an LSTM each way over the frames; otherwise convolutions alone")
    rivals: bool = Field(True, description="hear the strongest other word of the bin too, and learn from it")
    train: AcousticTraining = AcousticTraining()
    max_duration: float = Field(60.0, gt=0, description="audio in a batch, padding included [s]")


class HypothesisConfig(Config):
    """The net over the words of a hypothesis with their decoder features."""

    words: int = Field(32, ge=4, description="width of the word embedding")
    width: int = Field(64, ge=8, description="of the encoder; even")
    hidden: int = Field(32, ge=4, description="width of the layer over a word")
    unknown: float = Field(0.1, ge=0, lt=1, description="share of the words that training hides")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout probability")
    train: HypothesisTraining = HypothesisTraining()
    max_words: int = Field(600, ge=1, description="words in a batch, padding included")


class NetworkConfig(Config):
    """The classifier of two layers."""

    hidden: int = Field(32, ge=2, description="width of the hidden layer")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout probability")
    max_words: int = Field(512, ge=1, description="words in a batch")
    train: NetTraining = NetTraining()


class Data(Config):
    """What is learnt from; the command's options fill this in."""

    train: tuple[str, ...] = Field((), description="decode folders to learn from")
    dev: tuple[str, ...] = Field((), description="decode folders to report on")
    lang: str | None = Field(None, description="lang folder whose lexicon gives the length of words in phones")
    text: str | None = Field(None, description="text that word frequencies are counted in; else the references")
    digests: dict[str, str] = Field({}, description="of these files; written by the command")


class TrainConfidence(Config):
    """Everything that `score-confidence train` can be told."""

    data: Data = Data()
    decoder: Literal["posterior", "all"] = Field("all", description="decoder features that are used")
    acoustic: bool = Field(True, description="use the acoustic embedding")
    hypothesis: bool = Field(True, description="use the hypothesis embedding")
    classifier: Literal["logistic", "network"] = Field("logistic", description="what makes probabilities of it all")
    folds: int = Field(
        3,
        ge=2,
        le=20,
        description="groups of training speakers; the classifier learns from embeddings of nets that did not hear them",
    )
    l2: float = Field(0.0025, ge=0, description="penalty of the logistic regression, for the mean loss of a word")
    normaliser: Literal["none", "upper", "lower", "asr_en"] | None = Field(
        None, description="applied to references and words before they are compared; null is that of the decode folder"
    )
    features: FeatureConfig = FeatureConfig(num_mels=40)
    acoustic_net: AcousticConfig = AcousticConfig()
    hypothesis_net: HypothesisConfig = HypothesisConfig()
    network: NetworkConfig = NetworkConfig()
    seed: int = Field(0, ge=0, description="decides the folds and, with those of the nets, all that is drawn")


CONFIG = TrainConfidence


class PartConfig(TrainConfidence):
    """Config of a bundle that training leaves on the way."""

    part: Literal["acoustic", "hypothesis", "network"] = Field(description="which part of the model it is")


def _paths(paths: list[Path] | None) -> tuple[str, ...]:
    return tuple(map(str, paths or ()))


@app.command()
def train(
    train: Annotated[
        list[Path] | None, typer.Option("--train", help="Folder of `decode --confusion` to learn from (repeatable).")
    ] = None,
    dev: Annotated[
        list[Path] | None,
        typer.Option("--dev", help="Folder to report on; nothing is chosen by it (repeatable)."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Experiment folder; run again to resume.")] = None,
    lang: Annotated[
        Path | None, typer.Option("--lang", help="Lang folder whose lexicon tells lengths in phones.")
    ] = None,
    text: Annotated[Path | None, typer.Option("--text", help="Text to count words in, instead of references.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Sets seed, and that of every net.")] = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Compare every system with both classifiers: OUT/ablation.tsv.")
    ] = False,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Learn from recognised words, some right and some wrong, how sure to be of one.

    The folders come from `voxkit decode --confusion` on cuts with references, which the recogniser should not have been
    trained on, with hundreds of errors at least: noise makes them. The embedding nets are trained first, one for each
    group of training speakers on the others, so that the classifier learns from embeddings of words that the net never
    heard; they are frozen then.

    [bold]Examples[/bold]

      voxkit score-confidence train --train exp/fold1 --train exp/fold2 --dev exp/test --out exp/confidence

      voxkit score-confidence train ... --ablate

      voxkit score-confidence train ... --set acoustic=false --set classifier=network
    """
    data = {"train": _paths(train), "dev": _paths(dev), "lang": lang and str(lang), "text": text and str(text)}
    flags: dict[str, Any] = {"data": {name: value for name, value in data.items() if value}}
    if seed is not None:
        nets = ("acoustic_net", "hypothesis_net", "network")
        flags |= {"seed": seed, **{net: {"train": {"seed": seed}} for net in nets}}
    settings = build(TrainConfidence, config, set_, **flags)
    if print_config:
        print(to_yaml(settings), end="")
        return
    missing = [] if settings.data.train else ["--train"]
    missing += ["--out"] if out is None else []
    if missing or out is None:
        raise UserError(f"score-confidence train needs {' and '.join(missing)}", fix="see its --help")
    if ablate and not settings.data.dev:
        raise UserError("--ablate compares on --dev, of which there is none", fix="give --dev DIR")
    from voxkit.commands.score_confidence.train import run

    run(settings, out, ablate)


@app.command()
def apply(
    exp: Annotated[Path, typer.Argument(help="Experiment or bundle folder of score-confidence train.")],
    decoded: Annotated[Path, typer.Argument(help="Folder of `decode --confusion`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    num_jobs: NumJobs = 1,
) -> None:
    """Write the confidence of every recognised word into the manifest.

    OUT is a decode folder again, for select-data and all else that reads one. In hypotheses.jsonl.gz a supervision has
    custom["confidence"], the probability of each word to be right, which is also the score in its alignment, and
    custom["utterance_confidence"], that of all of it to be right, words left out among what may be wrong. lattices/,
    confusion/ and words.txt are copied along. alignment.txt shows the confidence under every word.

    [bold]Example[/bold]

      voxkit score-confidence apply exp/confidence exp/test --out exp/test_confidence --num-jobs 4
    """
    from voxkit.commands.score_confidence.apply import run

    run(exp, decoded, out, num_jobs)


@app.command()
def score(
    outs: Annotated[list[Path], typer.Argument(help="Folders of apply (or of decode --confusion, with --field).")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for score.json and pictures.", show_default="the only OUT"),
    ] = None,
    field: Annotated[
        str, typer.Option("--field", help="What to score: confidence, or posterior as decode leaves it.")
    ] = "confidence",
    normaliser: Annotated[
        str | None,
        typer.Option(
            "--normaliser",
            help="Applied to references and words: none, upper, lower, asr_en.",
            show_default="the folder's",
        ),
    ] = None,
    replications: Annotated[int, typer.Option("--replications", min=10, help="Draws of the bootstrap.")] = 1000,
) -> None:
    """Measure how good confidences are where there are references.

    Equal error rate, normalised cross entropy (as sclite has it), area under the precision-recall curve of the errors,
    and expected calibration error, in per cent; of all words, and of the right ones with only the substitutions, or
    only the insertions. The last two have the confidence that nothing is wrong, though one kind of error is left out:
    their NCE and ECE suffer from that, their EER and AUC-PR do not. Deleted words have no confidence and are not
    scored. Writes score.json, reliability.png and det.png.

    [bold]Examples[/bold]

      voxkit score-confidence score exp/test_confidence

      voxkit score-confidence score exp/test --field posterior --out exp/posterior
    """
    if field not in ("confidence", "posterior"):
        raise UserError(f"--field {field}: neither confidence nor posterior", fix="give one of these")
    if out is None and len(outs) > 1:
        raise UserError("several folders are scored together", fix="name a folder for the result: --out DIR")
    from voxkit.commands.score_confidence.score import run

    run(outs, out, field, normaliser, replications)

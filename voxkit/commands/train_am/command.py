"""`voxkit train-am`: the signature, the config and the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from voxkit.commands.options import MaxBad
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.data.feature_config import FeatureConfig, SpecAugmentConfig
from voxkit.errors import UserError
from voxkit.train.settings import TrainConfig


class ModelConfig(Config):
    """The network."""

    encoder: Literal["tdnn", "conformer", "blstm"] = Field("conformer", description="kind of encoder")
    width: int = Field(144, ge=8, description="channels of the encoder")
    layers: int = Field(6, ge=1, description="layers of a conformer or blstm")
    heads: int = Field(4, ge=1, description="attention heads of a conformer")
    kernel: int = Field(15, ge=3, description="width of the depth-wise convolutions [output frames]; odd")
    dilations: tuple[int, ...] = Field((1, 1, 2, 2, 4, 4, 8, 8), description="of the tdnn's blocks, one each")
    subsampling: int = Field(3, ge=1, le=8, description="input frames per output frame")
    channels: int = Field(32, ge=4, description="of the first convolutions")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout probability")
    normalise: Literal["utterance", "global"] = Field(
        "utterance", description="subtract each utterance's mean too, or only the training set's"
    )
    spec_augment: SpecAugmentConfig = SpecAugmentConfig()


class AugmentConfig(Config):
    """What happens to the audio of a training cut, newly drawn in each epoch."""

    speeds: tuple[float, ...] = Field((0.9, 1.0, 1.1), min_length=1, description="speed factors to choose from")
    volume: float = Field(6.0, ge=0, le=40, description="largest change of the level, up or down [dB]")
    noise: float = Field(0.5, ge=0, le=1, description="share of the cuts that noise is added to, given --noise")
    snr: tuple[float, float] = Field((5.0, 25.0), description="range of the signal-to-noise ratio of added noise [dB]")


class BatchConfig(Config):
    """Dynamic batches of cuts of similar length."""

    max_duration: float = Field(60.0, gt=0, description="most audio in a batch, padding included [s]")
    max_cuts: int = Field(64, ge=1, description="most cuts in a batch")
    buckets: int = Field(20, ge=1, description="groups of similar length that batches are drawn from")


class DataConfig(Config):
    """What the model is trained on; the command's options fill this in."""

    train: str = Field("", description="CutSet to train on")
    dev: str = Field("", description="CutSet to score on during training; empty: 100 training cuts")
    lang: str = Field("", description="folder made by make-graph")
    noise: str | None = Field(None, description="CutSet of noises to mix in")
    init: str | None = Field(None, description="experiment or bundle folder of the model to start from")
    max_bad: float = Field(0.0, ge=0, le=1, description="share of bad cuts that is tolerated")
    digests: dict[str, str] = Field({}, description="of these files; written by the command")


class TrainAm(Config):
    """Everything that `train-am` can be told."""

    data: DataConfig = DataConfig()
    loss: Literal["graph_ctc", "k2_ctc"] = Field("graph_ctc", description="the same sum; k2_ctc leaves it to k2")
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    batch: BatchConfig = BatchConfig()
    features: FeatureConfig = FeatureConfig()
    train: TrainConfig = TrainConfig()


CONFIG = TrainAm


def train_am(
    train: Annotated[Path | None, typer.Option("--train", help="CutSet to train on (.jsonl.gz).")] = None,
    dev: Annotated[
        Path | None, typer.Option("--dev", help="CutSet to score on during training; else some of --train.")
    ] = None,
    lang: Annotated[Path | None, typer.Option("--lang", help="Folder made by `voxkit make-graph`.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Experiment folder; run again to resume.")] = None,
    noise: Annotated[Path | None, typer.Option("--noise", help="CutSet of noises to mix in.")] = None,
    init: Annotated[Path | None, typer.Option("--init", help="Experiment whose model to start from.")] = None,
    loss: Annotated[
        str | None, typer.Option("--loss", help="graph_ctc, or k2_ctc: the same, by k2.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Same as --set train.seed=N.")] = None,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Train a CTC acoustic model over phones, characters or sub-words.

    The units are those of --lang. Every pronunciation of a word counts as right (the loss sums over them; --loss
    k2_ctc has k2 do it, see `voxkit doctor`). A cut's supervision may carry a weight (`custom["weight"]`). Killed or
    interrupted, the same command goes on where it was.

    --init starts from a trained model of the same shape, with its normalisation statistics, instead of random weights.
    Where --lang has other units, those of equal names keep their outputs.

    [bold]Examples[/bold]

      voxkit train-am --train cuts_train.jsonl.gz --dev cuts_dev.jsonl.gz --lang lang --out exp/am

      voxkit train-am ... --config conf/train_am/an4.yaml --set train.epochs=30 --set model.width=256

      voxkit train-am ... --init exp/am --out exp/adapted --set train.lr=1e-4

      torchrun --nproc-per-node 2 -m voxkit train-am ...
    """
    data = {
        name: str(path)
        for name, path in {"train": train, "dev": dev, "lang": lang, "noise": noise, "init": init}.items()
        if path is not None
    }
    flags = {"data": {**data, **({"max_bad": max_bad} if max_bad else {})}}
    if seed is not None:
        flags["train"] = {"seed": seed}
    settings = build(TrainAm, config, set_, loss=loss, **flags)
    if print_config:
        print(to_yaml(settings), end="")
        return
    missing = [f"--{name}" for name in ("train", "lang") if not getattr(settings.data, name)]
    missing += ["--out"] if out is None else []
    if out is None or missing:
        raise UserError(f"train-am needs {', '.join(missing)}", fix="see voxkit train-am --help")

    from voxkit.commands.train_am.task import identified, make
    from voxkit.train import run

    settings = settings.model_copy(update={"data": identified(settings.data)})
    run.train("train-am", settings, settings.train, out, lambda folder: make(settings, folder))

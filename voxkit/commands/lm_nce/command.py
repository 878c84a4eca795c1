"""`voxkit lm-nce`: the signatures, the configs and the help."""

from __future__ import annotations

from typing import Literal, Self

import typer
from pydantic import Field, model_validator

from voxkit.config import Config
from voxkit.train.settings import TrainConfig

app = typer.Typer(no_args_is_help=True)


class DataConfig(Config):
    """What the model is trained on; the command's options fill this in."""

    corpora: dict[str, str] = Field({}, description="text to learn from, by the name of the corpus")
    dev: tuple[str, ...] = Field((), description="in-domain text, for the weights of corpora and to score on")
    dev_words: int = Field(20_000, ge=100, description="of dev, scored while training, about [words]")
    words: str | None = Field(None, description="the words to know, such as words.txt of a lang folder; none: learnt")
    classes: str | None = Field(None, description="phrases of classes, `class<TAB>phrase` a line")
    init: str | None = Field(None, description="model to start from, whose vocabulary stays")
    normaliser: Literal["none", "upper", "lower", "asr_en"] = Field("lower", description="applied to all text")
    max_bad: float = Field(0.0, ge=0, le=1, description="share of bad lines that is tolerated")
    digests: dict[str, str] = Field({}, description="of these files; written by the command")


class VocabularyConfig(Config):
    """What texts are made of."""

    unit: Literal["word", "piece"] = Field("word", description="words, or sub-word pieces that sentencepiece learns")
    size: int = Field(50_000, ge=8, description="most words or pieces, by their share in each corpus")
    least: int = Field(1, ge=1, description="words that are rarer in all corpora together are unknown [times]")


class ClassConfig(Config):
    """How phrases of `data.classes` are learnt, such as names of contacts."""

    share: float = Field(
        0.5, ge=0, le=1, description="share of the sentences with such a phrase where its class stands for it"
    )


class WeightConfig(Config):
    """How often each corpus is drawn from: the probability that a sentence is one of its."""

    kind: Literal["em", "uniform", "size", "given"] = Field(
        "em", description="by interpolating n-gram models for dev; equal; by their sentences; or as given"
    )
    given: dict[str, float] = Field({}, description="weight of each corpus, for kind given")
    order: int = Field(3, ge=1, le=5, description="of the n-gram models [words]")
    sentences: int = Field(200_000, ge=1, description="of each corpus that its n-gram model is made from, at most")


class ModelConfig(Config):
    """The network over the words before a word."""

    kind: Literal["lstm", "transformer"] = Field("lstm", description="what reads the words")
    width: int = Field(256, ge=4, description="of embeddings, cells and outputs")
    layers: int = Field(1, ge=1, description="LSTM layers or Transformer blocks")
    heads: int = Field(4, ge=1, description="of the Transformer's attention")
    dropout: float = Field(0.2, ge=0, lt=1, description="of embeddings and of each layer's output")
    tie: bool = Field(True, description="one table for the embeddings of words before and of the word to come")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "transformer" and self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not a multiple of twice the {self.heads} heads")
        return self


class ObjectiveConfig(Config):
    """What training makes small."""

    kind: Literal["nce", "softmax", "sampled"] = Field(
        "nce", description="noise contrastive estimation, cross-entropy, or cross-entropy over sampled words"
    )
    noise: int = Field(1024, ge=1, description="noise words, drawn once for a batch (nce and sampled) [words]")
    alpha: float = Field(0.75, ge=0, le=2, description="noise is drawn by word frequency to this power")
    bias: Literal["unigram", "uniform"] = Field(
        "unigram", description="outputs begin as ln of a word's frequency, or as -ln of the vocabulary: ln Z is 0"
    )


class BatchConfig(Config):
    """Batches of sentences of similar length, drawn anew for every epoch."""

    words: int = Field(2048, ge=16, description="most words in a batch, padding included")
    longest: int = Field(64, ge=4, le=4096, description="longer sentences are cut, with the word before [words]")
    epoch: int | None = Field(
        None, ge=1, description="sentences in an epoch; none: as many as there are, at most 200 000"
    )
    buckets: int = Field(16, ge=1, description="groups of similar length that batches are drawn from")


class LmTraining(TrainConfig):
    """The training loop's settings, with what suits sentences."""

    epochs: int = Field(10, ge=1, description="length of training where `steps` is none [epochs of batch.epoch]")
    lr: float = Field(2e-3, gt=0, le=100, description="highest learning rate")
    warmup: int = Field(100, ge=0, description="linear rise of the learning rate from 0 [steps]")
    weight_decay: float = Field(1e-4, ge=0, le=10, description="decoupled decay; biases and norms are exempt")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient of the mean loss; 0: no limit")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="weight of the past per step, reached after a warm-up")
    log_every: int = Field(50, ge=1, description="distance of records in metrics.jsonl [steps]")


class LmNce(Config):
    """Everything that `lm-nce train` can be told."""

    data: DataConfig = DataConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    classes: ClassConfig = ClassConfig()
    weights: WeightConfig = WeightConfig()
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    batch: BatchConfig = BatchConfig()
    train: LmTraining = LmTraining()


CONFIG = LmNce

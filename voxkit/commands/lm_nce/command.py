"""`voxkit lm-nce`: the signatures, the configs and the help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import typer
from pydantic import Field, model_validator

from voxkit.commands.options import Experiment, MaxBad, Merge, NewFolder, Results, Seed, Shard
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.errors import UserError
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
    lr: float = Field(8e-3, gt=0, le=100, description="highest learning rate")
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


class RescoreWeights(Config):
    """A hypothesis costs acoustic + graph * its graph cost + lm * -ln P of its words + penalty * its words."""

    graph: float = Field(0.5, ge=0, le=100, description="weight of the first pass's graph: n-gram and pronunciations")
    lm: float = Field(0.5, ge=0, le=100, description="weight of the language model")
    penalty: float = Field(0.0, ge=-100, le=100, description="cost of a word; above 0 makes for fewer")


Weight = Annotated[float, Field(ge=0, le=100)]
Penalty = Annotated[float, Field(ge=-100, le=100)]


class RescoreTune(Config):
    """The grid of `--tune`."""

    graph: tuple[Weight, ...] = Field((0.0, 0.25, 0.5, 0.75, 1.0), min_length=1, description="weights.graph to try")
    lm: tuple[Weight, ...] = Field((0.0, 0.25, 0.5, 0.75, 1.0, 1.5), min_length=1, description="weights.lm to try")
    penalty: tuple[Penalty, ...] = Field(
        (-1.0, -0.5, 0.0, 0.5, 1.0), min_length=1, description="weights.penalty to try"
    )


class LatticeConfig(Config):
    """How lattices are rescored (--method lattice)."""

    history: int | None = Field(3, ge=0, description="paths are merged that agree in so many words before; none: all")
    beam: float | None = Field(
        8.0, gt=0, description="paths are followed that may cost so much more than the best; none: all"
    )
    most: int | None = Field(64, ge=1, description="states that are followed after equally many arcs; none: all")


class Rescore(Config):
    """Everything that `lm-nce rescore` can be told."""

    method: Literal["nbest", "lattice"] = Field("nbest", description="what is rescored")
    nbest: int = Field(50, ge=1, description="hypotheses of an utterance")
    weights: RescoreWeights = RescoreWeights()
    lattice: LatticeConfig = LatticeConfig()
    unknown_penalty: float | None = Field(
        None,
        ge=-1000,
        le=1000,
        description="cost of a word that is <unk>, on top; none: ln of how many words of words.txt are",
    )
    normalised: bool = Field(False, description="subtract ln Z: true probabilities, which take longer")
    readings: int = Field(32, ge=1, description="most ways to read a hypothesis with names of --names")
    batch: int = Field(4096, ge=1, description="words of hypotheses that are scored together, about")
    timed: int = Field(100, ge=0, description="utterances that are also rescored alone, for the latency")
    normaliser: Literal["none", "upper", "lower", "asr_en"] | None = Field(
        None, description="applied before errors are counted; none: that of the decode folder"
    )
    tune: RescoreTune = RescoreTune()


CONFIG = LmNce


@app.command()
def train(
    corpus: Annotated[
        list[str] | None,
        typer.Option("--corpus", metavar="[NAME=]FILE", help="Text to learn from (repeatable).", show_default=False),
    ] = None,
    dev: Annotated[
        list[Path] | None,
        typer.Option("--dev", help="In-domain text, to weigh corpora by and to score on (repeatable)."),
    ] = None,
    out: Experiment = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="Of corpora: em, uniform, size or given.", show_default="em"),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option("--weight", metavar="NAME=W", help="Of a corpus, for --weights given (repeatable)."),
    ] = None,
    init: Annotated[
        Path | None, typer.Option("--init", help="Model to go on from, with its vocabulary.", show_default=False)
    ] = None,
    words: Annotated[
        Path | None, typer.Option("--words", help="Words to know, such as words.txt.", show_default="of the texts")
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option("--classes", help="Phrases that a class may stand for: CLASS<TAB>PHRASE.", show_default=False),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option("--objective", help="nce, softmax or sampled.", show_default="nce"),
    ] = None,
    seed: Seed = None,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Learn a language model of one or more corpora of text.

    A corpus is plain text with a sentence on each line (.txt, .gz), a manifest whose supervisions have text, or a
    folder of such files (.txt, .jsonl, and gzipped ones; not those in folders of it). Corpora are read piece by piece,
    and may be of any size. Words are what is between spaces when data.normaliser is done: `lower` leaves punctuation,
    asr_en writes English as recognisers do. Of several corpora each is drawn from as often as it helps: its weight is
    that of its n-gram model in the mixture that foresees --dev best (--weights em). Go on with --init on text of the
    domain alone, to fine-tune: the network is the same, its dropout is yours to set.

    Trained by noise contrastive estimation, the model's scores are probabilities as they are, and no sum over the
    vocabulary is needed to use them; by softmax (or sampled) they are not. %PPL is the perplexity of --dev with
    normalised scores, and with scores as they are; ln Z is 0 where these are the same.

    [bold]Examples[/bold]

      voxkit lm-nce train --corpus books.txt --corpus talk=dialogue.txt.gz --dev dev.txt --out exp/lm

      voxkit lm-nce train --corpus talk=dialogue.txt.gz --dev dev.txt --init exp/lm --out exp/lm_talk -s train.lr=5e-4

      voxkit lm-nce train --corpus books.txt --dev dev.txt --words lang/words.txt --objective softmax --out exp/full

      voxkit lm-nce train ... --set model.kind=transformer --set model.layers=4 --set vocabulary.unit=piece
    """
    from voxkit.commands.lm_nce.material import adopted, identified, named, require, shares

    files = {"words": words, "classes": classes, "init": init}
    data: dict[str, Any] = {name: str(file) for name, file in files.items() if file is not None}
    data |= {"corpora": named(corpus or ()), "dev": dev and tuple(map(str, dev)), "max_bad": max_bad or None}
    kind = "given" if weight and weights is None else weights
    flags: dict[str, Any] = {"data": data, "weights": {"kind": kind, "given": shares(weight or ())}}
    flags |= {"objective": {"kind": objective}, "train": {"seed": seed}}
    settings = adopted(build(LmNce, config, set_, **flags))
    if corpus:  # and not those that a config has besides; so with weights
        settings = settings.model_copy(update={"data": settings.data.model_copy(update={"corpora": data["corpora"]})})
    if weight:
        given = settings.weights.model_copy(update={"given": flags["weights"]["given"]})
        settings = settings.model_copy(update={"weights": given})
    if print_config:
        print(to_yaml(settings), end="")
        return
    folder = require(settings, out)

    # oneDNN keeps a thousand kernels with memory of their own, and batches have many shapes: gigabytes in an hour
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    from voxkit.commands.lm_nce import task

    task.train(settings.model_copy(update={"data": identified(settings.data)}), folder)


@app.command()
def rescore(
    model: Annotated[
        Path | None, typer.Argument(help="Experiment or bundle of train or quantize, or folder of export.")
    ] = None,
    decoded: Annotated[
        Path | None, typer.Argument(help="Folder of `voxkit decode --out`; with --tune that of a dev set.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write.", show_default=False)] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="nbest: lists; lattice: all paths, merged by history.", show_default="nbest"),
    ] = None,
    nbest: Annotated[
        int | None, typer.Option("--nbest", min=1, help="Hypotheses of an utterance.", show_default="50")
    ] = None,
    history: Annotated[
        int | None,
        typer.Option("--history", min=0, help="lattice: paths that agree in so many words are one.", show_default="3"),
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Find the weights with the fewest errors: only OUT/rescore.yaml and tables.")
    ] = False,
    names: Annotated[
        Path | None,
        typer.Option("--names", help="Users' names: class, phrase, weight, speaker (TSV).", show_default=False),
    ] = None,
    normalised: Annotated[
        bool, typer.Option("--normalised", help="True probabilities, by a sum over the vocabulary.")
    ] = False,
    threads: Annotated[int, typer.Option("--threads", min=1, max=1024, help="CPU threads.")] = 1,
    shard: Shard = None,
    merge: Merge = False,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Choose again among what was recognised, by a language model that reads whole sentences.

    A hypothesis costs acoustic + weights.graph * graph + weights.lm * -ln P + weights.penalty * words. Find the weights
    on a dev set with --tune (on lists, for either method), which writes OUT/rescore.yaml, to be given with --config,
    tune.tsv and scores.txt only. Else OUT is a decode folder again: words, times, the score `lm_score`, the text before
    as `first_pass`, `nbest`, and lattices with the new costs (for the method nbest these hold the list). Confusion
    networks are made where DECODED has some. It cannot be rescored once more: its costs have the model in them.

    --names is a table of class, phrase and, if wanted, weight and speaker (of the manifest; else everyone's). A phrase
    of the list may stand where the model expects its class (train with --classes): P(class) * P_user(phrase | class),
    added to the probability of its words, for every choice of phrases that do not overlap. It goes with lists only.
    Custom `names` of a cut has class and phrase where words of its new text are likeliest a name.

    Prints %WER before and after, %RELATIVE with its interval, %RTF and CPU time of an utterance, %LATENCY of
    utterances one at a time, and %CACHED, the share of words that need no scoring since hypotheses
    of utterances that are rescored together begin alike.

    [bold]Examples[/bold]

      voxkit lm-nce rescore exp/lm exp/dev --tune --out exp/dev_tuned

      voxkit lm-nce rescore exp/lm exp/test --config exp/dev_tuned/rescore.yaml --out exp/test_rescored

      voxkit lm-nce rescore exp/lm exp/test --method lattice --history 2 --out exp/test_lattices

      voxkit lm-nce rescore exp/lm exp/test --names contacts.tsv --out exp/test_names
    """
    flags: dict[str, Any] = {"method": method, "nbest": nbest, "normalised": normalised or None}
    settings = build(Rescore, config, set_, **flags, lattice={"history": history})
    if print_config:
        print(to_yaml(settings), end="")
        return
    if model is None or decoded is None or out is None:
        raise UserError("lm-nce rescore needs MODEL, DECODED and --out", fix="see voxkit lm-nce rescore --help")
    if merge and shard:
        raise UserError("--merge joins the parts of all shards; --shard does one", fix="give one of them")
    if tune and (merge or shard):
        raise UserError("--tune goes with neither --shard nor --merge", fix="leave them out")
    if names is not None and settings.method == "lattice":
        raise UserError("--names goes with lists, not with lattices", fix="use --method nbest")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))
    from voxkit.commands.lm_nce.rescore import Request, run, run_tune

    request = Request(settings, model, decoded, names, threads)
    if tune:
        run_tune(request, out)
    else:
        run(request, out, shard, merge)


@app.command()
def score(
    model: Annotated[Path, typer.Argument(help="Experiment or bundle of train or quantize, or folder of export.")],
    texts: Annotated[list[Path], typer.Argument(help="Plain text, a sentence a line, or manifests.")],
    out: Results = None,
    arpa: Annotated[
        Path | None, typer.Option("--arpa", help="N-gram model to compare with, and to mix with.", show_default=False)
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option("--weight", min=0, max=1, help="Of MODEL in the mixture; else the best for TEXTS (EM)."),
    ] = None,
    self_normalised: Annotated[
        bool, typer.Option("--self-normalised", help="Scores as they are alone: no sum over the vocabulary.")
    ] = False,
    threads: Annotated[int, typer.Option("--threads", min=1, max=1024, help="CPU threads.")] = 1,
) -> None:
    """Measure how well a language model foresees text, and how fast it is.

    %PPL is the perplexity of known words and ends of sentences, with normalised scores and with scores as they are; ln
    Z says how far these differ. %OOV tells the share of unknown words, which are left out but are part of what comes
    before others. %TPS are words per second of CPU time on one core, for both ways to score. Sentences longer than the
    model was trained with (batch.longest) are cut, as in training.

    With --arpa, perplexities of the words that both models know: of the n-gram model, of MODEL, and of the linear
    mixture. Its weight is found on the same text, which flatters the mixture a little: give --weight for a fair test.

    With --out, also score.json, by_sentence.tsv (ln_p is normalised, score is as it is), and ln_z.png: how ln Z is
    distributed, and what it is by place.

    [bold]Examples[/bold]

      voxkit lm-nce score exp/lm test.txt --out exp/lm_test

      voxkit lm-nce score exp/lm test.txt --arpa exp/ngram/lm.arpa

      voxkit lm-nce score exp/lm huge.txt.gz --self-normalised
    """
    if weight is not None and arpa is None:
        raise UserError("--weight is for a mixture with an n-gram model", fix="add --arpa, or leave it out")
    from voxkit.commands.lm_nce.score import Examination, run

    run(Examination(model, tuple(texts), arpa, weight, self_normalised, threads), out)


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="Experiment or bundle of train or quantize, or folder of export.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Text to write (.txt, .gz), or - for stdout.")],
    words: Annotated[
        int | None, typer.Option("--words", min=1, help="Draw until there are so many words; not with --sentences.")
    ] = None,
    sentences: Annotated[int | None, typer.Option("--sentences", min=1, help="Draw so many; not with --words.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Decides what is drawn.")] = 0,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.05, max=20, help="Below 1 likely words become likelier.")
    ] = 1.0,
    longest: Annotated[
        int, typer.Option("--longest", min=1, max=4096, help="Leave out sentences with more words (or pieces).")
    ] = 50,
    threads: Annotated[int, typer.Option("--threads", min=1, max=1024, help="CPU threads.")] = 1,
) -> None:
    """Draw sentences from a language model, to make a first-pass n-gram model that knows what it knows.

    Words are drawn from normalised probabilities, but `<unk>` and classes are not drawn, and sentences are not empty.
    The file goes to `voxkit lm-nce ngram`, to be mixed with real text, or to `voxkit make-graph --text`. The same seed
    draws the same sentences, whatever the number that is asked for. A file is complete or absent, and gzipped if its
    name ends in .gz; `--out -` is stdout, and a pipe or device gets the sentences as they come.

    [bold]Examples[/bold]

      voxkit lm-nce sample exp/lm --words 1000000 --out data/drawn.txt

      voxkit lm-nce sample exp/lm --sentences 20 --seed 1 --out - | less
    """
    if (words is None) == (sentences is None):
        raise UserError("lm-nce sample draws --words or --sentences", fix="give one of them")
    from voxkit.commands.lm_nce.sample import Request, run

    run(model, Request(words, sentences, seed, temperature, longest), out, threads)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="Experiment or bundle of train, or of quantize --bits.")],
    out: NewFolder,
) -> None:
    """Write a model as an ONNX graph that onnxruntime runs, after checking that it says the same.

    The graph is one step of any number of hypotheses. Inputs: the words that they read, their states (zeros at the
    beginning), and words to score, each with the place of the hypothesis that it comes after (`parents`). Outputs:
    scores, what is known after the words, the next states, and the rows of the table of outputs that were used. All
    commands take the folder like the model itself; `voxkit quantize --int8` makes the same graph in 8 bits.

    [bold]Examples[/bold]

      voxkit lm-nce export exp/lm --out exp/lm_onnx
    """
    from voxkit.commands.lm_nce.export import run

    run(model, out)


@app.command()
def ngram(
    corpus: Annotated[list[str], typer.Option("--corpus", metavar="[NAME=]FILE", help="Text (repeatable).")],
    out: NewFolder,
    dev: Annotated[
        list[Path] | None, typer.Option("--dev", help="In-domain text, to weigh corpora by (repeatable).")
    ] = None,
    order: Annotated[int, typer.Option("--order", min=1, max=9, help="Longest n-gram, in words.")] = 3,
    normaliser: Annotated[
        Literal["none", "upper", "lower", "asr_en"], typer.Option("--normaliser", help="Applied to all text.")
    ] = "lower",
    words: Annotated[
        Path | None,
        typer.Option("--words", help="Words to know, such as words.txt.", show_default="of the texts"),
    ] = None,
) -> None:
    """Make an n-gram model of one or more corpora, also of text that `sample` drew: OUT/lm.arpa for make-graph --arpa.

    Each corpus gets a Kneser-Ney model over the words of all, and these are interpolated linearly with the weights that
    foresee --dev best (EM; also in OUT/weights.json). %PPL is the perplexity of --dev by each model and by the mixture,
    without the words that no corpus has. With --words all other words are <unk>. The corpora are counted in memory.

    [bold]Examples[/bold]

      voxkit lm-nce ngram --corpus talk=dialogue.txt --corpus drawn.txt --dev dev.txt --out exp/ngram

      voxkit make-graph --arpa exp/ngram/lm.arpa --lexicon lexicon.txt --out data/lang
    """
    from voxkit.commands.lm_nce.material import named
    from voxkit.commands.lm_nce.ngram import Request, run

    run(Request(named(corpus), tuple(dev or ()), order, normaliser, words), out)

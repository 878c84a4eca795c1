"""`voxkit ner`: the signatures, the configs and the help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic import Field, field_validator

from voxkit.commands.options import Experiment, MaxBad, Merge, NewFolder, Results, Seed, Shard
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.errors import UserError
from voxkit.train.settings import TrainConfig

app = typer.Typer(no_args_is_help=True)

Unit = Literal["words", "chars", "phones", "bytes"]
UNITS: tuple[Unit, ...] = ("words", "chars", "phones", "bytes")
MOST_SYMBOLS = 349  # of all subword units together


class DataConfig(Config):
    """What the model is trained on; the command's options fill this in."""

    train: tuple[str, ...] = Field((), description="tagged sentences to learn from: CoNLL, JSONL or manifests")
    dev: tuple[str, ...] = Field((), description="tagged sentences to score on while training; else some of train")
    share: float = Field(1.0, gt=0, le=1, description="share of the training sentences to use; fewer are part of more")
    max_bad: float = Field(0.0, ge=0, le=1, description="share of bad sentences that is tolerated")
    digests: dict[str, str] = Field({}, description="of these files; written by the command")


class TextConfig(Config):
    """How texts are written for the model, in training and afterwards."""

    asr: bool = Field(False, description="as a recogniser writes: lower case, no punctuation (--asr-text)")
    only_spaces: bool = Field(False, description="divide texts at white space only, punctuation is part of words")


class WordConfig(Config):
    """The embedding of whole words."""

    width: int = Field(300, ge=1, description="of a word's embedding")
    least: int = Field(1, ge=1, description="words that are rarer in training are unknown [times]")
    hide: float = Field(
        1.0, ge=0, description="in training, a word that was seen n times is unknown with probability hide / (hide + n)"
    )
    lower: bool = Field(True, description="one embedding for all ways to capitalise a word")


class SubwordConfig(Config):
    """The networks that read words letter by letter, phone by phone or byte by byte: a BiLSTM for each unit."""

    width: int = Field(32, ge=1, description="of a symbol's embedding")
    cells: int = Field(32, ge=1, description="of the LSTM in each direction")
    longest: int = Field(32, ge=4, le=256, description="of longer words the middle is left out [symbols]")
    symbols: int = Field(
        MOST_SYMBOLS, ge=16, le=100_000, description="most symbols of all units together; rare characters are unknown"
    )


class PhoneConfig(Config):
    """Where the pronunciations come from; --g2p and --lexicon fill this in."""

    g2p: str | None = Field(None, description="experiment or bundle of voxkit g2p, which becomes part of the model")
    lexicon: str | None = Field(None, description="pronunciations that come before those of g2p; part of the model")
    language: str = Field("", description="of the words, as g2p calls it")
    digests: dict[str, str] = Field({}, description="of these files; written by the command")


class ModelConfig(Config):
    """The network over the words of a sentence."""

    cells: int = Field(128, ge=1, description="of the LSTM in each direction")
    layers: int = Field(1, ge=1, description="BiLSTM layers")
    dropout: float = Field(0.3, ge=0, lt=1, description="of word vectors and of the LSTM's output")
    scheme: Literal["bio", "bioes"] = Field("bio", description="tags inside of the CRF; results are BIO")


class BatchConfig(Config):
    """Batches of sentences of similar length."""

    words: int = Field(400, ge=1, description="most words in a batch, padding included")
    buckets: int = Field(8, ge=1, description="groups of similar length that batches are drawn from")


class NerTraining(TrainConfig):
    """The training loop's settings, with what suits sentences."""

    epochs: int = Field(20, ge=1, description="length of training where `steps` is none [passes over the data]")
    lr: float = Field(3e-3, gt=0, le=100, description="highest learning rate")
    warmup: int = Field(100, ge=0, description="linear rise of the learning rate from 0 [steps]")
    weight_decay: float = Field(1e-3, ge=0, le=10, description="decoupled decay; biases and norms are exempt")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="weight of the past per step, reached after a warm-up")
    log_every: int = Field(50, ge=1, description="distance of records in metrics.jsonl [steps]")


class Ner(Config):
    """Everything that `ner train` can be told."""

    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    units: tuple[Unit, ...] = Field(
        ("words", "chars"), min_length=1, description="what a word's vector is made of: any of words chars phones bytes"
    )
    words: WordConfig = WordConfig()
    subwords: SubwordConfig = SubwordConfig()
    phones: PhoneConfig = PhoneConfig()
    model: ModelConfig = ModelConfig()
    batch: BatchConfig = BatchConfig()
    train: NerTraining = NerTraining()

    @field_validator("units")
    @classmethod
    def _in_order(cls, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
        return tuple(unit for unit in UNITS if unit in units)

    def subword_units(self) -> tuple[Unit, ...]:
        """The units that words are read by."""
        return tuple(unit for unit in self.units if unit != "words")


CONFIG = Ner

Trained = Annotated[Path, typer.Argument(help="Experiment or bundle of ner train, or folder of ner export.")]
AsrText = Annotated[
    bool,
    typer.Option("--asr-text", help="Read texts as if a recogniser had written them: no capitals, no punctuation."),
]
Threads = Annotated[int, typer.Option("--threads", min=1, max=1024, help="CPU threads.")]
Format = Annotated[
    Literal["inline", "tsv", "jsonl", "conll"] | None,
    typer.Option("--format", "-f", help="Of what is printed.", show_default="inline"),
]
Least = Annotated[float, typer.Option("--least", min=0, max=1, help="Leave out entities of lower confidence.")]


@app.command()
def train(
    train: Annotated[
        list[Path] | None, typer.Option("--train", help="Tagged sentences to learn from (repeatable).")
    ] = None,
    dev: Annotated[
        list[Path] | None,
        typer.Option("--dev", help="The same to score on while training; else some of --train (repeatable)."),
    ] = None,
    out: Experiment = None,
    units: Annotated[
        str | None,
        typer.Option("--units", help="Any of words,chars,phones,bytes, with commas.", show_default="words,chars"),
    ] = None,
    g2p: Annotated[
        Path | None, typer.Option("--g2p", help="Model of voxkit g2p, for phones.", show_default=False)
    ] = None,
    lexicon: Annotated[
        Path | None, typer.Option("--lexicon", help="Pronunciations to prefer to those of --g2p.", show_default=False)
    ] = None,
    asr_text: AsrText = False,
    share: Annotated[
        float | None, typer.Option("--share", help="Use this share of the training sentences.", show_default=False)
    ] = None,
    seed: Seed = None,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Learn to find named entities, or the slots of commands, in sentences.

    Sentences come as CoNLL columns (word<TAB>tag, an empty line after each sentence; BIO, BIOES or IOB1), as JSON lines
    (text and entities with character offsets, or tokens and tags), or as Lhotse manifests whose supervisions have
    `entities`. `voxkit prepare` makes snips, wnut17, ner_btc and germeval2014.

    A word's vector is made of the embedding of the word, of what networks read in its letters, phones or bytes, or of
    any of these together. Without `words` the model has a few hundred symbols, is small, and takes any word. Phones
    need a model of `voxkit g2p`, or a lexicon, which both become part of the trained model. A model that has learnt
    with --asr-text reads all texts so. Of few sentences, learn longer: --set train.epochs=100 --set batch.words=100.

    [bold]Examples[/bold]

      voxkit ner train --train data/snips/train.conll --dev data/snips/dev.conll --out exp/ner

      voxkit ner train --config conf/ner/snips.yaml --train train.conll --units chars,bytes --asr-text --out exp/small

      voxkit ner train --train train.jsonl --units words,phones --g2p exp/g2p --out exp/phones --set train.epochs=30
    """
    given: dict[str, Any] = {"train": train and tuple(map(str, train)), "dev": dev and tuple(map(str, dev))}
    flags: dict[str, Any] = {"data": {**given, "share": share, "max_bad": max_bad or None}}
    flags["phones"] = {"g2p": g2p and str(g2p), "lexicon": lexicon and str(lexicon)}
    flags["units"] = None if units is None else tuple(name.strip() for name in units.split(","))
    flags["text"] = {"asr": asr_text or None}
    flags["train"] = {"seed": seed}
    settings = build(Ner, config, set_, **flags)
    if print_config:
        print(to_yaml(settings), end="")
        return
    missing = [] if settings.data.train else ["--train"]
    missing += ["--out"] if out is None else []
    if missing or out is None:
        raise UserError(f"ner train needs {' and '.join(missing)}", fix="see voxkit ner train --help")
    if "phones" in settings.units and settings.phones.g2p is None and settings.phones.lexicon is None:
        raise UserError(
            "units: phones need pronunciations", fix="give a model with --g2p (voxkit g2p train), or a --lexicon"
        )
    if "phones" not in settings.units and (settings.phones.g2p is not None or settings.phones.lexicon is not None):
        raise UserError("--g2p and --lexicon are for phones", fix="add phones to --units, or leave them out")

    # oneDNN keeps a thousand kernels with memory of their own, and batches have many shapes: gigabytes in an hour
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    from voxkit.commands.ner import pronouncing
    from voxkit.commands.ner.task import NerTask, identified
    from voxkit.train import run

    known = {"data": identified(settings.data), "phones": pronouncing.identified(settings.phones)}
    settings = settings.model_copy(update=known)
    run.train("ner train", settings, settings.train, out, lambda folder: NerTask(settings, folder))


@app.command()
def apply(
    model: Trained,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(help="Text, CoNLL, JSON lines or manifests; `-` or nothing is stdin.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for a manifest or file; else stdout.", show_default=False)
    ] = None,
    format: Format = None,
    asr_text: AsrText = False,
    least: Least = 0.0,
    threads: Threads = 1,
    shard: Shard = None,
    merge: Merge = False,
) -> None:
    """Find entities in texts, in manifests, or in what comes through a pipe, line by line.

    Prints each sentence with its entities: `inline` the text with [Berlin](city), line by line, where brackets and
    backslashes of the text get a backslash; `tsv` one entity a line (sentence, start and end in characters, label,
    confidence, text); `jsonl`; or `conll`, the words as the model reads them. A confidence is the probability that the
    words are exactly this entity. A pipe is read as lines of text.

    With --out, a manifest (also what `voxkit decode --out` left) is written again with the entities in the custom
    field `entities` of its supervisions: label, text, confidence, start and end (characters), and start_time and
    end_time (seconds) where their alignment has the times of the words. Other inputs give OUT/entities.FORMAT.

    [bold]Examples[/bold]

      echo "play yesterday by the beatles" | voxkit ner apply exp/ner

      voxkit ner apply exp/ner notes.txt --format tsv --least 0.8

      voxkit ner apply exp/ner exp/decoded/hypotheses.jsonl.gz --out exp/entities
    """
    from voxkit.commands.ner.apply import Request, run

    run(Request(model, tuple(inputs or ()), format, asr_text, least, threads), out, shard, merge)


@app.command()
def score(
    model: Trained,
    test: Annotated[list[Path], typer.Argument(help="Tagged sentences.")],
    out: Results = None,
    known: Annotated[
        list[Path] | None,
        typer.Option("--train", help="What the model learnt from, to score unseen entities apart (repeatable)."),
    ] = None,
    asr_text: AsrText = False,
    max_bad: MaxBad = 0.0,
    threads: Threads = 1,
) -> None:
    """Compare a model's entities with those of tagged sentences.

    %F1 has precision and recall of entities: label and words must be right. With --train, -seen and -unseen are those
    whose label and text are in these files, or are not, whether tagged or found. -surface counts each text once, -span
    takes any label as right, -macro is the mean over labels. %SENTENCES have no error. %ECE says how far confidences
    are from the share that is right. %TPS are words per second of CPU time by a model that has seen none of them
    before, in batches and one sentence at a time; %BYTES the size.

    With --out, also score.json, predictions.conll, errors.txt, tables and pictures by type and of confusions.
    by_group.tsv tells groups by the `# group = NAME` lines before sentences.

    [bold]Examples[/bold]

      voxkit ner score exp/ner data/snips/test.conll --train data/snips/train.conll --out exp/ner_test
    """
    from voxkit.commands.ner.score import Examination, run

    run(Examination(model, tuple(test), tuple(known or ()), asr_text, max_bad, threads), out)


@app.command()
def export(model: Trained, out: NewFolder) -> None:
    """Write a model as an ONNX graph that onnxruntime runs, after checking that it says the same.

    [bold]Examples[/bold]

      voxkit ner export exp/ner --out exp/ner_onnx
    """
    from voxkit.commands.ner.export import run

    run(model, out)


@app.command()
def corrupt(
    test: Annotated[list[Path], typer.Argument(help="Tagged sentences.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for sentences.conll.")],
    kind: Annotated[
        Literal["typos", "misheard", "names"],
        typer.Option("--kind", help="Slips of the finger, words that sound alike, or made-up names."),
    ] = "typos",
    share: Annotated[float, typer.Option("--share", min=0, max=1, help="Share of the words; names: all names.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Decides what is changed, and how.")] = 0,
    lexicon: Annotated[
        Path | None, typer.Option("--lexicon", help="misheard: the words that may be heard.", show_default=False)
    ] = None,
    g2p: Annotated[
        Path | None,
        typer.Option("--g2p", help="misheard: says words that --lexicon lacks.", show_default=False),
    ] = None,
    confusions: Annotated[
        Path | None,
        typer.Option("--confusions", help="misheard: folder of voxkit decode with its errors.", show_default=False),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="names: of these labels only (repeatable).", show_default=False)
    ] = None,
    known: Annotated[
        list[Path] | None,
        typer.Option("--train", help="names: their words are not made up; misheard: are likelier (repeatable)."),
    ] = None,
    asr_text: AsrText = False,
    max_bad: MaxBad = 0.0,
) -> None:
    """Make a harder test set of a test set: what a model is worth when words are mistyped, misheard or new.

    Writes OUT/sentences.conll and OUT/changes.tsv (sentence, word before, word after). Tags stay, and so do words that
    no --lexicon or --confusions has another for, punctuation, and words of one letter: fewer than --share change. A
    lexicon is WORD PH ON ES, or what `voxkit prepare cmudict` writes. Names are made up for the labels with 20
    different texts or more, or for those of --label; their words of up to 3 letters and those with digits stay.

    [bold]Examples[/bold]

      voxkit ner corrupt data/snips/test.conll --kind typos --share 0.2 --out data/snips_typos

      voxkit ner corrupt data/snips/test.conll --kind misheard --lexicon data/cmudict/train.tsv --out data/misheard

      voxkit ner corrupt data/snips/test.conll --kind names --label artist --label city --out data/snips_names
    """
    from voxkit.commands.ner.corrupt import Corruption, run

    run(
        Corruption(
            tuple(test),
            kind,
            share,
            seed,
            lexicon,
            g2p,
            confusions,
            tuple(label or ()),
            tuple(known or ()),
            asr_text,
            max_bad,
        ),
        out,
    )

"""`voxkit g2p`: the signatures, the configs and the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import typer
from pydantic import Field, model_validator

from voxkit.commands.options import MaxBad
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.errors import UserError
from voxkit.train.settings import TrainConfig

app = typer.Typer(no_args_is_help=True)


class LetterConfig(Config):
    """How words are spelt for the model, in training and afterwards."""

    form: Literal["nfd", "nfc"] = Field(
        "nfd", description="Unicode form: nfd takes é apart into letter and accent, nfc keeps it whole"
    )
    hangul: Literal["jamo", "syllables"] = Field("jamo", description="Korean syllables in their letters, or whole")
    kana: bool = Field(True, description="read katakana as hiragana, half-width katakana too")
    lower: bool = Field(True, description="lower case, with the dotless i of Turkish and Azerbaijani")


class PhoneConfig(Config):
    """How pronunciations are written; applied to the training data, so that the model says them that way."""

    form: Literal["nfc", "nfd", "none"] = Field("nfc", description="Unicode form of each phone")
    tie_bars: Literal["keep", "drop"] = Field("keep", description="the tie bars of affricates, t͡ʃ")
    length: Literal["keep", "drop"] = Field("keep", description="length marks, aː aˑ")
    stress: Literal["keep", "drop"] = Field("keep", description="stress marks ˈ ˌ, and the digits of ARPAbet vowels")
    table: Literal["shared", "language"] = Field(
        "shared", description="one symbol for a phone in all languages, or one for each language"
    )
    restrict: bool = Field(
        True,
        description="a language's words get no phones that it never had in training (always so with a table for each)",
    )


class ModelConfig(Config):
    """The network: an encoder over letters and a decoder over phones, with the language's embedding in both."""

    kind: Literal["lstm", "transformer"] = Field("lstm", description="attentive BiLSTM encoder-decoder, or Transformer")
    width: int = Field(256, ge=8, description="of letters, encoder and phones; even")
    layers: int = Field(2, ge=1, description="of the encoder")
    decoder_width: int = Field(256, ge=8, description="cells of the decoder's LSTMs (the Transformer's is `width`)")
    decoder_layers: int = Field(2, ge=1, description="of the decoder; each attends to the letters")
    heads: int = Field(1, ge=1, description="of every attention")
    language_width: int = Field(64, ge=1, description="of a language's embedding")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout probability")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "lstm" and self.width % 2:
            raise ValueError(f"width {self.width}: a BiLSTM's is even, half of it for each direction")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be divided into {self.heads} heads")
        return self


class BatchConfig(Config):
    """Batches of words of similar length."""

    words: int = Field(128, ge=1, description="words in a batch")
    buckets: int = Field(12, ge=1, description="groups of similar length that batches are drawn from")


class G2pTraining(TrainConfig):
    """The training loop's settings, with what suits words."""

    epochs: int = Field(40, ge=1, description="length of training where `steps` is none [passes over the data]")
    lr: float = Field(2e-3, gt=0, le=100, description="highest learning rate")
    clip_norm: float = Field(1.0, ge=0, description="largest norm of the gradient of the mean loss; 0: no limit")
    score_every: int = Field(2, ge=1, description="how often the model is scored [score_unit]")
    log_every: int = Field(50, ge=1, description="distance of records in metrics.jsonl [steps]")


class DataConfig(Config):
    """What the model is trained on; the command's options fill this in."""

    train: tuple[str, ...] = Field((), description="pronunciations to learn, as FILE or LANGUAGE=FILE")
    dev: tuple[str, ...] = Field((), description="pronunciations to score on while training; else some of train")
    languages: tuple[str, ...] = Field((), description="use these languages only; none: all")
    words: int | None = Field(None, ge=1, description="use so many words of each language only; none: all")
    max_bad: float = Field(0.0, ge=0, le=1, description="share of bad rows that is tolerated")
    digests: dict[str, str] = Field({}, description="of these files; written by the command")


class G2p(Config):
    """Everything that `g2p train` can be told."""

    data: DataConfig = DataConfig()
    letters: LetterConfig = LetterConfig()
    phones: PhoneConfig = PhoneConfig()
    model: ModelConfig = ModelConfig()
    batch: BatchConfig = BatchConfig()
    temperature: float = Field(
        1.0, ge=1, le=1000, description="languages are drawn in proportion to their pronunciations ** (1 / temperature)"
    )
    hide_language: float = Field(
        0.05, ge=0, lt=1, description="share of the training words whose language the model is not told"
    )
    hide_letters: float = Field(0.005, ge=0, lt=1, description="share of the letters that it is not shown")
    language_loss: float = Field(0.5, ge=0, le=10, description="weight of telling which languages have the word")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target that all phones get")
    train: G2pTraining = G2pTraining()


CONFIG = G2p

Also = Annotated[
    list[Path] | None,
    typer.Option("--also", help="One more model of the same training data: an ensemble (repeatable)."),
]
Beam = Annotated[int, typer.Option("--beam", min=1, max=100, help="Hypotheses that the search keeps for a word.")]
Threads = Annotated[int, typer.Option("--threads", min=1, max=1024, help="CPU threads.")]


@app.command()
def train(
    train: Annotated[
        list[str] | None,
        typer.Option("--train", metavar="[LANG=]FILE", help="What to learn from (repeatable).", show_default=False),
    ] = None,
    dev: Annotated[
        list[str] | None,
        typer.Option(
            "--dev",
            metavar="[LANG=]FILE",
            help="Pronunciations to score on while training (repeatable).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Experiment folder; run again to resume.")] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Learn this language only (repeatable).", show_default=False)
    ] = None,
    words: Annotated[
        int | None, typer.Option("--words", help="Use so many words of each language only.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Same as --set train.seed=N.")] = None,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Learn to pronounce the words of one language or of many.

    A file holds lines of `word<TAB>phone phone ...[<TAB>language]` (SIGMORPHON, WikiPron, `voxkit prepare`), or of
    `WORD phone phone ...` (CMUdict, lexicon.txt); LANG= names the language where the lines do not. A word with several
    pronunciations has several lines. All languages share one model; each has an embedding, which training hides now
    and then, so that a word of unknown language can be pronounced too. Words are pronounced by `g2p apply`.

    [bold]Examples[/bold]

      voxkit g2p train --train data/sig20/train.tsv --dev data/sig20/dev.tsv --out exp/g2p

      voxkit g2p train --train en=cmudict.dict --train de=german.tsv --out exp/g2p --set train.epochs=20

      voxkit g2p train ... --set model.kind=transformer --set model.heads=4 --set model.layers=4
    """
    data = {"train": train and tuple(train), "dev": dev and tuple(dev), "languages": language and tuple(language)}
    flags: dict[str, Any] = {"data": {**data, "words": words, "max_bad": max_bad or None}}
    if seed is not None:
        flags["train"] = {"seed": seed}
    settings = build(G2p, config, set_, **flags)
    if print_config:
        print(to_yaml(settings), end="")
        return
    missing = [] if settings.data.train else ["--train"]
    missing += ["--out"] if out is None else []
    if missing or out is None:
        raise UserError(f"g2p train needs {' and '.join(missing)}", fix="see voxkit g2p train --help")

    from voxkit.commands.g2p.material import identified
    from voxkit.commands.g2p.task import G2pTask
    from voxkit.train import run

    settings = settings.model_copy(update={"data": identified(settings.data)})
    run.train("g2p train", settings, settings.train, out, lambda folder: G2pTask(settings, folder))


@app.command()
def apply(
    model: Annotated[Path, typer.Argument(help="Experiment or bundle of g2p train, or folder of g2p export.")],
    words: Annotated[
        list[Path] | None,
        typer.Argument(help="Words: text, TSV or manifests; `-` or nothing is stdin.", show_default=False),
    ] = None,
    lang: Annotated[
        str,
        typer.Option("--lang", "-l", help="Language of words that name none; `auto` lets the model tell each word's."),
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for lexicon.txt; else stdout.", show_default=False)
    ] = None,
    known: Annotated[
        Path | None, typer.Option("--known", help="Lexicon whose words need no pronunciation.", show_default=False)
    ] = None,
    with_known: Annotated[bool, typer.Option("--with-known", help="Put the entries of --known into OUT too.")] = False,
    nbest: Annotated[int, typer.Option("--nbest", "-n", min=1, max=100, help="Pronunciations of each word.")] = 1,
    least: Annotated[
        float,
        typer.Option(
            "--least", min=0, max=1, help="Least probability of a further pronunciation, relative to the first."
        ),
    ] = 0.0,
    switch: Annotated[
        float | None,
        typer.Option(
            "--switch",
            min=0,
            max=1,
            help="Say a word in another language than --lang where the model finds that as probable as this.",
            show_default=False,
        ),
    ] = None,
    also: Also = None,
    beam: Beam = 5,
    normaliser: Annotated[
        str, typer.Option("--normaliser", help="Applied to the text of manifests: none, upper, lower, asr_en.")
    ] = "none",
    interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Ask for words and answer at once.")] = False,
    threads: Threads = 1,
) -> None:
    """Pronounce words: of a text, of a manifest, or those that come through a pipe.

    Text has one word a line, or `word<TAB>language`. Of a Lhotse manifest every word in its texts is taken once.
    Output is `word<TAB>phones`, with --nbest `word<TAB>probability<TAB>phones`; the language that was taken is the last
    column where the input names languages, the model chose (--lang auto), or might have (--switch). A language that the
    model has not learnt is pronounced as one unknown to it, with a notice.

    With --out, OUT/lexicon.txt is a lexicon that `voxkit make-graph --lexicon` takes; with --nbest its probabilities
    are relative to the best of each word, as in Kaldi's lexicons. Words that cannot be pronounced (no letter of theirs
    is known, or there are more than 255) or cannot be in a lexicon are listed in OUT/unpronounced.txt with the reason.

    [bold]Examples[/bold]

      echo "bonjour" | voxkit g2p apply exp/g2p --lang fre

      voxkit g2p apply exp/g2p words.txt --lang fre --nbest 3

      voxkit g2p apply exp/g2p data/train.jsonl.gz --lang en --known lexicon.txt --with-known --out exp/lexicon

      voxkit g2p apply exp/g2p --interactive
    """
    from voxkit.commands.g2p.apply import Request, run

    if with_known and known is None:
        raise UserError("--with-known without --known", fix="name the lexicon: --known FILE")
    if with_known and out is None:
        raise UserError("--with-known writes a lexicon", fix="name a folder for it: --out DIR")
    if interactive and (words or out or known):
        raise UserError("--interactive reads what is typed and writes to the terminal", fix="give it a model alone")
    if switch is not None and lang == "auto":
        raise UserError(
            "--switch leaves a language, and --lang auto has none", fix="name it with --lang, or leave out --switch"
        )
    models = (model, *(also or ()))
    run(
        Request(models, tuple(words or ()), lang, known, with_known, nbest, least, switch, beam, normaliser, threads),
        out,
        interactive,
    )


@app.command()
def score(
    model: Annotated[Path, typer.Argument(help="Experiment or bundle of g2p train, or folder of g2p export.")],
    test: Annotated[
        list[str], typer.Argument(metavar="[LANG=]FILE...", help="Pronunciations that are right, as for g2p train.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results; else lines only.", show_default=False)
    ] = None,
    also: Also = None,
    beam: Beam = 5,
    lang: Annotated[
        str,
        typer.Option("--lang", help="What the model is told: given (by the file), auto (it guesses), none."),
    ] = "given",
    language: Annotated[
        list[str] | None, typer.Option("--language", help="Score this language only (repeatable).", show_default=False)
    ] = None,
    threads: Threads = 1,
    max_bad: MaxBad = 0.0,
) -> None:
    """Pronounce the words of a lexicon and count errors.

    `%WER` is the share of words that are not as any of their pronunciations in the file, `%PER` the errors in phones,
    for each language and as mean over languages (macro), as SIGMORPHON counts. OUT gets score.json, by_language.tsv,
    confusions.tsv (the confusions that cost most), errors.tsv, predictions.tsv and pictures.

    [bold]Examples[/bold]

      voxkit g2p score exp/g2p data/sig20/test.tsv --out exp/g2p/test

      voxkit g2p score exp/seed0 data/test.tsv --also exp/seed1 --also exp/seed2 --out exp/ensemble
    """
    if lang not in ("given", "auto", "none"):
        raise UserError(f"--lang {lang}: neither given, auto nor none", fix="give one of these")
    from voxkit.commands.g2p.score import Examination, run

    models = (model, *(also or ()))
    run(Examination(models, tuple(test), tuple(language or ()), lang, beam, threads, max_bad), out)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="Experiment or bundle of g2p train.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
) -> None:
    """Write a model as ONNX, for onnxruntime: encoder.onnx, decoder.onnx and tables.json.

    `g2p apply` and `g2p score` take the folder like any model, and start much faster, since torch is not needed then.
    It is written only if onnxruntime says what torch says.

    [bold]Example[/bold]

      voxkit g2p export exp/g2p --out exp/g2p_onnx
    """
    from voxkit.commands.g2p.export import run

    run(model, out)

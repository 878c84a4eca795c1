"""`voxkit prepare`: a corpus as Lhotse manifests, or as files of pronunciations, tagged sentences or text."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxkit.commands.options import MaxBad
from voxkit.config import ConfigFile, PrintConfig, Set, build, to_dict, to_yaml
from voxkit.data.corpora.espeak_config import EspeakConfig
from voxkit.data.corpora.mini_config import MiniConfig
from voxkit.data.corpora.spoken_config import SpokenConfig
from voxkit.errors import Interrupted, Problems, UserError

if TYPE_CHECKING:
    from voxkit.data.corpora.corpus import Lexical, Pronounced, TaggedCorpus, TextCorpus

CONFIG = MiniConfig

Jobs = Annotated[
    int | None,
    typer.Option("--num-jobs", "-j", min=1, help="mini, spoken: processes.", show_default="all CPUs"),
]


def prepare(
    corpus: Annotated[
        str | None, typer.Argument(help="A name from --list, or `dir` for your own audio.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write.", show_default=False)] = None,
    source: Annotated[
        Path | None, typer.Option(help="Folder that holds the corpus.", show_default="$VOXKIT_DATA/CORPUS")
    ] = None,
    download: Annotated[bool, typer.Option(help="Download what is not on this machine.")] = True,
    max_bad: MaxBad = 0.0,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="PART=FILE", help="spoken: text of train, dev, test or lexicon (repeatable)."),
    ] = None,
    hours: Annotated[float | None, typer.Option(help="mini: hours of speech.", show_default="1")] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="mini, spoken: everything follows from it; espeak: the parts do.", show_default="1"),
    ] = None,
    num_jobs: Jobs = None,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
    list_corpora: Annotated[bool, typer.Option("--list", help="Show all corpora and stop.")] = False,
) -> None:
    r"""Turn a corpus, a folder of audio or a Kaldi data directory into Lhotse manifests.

    For each part of the corpus --out gets recordings_PART, supervisions_PART and cuts_PART.jsonl.gz, and what the
    corpus brings: a lexicon, texts for a language model. All audio is decoded once; what is wrong with it is
    reported with file and line. --max-bad goes on without the bad utterances and lists them in rejected.jsonl.

    A corpus is looked for in --source, then in $VOXKIT_DATA/CORPUS, then at its official address. `mini` needs none
    of these: it is spoken on the spot (--print-config shows its settings). `dir` reads the folder --source: audio
    files with or without transcripts.tsv (path<TAB>text[<TAB>speaker]), or a Kaldi data directory.

    Corpora without sound (HOURS is - in --list) hold pronunciations, named entities or text. Of pronunciations --out
    gets train.tsv, dev.tsv and test.tsv, with lines word<TAB>phone phone ...<TAB>language. `espeak` needs no files:
    espeak-ng pronounces the most frequent words of each language, or yours (prepare espeak --print-config shows its
    settings). Of named entities --out gets train.conll, dev.conll and test.conll, with lines word<TAB>BIO tag. Of text
    --out gets train.txt, dev.txt and test.txt with a sentence or an utterance a line, and more where the corpus has it.

    `spoken` speaks sentences of your own text with the voices of `mini`: --text train=FILE, dev=FILE and test=FILE;
    the lexicon also has the words of --text lexicon=FILE (prepare spoken --print-config shows its settings). FILE has a
    sentence a line, or is a folder of such files or a manifest. Sentences with digits or signs (write numbers out), and
    those that are too long or in an earlier part's text too, are left out: left_out.tsv has their places and reasons.
    Of train, sentences of a short text are spoken again in other voices until its hours are full (--set train_hours=1).

    [bold]Examples[/bold]

      voxkit prepare --list

      voxkit prepare an4 --out data/an4

      voxkit prepare mini --out data/mini --hours 2 --set dialects=\[en-us,en-029] --set snr=\[0,20]

      voxkit prepare espeak --out data/words --set languages=\[en-us,de,fr] --set per_language=5000

      voxkit prepare spoken --out data/talk --text train=train.txt --text dev=dev.txt --text test=test.txt

      voxkit prepare snips --out data/snips

      voxkit prepare multiwoz21 --out data/multiwoz

      voxkit prepare dir --source my_recordings --out data/mine --max-bad 0.05
    """
    if list_corpora:
        print(_table())
        return
    if corpus is None:
        raise UserError("no corpus named", fix="voxkit prepare CORPUS --out DIR; voxkit prepare --list shows them")
    from voxkit.data.corpora.registry import LEXICAL, TAGGED, TEXTS

    settings = {"config": config, "sets": set_, "seed": seed}
    if corpus != "spoken":
        _refuse(f"only spoken takes text; {corpus} has no", {"--text": text})
    if corpus == "spoken":
        _refuse("spoken is spoken on the spot and has no", {"--source": source, "--max-bad": max_bad or None})
        if hours is not None:
            fix = f"write --set train_hours={hours:g}, and dev_hours and test_hours in the same way"
            raise UserError("spoken has no --hours: each of its parts has hours of its own", fix=fix)
        _spoken(out, num_jobs, print_config, settings, text)
    elif corpus == "mini":
        _refuse("mini is spoken on the spot and has no", {"--source": source, "--max-bad": max_bad or None})
        _mini(out, num_jobs, print_config, {**settings, "hours": hours})
    elif corpus == "espeak":
        refused = {"--source": source, "--hours": hours, "--num-jobs": num_jobs}
        _refuse("espeak is pronounced on the spot and has no", refused)
        _espeak(out, max_bad, print_config, settings)
    else:
        how = "read from files" if corpus in {*LEXICAL, *TAGGED, *TEXTS} else "recorded"
        for_others = {"--hours": hours, "--seed": seed, "--num-jobs": num_jobs, "--config": config, "--set": set_}
        _refuse(f"{corpus} is {how} and has no", {**for_others, "--print-config": print_config or None})
        if corpus in LEXICAL:
            _lexical(LEXICAL[corpus], out, source, download, max_bad)
        elif corpus in TAGGED:
            _tagged(TAGGED[corpus], out, source, download, max_bad)
        elif corpus in TEXTS:
            _text(TEXTS[corpus], out, source, download, max_bad)
        else:
            _recorded(corpus, out, source, download, max_bad)


def _refuse(reason: str, options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise UserError(f"{reason} {', '.join(given)}", fix="leave it out; voxkit prepare --help")


def _mini(out: Path | None, jobs: int | None, print_config: bool, settings: dict[str, Any]) -> None:
    config = build(MiniConfig, **settings)
    if print_config:
        print(to_yaml(config), end="")
        return
    from voxkit.data.corpora import mini

    _speak("mini", out, jobs, to_dict(config), partial(mini.prepare, config))


def _spoken(
    out: Path | None, jobs: int | None, print_config: bool, settings: dict[str, Any], text: list[str] | None
) -> None:
    texts: dict[str, list[str]] = {}
    for item in text or ():
        part, equals, path = item.partition("=")
        if not (part and equals and path):
            raise UserError(f"--text {item}: not of the form PART=FILE", fix="write for example --text train=FILE")
        texts.setdefault(part, []).append(path)
    config = build(SpokenConfig, **settings, texts=texts or None)
    if print_config:
        print(to_yaml(config), end="")
        return
    from voxkit.data.corpora import spoken
    from voxkit.data.sentences import digest_of

    paths = sorted({path for of_part in config.texts.values() for path in of_part})
    spec = {**to_dict(config), "digests": {path: digest_of(Path(path)) for path in paths}}
    _speak("spoken", out, jobs, spec, partial(spoken.prepare, config))


def _speak(
    name: str,
    out: Path | None,
    jobs: int | None,
    spec: dict[str, Any],
    prepare: Callable[[Path, Path, int], dict[str, tuple[int, float]]],
) -> None:
    """A corpus that is spoken on the spot, by `prepare(work, out, processes)`; the same command goes on with it."""
    from voxkit.rundir import output
    from voxkit.train.interrupt import listening

    sizes: dict[str, tuple[int, float]] = {}
    with output(_given(out), "prepare", {"corpus": name, **spec}) as folder, listening() as signals:
        if folder.done:
            return
        processes = jobs or len(os.sched_getaffinity(0))
        if not signals.attempt(lambda: sizes.update(prepare(folder.work, folder.out, processes))):
            raise Interrupted(f"{signals.received}; the same command goes on with {folder.work}")
    _tell(name, sizes, folder.out)


def _recorded(name: str, out: Path | None, source: Path | None, download: bool, max_bad: float) -> None:
    from voxkit.data.corpora import dir, writing
    from voxkit.data.corpora.registry import CORPORA, unknown
    from voxkit.data.corpora.source import locate
    from voxkit.rundir import output

    corpus = CORPORA.get(name)
    if corpus is None and name != "dir":
        raise unknown(name)
    out = _given(out)
    if corpus is not None:
        folder = locate(corpus, source, download)
    elif source is not None and source.is_dir():
        folder = source
    else:
        raise UserError(
            f"dir: no folder {source}" if source else "dir: no --source", fix="give the folder of your audio"
        )
    read = corpus.read if corpus is not None else dir.read
    spec = {"corpus": name, "source": str(folder.resolve()), "max_bad": max_bad}
    with output(out, "prepare", spec, resumable=False) as made:
        if made.done:
            return
        problems = Problems()
        sizes = writing.write(read(folder, problems), made.work, problems, max_bad)
    _tell(name, sizes, made.out)


def _espeak(out: Path | None, max_bad: float, print_config: bool, settings: dict[str, Any]) -> None:
    config = build(EspeakConfig, **settings)
    if print_config:
        print(to_yaml(config), end="")
        return
    from voxkit.data.corpora import espeak_words
    from voxkit.rundir import digest

    made_by = {"espeakng-loader": _version("espeakng-loader")}
    words = {"words_sha256": digest(Path(config.words))} if config.words else {"wordfreq": _version("wordfreq")}
    spec = {"corpus": "espeak", **to_dict(config), **made_by, **words, "max_bad": max_bad}
    _write_lexical(lambda problems: espeak_words.read(config, problems), out, spec, max_bad)


def _version(package: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _lexical(corpus: Lexical, out: Path | None, source: Path | None, download: bool, max_bad: float) -> None:
    out = _given(out)
    folder, spec = _located(corpus, source, download, max_bad)
    _write_lexical(lambda problems: corpus.read(folder, problems), out, spec, max_bad)


def _tagged(corpus: TaggedCorpus, out: Path | None, source: Path | None, download: bool, max_bad: float) -> None:
    from voxkit.data.corpora import tagged
    from voxkit.rundir import output

    out = _given(out)
    folder, spec = _located(corpus, source, download, max_bad)
    with output(out, "prepare", spec, resumable=False) as made:
        if made.done:
            return
        problems = Problems()
        sizes = tagged.write(corpus.read(folder, problems), made.work, problems, max_bad)
    print(f"{corpus.name}: {sizes} -> {made.out}")


def _text(corpus: TextCorpus, out: Path | None, source: Path | None, download: bool, max_bad: float) -> None:
    from voxkit.data.corpora import lm_text
    from voxkit.rundir import output

    out = _given(out)
    folder, spec = _located(corpus, source, download, max_bad)
    with output(out, "prepare", spec, resumable=False) as made:
        if made.done:
            return
        problems = Problems()
        sizes = lm_text.write(corpus.read(folder, problems), made.work, problems, max_bad)
    print(f"{corpus.name}: {sizes} -> {made.out}")


def _located(
    corpus: Lexical | TaggedCorpus | TextCorpus, source: Path | None, download: bool, max_bad: float
) -> tuple[Path, dict[str, Any]]:
    """The folder of a corpus, and what decides what is made of it."""
    from voxkit.data.corpora.source import locate
    from voxkit.rundir import digest

    folder = locate(corpus, source, download)
    files = {str(path.relative_to(folder)): digest(path) for path in corpus.files(folder)}
    return folder, {"corpus": corpus.name, "source": str(folder.resolve()), "files": files, "max_bad": max_bad}


def _write_lexical(
    read: Callable[[Problems], Pronounced], out: Path | None, spec: dict[str, Any], max_bad: float
) -> None:
    from voxkit.data.corpora import lexical
    from voxkit.rundir import output

    with output(_given(out), "prepare", spec, resumable=False) as made:
        if made.done:
            return
        problems = Problems()
        sizes = lexical.write(read(problems), made.work, problems, max_bad)
    print(f"{spec['corpus']}: {sizes} -> {made.out}")


def _given(out: Path | None) -> Path:
    if out is None:
        raise UserError("no --out given", fix="name the folder to write with --out DIR")
    return out


def _tell(name: str, sizes: dict[str, tuple[int, float]], out: Path) -> None:
    parts = ", ".join(f"{part} {count} utterances {seconds / 3600:.2f} h" for part, (count, seconds) in sizes.items())
    print(f"{name}: {parts} -> {out}")


def _table() -> str:
    """All corpora, one a line."""
    from voxkit.data.corpora.registry import describe

    rows = [("NAME", "HOURS", "MB", "LICENCE", "FROM", "WHAT"), *describe()]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join("  ".join([*(f.ljust(w) for f, w in zip(row, widths, strict=False)), row[-1]]) for row in rows)

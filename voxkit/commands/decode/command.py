"""`voxkit decode`: the signature, the config and the help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from voxkit.commands.options import MaxBad, Merge, NumJobs, Shard
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.decode.settings import SearchConfig
from voxkit.errors import UserError


class TuneConfig(Config):
    """The grid of `--tune`: every pair is tried on the same network outputs."""

    acoustic_scales: tuple[float, ...] = Field((0.5, 0.7, 1.0, 1.4, 2.0), min_length=1, description="to try")
    blank_penalties: tuple[float, ...] = Field((0.0, 1.0, 2.0, 3.0, 4.0), min_length=1, description="to try [-log]")


class Decode(Config):
    """Everything that `decode` can be told."""

    method: Literal["auto", "greedy", "lattice", "nbest", "mbr"] = Field(
        "auto", description="auto is lattice with --graph, greedy without; mbr is minimum Bayes risk"
    )
    nbest: int = Field(10, ge=1, le=1000, description="hypotheses that the method nbest keeps of each cut")
    confusion: bool = Field(False, description="make confusion networks and word posteriors; the method mbr does")
    backend: Literal["kaldi", "k2"] = Field(
        "kaldi", description="what searches the graph; k2 takes cuts together, and runs on `device` (see voxkit doctor)"
    )
    search: SearchConfig = SearchConfig()
    tune: TuneConfig = TuneConfig()
    normaliser: Literal["none", "upper", "lower", "asr_en"] | None = Field(
        None, description="applied to both sides before scoring; null is the lang folder's"
    )
    batch_duration: float = Field(60.0, gt=0, description="audio in one pass of the network, padding included [s]")
    part_seconds: float = Field(
        300.0,
        gt=0,
        description="audio in a part, the unit of parallel work and resuming; a small set has at most 16 parts [s]",
    )
    device: str = Field("cpu", description="where the network runs, and k2: cpu, cuda, cuda:1 ...")

    @property
    def makes_confusion(self) -> bool:
        return self.confusion or self.method == "mbr"


CONFIG = Decode


def decode(
    exp: Annotated[Path | None, typer.Argument(help="Experiment or bundle folder of train-am.")] = None,
    inputs: Annotated[list[Path] | None, typer.Argument(help="A manifest of cuts (.jsonl.gz), or audio files.")] = None,
    graph: Annotated[
        Path | None, typer.Option("--graph", "-g", help="Lang folder with a graph (make-graph).", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for results; without it text goes to stdout.", show_default=False),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="greedy, lattice, nbest or mbr.", show_default=False)
    ] = None,
    nbest: Annotated[
        int | None, typer.Option("--nbest", help="Keep so many hypotheses (--method nbest).", show_default=False)
    ] = None,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Write confusion networks and the posterior of each word.")
    ] = False,
    kaldi: Annotated[
        bool, typer.Option("--kaldi", help="Write the lattices as Kaldi's text too, also of a finished OUT.")
    ] = False,
    tune: Annotated[
        bool, typer.Option("--tune", help="Find the scales that suit CUTS (a dev set); writes OUT/decode.yaml.")
    ] = False,
    plot: Annotated[
        list[str] | None,
        typer.Option(
            "--plot",
            metavar="ID",
            help="Draw this cut's spectrogram, words and bins; `worst` has most errors (repeatable).",
        ),
    ] = None,
    num_jobs: NumJobs = 1,
    shard: Shard = None,
    merge: Merge = False,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Recognise cuts or audio files, and score them where there are references.

    OUT gets hypotheses.jsonl.gz (cuts with words, times and scores), lattices/, and with references score.json,
    alignment.txt, confusions.tsv and .png, and tables by speaker and dialect. `%WER`, `%CER`, `%SER`, the oracle word
    error rate of the lattices `%OWER` and the real-time factor `%RTF` go to stdout. RTF is CPU time over audio time on
    one core, from reading the audio to lattices and confusion networks; starting Python and loading the model are not
    part of it. All cuts are checked first and all audio while it is decoded. Killed at any moment, the same command
    goes on after the parts that were finished.

    --confusion writes confusion/ beside lattices/, and gives each word its posterior: in the manifest (`posterior`)
    and as the score of its time. The networks lie around the best path; --method mbr moves on to the words of minimum
    Bayes risk (Xu, Povey, Mangu, Zhu 2011), which are then the hypothesis.

    --kaldi writes kaldi/lat.1.gz and so on beside lattices/: CompactLattices as text, with the word ids of words.txt
    and acoustic costs scaled as in the search. Kaldi's tools read "ark:gunzip -c OUT/kaldi/lat.*.gz |".

    [bold]Examples[/bold]

      voxkit decode exp/am recording.wav --graph exp/lang

      voxkit decode exp/am data/test.jsonl.gz --graph exp/lang --out exp/test --num-jobs 4

      voxkit decode exp/am data/test.jsonl.gz --graph exp/lang --out exp/test --nbest 10 --confusion

      voxkit decode exp/am data/dev.jsonl.gz --graph exp/lang --tune --out exp/tuned

      voxkit decode exp/am data/test.jsonl.gz --graph exp/lang --config exp/tuned/decode.yaml --out exp/test --plot utt7
    """
    if nbest is not None and method is None:
        method = "nbest"
    settings = build(Decode, config, set_, method=method, nbest=nbest, confusion=confusion or None)
    if print_config:
        print(to_yaml(settings), end="")
        return
    if nbest is not None and settings.method != "nbest":
        raise UserError(f"--nbest does not go with the method {settings.method}", fix="leave out --method")
    _consistent(exp, inputs, graph, out, settings, (tune, merge, shard, plot, kaldi))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # one core a process; read when numpy and torch are imported
    from voxkit.commands.decode.task import Job, run, run_tune
    from voxkit.data.sharding import shard_out

    if exp is None or not inputs:  # told above; mypy cannot know
        raise UserError("nothing to decode", fix="see voxkit decode --help")
    job = Job(settings, exp, tuple(inputs), graph, num_jobs, max_bad)
    if tune:
        if out is None:
            raise UserError("--tune without --out", fix="name a folder for decode.yaml: --out DIR")
        run_tune(job, out)
    else:
        run(job, None if out is None else shard_out(out, shard), shard, merge, plot or [], kaldi)


def _consistent(
    exp: Path | None,
    inputs: list[Path] | None,
    graph: Path | None,
    out: Path | None,
    settings: Decode,
    extra: tuple[bool, bool, str | None, list[str] | None, bool],
) -> None:
    """Refuse what does not go together, before anything slow happens."""
    tune, merge, shard, plot, kaldi = extra
    if exp is None or not inputs:
        raise UserError(f"decode needs {'EXP' if exp is None else 'cuts or audio files'}", fix="voxkit decode --help")
    if settings.confusion and settings.method == "greedy":
        raise UserError("the method greedy makes no lattice, and so no confusion network", fix="leave out --method")
    if graph is None and (tune or settings.confusion or settings.method in ("lattice", "nbest", "mbr")):
        wanted = "--tune" if tune else "--confusion" if settings.confusion else f"the method {settings.method}"
        instead = "" if settings.confusion else ", or use greedy"
        raise UserError(f"{wanted} needs a graph", fix=f"give --graph DIR (voxkit make-graph makes it){instead}")
    if kaldi and (tune or graph is None or settings.method == "greedy"):
        instead = "--tune" if tune else "a search without a graph" if graph is None else "the method greedy"
        raise UserError(f"--kaldi writes lattices, and {instead} makes none", fix="leave out one of them")
    if out is None and (merge or shard or plot or kaldi or settings.confusion):
        given = {"--merge": merge, "--shard": shard, "--plot": plot, "--kaldi": kaldi, "--confusion": True}
        name = next(name for name, value in given.items() if value)
        raise UserError(f"{name} needs --out", fix="name a folder for results")
    if merge and shard:
        raise UserError("--merge joins the parts of all shards; --shard does one", fix="give one of them")
    if tune and (merge or shard or plot):
        raise UserError("--tune goes with neither --shard, --merge nor --plot", fix="use --num-jobs to be faster")

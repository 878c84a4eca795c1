"""`voxkit select-data`: the signature, the config and the help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.errors import UserError


class SimilarityConfig(Config):
    """How alike two bins with the same two best words are: k = exp(-beta * d) * what they have in common."""

    beta: float = Field(
        1.0,
        gt=0,
        le=20,
        description="d is the difference of the two bins' log odds, in which the recogniser's own view of the sound is "
        "summed up: at 1, odds of 3 to 1 count 0.33 for a bin with even odds",
    )
    step: float = Field(
        0.5, ge=0.1, le=2, description="log odds are rounded to multiples of this; sets the index's size"
    )
    left: float = Field(0.15, ge=0, le=1, description="share of k that takes the same word before")
    right: float = Field(0.15, ge=0, le=1, description="share of k that takes the same word behind")
    voice: float = Field(
        0.2, ge=0, le=1, description="share of k that takes the same speaker, where speakers are known"
    )
    pace: float = Field(0.1, ge=0, le=1, description="share of k that takes a like duration per phone (within 1.4)")
    rare: int = Field(8, ge=0, description="pairs in fewer bins also hear bins whose words differ in the same phones")
    back_off: float = Field(0.5, ge=0, le=1, description="how much k is lowered for these")


class EntropyConfig(Config):
    """Entropy reduction."""

    prior: float = Field(
        6.0, gt=0, description="the recogniser's posterior counts like so many neighbours (strength of the Beta prior)"
    )
    ceiling: float = Field(
        0.98,
        gt=0.5,
        lt=1,
        description="no posterior is believed beyond this: lattices are pruned, and a recogniser that errs in a third "
        "of the words is never surer of one",
    )
    error_cost: float = Field(
        1.0,
        ge=0,
        description="lambda: entropy [bit/s] that a share of wrong words of 1 outweighs; lower means more variety and "
        "more errors. An uncertain word that is confirmed gains some 0.5 bit, and speech has 2 or 3 words a second",
    )
    enough: float = Field(
        2.0, gt=0, description="so many chosen or labelled bins like it halve what another one is worth"
    )
    least: float | None = Field(
        None,
        description="what scores less, before that discount, is never chosen, though the budget be not filled; null: "
        "only what the rest of the pool contradicts as a whole is refused (the sum of its gains is negative)",
    )
    similarity: SimilarityConfig = SimilarityConfig()


class GermConfig(Config):
    """Global entropy reduction maximisation."""

    beta: float = Field(4.0, gt=0, le=100, description="exp(-beta d), d = 1 - cosine of two utterances' words (tf-idf)")
    alpha: float = Field(1.0, gt=0, le=1, description="share of a like utterance's entropy that labelling removes")
    anchors: int = Field(
        1000, ge=1, description="utterances that stand for those nearest to them; every one in smaller pools"
    )
    dimensions: int = Field(64, ge=4, le=4096, description="of the random projection of an utterance's words")


class SelectData(Config):
    """Everything that `select-data` can be told."""

    method: Literal["entropy", "random", "confidence", "germ"] = Field("entropy", description="how to choose")
    hours: float = Field(1.0, gt=0, description="most audio to choose [h]")
    weight: float = Field(0.7, gt=0, le=1, description="of a chosen utterance in training, beside 1 of a labelled one")
    seed: int = Field(0, ge=0, description="for random, and for the anchors and projection of germ")
    blocks: int = Field(20, ge=1, le=10_000, description="entropy and germ score anew after each of so many shares")
    min_confidence: float = Field(0.0, ge=0, le=1, description="leave out utterances of lower mean word confidence")
    max_duration: float | None = Field(None, gt=0, description="leave out longer utterances [s]")
    average: Literal["mean", "min"] = Field("mean", description="confidence of an utterance, from that of its words")
    normaliser: Literal["none", "upper", "lower", "asr_en"] | None = Field(
        None, description="applied to transcripts before they are compared; null is that of --lang, or none"
    )
    entropy: EntropyConfig = EntropyConfig()
    germ: GermConfig = GermConfig()


CONFIG = SelectData


def select_data(
    pool: Annotated[
        list[Path] | None, typer.Argument(help="Folders of `voxkit decode` (--confusion) or `score-confidence apply`.")
    ] = None,
    labelled: Annotated[
        Path | None, typer.Option("--labelled", help="CutSet that the recogniser was trained on.", show_default=False)
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", "-H", help="Choose so much audio.", show_default=False)
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", "-m", help="entropy, random, confidence or germ.", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the choice.", show_default=False)] = None,
    weight: Annotated[
        float | None, typer.Option("--weight", help="Weight of a chosen utterance in training.", show_default=False)
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the random choice.", show_default=False)] = None,
    lang: Annotated[
        Path | None, typer.Option("--lang", help="Lang folder; without it letters are the phones.", show_default=False)
    ] = None,
    labelled_decode: Annotated[
        Path | None,
        typer.Option(
            "--labelled-decode",
            help="Decode (--confusion) of --labelled: how often the recogniser takes one word for another.",
            show_default=False,
        ),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option("--min-confidence", help="Leave out what is less sure.", show_default=False)
    ] = None,
    max_duration: Annotated[
        float | None, typer.Option("--max-duration", help="Leave out what is longer (seconds).", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be chosen, and write nothing.")] = False,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Choose machine-labelled utterances that are worth training on, under a budget of hours.

    OUT gets selected.jsonl.gz (the chosen cuts, with the hypothesis as text, a weight, and the reason of the choice),
    train.jsonl.gz (labelled and chosen cuts, as `train-am --train` takes them), selected.tsv (score, rank and reason
    of every utterance), summary.json and selected.png. `%SELECTED` goes to stdout and, where the pool has references,
    the word error rate of the labels: `%LER` of those chosen, `%POOL-LER` of all.

    entropy: an utterance is worth much if the recogniser was unsure of it, if the rest of the pool agrees with it,
    and if nothing like it was chosen before. confidence: the surest first. germ: like many others that are uncertain.

    [bold]Examples[/bold]

      voxkit decode exp/seed pool.jsonl.gz --graph lang --confusion --out exp/pool

      voxkit select-data exp/pool --labelled seed.jsonl.gz --hours 5 --lang lang --out exp/chosen

      voxkit train-am --train exp/chosen/train.jsonl.gz --lang lang --out exp/am

      voxkit select-data exp/pool --labelled seed.jsonl.gz --hours 5 --method confidence --min-confidence 0.8 --dry-run
    """
    settings = build(
        SelectData,
        config,
        set_,
        hours=hours,
        method=method,
        weight=weight,
        seed=seed,
        min_confidence=min_confidence,
        max_duration=max_duration,
    )
    if print_config:
        print(to_yaml(settings), end="")
        return
    if not pool or labelled is None:
        missing = "the folder of a decoded pool" if not pool else "--labelled CUTS"
        raise UserError(f"select-data needs {missing}", fix="see voxkit select-data --help")
    if out is None and not dry_run:
        raise UserError("select-data needs --out", fix="name a folder, or give --dry-run to see what would be chosen")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # read when numpy is imported
    from voxkit.commands.select_data.task import Inputs, run

    run(settings, Inputs(tuple(pool), labelled, lang, labelled_decode), out, dry_run)

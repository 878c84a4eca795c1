"""`voxkit cuts`: the verbs' signatures and help."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from voxkit.commands.options import Shard
from voxkit.errors import UserError

By = Literal["speaker", "cut"]

app = typer.Typer(rich_markup_mode="rich")

Cuts = Annotated[
    Path, typer.Argument(metavar="CUTS", help="CutSet (.jsonl.gz), or a folder that holds one.", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.", show_default=False)]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Another number draws anew.")]


@app.command()
def split(
    cuts: Cuts,
    out: Out,
    folds: Annotated[
        int | None,
        typer.Option("--folds", "-k", min=2, help="How many parts; else one for each --by.", show_default=False),
    ] = None,
    by: Annotated[
        str, typer.Option(metavar="speaker|cut|FIELD", help="What stays whole; FIELD is a custom one of supervisions.")
    ] = "speaker",
    seed: Seed = 1,
) -> None:
    """Divide cuts into folds of about equal duration, for training on all but one and testing on that one.

    Writes OUT/fold-I-of-K/held_out.jsonl.gz and train.jsonl.gz (all other folds) for I from 1 to K, and OUT/folds.tsv:
    which speaker (or cut, or value of FIELD) is in which fold. The order of the cuts in CUTS makes no difference.

    Without --folds there is one for each speaker or value of FIELD, in their order: official folds, for example, or
    leaving out one speaker at a time.

    [bold]Examples[/bold]

      voxkit cuts split data/an4/cuts_train.jsonl.gz --folds 5 --out data/folds

      voxkit cuts split data/an4/cuts_train.jsonl.gz --folds 10 --by cut --seed 2 --out data/folds

      voxkit cuts split data/esc10/cuts_all.jsonl.gz --by fold --out data/folds
    """
    from voxkit.commands.cuts import divide

    if folds is None and by == "cut":
        raise UserError("cuts split --by cut needs --folds", fix="say how many")
    print(divide.split(cuts, out, folds, by, seed))


@app.command()
def sample(
    cuts: Cuts,
    out: Out,
    hours: Annotated[float | None, typer.Option("--hours", help="Hours to draw.", show_default=False)] = None,
    share: Annotated[
        float | None, typer.Option("--share", help="Share of the hours to draw, between 0 and 1.", show_default=False)
    ] = None,
    by: Annotated[By, typer.Option(help="What stays whole.")] = "cut",
    match: Annotated[
        list[str] | None,
        typer.Option("--match", metavar="FIELD", help="Keep the shares of this field's values (repeatable)."),
    ] = None,
    seed: Seed = 1,
) -> None:
    """Draw a random part of about so many hours.

    Writes OUT/sample.jsonl.gz and OUT/rest.jsonl.gz, both in the order of CUTS. With the same seed, a smaller sample
    is a part of a larger one. --match takes gender, language, speaker or a custom field of the supervisions.

    [bold]Examples[/bold]

      voxkit cuts sample data/train.jsonl.gz --hours 0.5 --out data/seed

      voxkit cuts sample data/train.jsonl.gz --share 0.05 --by speaker --match gender --seed 3 --out data/seed3
    """
    from voxkit.commands.cuts import divide

    if (hours is None) == (share is None):
        raise UserError("cuts sample needs either --hours or --share", fix="give one of them")
    if hours is not None and not 0 < hours < math.inf:
        raise UserError(f"--hours {hours:g}: not an amount to draw", fix="give a number above 0")
    if share is not None and not 0 < share < 1:
        raise UserError(f"--share {share:g}: not a part of the whole", fix="give a number between 0 and 1")
    print(divide.sample(cuts, out, divide.Amount(hours, share), by, match or [], seed))


@app.command()
def add_noise(
    cuts: Cuts,
    out: Out,
    snr: Annotated[
        list[float],
        typer.Option("--snr", help="Signal-to-noise ratio in dB, from -200 to 200 (repeatable).", show_default=False),
    ],
    kinds: Annotated[
        str | None, typer.Option("--kinds", help="Of white,pink,babble: noise to make.", show_default=False)
    ] = None,
    noise: Annotated[
        Path | None, typer.Option("--noise", help="CutSet of noises to take instead.", show_default=False)
    ] = None,
    clean: Annotated[bool, typer.Option("--clean", help="Each cut without noise too.")] = False,
    seed: Seed = 1,
    shard: Shard = None,
) -> None:
    """Copies of each cut in noise, one for each --snr, mixed when they are read.

    Writes OUT/cuts.jsonl.gz and, for --kinds, the noise itself into OUT/noise. A cut's copies are named UTT-snr10 and
    so on (UTT-clean with --clean) and have the same noise at different levels; which one, is drawn from the seed and
    the cut's id alone. The supervisions' custom fields `snr` and `noise` say what was added. The ratio is that of the
    mean powers over the whole cut.

    `white` and `pink` noise is stationary; `babble` is four streams of CUTS' other speakers, backwards. The parts that
    --shard makes are joined by `voxkit cuts join OUT/shard-*`.

    [bold]Examples[/bold]

      voxkit cuts add-noise data/cuts_test.jsonl.gz --kinds white,pink,babble --snr 0 --snr 10 --clean --out data/noisy

      voxkit cuts add-noise data/train.jsonl.gz --noise data/esc10/cuts_all.jsonl.gz --snr 5 --out data/noisy
    """
    from voxkit.commands.cuts import noisy
    from voxkit.data.sharding import shard_out

    chosen = noisy.Choice.of(snr, kinds, noise, clean, seed)
    print(noisy.add_noise(cuts, shard_out(out, shard), chosen, shard))


@app.command()
def join(
    cuts: Annotated[
        list[Path], typer.Argument(metavar="CUTS...", help="CutSets, or folders that hold one.", show_default=False)
    ],
    out: Out,
) -> None:
    """Put CutSets one after the other into OUT/cuts.jsonl.gz; ids that occur twice are refused.

    [bold]Examples[/bold]

      voxkit cuts join data/seed/sample.jsonl.gz exp/selected --out data/second_round
    """
    from voxkit.commands.cuts import joined

    print(joined.join(cuts, out))


@app.command()
def show(
    cuts: Annotated[
        list[Path], typer.Argument(metavar="CUTS...", help="CutSets, or folders that hold one.", show_default=False)
    ],
) -> None:
    """Say what cuts there are: hours, speakers, words, durations, sampling rates, custom fields, weights.

    [bold]Examples[/bold]

      voxkit cuts show data/an4/cuts_train.jsonl.gz
    """
    from voxkit.commands.cuts import summary

    print(summary.show(cuts))

"""`voxkit featurize`: the signature, the config and the help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import Field

from voxkit.commands.options import MaxBad, Merge, NumJobs, Shard
from voxkit.config import Config, ConfigFile, PrintConfig, Set, build, to_yaml
from voxkit.data.feature_config import FeatureConfig
from voxkit.errors import UserError

Cmvn = Literal["none", "global", "speaker"]


class Featurize(Config):
    """Everything that decides what `featurize` writes."""

    features: FeatureConfig = FeatureConfig()
    cmvn: Cmvn = Field(
        "none", description="mean and variance to write beside the features, for other tools; train-am computes its own"
    )
    storage: Literal["float32", "float16", "lilcom"] = Field(
        "float32",
        description="one .npy file per cut; float16 is half as large, but sums of it overflow easily; lilcom (pip "
        "install lilcom) is a third, with steps of 1/32",
    )
    part_seconds: float = Field(300.0, gt=0, description="audio in a part, the unit of parallel work and resuming [s]")


CONFIG = Featurize


def featurize(
    cuts: Annotated[
        Path | None,
        typer.Argument(metavar="CUTS", help="CutSet (.jsonl.gz), or a folder that holds one.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for cuts.jsonl.gz and features.", show_default=False)
    ] = None,
    cmvn: Annotated[
        Cmvn | None,
        typer.Option("--cmvn", help="Also write mean and variance, of all or per speaker.", show_default=False),
    ] = None,
    num_jobs: NumJobs = 1,
    shard: Shard = None,
    merge: Merge = False,
    max_bad: MaxBad = 0.0,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Compute fbank, MFCC or log-STFT features for a CutSet, in parallel and resumably.

    Writes OUT/cuts.jsonl.gz, which plain lhotse reads too (`cut.load_features()`). All cuts are checked first and all
    audio while it is decoded; if there are more bad ones than --max-bad, all of them are reported and nothing is
    written. Killed at any moment, the same command goes on after the parts that were finished. Audio at another
    sampling rate is resampled.

    With --cmvn, OUT/cmvn.safetensors has mean and variance for use by other tools. train-am needs none: it computes
    global statistics of the training cuts by itself and subtracts each utterance's mean.

    [bold]Examples[/bold]

      voxkit featurize data/an4/train.jsonl.gz --out feats/train --num-jobs 8

      voxkit featurize data/train.jsonl.gz --out feats/mfcc --config conf/featurize/mfcc.yaml --cmvn speaker

      voxkit featurize data/train.jsonl.gz --out feats/40 --set features.num_mels=40 --max-bad 0.01

      voxkit submit --jobs 20 --backend slurm -- voxkit featurize data/train.jsonl.gz --out feats/train
    """
    settings = build(Featurize, config, set_, cmvn=cmvn)
    if print_config:
        print(to_yaml(settings), end="")
        return
    if cuts is None or out is None:
        wanted = [name for name, value in (("CUTS", cuts), ("--out", out)) if value is None]
        raise UserError(f"featurize needs {' and '.join(wanted)}", fix="see voxkit featurize --help")
    if merge and shard is not None:
        raise UserError("--merge joins the parts of all shards; --shard does one", fix="give one of them")

    # One process uses one core, and --num-jobs says how many; numpy's BLAS reads this when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from voxkit.commands.featurize import job
    from voxkit.data.sharding import shard_out

    if merge:
        written = job.merge(settings, cuts, out)
    else:
        written = job.run(settings, cuts, shard_out(out, shard), shard, num_jobs, max_bad)
    print(written)

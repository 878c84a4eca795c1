"""Options that several commands share, and how a sharded command's output is laid out.

With `--shard i/n` a data command writes to `shard_out(out, shard)`, which is `OUT/shard-<i>-of-<n>/`, through
`rundir.output` like any other output. Where the parts can be joined, the same command with `--merge` instead of
`--shard` reads `parts(out)` and writes the joined result into OUT beside them:

    with output(out, "featurize", spec, keep=PARTS) as folder:
        join(parts(out), folder.work)

`voxkit submit` runs the shards and then, if the command has a parameter named `merge`, the same command with `--merge`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from voxkit.errors import UserError

PARTS = "shard-*-of-*"

Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Do part I of N (1-based).", show_default=False),
]
Merge = Annotated[bool, typer.Option("--merge", help="Join the parts that --shard I/N wrote into --out.")]
NumJobs = Annotated[int, typer.Option("--num-jobs", "-j", min=1, help="Processes on this machine.")]
MaxBad = Annotated[
    float,
    typer.Option("--max-bad", min=0.0, max=1.0, help="Go on if at most this share of the items is bad."),
]


def shard_out(out: Path, shard: str | None) -> Path:
    """The folder that a command writes with `--out OUT --shard I/N`; `out` itself without a shard.

    Raises:
        UserError: `shard` is not I/N with 1 <= I <= N.
    """
    if shard is None:
        return out
    from voxkit.data.manifests import parse_shard

    index, count = parse_shard(shard)
    return out / f"shard-{index}-of-{count}"


def parts(out: Path) -> list[Path]:
    """The complete parts in `out`, from `shard-1-of-n` to `shard-n-of-n`.

    Raises:
        UserError: there are none, some are missing, or they belong to different numbers of shards.
    """
    found: dict[int, set[int]] = {}
    for folder in out.glob(PARTS):
        match = re.fullmatch(r"shard-(\d+)-of-(\d+)", folder.name)
        if match and folder.is_dir():
            found.setdefault(int(match[2]), set()).add(int(match[1]))
    if not found:
        raise UserError(f"{out}: no parts to merge", fix="run the command with --shard I/N for every I first")
    if len(found) > 1:
        counts = " and ".join(str(count) for count in sorted(found))
        raise UserError(f"{out}: holds parts of {counts} shards", fix="remove those that do not belong together")
    ((count, indices),) = found.items()
    missing = sorted(set(range(1, count + 1)) - indices)
    if missing:
        listed = ", ".join(f"{index}/{count}" for index in missing)
        raise UserError(f"{out}: parts are missing: {listed}", fix=f"run the command with --shard {missing[0]}/{count}")
    return [out / f"shard-{index}-of-{count}" for index in range(1, count + 1)]

"""How the output of a command that does a part of its work is laid out, and what may be joined.

With `--shard i/n` a data command writes to `shard_out(out, shard)`, which is `OUT/shard-<i>-of-<n>/`, through
`rundir.output` like any other output. Where the parts can be joined, the same command with `--merge` instead of
`--shard` reads `parts(out)` and writes the joined result into OUT beside them:

    with output(out, "featurize", spec, keep=PARTS) as folder:
        join(parts_like(out, spec), folder.work)

`voxkit submit` runs the shards and then, if the command has a parameter named `merge`, the same command with `--merge`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxkit.config import diff
from voxkit.data.manifests import parse_shard
from voxkit.errors import UserError
from voxkit.rundir import read_config

PARTS = "shard-*-of-*"


def shard_out(out: Path, shard: str | None) -> Path:
    """The folder that a command writes with `--out OUT --shard I/N`; `out` itself without a shard.

    Raises:
        UserError: `shard` is not I/N with 1 <= I <= N.
    """
    if shard is None:
        return out
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


def parts_like(out: Path, wanted: Mapping[str, Any]) -> list[Path]:
    """The complete parts in `out`, each made with the settings and inputs `wanted`.

    Raises:
        UserError: see `parts`; or one was made with others.
    """
    folders = parts(out)
    for folder in folders:
        found = read_config(folder)
        if changed := diff({key: found.get(key) for key in wanted}, wanted):
            what = f"{folder}: made with other settings\n  " + "\n  ".join(changed)
            raise UserError(what, fix="remove it, and make it again")
    return folders

"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Do part I of N (1-based).", show_default=False),
]
NumJobs = Annotated[int, typer.Option("--num-jobs", "-j", min=1, help="Processes on this machine.")]
MaxBad = Annotated[
    float,
    typer.Option("--max-bad", min=0.0, max=1.0, help="Go on if at most this share of the items is bad."),
]

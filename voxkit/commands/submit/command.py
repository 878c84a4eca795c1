"""`voxkit submit`: the same command line as an array of jobs."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from voxkit.errors import UserError

if TYPE_CHECKING:
    from voxkit.commands.submit.target import Target

CONTEXT = {"allow_interspersed_args": False}  # options after the first word belong to the submitted command


def submit(
    command: Annotated[
        list[str], typer.Argument(metavar="-- voxkit COMMAND ...", help="What to run.", show_default=False)
    ],
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Number of jobs; each does --shard i/JOBS.")],
    backend: Annotated[
        Literal["local", "slurm"], typer.Option("--backend", help="Where: this machine, or a Slurm cluster.")
    ] = "local",
    num_jobs: Annotated[
        int | None,
        typer.Option("--num-jobs", "-j", min=1, help="Jobs at a time.", show_default="local: the cores; slurm: all"),
    ] = None,
    slurm_option: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm-option",
            metavar="KEY=VALUE",
            help="An option of sbatch, such as partition=gpu, time=4:00:00, mem=8G, gres=gpu:1 (repeatable).",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of logs and job states.", show_default="the command's --out + .submit"),
    ] = None,
    requeues: Annotated[
        int, typer.Option("--requeues", min=0, help="How often an interrupted job (exit code 75) is run again.")
    ] = 10,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all jobs have ended.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and stop.")] = False,
) -> None:
    """Run a voxkit command as an array of jobs on this machine or on Slurm.

    Each of N jobs runs the command with --shard i/N. Running the same submit again runs only what has failed or is
    missing, or waits for jobs that are still going. A job that ends with exit code 75 saved its work; it is run again.
    With --jobs 1 the command runs as it is, so that a training goes to the cluster and is requeued at its time limit.

    [bold]Examples[/bold]

      voxkit submit --jobs 8 -- voxkit featurize data/train.jsonl.gz --out data/feats

      voxkit submit --backend slurm --jobs 20 --slurm-option time=2:00:00 -- voxkit decode exp/am ... --out hyp

      voxkit submit --backend slurm --jobs 1 --slurm-option gres=gpu:1 -- voxkit train-am ... --out exp/am
    """
    from voxkit.cluster.array import conclude, follow, on_slurm, on_this_machine
    from voxkit.cluster.submission import held, plan
    from voxkit.commands.submit.target import gives, inspect_command

    target = inspect_command(command)
    if jobs > 1 and not target.shards:
        raise UserError(f"{target.name} has no --shard, so it cannot run as {jobs} jobs", fix="use --jobs 1")
    if gives(command, "--shard") or gives(command, "--merge"):
        raise UserError("--shard and --merge are added by voxkit submit", fix="leave them out of the command")
    if slurm_option and backend == "local":
        raise UserError("--slurm-option needs --backend slurm", fix="add --backend slurm or leave the options out")
    folder = out or _beside(target)
    submission = plan(folder.absolute(), command, jobs, target.out)
    if dry_run:
        for job in submission.jobs:
            print(shlex.join(job.argv))
        return
    with held(submission):
        if backend == "slurm":
            finished = on_slurm(submission, target.name, num_jobs or jobs, requeues, slurm_option or [], wait)
        else:
            finished = on_this_machine(submission, num_jobs or len(os.sched_getaffinity(0)), requeues, wait)
        if finished is None:
            return
        follow(submission, finished)
        conclude(submission, out=target.out, merges=target.merges)


def _beside(target: Target) -> Path:
    if target.out is None:
        raise UserError(
            "the submitted command has no --out, so the logs have no place", fix="add --out FOLDER before --"
        )
    return target.out.with_name(target.out.name + ".submit")

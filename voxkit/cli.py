"""The command line: reads the lobby, registers each command, and turns errors into exit statuses.

Imports neither torch nor lhotse: `--help` must answer at once.
"""

from __future__ import annotations

import errno
import importlib
import inspect
import io
import os
import select
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from voxkit import __version__
from voxkit.commands import COMMANDS
from voxkit.errors import (
    EXIT_BROKEN_PIPE,
    EXIT_CTRL_C,
    EXIT_INTERRUPTED,
    EXIT_USER,
    NO_SPACE,
    Interrupted,
    UserError,
    no_space,
)

app = typer.Typer(
    name="voxkit",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="voxkit: speech systems from a corpus to a scored result, over Lhotse manifests.",
    epilog="Each command has --help with examples. Recipes: egs/<corpus>/<task>/run.sh",
)


@app.callback(invoke_without_command=True)
def voxkit(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="With --version: every package and device.")] = False,
) -> None:
    if version:
        print(f"voxkit {__version__}")
        if verbose:
            _print_environment()
        raise typer.Exit()


def _print_environment() -> None:
    from voxkit.commands.doctor.command import doctor
    from voxkit.rundir import environment

    found = environment()
    packages = found.pop("packages")
    for name, value in {**found, **packages}.items():
        print(f"{name:17} {value}")
    doctor()


def register(only: str | None = None) -> typer.Typer:
    """Add every command of the lobby: a function of the room's name, or `app` where the room has verbs.

    Args:
        only: the one command that will run; of the others only the line in the lobby is shown, and their rooms, which
            take most of the time of `--help`, stay closed. None opens every room.
    """
    for name, help_line in COMMANDS.items():
        if only not in (None, name):
            app.command(name, short_help=help_line)(_not_this_one)
            continue
        room = name.replace("-", "_")
        module = importlib.import_module(f"voxkit.commands.{room}.command")
        if hasattr(module, "app"):
            for verb in module.app.registered_commands:
                verb.help = verb.help or _flowing(verb.callback.__doc__ or "")
            app.add_typer(module.app, name=name, help=help_line, short_help=help_line, no_args_is_help=True)
        else:
            context = getattr(module, "CONTEXT", None)
            function = getattr(module, room)
            text = _flowing(function.__doc__ or help_line)
            app.command(name, help=text, short_help=help_line, context_settings=context)(function)
    return app


def _flowing(docstring: str) -> str:
    """The docstring with its paragraphs unwrapped, so that they fit any terminal; lines under `\\b` stay lines."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(
        "\n\n".join(lines[1:]) if (lines := paragraph.splitlines())[0] == "\b" else " ".join(lines)
        for paragraph in paragraphs
    )


def _not_this_one() -> None:
    """Stands for a command in the list of commands."""


def _wanted() -> str | None:
    """The command on the command line, an empty string if there is none; None if the shell asks for completions."""
    if "_VOXKIT_COMPLETE" in os.environ:
        return None
    return next((word for word in sys.argv[1:] if not word.startswith("-")), "")


def main() -> None:
    """The `voxkit` entry point; it ends with one of the statuses of `voxkit.errors`."""
    # numpy's matrices are small here, and its threads would fight those of torch and of other processes
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _open_closed()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error is: a terminal may lack any letter
    try:
        register(_wanted())(prog_name="voxkit")
    except UserError as error:
        _tell(f"error: {error}")
        sys.exit(EXIT_USER)
    except Interrupted as stop:
        _tell(f"stopped: {stop}")
        sys.exit(EXIT_INTERRUPTED)
    except (KeyboardInterrupt, BrokenPipeError, SystemExit) as end:
        _end(end)
    except Exception as error:
        full = no_space(error)
        if full is None:
            raise
        _end_full(full)


def _open_closed() -> None:
    """Have standard output and error go nowhere where they were closed from the start (`>&-`).

    Python has None for them, and a file that is opened later would get their numbers.
    """
    if sys.stdout is not None and sys.stderr is not None:
        return
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(nowhere)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)


def _end(end: BaseException) -> NoReturn:
    """Exit as the command did, after Ctrl-C (which typer may have made an exit of its own), or for want of a reader."""
    causes = [end, *_causes(end)]
    if any(isinstance(error, KeyboardInterrupt) for error in causes):
        _tell("stopped: by Ctrl-C")
        sys.exit(EXIT_CTRL_C)
    broken = next((error for error in causes if isinstance(error, BrokenPipeError)), None)
    try:
        sys.stdout.flush()  # here, where it can still be told that nobody reads it
    except BrokenPipeError as error:
        broken = error
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        _end_full(error)
    if broken is not None:
        if not _is_unread(broken):
            raise broken  # another pipe, inside: a bug
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)  # Python flushes both once more when it ends
        sys.exit(EXIT_BROKEN_PIPE)
    raise end


def _end_full(full: OSError) -> NoReturn:
    """Tell that nothing more can be written there and exit."""
    where, fix = full.filename, "free some space or choose another --out; the same command goes on"
    if where is None:  # what commands write is named by voxkit.rundir
        where, fix = "standard output or a temporary file", "free some space, or send the output and TMPDIR elsewhere"
    if full.errno == errno.EFBIG:
        fix = "allow larger files"
    try:
        sys.stdout.flush()  # what it could not write it keeps, unless it has no buffer, and fails again
    except OSError:
        where, fix = "standard output", "free some space, or send the output elsewhere"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes it once more when it ends
    _tell(f"error: {NO_SPACE[full.errno or errno.ENOSPC]}: {where}\nfix: {fix}")
    sys.exit(EXIT_USER)


def _tell(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:  # on a full disk too, or unread
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _causes(error: BaseException) -> Iterator[BaseException]:
    before = error.__cause__ or error.__context__
    if before is not None:
        yield before
        yield from _causes(before)


def _is_unread(error: BrokenPipeError) -> bool:
    """Whether it is standard output or error that has lost its reader; rich puts something else in its place."""
    if "rich" in Path(traceback.extract_tb(error.__traceback__)[-1].filename).parts:
        return True
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


if __name__ == "__main__":
    main()

"""`cuts join`: manifests one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxkit.commands.cuts.lines import checked, cuts_of, digests
from voxkit.data.checks import duration_of
from voxkit.data.manifests import CUTS, manifest_files, write_cuts
from voxkit.errors import Problems, UserError
from voxkit.progress import say
from voxkit.rundir import output


def join(cuts: Sequence[Path], out: Path) -> Path:
    """Write all cuts into one manifest.

    Raises:
        UserError: lines with problems, every one of them named: broken, no cut, or with an id that came before.
    """
    files = manifest_files(cuts)
    spec = {"cuts": [f"{file} {content}" for file, content in digests(files).items()]}  # a list: the order counts
    with output(out, "cuts join", spec, resumable=False) as place:
        if not place.done:
            problems = Problems()
            durations = [duration_of(cut) for _, cut in checked(files, problems)]
            if problems:
                raise UserError(
                    f"these lines cannot be joined\n{problems.report(limit=len(problems))}",
                    fix="mend them; cuts that are in several manifests are to be in one of them only",
                )
            write_cuts(cuts_of(files, "writing"), place.work / CUTS)
            say(f"{out}: {len(durations)} cuts, {sum(durations) / 3600:.3f} h, of {len(files)} manifests")
    return out / CUTS

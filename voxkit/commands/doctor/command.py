"""`voxkit doctor`: the signature and the help."""

from __future__ import annotations

from typing import Annotated

import typer

from voxkit.errors import EXIT_USER


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say what is installed, what is missing, and how to mend it.

    Exits with 2 if something required is missing or broken; optional parts are listed with what they are for.
    """
    import json

    from voxkit.commands.doctor.checks import examine
    from voxkit.commands.doctor.table import render, verdict

    findings = examine()
    broken = any(finding.required and finding.state != "ok" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not broken, "findings": [finding.as_dict() for finding in findings]}, indent=2))
    else:
        print(render(findings))
        print(verdict(findings))
    if broken:
        raise typer.Exit(EXIT_USER)

"""The findings as lines: state, name, what was found; below it how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from voxkit.commands.doctor.checks import Finding

COLOURS = {"ok": "32", "low": "33", "missing": "33", "broken": "31"}


def render(findings: Sequence[Finding]) -> str:
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        need = "" if finding.state == "ok" else "REQUIRED; " if finding.required else "optional; "
        lines.append(f"{_colour(finding.state)}  {finding.name:<{width}}  {need}{finding.found}")
        if finding.fix:
            lines.append(f"{'':<{width + 11}}fix: {finding.fix}")
    return "\n".join(lines)


def verdict(findings: Sequence[Finding]) -> str:
    required = [finding.name for finding in findings if finding.required and finding.state != "ok"]
    if required:
        return f"voxkit cannot work as it is: {', '.join(required)}"
    optional = [finding.name for finding in findings if finding.state != "ok"]
    return "all that is required works" + (f"; not available: {', '.join(optional)}" if optional else "")


def _colour(state: str) -> str:
    padded = f"{state:<7}"
    return f"\x1b[{COLOURS[state]}m{padded}\x1b[0m" if sys.stdout.isatty() else padded

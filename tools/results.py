"""Write a recipe's RESULTS.md from what the run left behind, and print its headline lines.

The headline are the `%NAME value [...] path` lines of the files given, in their order. Pictures and tables that the
recipe wants shown lie in the folder --results: `*.tsv` becomes a table, `*.png` is copied to a folder beside it.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from voxkit.rundir import environment

MODELS = ("am", "g2p")  # folders of trained models beside those that the files are in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--stages", type=Path, required=True)
    parser.add_argument("--seeds", required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("files", type=Path, nargs="+")
    args = parser.parse_args()
    places = {f"{args.recipe}/": "", f"{args.results.parent}/": "exp/"}  # the second where --exp named another folder
    printed = [
        (file.parent, shortened(line, places))
        for file in args.files
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    lines = [line for _, line in printed if line.startswith("%")]
    notes = [
        f"- {shortened(str(folder), places)}: {line}" for folder, line in printed if line and not line.startswith("%")
    ]
    for summary in dict.fromkeys(file.parent.parent / k / "summary.json" for file in args.files for k in MODELS):
        if summary.exists():
            trained = json.loads(summary.read_text(encoding="utf-8"))
            folder = shortened(str(summary.parent), places)
            device = f" on {trained['device']}" if "device" in trained else ""
            notes.append(f"- {folder}: {trained['step']} steps, {clock(trained['seconds'])} of training{device}")
    stages = sorted(args.stages.iterdir(), key=lambda path: int(path.name))
    times = [(path.name, *path.read_text(encoding="utf-8").rstrip("\n").split("\t")) for path in stages]
    found = environment()
    versions = {"voxkit": found["voxkit"], "git": found["git"], "python": found["python"], **found["packages"]}
    text = [
        f"# {args.recipe.parent.name}/{args.recipe.name}",
        "",
        f"Total wall time {clock(sum(float(seconds) for _, seconds, _ in times))} on {found['cpus']} cores.",
        "",
        "```",
        *lines,
        "```",
        "",
        *notes,
        "",
        *extras(args.results, args.out.with_name(args.out.stem.replace("RESULTS", "pictures"))),
        "## How",
        "",
        f"- Command: `{args.command}`, seeds {args.seeds}, finished {found['time']}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
        f"- Machine: {found['platform']}, {found['cpus']} cores",
        "",
        "| stage | wall time |",
        "|---|---|",
        *[f"| {number} {title} | {clock(float(seconds))} |" for number, seconds, title in times],
        "",
    ]
    args.out.write_text("\n".join(text), encoding="utf-8")
    print("\n".join(lines))


def extras(folder: Path, pictures: Path) -> list[str]:
    """The tables and pictures of a run as Markdown; the pictures are copied to a folder beside it."""
    text: list[str] = []
    shutil.rmtree(pictures, ignore_errors=True)  # those of an earlier run may have had other names
    for file in sorted(folder.glob("*.tsv")):
        header, *rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        table = [header, ["---"] * len(header), *rows]
        text += [*("| " + " | ".join(row) + " |" for row in table), ""]
    for picture in sorted(folder.glob("*.png")):
        pictures.mkdir(exist_ok=True)
        shutil.copyfile(picture, pictures / picture.name)
        text += [f"![{picture.stem.replace('_', ' ')}]({pictures.name}/{picture.name})", ""]
    return text


def shortened(text: str, places: Mapping[str, str]) -> str:
    """With folders as a reader knows them."""
    for path, name in places.items():
        text = text.replace(path, name)
    return text


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


if __name__ == "__main__":
    main()

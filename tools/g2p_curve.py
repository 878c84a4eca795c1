"""Compare models of one language with a model of all, by the words that they were trained on.

Reads `EXP/words<N>/<language or all>/test/predictions.tsv` (of `voxkit g2p score`), prints metric lines for each N, and
what the shared model changes with a 95 % bootstrap interval over the words of each language; draws macro PER by N.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from voxkit.metrics.learning_curve import learning_curve
from voxkit.metrics.pronunciation import Judged, PronunciationReport, paired

ALL, PREDICTIONS = "all", "predictions.tsv"


def judged(file: Path) -> list[Judged]:
    """What `voxkit g2p score` wrote of every word."""
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    return [
        Judged(word, language, tuple(tuple(one.split()) for one in references.split(" / ")), tuple(hypothesis.split()))
        for language, word, hypothesis, references in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exp", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument(
        "--shared",
        nargs=3,
        metavar=("N", "MODEL", "SCORED"),
        help="a larger model of all that lies elsewhere",
    )
    args = parser.parse_args()
    points: defaultdict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    for folder in sorted(args.exp.glob("words*"), key=lambda path: int(path.name.removeprefix("words"))):
        count = folder.name.removeprefix("words")
        model, scored, size = folder / ALL / "g2p", folder / ALL / "test", ""
        if args.shared and args.shared[0] == count:
            model, scored, size = Path(args.shared[1]), Path(args.shared[2]), " (larger)"
        files = [file for file in sorted(folder.glob(f"*/test/{PREDICTIONS}")) if file.parent.parent.name != ALL]
        single = [item for file in files for item in judged(file)]
        languages = {item.language for item in single}
        shared = [item for item in judged(scored / PREDICTIONS) if item.language in languages]
        for name, system in (("one model a language", single), ("one model for all", shared)):
            point = told(system, f"{count} words of each language, {name}{size}")
            points[name + size].append((int(count), *point))
        changes = paired(single, shared)
        print(f"with {count} words, from one model a language to one for all: PER {changes.per}")
        print(f"with {count} words, from one model a language to one for all: WER {changes.wer}")
        many = trained(model)
        few = [trained(file.parent.parent / "g2p") for file in files]
        print(
            f"with {count} words, passes over the data: one model a language {passes(few)}, one for all "
            f"{passes([many])}; training of the latter {many['seconds']:.0f} s, of the former "
            f"{sum(one['seconds'] for one in few):.0f} s"
        )
    learning_curve(points, args.picture, "training words of each language", "PER, macro [%]")


def trained(model: Path) -> dict[str, Any]:
    """What training has left in an experiment folder."""
    return dict(json.loads((model / "summary.json").read_text(encoding="utf-8")))


def passes(summaries: list[dict[str, Any]]) -> str:
    return " or ".join(str(epochs) for epochs in sorted({one["epoch"] for one in summaries}))


def told(system: list[Judged], name: str) -> tuple[float, float, float]:
    """Print the macro rates of a system; PER with its interval."""
    report = PronunciationReport(system)
    total, rates, span = report.total, report.macro, report.intervals().per
    over = f"macro over {len(report.by_language)} languages"
    print(f"%WER {rates.wer:.2f} [ {over}, {total.wrong} / {total.words} ] {name}")
    print(f"%PER {rates.per:.2f} [ {over}, {total.phones.count} / {total.phones.total} ] {name}")
    return rates.per, span.low, span.high


if __name__ == "__main__":
    main()

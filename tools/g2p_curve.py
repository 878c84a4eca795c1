"""Compare models of one language with models of all, by the words that they were trained on.

Usage: g2p_curve.py EXP PICTURE

Reads `EXP/words<N>/<language or all>/test/predictions.tsv` (of `voxkit g2p score`), prints a metric line for each, and
what the shared model changes with a 95 % bootstrap interval over the words of each language; draws macro PER by N.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from voxkit.metrics.pronunciation import Judged, PronunciationReport, paired
from voxkit.metrics.pronunciation_plots import learning_curve

ALL = "all"


def judged(file: Path) -> list[Judged]:
    """What `voxkit g2p score` wrote of every word."""
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()[1:]]
    return [
        Judged(word, language, tuple(tuple(one.split()) for one in references.split(" / ")), tuple(hypothesis.split()))
        for language, word, hypothesis, references in rows
    ]


def main() -> None:
    exp, picture = Path(sys.argv[1]), Path(sys.argv[2])
    points: dict[str, list[tuple[float, float, float, float]]] = {"one model a language": [], "one model for all": []}
    for folder in sorted(exp.glob("words*"), key=lambda path: int(path.name.removeprefix("words"))):
        count = int(folder.name.removeprefix("words"))
        shared = judged(folder / ALL / "test" / "predictions.tsv")
        single = [
            item
            for file in sorted(folder.glob("*/test/predictions.tsv"))
            if file.parent.parent.name != ALL
            for item in judged(file)
        ]
        for (name, drawn), system in zip(points.items(), (single, shared), strict=True):
            report = PronunciationReport(system)
            rates, spans = report.macro, report.intervals()
            total = report.total
            where = f"{count} words of each language, {name}"
            over = f"macro over {len(report.by_language)} languages"
            print(f"%WER {rates.wer:.2f} [ {over}, {total.wrong} / {total.words} ] {where}")
            print(f"%PER {rates.per:.2f} [ {over}, {total.phones.count} / {total.phones.total} ] {where}")
            drawn.append((count, rates.per, spans.per.low, spans.per.high))
        changes = paired(single, shared)
        print(f"PER with {count} words, one model for all: {changes.per}")
        print(f"WER with {count} words, one model for all: {changes.wer}")
        trained = json.loads((folder / ALL / "g2p" / "summary.json").read_text(encoding="utf-8"))
        print(f"{count} words, one model for all: trained in {trained['seconds']:.0f} s on {trained['device']}")
    learning_curve(points, picture, "training words of each language", "PER, macro [%]")


if __name__ == "__main__":
    main()

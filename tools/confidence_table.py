"""What each system of confidence is worth: the mean of the seeds' ablation tables, and what embeddings gain.

Reads `<exp>/seed<S>/confidence/ablation.tsv`; writes systems.tsv and errors.tsv (by kind of error) into --out, and
scores.txt, whose `%` lines are the recipe's headline. Intervals are those of the seeds' bootstraps over test speakers,
averaged over the seeds.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

MEASURES = {"eer": "EER %", "nce": "NCE %", "aucpr": "AUC-PR %", "ece": "ECE %"}
KINDS = ("substitutions", "insertions")
REFERENCE = ("decoder", "logistic", "all")
Table = dict[tuple[str, str, str], dict[str, float]]


def read(path: Path) -> Table:
    """The numbers of an ablation, by system, classifier and kind of error."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (row.pop("system"), row.pop("classifier"), row.pop("errors")): {k: float(v) for k, v in row.items()}
            for row in csv.DictReader(file, delimiter="\t")
        }


def mean(tables: list[Table]) -> Table:
    """The mean of every number over the tables."""
    first = tables[0]
    return {row: {name: float(np.mean([table[row][name] for table in tables])) for name in first[row]} for row in first}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = mean([read(args.exp / f"seed{seed}" / "confidence" / "ablation.tsv") for seed in args.seeds])

    args.out.mkdir(parents=True, exist_ok=True)
    systems = [("system", "classifier", *MEASURES.values(), "NCE change %", "EER change %")]
    errors = [("system", "classifier", *(f"EER %, {kind}" for kind in KINDS), *(f"AUC-PR %, {kind}" for kind in KINDS))]
    for system, classifier, kind in found:
        if kind == "all":
            row = found[system, classifier, kind]
            changes = (f"{row[f'{name}_change']:+.1f}" for name in ("nce", "eer"))
            systems.append((system, classifier, *(f"{row[name]:.2f}" for name in MEASURES), *changes))
            parts = [found[system, classifier, part][name] for name in ("eer", "aucpr") for part in KINDS]
            errors.append((system, classifier, *(f"{value:.2f}" for value in parts)))
    for name, rows in (("1_systems", systems), ("2_errors", errors)):
        (args.out / f"{name}.tsv").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    (args.out / "scores.txt").write_text("\n".join(headline(found, len(args.seeds))) + "\n", encoding="utf-8")


def headline(found: Table, seeds: int) -> list[str]:
    """Every system with logistic regression, and how far the best ones are from decoder features alone."""
    words = found[REFERENCE]
    lines = [f"{words['wrong']:.0f} of {words['words']:.0f} test words are wrong; means of {seeds} seeds"]
    for name in ("EER", "NCE"):
        for system, classifier, kind in found:
            if kind == "all" and (classifier == "logistic" or system == "+both"):
                lines.append(line(name, found[system, classifier, kind], "", f"{system}, {classifier}"))
    for name in ("EER", "NCE"):
        for classifier in ("logistic", "network"):
            row = found["+both", classifier, "all"]
            lines.append(line(f"{name}-CHANGE", row, "_change", f"+both, {classifier}, relative to decoder, logistic"))
    return lines


def line(name: str, row: dict[str, float], kind: str, what: str) -> str:
    """`%EER 17.20 [ 13.80 to 20.33, 95 % ] +both, logistic`"""
    value, low, high = (row[f"{name.removesuffix('-CHANGE').lower()}{kind}{end}"] for end in ("", "_low", "_high"))
    sign = "+" if kind else ""
    return f"%{name} {value:{sign}.2f} [ {low:{sign}.2f} to {high:{sign}.2f}, 95 % ] {what}"


if __name__ == "__main__":
    main()

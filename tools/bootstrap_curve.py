"""Word error rate against hours of machine-labelled speech, for every method of choosing it.

Reads `<exp>/seed<S>/{seed,all,<method>-<hours>}/decode/score.json` and `.../chosen/summary.json`; writes into --out the
table wer_by_hours.tsv, the picture wer_by_hours.png and scores.txt, whose `%` lines are the recipe's headline.
Differences between methods come with a 95 % interval: the bootstrap over test speakers, drawn anew for every training
run (Bisani and Ney 2004).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.metrics.plots import INK, new_figure, save_figure

REPLICATIONS = 5000
COLOURS = {"random": "#8a97a3", "confidence": "#c78c2c", "germ": "#5b7fa6", "entropy": "#c0392b"}


class Runs:
    """Errors and words of every test speaker in every run."""

    def __init__(self, exp: Path, seeds: list[str]) -> None:
        self.exp, self.seeds = exp, seeds

    def counts(self, name: str) -> NDArray[np.float64]:
        """(seeds, speakers, 2) errors and words of the runs called `name`, speakers in the order of their names."""
        return np.stack([self._speakers(seed, name) for seed in self.seeds])

    def _speakers(self, seed: str, name: str) -> NDArray[np.float64]:
        score = json.loads((self.exp / f"seed{seed}" / name / "decode" / "score.json").read_text(encoding="utf-8"))
        return np.array([(each["errors"], each["total"]) for _, each in sorted(score["by_speaker"].items())], float)

    def labels(self, name: str) -> dict[str, float]:
        """Means over the seeds of what was chosen: `hours`, and the error rate of its labels `ler`."""
        found = [
            json.loads((self.exp / f"seed{seed}" / name / "chosen" / "summary.json").read_text(encoding="utf-8"))
            for seed in self.seeds
        ]
        names = {"hours": "hours", "ler": "label_error_rate"}
        return {name: _mean([each[key] for each in found]) for name, key in names.items()}


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def rate(counts: NDArray[np.float64]) -> float:
    """Word error rate [%], the mean over the runs."""
    sums = counts.sum(axis=-2)
    return float((100 * sums[..., 0] / sums[..., 1]).mean())


def interval(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of rate(one) - rate(other), (runs, speakers, 2) each, paired by run and speaker."""
    draw = np.random.default_rng(0)
    runs, speakers = one.shape[:2]
    found = []
    for _ in range(REPLICATIONS):
        picked = draw.integers(speakers, size=(runs, speakers, 1))
        found.append(rate(np.take_along_axis(one, picked, 1)) - rate(np.take_along_axis(other, picked, 1)))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--methods", type=str.split, required=True)
    parser.add_argument("--hours", type=str.split, required=True)
    parser.add_argument("--seed-hours", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    runs = Runs(args.exp, args.seeds)
    seed, full = runs.counts("seed"), runs.counts("all")
    gap = rate(seed) - rate(full)
    found = {method: [runs.counts(f"{method}-{hours}") for hours in args.hours] for method in args.methods}

    rows = [["method", "hours", "label errors %", "WER %", *(f"seed {s}" for s in args.seeds), "gap recovered %"]]
    rows += [row("transcripts of the seed only", args.seed_hours, None, seed, rate(seed), gap)]
    for method, points in found.items():
        for hours, counts in zip(args.hours, points, strict=True):
            labels = runs.labels(f"{method}-{hours}")
            rows.append(row(method, labels["hours"], labels["ler"], counts, rate(seed), gap))
    rows += [row("transcripts of all", None, None, full, rate(seed), gap)]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "wer_by_hours.tsv").write_text("".join("\t".join(r) + "\n" for r in rows), encoding="utf-8")
    (args.out / "scores.txt").write_text("\n".join(headline(found, seed, full)) + "\n", encoding="utf-8")
    draw(args.out / "wer_by_hours.png", found, runs, args, rate(seed), rate(full))


def row(
    name: str, hours: float | None, errors: float | None, counts: NDArray[np.float64], before: float, gap: float
) -> list[str]:
    """A line of the table."""
    each = [f"{rate(one):.1f}" for one in counts]
    recovered = 100 * (before - rate(counts)) / gap if gap else 0.0
    labels = ["" if value is None else f"{value:{form}}" for value, form in ((hours, ".2f"), (errors, ".1f"))]
    return [name, *labels, f"{rate(counts):.2f}", *each, f"{recovered:.0f}"]


def headline(found: dict[str, list[NDArray[np.float64]]], seed: Any, full: Any) -> list[str]:
    """Mean word error rates over all budgets and seeds, and what entropy reduction gains over each other method."""
    joined = {method: np.concatenate(points) for method, points in found.items()}
    lines = [f"%WER {rate(seed):.2f} [ mean of {len(seed)} seeds ] transcripts of the seed only"]
    for method, counts in joined.items():
        gained = 100 * (rate(seed) - rate(counts)) / max(rate(seed) - rate(full), 1e-9)
        lines.append(f"%WER {rate(counts):.2f} [ mean of {len(counts)} runs, {gained:.0f} % of the gap ] {method}")
    lines.append(f"%WER {rate(full):.2f} [ mean of {len(full)} seeds ] transcripts of all")
    for method, counts in joined.items():
        if method != "entropy":
            low, high = interval(joined["entropy"], counts)
            change = rate(joined["entropy"]) - rate(counts)
            lines.append(f"%WER-CHANGE {change:+.2f} [ {low:+.2f} to {high:+.2f}, 95 % ] entropy against {method}")
    return lines


def draw(path: Path, found: dict[str, Any], runs: Runs, args: argparse.Namespace, before: float, after: float) -> None:
    """Word error rate against hours, means of the seeds; every method sets out from the seed models."""
    picture, axes = new_figure(7.5, 4.6)
    axes.axhline(after, color=INK, linestyle=":", linewidth=1)
    place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "bottom"}
    axes.annotate("all transcripts", (1, after), fontsize=9, **place)
    for method, points in found.items():
        minutes = [runs.labels(f"{method}-{name}")["hours"] * 60 for name in args.hours]
        rates = [before, *(rate(counts) for counts in points)]
        axes.plot([0, *minutes], rates, marker="o", color=COLOURS.get(method), label=method, linewidth=2)
    axes.set_xlim(left=0)
    axes.set_xlabel("chosen speech, labelled by the seed model [min]")
    axes.set_ylabel(f"word error rate on test, mean of {len(args.seeds)} seeds [%]")
    axes.legend(frameon=False, loc="center right")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(picture, path)


if __name__ == "__main__":
    main()

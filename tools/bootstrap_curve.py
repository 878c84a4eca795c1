"""Word error rate against hours of machine-labelled speech, for every method of choosing it.

Reads `decode/score.json` in `<exp>/seed<S>/{seed,more,all,<method>-<hours>}` and `chosen/summary.json` in the latter;
writes into --out the table wer_by_hours.tsv, the picture wer_by_hours.png and scores.txt, whose `%` lines are the
headline. Differences between methods come with a 95 % interval: a bootstrap that draws test speakers (Bisani and Ney
2004), the same for all runs of a replication since all were tested on them, and training seeds, the same for all hours.
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
    """95 % interval of rate(one) - rate(other), (hours, seeds, speakers, 2) each, paired by all three."""
    draw = np.random.default_rng(0)
    _, seeds, speakers, _ = one.shape
    found = []
    for _ in range(REPLICATIONS):
        runs = np.ix_(np.arange(len(one)), draw.integers(seeds, size=seeds), draw.integers(speakers, size=speakers))
        found.append(rate(one[runs]) - rate(other[runs]))
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
    seed, more, full = runs.counts("seed"), runs.counts("more"), runs.counts("all")
    found = {method: [runs.counts(f"{method}-{hours}") for hours in args.hours] for method in args.methods}

    rows = [["method", "hours", "label errors %", "WER %", *(f"seed {s}" for s in args.seeds), "gap recovered %"]]
    between = rate(more), rate(full)
    rows += [row("seed model", args.seed_hours, None, seed, between)]
    rows += [row("trained on without more data", args.seed_hours, None, more, between)]
    for method, points in found.items():
        for hours, counts in zip(args.hours, points, strict=True):
            labels = runs.labels(f"{method}-{hours}")
            rows.append(row(method, labels["hours"], labels["ler"], counts, between))
    rows += [row("trained on with all transcripts", None, None, full, between)]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "wer_by_hours.tsv").write_text("".join("\t".join(r) + "\n" for r in rows), encoding="utf-8")
    (args.out / "scores.txt").write_text("\n".join(headline(found, between, len(args.seeds))) + "\n", encoding="utf-8")
    draw(args.out / "wer_by_hours.png", found, runs, args, between)


def row(
    name: str, hours: float | None, errors: float | None, counts: NDArray[np.float64], between: tuple[float, float]
) -> list[str]:
    """A line of the table."""
    each = [f"{rate(one):.1f}" for one in counts]
    labels = ["" if value is None else f"{value:{form}}" for value, form in ((hours, ".2f"), (errors, ".1f"))]
    return [name, *labels, f"{rate(counts):.2f}", *each, f"{recovered(rate(counts), between):.0f}"]


def recovered(value: float, between: tuple[float, float]) -> float:
    """How far a rate is on the way from the seed's utterances alone to all transcripts [%]."""
    before, after = between
    return 100 * (before - value) / (before - after) if before > after else float("nan")


def headline(found: dict[str, list[NDArray[np.float64]]], between: tuple[float, float], seeds: int) -> list[str]:
    """Mean word error rates over all budgets and seeds, and what entropy reduction gains over each other method."""
    joined = {method: np.stack(points) for method, points in found.items()}
    lines = [f"%WER {between[0]:.2f} [ mean of {seeds} seeds ] trained on without more data"]
    for method, counts in joined.items():
        runs, share = counts.shape[0] * counts.shape[1], recovered(rate(counts), between)
        lines.append(f"%WER {rate(counts):.2f} [ mean of {runs} runs, {share:.0f} % of the gap ] {method}")
    lines.append(f"%WER {between[1]:.2f} [ mean of {seeds} seeds ] trained on with all transcripts")
    for method, counts in joined.items():
        if method != "entropy":
            low, high = interval(joined["entropy"], counts)
            change = rate(joined["entropy"]) - rate(counts)
            lines.append(f"%WER-CHANGE {change:+.2f} [ {low:+.2f} to {high:+.2f}, 95 % ] entropy against {method}")
    return lines


def draw(path: Path, found: dict[str, Any], runs: Runs, args: argparse.Namespace, between: tuple[float, float]) -> None:
    """Word error rate against hours, means of the seeds; every method sets out from what needs no more data."""
    before, after = between
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

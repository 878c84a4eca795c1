"""What rescoring a recogniser's hypotheses is worth: word errors before and after, over several seeds.

Reads what `voxkit lm-nce rescore --out` wrote into `<exp>/seed<S>/`: `nbest`, `lattice`, `nbest8` (weights stored in 8
bits) and `nbest_int8` of the first pass `<exp>/first/test`, `made_up_nbest` of that with made-up text,
`<exp>/seed<S>/first/test`, and `all_nbest` of that with an n-gram model of all texts, `<exp>/all/test`. Writes a table
into --out, and scores.txt, whose `%` lines are the headline. Errors of all seeds are added up; intervals are bootstraps
over speakers (or utterances: `Report.units`), with the same draws before and after, and over seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.lm_nce.second_pass import before_and_after
from voxkit.metrics.calibration import Interval
from voxkit.metrics.report import Report, Scored
from voxkit.metrics.resampling import relative_change

SYSTEMS = {
    "nbest": "50 best rescored",
    "lattice": "lattices rescored",
    "nbest8": "50 best rescored, weights stored in 8 bits",
    "nbest_int8": "50 best rescored, int8 inference",
    "made_up_nbest": "first pass with made-up text, 50 best rescored",
    "all_nbest": "first pass of all texts, 50 best rescored",
}
FIRST, MADE_UP, ALL = "first pass", "first pass with made-up text", "first pass of all texts"
FIRST_OF = {"made_up_nbest": MADE_UP, "all_nbest": ALL}
Row = tuple[str, ...]


@dataclass(frozen=True)
class Errors:
    """Word errors of a system: (seeds, units), of so many words (units,); see `Report.units`."""

    errors: NDArray[np.float64]
    words: NDArray[np.float64]

    @classmethod
    def of(cls, seeds: Sequence[Sequence[Scored]]) -> Errors:
        tables = []
        for scored in seeds:
            sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
            report = Report(scored, "none")
            for one, unit in zip(report.utterances, report.units[0], strict=True):
                here = sums[unit]
                here[0] += one.words.count
                here[1] += one.words.total
            tables.append([sums[unit] for unit in sorted(sums)])
        whole = np.array(tables, dtype=np.float64)
        return cls(whole[:, :, 0], whole[0, :, 1])

    @property
    def rates(self) -> list[float]:
        """WER of each seed [%]."""
        return list(100 * self.errors.sum(1) / self.words.sum())

    @property
    def rate(self) -> float:
        return statistics.fmean(self.rates)

    def change(self, before: Errors) -> Interval:
        """Relative change of the errors [%]."""
        return relative_change(before.errors, self.errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found: dict[str, Errors] = {}
    folders = {name: [args.exp / f"seed{seed}" / name for seed in args.seeds] for name in SYSTEMS}
    for name in SYSTEMS:
        pairs = [before_and_after(folder / "hypotheses.jsonl.gz") for folder in folders[name]]
        first = FIRST_OF.get(name, FIRST)
        found.setdefault(first, Errors.of([old for old, _ in pairs] if first == MADE_UP else [pairs[0][0]]))
        found[name] = Errors.of([new for _, new in pairs])
    lines = headline(found)
    for name in ("nbest", "nbest_int8"):
        lists, model = (statistics.median(cost[part] for cost in costs(folders[name])) for part in ("lists", "model"))
        shares = [share(args.exp / "first" / "test", seconds) for seconds in (model, lists)]
        told = f"% of the time of decoding; {shares[1]:.1f} more to take the lists out of lattices"
        lines.append(f"%SHARE {shares[0]:.1f} [ {told} ] {title(name)}")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scores.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    rows: list[Row] = [("", "WER", "seeds", "relative change", "CPU time of an utterance alone, median [ms]")]
    for name, errors in found.items():
        change = "" if name == FIRST else interval(errors.change(found[FIRST]))
        seeds = " ".join(f"{rate:.2f}" for rate in errors.rates) if len(errors.rates) > 1 else ""
        rows.append((title(name), f"{errors.rate:.2f}", seeds, change, latency(folders.get(name, []))))
    table = "".join("\t".join(row) + "\n" for row in rows)
    (args.out / "1_rescoring.tsv").write_text(table, encoding="utf-8")


def title(name: str) -> str:
    return SYSTEMS.get(name, name)


def headline(found: dict[str, Errors]) -> list[str]:
    """WER of every system, and its relative change against the first pass, and against its own one."""
    lines = []
    for name, errors in found.items():
        seeds = " ".join(f"{rate:.2f}" for rate in errors.rates)
        lines.append(f"%WER {errors.rate:.2f} [ seeds {seeds} ] {title(name)}")
    for name, errors in found.items():
        for first in dict.fromkeys([FIRST, FIRST_OF.get(name, FIRST)]):
            if name != first:
                value, low, high = errors.change(found[first])
                told = f"{value:+.1f} [ {low:+.1f} to {high:+.1f} %, 95 % ]"
                lines.append(f"%RELATIVE {told} {title(name)}, against the {first}")
    return lines


def interval(found: Interval) -> str:
    return f"{found.value:+.1f} ({found.low:+.1f} to {found.high:+.1f})"


def costs(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """What each seed took."""
    return [json.loads((folder / "cost.json").read_text(encoding="utf-8"))["cost"] for folder in folders]


def latency(folders: Sequence[Path]) -> str:
    """Median and 95 % of the CPU time of an utterance that is rescored alone, over seeds [ms]."""
    times = [1000 * seconds for cost in costs(folders) for seconds in cost["alone"]]
    return f"{np.quantile(times, 0.5):.1f}, 95 % {np.quantile(times, 0.95):.1f}" if times else ""


def share(folder: Path, seconds: float) -> float:
    """Of the CPU time of decoding [%]."""
    (line,) = (one for one in (folder / "scores.txt").read_text().splitlines() if one.startswith("%RTF "))
    return 100 * seconds / float(line.split("[ ")[1].split(" s ")[0])


if __name__ == "__main__":
    main()

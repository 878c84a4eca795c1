"""Language models of several corpora side by side: perplexity of the domain's test text, before and after fine-tuning.

Reads what `voxkit lm-nce score --out` wrote, `<exp>/systems/<system>/seed<S>/<all|tuned>.test`, and with `--arpa` in
`tuned.mixed.test` of the first; and the n-gram models `<exp>/ngram/<name>/lm.arpa`. Writes tables and a picture into
--out, and scores.txt, whose `%` lines are the headline. Perplexities are of normalised scores, over the logs of all
seeds; intervals are bootstraps over sentences (the same draws for all systems) and over the seeds of each system; of a
system with one seed they are of the sentences alone, and say so.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.data.sentences import sentences
from voxkit.data.text import normaliser
from voxkit.decode.arpa import Arpa
from voxkit.metrics.calibration import Interval, quantiles
from voxkit.metrics.plots import GREEN, GREY, new_figure, plain_axes, save_figure
from voxkit.metrics.resampling import resampled

BEST = "em"
TITLES = {
    "em": "NCE, weights by EM",
    "uniform": "NCE, equal weights",
    "size": "NCE, weights by size",
    "softmax": "cross-entropy, weights by EM",
    "sampled": "sampled cross-entropy, weights by EM",
    "transformer": "Transformer, NCE, weights by EM",
    "domain": "NCE, the domain's text alone",
}
STEPS = {"all": "trained", "tuned": "then fine-tuned"}
DRAWS = 2000
Row = tuple[str, ...]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Tested:
    """A system after one step of its training: the folders of its seeds."""

    folders: tuple[Path, ...]

    @cached_property
    def facts(self) -> list[dict[str, Any]]:
        return [json.loads((folder / "score.json").read_text(encoding="utf-8")) for folder in self.folders]

    @cached_property
    def losses(self) -> Doubles:
        """(seeds, sentences) -ln P of each sentence's known words and its end."""
        return np.array([[-float(row["ln_p"]) for row in rows(folder)] for folder in self.folders])

    @cached_property
    def words(self) -> Doubles:
        """(sentences,) known words, and the end."""
        return np.array([int(row["words"]) - int(row["unknown"]) + 1 for row in rows(self.folders[0])], dtype=float)

    @property
    def seeds(self) -> list[float]:
        """The perplexity of each seed."""
        return list(np.exp(self.losses.sum(1) / self.words.sum()))

    @property
    def perplexity(self) -> float:
        """Over the logs of all seeds."""
        return float(np.exp(self.losses.mean(0).sum() / self.words.sum()))

    def mean(self, key: str) -> float:
        return statistics.fmean(float(facts[key]) for facts in self.facts)

    def change(self, before: Tested) -> Interval:
        """By how much the perplexity is higher than another system's [%]."""
        value = 100 * (self.perplexity / before.perplexity - 1)
        sums = resampled([one[..., None] for one in (self.losses, before.losses, self.words[None])], DRAWS, seed=0)
        after, old, words = sums[..., 0].T
        return Interval(value, *quantiles(100 * (np.exp((after - old) / words) - 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True, help="the test text")
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found: dict[tuple[str, str], Tested] = {}
    for name in TITLES:
        for step in STEPS:
            folders = (args.exp / "systems" / name / f"seed{seed}" / f"{step}.test" for seed in args.seeds)
            if there := tuple(folder for folder in folders if folder.is_dir()):
                found[name, step] = Tested(there)
    if len({vocabulary(folder) for tested in found.values() for folder in tested.folders}) > 1:
        sys.exit("the systems know different words, so their perplexities cannot be compared")
    args.out.mkdir(parents=True, exist_ok=True)
    mixed = args.exp / "systems" / BEST / f"seed{args.seeds[0]}" / "tuned.mixed.test"
    lines = [*headline(found, mixed), *ngrams(args.exp / "ngram", args.test)]
    (args.out / "scores.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    save(args.out / "1_systems.tsv", table(found))
    draw(found, args.out / "1_systems.png")


def vocabulary(tested: Path) -> str:
    """What the model of a test folder knows; the order is left out of it."""
    file = tested.with_suffix("") / "bundle" / "assets" / "vocabulary.json"
    return "\n".join(sorted(json.loads(file.read_text(encoding="utf-8"))["tokens"]))


def rows(folder: Path) -> list[dict[str, str]]:
    """The table of sentences."""
    head, *others = (folder / "by_sentence.tsv").read_text(encoding="utf-8").splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in others]


def headline(found: dict[tuple[str, str], Tested], mixed: Path) -> list[str]:
    """Every system's perplexity, and how much higher it is than that of weights by EM."""
    lines = []
    for (name, step), tested in found.items():
        seeds = " ".join(f"{one:.2f}" for one in tested.seeds)
        lines.append(f"%PPL {tested.perplexity:.2f} [ normalised; seeds {seeds} ] {name}, {STEPS[step]}")
    for (name, step), tested in found.items():
        if name != BEST:
            value, low, high = tested.change(found[BEST, step])
            alone = ", of the test text alone: one seed" if len(tested.folders) == 1 else ""
            told = f"{low:+.2f} to {high:+.2f} %, 95 %{alone}"
            lines.append(f"%PPL-CHANGE {value:+.2f} [ {told} ] {name}, {STEPS[step]}, against {BEST}")
    for name in ("uniform", "size"):
        if (name, "all") in found:
            value, low, high = found[BEST, "tuned"].change(found[name, "all"])
            told = f"{low:+.2f} to {high:+.2f} %, 95 %"
            lines.append(f"%PPL-CHANGE {value:+.2f} [ {told} ] {BEST}, fine-tuned, against {name}, {STEPS['all']}")
    both = json.loads((mixed / "score.json").read_text(encoding="utf-8"))["comparison"]
    lines.append(f"%PPL {both['ngram']:.2f} [ n-gram mixture, {both['words']} words that both know ] ngram")
    lines.append(f"%PPL {both['network']:.2f} [ the same words ] {BEST}, {STEPS['tuned']}")
    how = f"both, the network with weight {both['weight']:.2f} from dev; the same words"
    lines.append(f"%PPL {both['both']:.2f} [ {how} ] {BEST} and ngram")
    return lines


def ngrams(folder: Path, test: Path) -> list[str]:
    """The perplexity of each n-gram model."""
    text = list(sentences(test, normaliser("asr_en")))
    found = {path.parent.name: Arpa.read(path).perplexity(text) for path in sorted(folder.glob("*/lm.arpa"))}
    return [
        f"%PPL {one.value:.2f} [ n-gram model, {one.words} words, {one.oov} out of vocabulary ] {name}"
        for name, one in found.items()
    ]


def table(found: dict[tuple[str, str], Tested]) -> list[Row]:
    """A row for each system."""
    made: list[Row] = [
        (
            *("model", "step", "seeds", "perplexity", "with scores as they are"),
            *("mean of ln Z", "variance of ln Z", "words/s scored, normalised", "as they are"),
        )
    ]
    for (name, step), tested in found.items():
        speeds = [facts["speed"] for facts in tested.facts]
        made.append(
            (
                TITLES[name],
                STEPS[step],
                str(len(tested.folders)),
                f"{tested.perplexity:.2f}",
                "-" if name in ("softmax", "sampled") else f"{tested.mean('self_perplexity'):.2f}",
                f"{tested.mean('mean_ln_z'):.3f}",
                f"{tested.mean('var_ln_z'):.3f}",
                f"{statistics.median(one['normalised'] for one in speeds):,.0f}",
                f"{statistics.median(one['self_normalised'] for one in speeds):,.0f}",
            )
        )
    return made


def draw(found: dict[tuple[str, str], Tested], path: Path) -> None:
    """The perplexity of each system, before and after fine-tuning."""
    names = list(dict.fromkeys(name for name, _ in found))
    figure, axes = new_figure(7.2, 0.6 + 0.55 * len(names))
    for step, shift, colour in (("all", -0.2, GREY), ("tuned", 0.2, GREEN)):
        places = [place for place, name in enumerate(names) if (name, step) in found]
        values = [found[names[place], step].perplexity for place in places]
        bars = axes.barh([place + shift for place in places], values, height=0.36, color=colour, label=STEPS[step])
        axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), [TITLES[name] for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("perplexity of the domain's test text")
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    plain_axes(axes, "x")
    save_figure(figure, path)


def save(path: Path, made: Sequence[Row]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()

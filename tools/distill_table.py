"""What a student is worth with and without a teacher, at full precision and in a few bits.

Reads `<exp>/seed<S>/fold<F>/<system>` (a trained or quantized model) and `<system>-test` (what `audio-event score`
wrote), and the teachers in `<teachers>/fold<F>/teacher` and `test`. Writes systems.tsv, folds.tsv and size.png into
--out, and scores.txt, whose `%` lines are the recipe's headline. Intervals are bootstraps over clips, the
same draws for all systems, and seeds.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from voxkit import bundle
from voxkit.decode.predictions import Predictions, pooled
from voxkit.metrics.calibration import quantiles
from voxkit.metrics.classify_plots import Costed, accuracy_against_cost
from voxkit.metrics.mcnemar import mcnemar_pooled
from voxkit.metrics.resampling import draws_with_replacement, seed_weights
from voxkit.nn.counting import count

SYSTEMS = {
    "student": "student",
    "distilled": "+ distillation",
    "distilled-quantized": "+ distillation + quantization",
    "student-after": "quantized after training",
    "student-aware": "quantization-aware, no teacher",
    "distilled-after": "+ distillation, quantized after",
    "unmixed": "student, sounds not mixed",
    "unmixed-distilled": "+ distillation, sounds not mixed",
}
TEACHER, STUDENT, DISTILLED, QUANTIZED = "teacher", "student", "distilled", "distilled-quantized"
UNMIXED, UNMIXED_DISTILLED = "unmixed", "unmixed-distilled"
# a system, and what it is compared with
PAIRS = ((DISTILLED, STUDENT), (QUANTIZED, STUDENT), (UNMIXED_DISTILLED, UNMIXED))
ACCURACY, EER = 0, 2  # columns of `ClassifyReport.measures`
DRAWS, AT_ONCE = 2000, 500


@dataclass(frozen=True)
class Measured:
    """A system's measures over all folds, and their bootstrap.

    Attributes:
        right: (S, N) whether each clip was told rightly, with each seed.
        values: (4,) accuracy, macro AUC, EER and average precision [per cent], means over seeds.
        draws: (R, 4) of those, over clips, the same for all systems, and seeds.
    """

    right: NDArray[np.bool_]
    values: NDArray[np.float64]
    draws: NDArray[np.float64]

    @classmethod
    def of(cls, runs: list[list[Path]], seed: int) -> Measured:
        """From what `score` wrote: folders by seed and fold."""
        reports = [in_order(pooled(folders)).report() for folders in runs]
        count = len(reports[0].judged)
        times = draws_with_replacement(np.random.default_rng(0), DRAWS, count)
        parts = np.split(times, range(AT_ONCE, DRAWS, AT_ONCE))
        each = np.stack([np.concatenate([report.measures(part) for part in parts]) for report in reports])
        weights = seed_weights(np.random.default_rng(seed), DRAWS, len(reports))
        values = np.mean([report.measures(np.ones((1, count)))[0] for report in reports], axis=0)
        draws = np.einsum("rs,srm->rm", weights, each) / len(reports)
        return cls(np.stack([report.right for report in reports]), values, draws)

    def interval(self, column: int) -> tuple[float, float, float]:
        """A measure and its 95 % interval [per cent]."""
        return float(self.values[column]), *quantiles(self.draws[:, column])

    def change(self, before: Measured, column: int) -> tuple[float, float, float]:
        """By how much an error is larger than before, relatively, and the interval [per cent]."""
        after, former = (_errors(np.vstack([one.values, one.draws])[:, column], column) for one in (self, before))
        changes = 100 * (after / np.maximum(former, 1e-9) - 1)
        return float(changes[0]), *quantiles(changes[1:])


def _errors(values: NDArray[np.float64], column: int) -> NDArray[np.float64]:
    return 100 - values if column == ACCURACY else values


def in_order(said: Predictions) -> Predictions:
    """In the order of their ids, so that the same clips are drawn for all."""
    return replace(said, items=tuple(sorted(said.items, key=lambda item: item.id)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--folds", type=str.split, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    first = args.exp / f"seed{args.seeds[0]}" / f"fold{args.folds[0]}"
    models = {TEACHER: args.teachers / f"fold{args.folds[0]}" / TEACHER, **{name: first / name for name in SYSTEMS}}
    tests = {
        name: [[args.exp / f"seed{s}" / f"fold{f}" / f"{name}-test" for f in args.folds] for s in args.seeds]
        for name in SYSTEMS
    }
    tests[TEACHER] = [[args.teachers / f"fold{fold}" / "test" for fold in args.folds]]
    found = {name: Measured.of(runs, seed) for seed, (name, runs) in enumerate(tests.items())}
    sizes = {name: bundle.size(path).weights for name, path in models.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    save(args.out / "1_systems.tsv", systems_table(found, sizes, models))
    save(args.out / "2_folds.tsv", folds_table(tests, args.folds))
    save(args.out / "3_int8.tsv", runtimes_table(args.exp / "int8"))
    (args.out / "scores.txt").write_text("".join(f"{line}\n" for line in headline(found, sizes)), encoding="utf-8")
    shown = [name for name in (TEACHER, *SYSTEMS) if name not in (UNMIXED, UNMIXED_DISTILLED)]
    points = [Costed(title(name), sizes[name], *found[name].interval(ACCURACY), "") for name in shown]
    accuracy_against_cost(
        points, args.out / "1_size.png", xlabel="file of the weights", title="ESC-10, five folds", unit="B"
    )


def title(name: str) -> str:
    return SYSTEMS.get(name, name)


def headline(found: dict[str, Measured], sizes: dict[str, int]) -> list[str]:
    """Every system's accuracy and equal error rate; what teaching and quantization change; sizes."""
    lines = []
    for measure, column in (("ACC", ACCURACY), ("EER", EER)):
        for name in (TEACHER, *SYSTEMS):
            value, low, high = found[name].interval(column)
            seeds, clips = found[name].right.shape
            lines.append(
                f"%{measure} {value:.2f} [ {low:.2f} to {high:.2f}, {clips} clips x {seeds} seed(s) ] {title(name)}"
            )
    for measure, column in (("ERR", ACCURACY), ("EER", EER)):
        for name, before in PAIRS:
            value, low, high = found[name].change(found[before], column)
            told = f"{value:+.1f} [ {low:+.1f} to {high:+.1f}, 95 % ]"
            lines.append(f"%{measure}-CHANGE {told} {title(name)}, against {title(before)}")
    test = mcnemar_pooled(found[DISTILLED].right, found[QUANTIZED].right)
    lines.append(
        f"%ACC-CHANGE {test.difference:+.2f} [ {test.low:+.2f} to {test.high:+.2f} points, p = {test.p:.2g} ] "
        f"{title(QUANTIZED)}, against {title(DISTILLED)}"
    )
    for other in (DISTILLED, TEACHER):
        share = 100 * sizes[QUANTIZED] / sizes[other]
        name = "full-precision student's" if other == DISTILLED else "teacher's"
        lines.append(f"%SIZE {share:.2f} [ {sizes[QUANTIZED]} / {sizes[other]} bytes ] quantized, of the {name} file")
    return lines


def systems_table(found: dict[str, Measured], sizes: dict[str, int], models: dict[str, Path]) -> list[tuple[str, ...]]:
    """A row for each system."""
    rows = [
        (
            "system",
            "parameters",
            "multiply-adds",
            "bits",
            "bytes",
            "of teacher [%]",
            "of student [%]",
            "accuracy [%]",
            "error change [%]",
            "EER [%]",
            "EER change [%]",
        )
    ]
    for name in (TEACHER, *SYSTEMS):
        loaded = bundle.load(models[name])
        features = loaded.config["features"]
        frames = round(loaded.config["clip"]["seconds"] / features["frame_shift"])
        counts = count(loaded.model, torch.zeros(1, frames, features["num_mels"]))
        own = name in (STUDENT, TEACHER)
        before = found[UNMIXED if name == UNMIXED_DISTILLED else STUDENT]
        changes = [(0.0,) * 3 if own else found[name].change(before, column) for column in (ACCURACY, EER)]
        told = ["" if own else f"{value:+.1f} ({low:+.1f} to {high:+.1f})" for value, low, high in changes]
        rates = [
            f"{value:.2f} ({low:.2f} to {high:.2f})" for value, low, high in map(found[name].interval, (ACCURACY, EER))
        ]
        rows.append(
            (
                title(name),
                f"{counts.parameters:,}",
                f"{counts.multiply_adds:,}",
                str(loaded.quantization.bits if loaded.quantization else 32),
                f"{sizes[name]:,}",
                f"{100 * sizes[name] / sizes[TEACHER]:.2f}",
                f"{100 * sizes[name] / sizes[STUDENT]:.1f}",
                rates[0],
                told[0],
                rates[1],
                told[1],
            )
        )
    return rows


def folds_table(tests: dict[str, list[list[Path]]], folds: list[str]) -> list[tuple[str, ...]]:
    """Accuracy of each system in each fold, mean over seeds [per cent]."""
    rows: list[tuple[str, ...]] = [("accuracy [%]", *(f"fold {fold}" for fold in folds))]
    for name in (TEACHER, *SYSTEMS):
        means = [
            np.mean([Predictions.read(run).report().right for run in runs]) for runs in zip(*tests[name], strict=True)
        ]
        rows.append((title(name), *(f"{100 * mean:.2f}" for mean in means)))
    return rows


def runtimes_table(folder: Path) -> list[tuple[str, ...]]:
    """What `quantize --int8 --report` measured of each model: one clip on one thread, and accuracy on one fold."""
    rows: list[tuple[str, ...]] = [("model of fold 1", "run by", "ms a clip", "memory [MB]", "bytes", "accuracy [%]")]
    for path in sorted(folder.glob("*/report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        scores = {name: f"{100 - score['value']:.2f}" for name, score in report["scores"].items()}
        for run in report["runtimes"]:
            value = scores["int8" if "int8" in run["name"] else "float"]
            times = f"{1e3 * run['median']:.2f} ({1e3 * run['p10']:.2f} to {1e3 * run['p90']:.2f})"
            rows.append(
                (path.parent.name, run["name"], times, f"{run['memory'] / 1e6:.0f}", f"{run['weights']:,}", value)
            )
    return rows


def save(path: Path, rows: list[tuple[str, ...]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()

"""What a student is worth with and without a teacher, at full precision and in a few bits.

Reads `<exp>/seed<S>/fold<F>/<system>` (a trained or quantized model) and `<system>-test` (what `audio-event score`
wrote), and the teachers in `<teachers>/fold<F>/teacher` and `test`. Writes systems.tsv, folds.tsv and size.png into
--out, and scores.txt, whose `%` lines are the recipe's headline. Intervals are bootstraps over clips, the same draws
for all systems and seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from voxkit import bundle
from voxkit.metrics.calibration import quantiles
from voxkit.metrics.classify_plots import Costed, accuracy_against_cost
from voxkit.metrics.mcnemar import mcnemar_pooled
from voxkit.metrics.resampling import draws_with_replacement
from voxkit.nn.counting import count

SYSTEMS = {
    "student": "student",
    "distilled": "+ distillation",
    "distilled-quantized": "+ distillation + quantization",
    "student-after": "quantized after training",
    "student-aware": "quantization-aware, no teacher",
    "distilled-after": "+ distillation, quantized after",
}
TEACHER, STUDENT, DISTILLED, QUANTIZED = "teacher", "student", "distilled", "distilled-quantized"
DRAWS = 10_000
Rights = NDArray[np.bool_]  # (seeds, clips)


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
    right = {name: np.array([answers(folders) for folders in by_seed]) for name, by_seed in tests.items()}
    sizes = {name: bundle.size(path).weights for name, path in models.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    save(args.out / "1_systems.tsv", systems_table(right, sizes, models))
    save(args.out / "2_folds.tsv", folds_table(tests, args.folds))
    save(args.out / "3_int8.tsv", runtimes_table(args.exp / "int8"))
    (args.out / "scores.txt").write_text("".join(f"{line}\n" for line in headline(right, sizes)), encoding="utf-8")
    points = [Costed(title(name), sizes[name], *accuracy(right[name]), title(name)) for name in (TEACHER, *SYSTEMS)]
    accuracy_against_cost(
        points, args.out / "1_size.png", xlabel="file of the weights", title="ESC-10, five folds", unit="B"
    )


def title(name: str) -> str:
    return SYSTEMS.get(name, name)


def answers(folders: list[Path]) -> NDArray[np.bool_]:
    """Whether each clip of the folds' tests was told rightly, in the order of their ids."""
    found = {}
    for folder in folders:
        for text in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            found[line["id"]] = [line["best"]] == line["labels"]
    return np.array([found[name] for name in sorted(found)])


def draws(right: Rights, seed: int = 0) -> NDArray[np.float64]:
    """(R,) mean error over seeds in each draw of clips [per cent]; equal draws for equal numbers of clips."""
    times = draws_with_replacement(np.random.default_rng(seed), DRAWS, right.shape[1])
    return 100 - 100 * (times @ right.mean(axis=0)) / right.shape[1]


def accuracy(right: Rights) -> tuple[float, float, float]:
    """Mean over seeds, and its 95 % interval over clips [per cent]."""
    low, high = quantiles(100 - draws(right))
    return 100 * float(right.mean()), low, high


def change_of_error(right: Rights, before: Rights) -> tuple[float, float, float]:
    """By how much the error is larger than before, relatively, and the interval [per cent]."""
    errors = 100 - 100 * right.mean(), 100 - 100 * before.mean()
    low, high = quantiles(100 * (draws(right) / np.maximum(draws(before), 1e-9) - 1))
    return 100 * float(errors[0] / max(errors[1], 1e-9) - 1), low, high


def headline(right: dict[str, Rights], sizes: dict[str, int]) -> list[str]:
    """Every system's accuracy; what teaching and quantization change; sizes."""
    lines = []
    for name in (TEACHER, *SYSTEMS):
        value, low, high = accuracy(right[name])
        seeds, clips = right[name].shape
        lines.append(f"%ACC {value:.2f} [ {low:.2f} to {high:.2f}, {clips} clips x {seeds} seed(s) ] {title(name)}")
    for name in (DISTILLED, QUANTIZED):
        value, low, high = change_of_error(right[name], right[STUDENT])
        lines.append(f"%ERR-CHANGE {value:+.1f} [ {low:+.1f} to {high:+.1f}, 95 % ] {title(name)}, against the student")
    pooled = mcnemar_pooled(right[DISTILLED], right[QUANTIZED])
    lines.append(
        f"%ACC-CHANGE {pooled.difference:+.2f} [ {pooled.low:+.2f} to {pooled.high:+.2f} points, p = {pooled.p:.2g} ] "
        f"{title(QUANTIZED)}, against {title(DISTILLED)}"
    )
    for other in (DISTILLED, TEACHER):
        share = 100 * sizes[QUANTIZED] / sizes[other]
        name = "full-precision student's" if other == DISTILLED else "teacher's"
        lines.append(f"%SIZE {share:.2f} [ {sizes[QUANTIZED]} / {sizes[other]} bytes ] quantized, of the {name} file")
    return lines


def systems_table(right: dict[str, Rights], sizes: dict[str, int], models: dict[str, Path]) -> list[tuple[str, ...]]:
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
        )
    ]
    for name in (TEACHER, *SYSTEMS):
        found = bundle.load(models[name])
        features = found.config["features"]
        frames = round(found.config["clip"]["seconds"] / features["frame_shift"])
        counts = count(found.model, torch.zeros(1, frames, features["num_mels"]))
        value, low, high = accuracy(right[name])
        change = change_of_error(right[name], right[STUDENT])
        rows.append(
            (
                title(name),
                f"{counts.parameters:,}",
                f"{counts.multiply_adds:,}",
                str(found.quantization.bits if found.quantization else 32),
                f"{sizes[name]:,}",
                f"{100 * sizes[name] / sizes[TEACHER]:.2f}",
                f"{100 * sizes[name] / sizes[STUDENT]:.1f}",
                f"{value:.2f} ({low:.2f} to {high:.2f})",
                "" if name in (STUDENT, TEACHER) else f"{change[0]:+.1f} ({change[1]:+.1f} to {change[2]:+.1f})",
            )
        )
    return rows


def folds_table(tests: dict[str, list[list[Path]]], folds: list[str]) -> list[tuple[str, ...]]:
    """Accuracy of each system in each fold, mean over seeds [per cent]."""
    rows: list[tuple[str, ...]] = [("accuracy [%]", *(f"fold {fold}" for fold in folds))]
    for name in (TEACHER, *SYSTEMS):
        columns = zip(*tests[name], strict=True)
        rows.append(
            (title(name), *(f"{np.mean([100 * answers([f]).mean() for f in column]):.2f}" for column in columns))
        )
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

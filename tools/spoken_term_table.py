"""What full-band and sub-band networks are worth and what they cost, from the folders that a recipe's runs left.

Reads `<exp>/<part>/<network>/seed<S>/[fold<I>/]`, where `model` is a trained model and `score` what `voxkit spoken-term
score` wrote; and, for the picture, `<exp>/sweep/<number>/` with the line and the label of the point in `name.txt`.
Writes networks.tsv, sweep.tsv and cost.png into --out, and scores.txt, whose `%` lines are the recipe's headline.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit import bundle
from voxkit.commands.spoken_term.command import SpokenTerm
from voxkit.config import from_mapping
from voxkit.metrics.classify_plots import Costed, accuracy_against_cost
from voxkit.metrics.mcnemar import mcnemar, mcnemar_pooled
from voxkit.nn.counting import count
from voxkit.nn.footprint import Latency, latency
from voxkit.nn.onnx_graph import Graph, write
from voxkit.onnx_model import OnnxModel

NAMES = {"full": "full-band", "subband": "sub-band"}
Rights = dict[str, NDArray[np.bool_]]  # of each network: (seeds, clips)
Row = tuple[str, ...]


class Cost(NamedTuple):
    """What one network takes for one window.

    Attributes:
        torch, onnx: seconds of a window of its own on one thread, by torch and by onnxruntime.
    """

    parameters: int
    multiply_adds: int
    torch: Latency
    onnx: Latency


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True)
    parser.add_argument("--seeds", type=str.split, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", nargs=2, action="append", required=True, metavar=("FOLDER", "TITLE"))
    args = parser.parse_args()
    parts: dict[str, str] = dict(args.part)
    right = {part: by_seed(args.exp / part, args.seeds) for part in parts}
    costs = {name: measured(args.exp / next(iter(parts)) / name) for name in NAMES}
    args.out.mkdir(parents=True, exist_ok=True)
    save(args.out / "1_networks.tsv", table(parts, right, costs))
    lines = [*accuracies(parts, right), *costs_lines(costs), *differences(parts, right)]
    (args.out / "scores.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if (args.exp / "sweep").is_dir():
        points = swept(args.exp / "sweep")
        save(args.out / "2_sweep.tsv", sweep_table(points))
        xlabel = "multiply-adds for a window (at the points: channels of the first layer)"
        accuracy_against_cost(points, args.out / "1_cost.png", xlabel, title="Official test, by the cost of a window")


def by_seed(folder: Path, seeds: list[str]) -> Rights:
    """Of each network (S, N) whether a seed's models were right about each clip; folds follow each other."""
    found = {
        (name, seed): {
            clip: right
            for file in sorted((folder / name / f"seed{seed}").glob("**/score/predictions.jsonl"))
            for clip, right in judged(file).items()
        }
        for name in NAMES
        for seed in seeds
        if (folder / name / f"seed{seed}").is_dir()
    }
    clips = sorted(next(iter(found.values())))
    if any(sorted(one) != clips for one in found.values()):
        raise SystemExit(f"{folder}: its models were not judged on the same clips")
    return {
        name: np.array([[one[clip] for clip in clips] for (owner, _), one in found.items() if owner == name])
        for name in NAMES
    }


def judged(file: Path) -> dict[str, bool]:
    """Of each clip whether its class was the best one."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {line["id"]: [line["best"]] == line["labels"] for line in lines}


def loaded(folder: Path) -> tuple[nn.Module, Tensor]:
    """The first trained model in a folder, and a window of silence (1, T, F)."""
    found = bundle.load(sorted(folder.glob("**/model/bundle"))[0])
    config = from_mapping(SpokenTerm, found.config, "the bundle's config")
    features = config.features
    frames = features.num_frames(round(config.clip.seconds * features.sampling_rate))
    return found.model, torch.zeros(1, frames, features.dim)


def measured(folder: Path) -> Cost:
    """What a window costs; by onnxruntime as by torch on one thread, which is how such a network is used."""
    model, window = loaded(folder)
    counts = count(model, window)
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        path = Path(place) / "model.onnx"
        write(model, Graph({"features": window}, ["logits"], {}), path, {})
        exported = OnnxModel(path, threads=1)
        by_torch, by_onnx = (latency(lambda run=run: run(window), repeats=300) for run in (model, exported))  # type: ignore[misc]
    return Cost(counts.parameters, counts.multiply_adds, by_torch, by_onnx)


def swept(folder: Path) -> list[Costed]:
    """A point of each network of the sweep: accuracy of its seeds together, with a 95 % interval over clips."""
    points = []
    for place in sorted(folder.iterdir(), key=lambda path: int(path.name)):
        line, label = (place / "name.txt").read_text(encoding="utf-8").strip().split("/")
        files = sorted(place.glob("seed*/score/score.json"))
        values = [json.loads(file.read_text(encoding="utf-8"))["accuracy"] for file in files]
        model, window = loaded(place)
        mean, low, high = (float(np.mean([value[name] for value in values])) for name in ("value", "low", "high"))
        points.append(Costed(line, count(model, window).multiply_adds, mean, low, high, label))
    return points


def table(parts: dict[str, str], right: dict[str, Rights], costs: dict[str, Cost]) -> list[Row]:
    """A row for each network."""
    found: list[Row] = [
        (
            "network",
            "parameters",
            "multiply-adds",
            "torch [ms]",
            "onnxruntime [ms]",
            *(f"{t} [%]" for t in parts.values()),
        )
    ]
    for name, title in NAMES.items():
        cost = costs[name]
        times = (f"{1e3 * t.median:.3f} ({1e3 * t.p10:.3f} to {1e3 * t.p90:.3f})" for t in (cost.torch, cost.onnx))
        means = (f"{100 * right[part][name].mean():.2f}" for part in parts)
        found.append((title, f"{cost.parameters:,}", f"{cost.multiply_adds:,}", *times, *means))
    return found


def sweep_table(points: list[Costed]) -> list[Row]:
    """A row for each point."""
    return [
        ("network", "channels of the first layer", "multiply-adds", "accuracy [%]", "95 %"),
        *(
            (one.series, one.label, f"{one.cost:,}", f"{one.accuracy:.2f}", f"{one.low:.2f} to {one.high:.2f}")
            for one in points
        ),
    ]


def accuracies(parts: dict[str, str], right: dict[str, Rights]) -> list[str]:
    """`%ACC 99.00 [ 891 / 900, by seed 99.33 98.67 99.00 ] full-band, official test`"""
    return [
        f"%ACC {100 * rows.mean():.2f} [ {rows.sum()} / {rows.size}, by seed "
        f"{' '.join(f'{100 * row.mean():.2f}' for row in rows)} ] {NAMES[name]}, {title}"
        for part, title in parts.items()
        for name, rows in right[part].items()
    ]


def costs_lines(costs: dict[str, Cost]) -> list[str]:
    """What both networks cost, and what the sub-band one spares."""
    full, sub = costs["full"], costs["subband"]
    lines = [
        f"%MULTIPLY-ADDS {cost.multiply_adds} [ {cost.parameters} parameters ] {NAMES[name]}"
        for name, cost in costs.items()
    ]
    spared = 100 * (1 - sub.multiply_adds / full.multiply_adds)
    lines.append(f"%SPARED {spared:.2f} [ {full.multiply_adds} to {sub.multiply_adds} ] multiply-adds, sub-band")
    for runtime, before, after in (("torch", full.torch, sub.torch), ("onnxruntime", full.onnx, sub.onnx)):
        lines.append(
            f"%LATENCY {1e3 * after.median:.3f} [ full-band {1e3 * before.median:.3f} ] ms a window, sub-band, "
            f"{runtime} on one thread"
        )
    return lines


def differences(parts: dict[str, str], right: dict[str, Rights]) -> list[str]:
    """Whether the networks' accuracies differ by more than chance: bootstrap and McNemar tests."""
    lines = []
    for part, title in parts.items():
        full, sub = right[part]["full"], right[part]["subband"]
        found = mcnemar_pooled(full, sub, draw_seeds=len(full) > 1)
        lines.append(
            f"%DIFFERENCE {found.difference:+.2f} [ {found.low:+.2f} to {found.high:+.2f}, 95 %, p = {found.p:.3g}; "
            f"McNemar p = {found.test.p:.3g} ] points, sub-band less full-band, {title}"
        )
        lines.append(f"{title}, full-band and sub-band: {found}")
        lines += [f"{title}, one seed: {mcnemar(*pair)}" for pair in zip(full, sub, strict=True)]
    return lines


def save(path: Path, rows: list[Row]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()

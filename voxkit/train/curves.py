"""A picture of a training run, from its metrics.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

INK, SOFT, ACCENT = "#1f4e79", "#a9c3dc", "#c0392b"


def read_metrics(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of metrics.jsonl by kind ("train", "score", "nonfinite"), in order of steps.

    A run that was killed repeats the steps after its last checkpoint: the newest record of a step counts. A line cut
    short by a kill is passed over.
    """
    newest: dict[tuple[str, int], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
            newest[record["kind"], record["step"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    kinds: dict[str, list[dict[str, Any]]] = {}
    for (kind, _), record in sorted(newest.items(), key=lambda item: item[0]):
        kinds.setdefault(kind, []).append(record)
    return kinds


def draw(metrics: Path, picture: Path, title: str = "") -> None:
    """Draw loss, score, learning rate and gradient norm over the steps as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kinds = read_metrics(metrics)
    train, scores = kinds.get("train", []), [s for s in kinds.get("score", []) if s["score"] is not None]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.set_xlabel("step")

    steps = [record["step"] for record in train]
    losses = [record["loss"] for record in train]
    smooth = _smooth(losses)
    mark = "o" if len(steps) == 1 else ""  # of a line, one point would leave nothing to see
    panels[0].plot(steps, losses, color=SOFT, linewidth=1, marker=mark)
    panels[0].plot(steps, smooth, color=INK, linewidth=1.6, marker=mark)
    panels[0].set_title("training loss" + (f", last {smooth[-1]:.3g}" if smooth else ""))
    for record in kinds.get("nonfinite", []):
        panels[0].axvline(record["step"], color=ACCENT, linewidth=0.8, alpha=0.6)
    if losses and min(losses) > 0:
        panels[0].set_yscale("log")
        for place in (panels[0].yaxis.set_major_formatter, panels[0].yaxis.set_minor_formatter):
            place(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else "")

    panels[1].set_title("score")
    if scores:
        best = min(scores, key=lambda record: float(record["score"]))
        panels[1].plot([s["step"] for s in scores], [s["score"] for s in scores], "o-", color=INK, markersize=3)
        panels[1].plot(best["step"], best["score"], "o", color=ACCENT)
        panels[1].set_title(f"{best['name']}, best {best['score']:.4g} at step {best['step']}")

    panels[2].plot(steps, [record["lr"] for record in train], color=INK, marker=mark)
    panels[2].set_ylim(bottom=0)
    panels[2].set_title("learning rate and gradient norm")
    norms = panels[2].twinx()
    norms.plot(steps, [record["grad_norm"] for record in train], color=ACCENT, linewidth=0.8, alpha=0.5, marker=mark)
    norms.set_ylim(bottom=0)
    norms.spines["top"].set_visible(False)
    norms.tick_params(axis="y", colors=ACCENT)
    panels[2].tick_params(axis="y", colors=INK)
    if title:
        figure.suptitle(title)
    temporary = picture.with_suffix(".tmp.png")
    figure.savefig(temporary, dpi=110)
    temporary.replace(picture)


def _smooth(values: list[float]) -> list[float]:
    """A running mean over about a twentieth of the curve, shorter at its ends."""
    half = len(values) // 40
    windows = [values[max(i - half, 0) : i + half + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]

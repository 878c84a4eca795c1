"""A picture of a choice: the scores, and what it covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data.choose import Choice, Method
from voxkit.commands.select_data.entropy import EntropyReduction
from voxkit.commands.select_data.pool import Pool
from voxkit.metrics.plots import GREEN, GREY, INK, RED, new_figure, save_figure

MOST, PAIRS = 20_000, 18  # points and word pairs that are drawn


def draw(path: Path, method: str, pool: Pool, choice: Choice, allowed: NDArray[np.bool_], scorer: Method) -> None:
    """Score against confidence, chosen ones in colour; beside it what entropy reduction did to the commonest pairs of
    words, or for other methods the durations of what was chosen."""
    figure, (left, right) = new_figure(13, 5, ncols=2)
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    _scores(left, method, pool, choice, allowed)
    if isinstance(scorer, EntropyReduction):
        _pairs(right, scorer, choice)
    else:
        _durations(right, pool, choice)
    save_figure(figure, path)


def _scores(panel: Any, method: str, pool: Pool, choice: Choice, allowed: NDArray[np.bool_]) -> None:
    shown = np.sort(np.random.default_rng(0).permutation(len(pool.ids))[:MOST])
    score = choice.score
    floor = score[np.isfinite(score)].min(initial=0.0)
    chosen = np.zeros(len(score), bool)
    chosen[choice.order] = True
    known = method != "confidence" and not np.isnan(pool.confidence).all()
    across = pool.confidence if known else pool.durations
    kinds = [
        ("not chosen", GREY, ~chosen & allowed & np.isfinite(score)),
        ("refused", RED, allowed & ~np.isfinite(score)),
        ("left out", INK, ~allowed),
        ("chosen", GREEN, chosen),
    ]
    for name, colour, mask in kinds:
        rows = shown[mask[shown]]
        if len(rows):
            height = np.where(np.isfinite(score[rows]), score[rows], floor)
            label = f"{name} ({int(mask.sum())})"
            panel.scatter(across[rows], height, s=9, color=colour, alpha=0.6, linewidths=0, label=label)
    panel.set_xlabel("mean confidence of the words" if known else "duration [s]")
    panel.set_ylabel(f"score ({method})")
    panel.set_title(f"{len(choice.order)} of {len(pool.ids)} utterances", loc="left")
    panel.legend(frameon=False)


def _pairs(panel: Any, scorer: EntropyReduction, choice: Choice) -> None:
    """Mean entropy of the pairs with most of it, before and after the pool was asked."""
    names, count, before, after = scorer.by_pair(PAIRS)
    rows = np.arange(len(names))[::-1]
    panel.barh(rows + 0.2, before, height=0.38, color=GREY, label="before")
    panel.barh(rows - 0.2, after, height=0.38, color=GREEN, label="after the rest of the pool was asked")
    panel.set_yticks(rows, [f"{name}  ({number})" for name, number in zip(names, count, strict=True)])
    panel.set_xlabel("mean uncertainty of the label [bit]; beyond 1 the other word is likelier")
    panel.set_title("Pairs of words with most uncertainty (bins)", loc="left")
    panel.set_ylim(-0.6 - 0.12 * len(names), len(names))  # leaves room for the legend
    panel.legend(frameon=False, loc="lower right", ncols=2)


def _durations(panel: Any, pool: Pool, choice: Choice) -> None:
    edges = np.linspace(0, max(float(np.quantile(pool.durations, 0.995)), 0.1), 40)
    panel.hist(np.minimum(pool.durations, edges[-1]), edges, color=GREY, label="pool")
    panel.hist(np.minimum(pool.durations[choice.order], edges[-1]), edges, color=GREEN, label="chosen")
    panel.set_xlabel("duration [s]")
    panel.set_ylabel("utterances")
    panel.set_title("Durations", loc="left")
    panel.legend(frameon=False)

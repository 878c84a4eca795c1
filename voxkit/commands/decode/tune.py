"""A small sweep over the search's scales on a dev set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from voxkit.commands.decode.command import TuneConfig
from voxkit.data.text import normaliser as normaliser_called
from voxkit.metrics.edit import Errors, errors
from voxkit.metrics.grid import lowest

Point = tuple[float, float]  # acoustic scale, blank penalty


class Grid:
    """Word errors at every pair of acoustic scale and blank penalty."""

    def __init__(self, config: TuneConfig) -> None:
        self.axes = (sorted(set(config.acoustic_scales)), sorted(set(config.blank_penalties)))
        self.points: list[Point] = list(product(*self.axes))
        self.errors: dict[Point, Errors] = dict.fromkeys(self.points, Errors())

    def add(self, reference: str, texts: Sequence[str], normaliser: str = "none") -> None:
        """Count an utterance's errors; `texts` are its hypotheses at `points`."""
        clean = normaliser_called(normaliser)
        said = clean(reference).split()
        for point, text in zip(self.points, texts, strict=True):
            self.errors[point] += errors(said, clean(text).split())

    def best(self) -> Point:
        """The point with the fewest errors; among equals the one whose neighbours have the fewest."""
        scales, penalties = self.axes
        counts = np.array([[self.errors[scale, penalty].count for penalty in penalties] for scale in scales])
        row, column = lowest(counts)
        return scales[row], penalties[column]

    def at_edge(self, point: Point) -> str:
        """The setting whose best value is the first or last of its axis, if there is one; no penalty is no edge."""
        for name, axis, value in zip(("acoustic_scales", "blank_penalties"), self.axes, point, strict=True):
            if len(axis) > 2 and value in (axis[0], axis[-1]) and value != 0:
                return name
        return ""

    def table(self) -> str:
        """WER of every point, as TSV."""
        rows = ["acoustic_scale\tblank_penalty\twer\terrors\twords"]
        for (scale, penalty), found in self.errors.items():
            rows.append(f"{scale:g}\t{penalty:g}\t{found.rate:.2f}\t{found.count}\t{found.total}")
        return "\n".join(rows) + "\n"

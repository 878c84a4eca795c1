"""The weights of acoustic, graph and language model that give the fewest errors on a dev set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.lm_nce.command import RescoreTune, RescoreWeights
from voxkit.metrics.edit import Errors
from voxkit.metrics.grid import lowest

AXES = ("graph", "lm", "penalty")


class Grid:
    """Word errors at all combinations of weights.

    Attributes:
        weights: (P, 4) of acoustic, graph, language model and words, as the columns of `Scores.parts`.
        counts: (P, 4) reference words, insertions, deletions, substitutions.
    """

    def __init__(self, config: RescoreTune) -> None:
        self.axes = [sorted(set(getattr(config, name))) for name in AXES]
        points = np.array(list(product(*self.axes)))
        self.weights = np.hstack([np.ones((len(points), 1)), points])
        self.counts: NDArray[np.int64] = np.zeros((len(points), 4), dtype=np.int64)

    def add(self, parts: NDArray[np.float64], found: Sequence[Errors]) -> None:
        """Count the errors of the best hypothesis at every point.

        Args:
            parts: (H, 4) costs of an utterance's hypotheses.
            found: errors of each.
        """
        table = np.array([(e.total, e.insertions, e.deletions, e.substitutions) for e in found])
        self.counts += table[(self.weights @ parts.T).argmin(axis=1)]

    @property
    def best(self) -> int:
        """The point with the fewest errors; among equals the one whose neighbours have the fewest."""
        shape = [len(axis) for axis in self.axes]
        return int(np.ravel_multi_index(lowest(self.counts[:, 1:].sum(axis=1).reshape(shape)), shape))

    def errors(self, point: int) -> Errors:
        """Errors at a point."""
        return Errors(*self.counts[point].tolist())

    def chosen(self, point: int) -> RescoreWeights:
        """The weights of a point."""
        return RescoreWeights(**dict(zip(AXES, self.weights[point, 1:].tolist(), strict=True)))

    def at_edge(self, point: int) -> list[str]:
        """The settings whose best value is the first or last of its axis; a weight of 0 is no edge."""
        return [
            name
            for name, axis, value in zip(AXES, self.axes, self.weights[point, 1:].tolist(), strict=True)
            if len(axis) > 2 and value in (axis[0], axis[-1]) and value != 0
        ]

    def advice(self, point: int) -> list[str]:
        """What to say of a best point: the language model is of no use, or better weights may lie beyond the grid."""
        if self.chosen(point).lm == 0 and len(self.axes[AXES.index("lm")]) > 1:
            return ["the language model does not help on these cuts: its best weight is 0"]
        return [
            f"the best {name} lies at the edge of the grid: widen it with -s tune.{name}=[...]"
            for name in self.at_edge(point)
        ]

    def table(self) -> str:
        """WER of every point, as TSV."""
        rows = ["\t".join([*AXES, "wer", "errors", "words"])]
        for point, weights in enumerate(self.weights[:, 1:].tolist()):
            found = self.errors(point)
            cells = [*(f"{value:g}" for value in weights), f"{found.rate:.2f}", str(found.count), str(found.total)]
            rows.append("\t".join(cells))
        return "\n".join(rows) + "\n"

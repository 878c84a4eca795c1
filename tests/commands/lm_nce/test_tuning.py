"""The grid of weights."""

import numpy as np

from voxkit.commands.lm_nce.command import RescoreTune
from voxkit.commands.lm_nce.tuning import Grid
from voxkit.metrics.edit import Errors


def test_the_grid_counts_the_best_hypothesis_at_every_point() -> None:
    draw = np.random.default_rng(0)
    grid = Grid(RescoreTune(graph=(0.0, 1.0), lm=(0.0, 0.5, 1.0), penalty=(-1.0, 0.0)))
    lists = [(draw.normal(size=(7, 4)) * 3, [Errors(4, *draw.integers(0, 3, 3).tolist()) for _ in range(7)])]
    lists += [(draw.normal(size=(1, 4)), [Errors(2, 1, 0, 0)])]
    for parts, found in lists:
        grid.add(parts, found)
    fewest = {}
    for point, weights in enumerate(grid.weights):
        expected = Errors()
        for parts, found in lists:
            costs = [sum(w * p for w, p in zip(weights, row, strict=True)) for row in parts]
            expected += found[costs.index(min(costs))]
        assert grid.errors(point) == expected
        fewest[point] = expected.count
    assert fewest[grid.best] == min(fewest.values())
    chosen = grid.chosen(grid.best)
    assert [1.0, chosen.graph, chosen.lm, chosen.penalty] == grid.weights[grid.best].tolist()
    assert len(grid.table().splitlines()) == 1 + 2 * 3 * 2


def test_an_edge_is_told_but_not_zero() -> None:
    grid = Grid(RescoreTune(graph=(0.0, 0.5, 1.0), lm=(0.0, 0.5, 1.0), penalty=(0.0,)))
    point = [[1.0, 0.0, 1.0, 0.0]] == grid.weights[[2]].tolist()
    assert point
    assert grid.at_edge(2) == ["lm"]
    assert grid.advice(2) == ["the best lm lies at the edge of the grid: widen it with -s tune.lm=[...]"]


def test_a_model_without_use_is_told_and_no_edge() -> None:
    grid = Grid(RescoreTune(graph=(0.5, 1.0, 2.0), lm=(0.0, 0.5), penalty=(0.0,)))
    points = grid.weights[:, 1:3].tolist()
    assert grid.advice(points.index([2.0, 0.0])) == [
        "the language model does not help on these cuts: its best weight is 0"
    ]
    assert [one.split(" lies")[0] for one in grid.advice(points.index([2.0, 0.5]))] == ["the best graph"]
    assert grid.advice(points.index([1.0, 0.5])) == []
    without = Grid(RescoreTune(graph=(0.5, 1.0, 2.0), lm=(0.0,), penalty=(0.0,)))  # it was not asked
    assert [one.split(" lies")[0] for one in without.advice(2)] == ["the best graph"]

"""Lattice operations against enumeration of all paths."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.small_lattices import paths, small_lattices
from voxkit.decode import lattice as lattices
from voxkit.decode.lattice import Lattice
from voxkit.errors import UserError


@given(small_lattices())
def test_every_arc_is_on_a_path_and_sorted(lattice: Lattice) -> None:
    assert {arc for path in paths(lattice) for arc in path.arcs} == set(range(lattice.num_arcs))
    assert (np.diff(lattice.src) >= 0).all()
    assert set(lattice.src.tolist()) | {lattice.num_states - 1} == set(range(lattice.num_states))


@given(small_lattices())
def test_total_score_sums_all_paths(lattice: Lattice) -> None:
    expected = np.logaddexp.reduce([-path.cost for path in paths(lattice)])
    assert lattice.total_score() == pytest.approx(expected, abs=1e-6)


@given(small_lattices())
def test_posteriors_are_shares_of_paths(lattice: Lattice) -> None:
    walks = paths(lattice)
    shares = np.exp([-path.cost - lattice.total_score() for path in walks])
    expected = np.zeros(lattice.num_arcs)
    for path, share in zip(walks, shares, strict=True):
        expected[list(path.arcs)] += share
    np.testing.assert_allclose(lattice.posteriors(), expected, atol=1e-6)


@given(small_lattices())
def test_best_path_is_the_cheapest(lattice: Lattice) -> None:
    best = lattice.best_path()
    cheapest = min(path.cost for path in paths(lattice))
    assert best.cost == pytest.approx(cheapest, abs=1e-5)
    assert sum(float(lattice.cost[a]) for a in best.arcs) == pytest.approx(cheapest, abs=1e-5)
    assert list(best.starts) == [int(lattice.start[a]) for a in best.arcs if lattice.word[a]]


@given(small_lattices(), st.integers(1, 8))
def test_nbest_are_the_cheapest_distinct_word_sequences(lattice: Lattice, n: int) -> None:
    cheapest: dict[tuple[int, ...], float] = {}
    for path in paths(lattice):
        cheapest[path.words] = min(path.cost, cheapest.get(path.words, np.inf))
    found = lattice.nbest(n)
    assert len({h.words for h in found}) == len(found) == min(n, len(cheapest))
    np.testing.assert_allclose([h.cost for h in found], sorted(cheapest.values())[: len(found)], atol=1e-5)
    for hypothesis in found:
        assert hypothesis.cost == pytest.approx(cheapest[hypothesis.words], abs=1e-5)


@given(small_lattices(), st.floats(0.01, 8))
def test_pruning_keeps_exactly_the_arcs_within_the_beam(lattice: Lattice, beam: float) -> None:
    walks = paths(lattice)
    best = min(path.cost for path in walks)
    kept = {arc for path in walks if path.cost <= best + beam for arc in path.arcs}
    close = {arc for path in walks if abs(path.cost - best - beam) < 1e-4 for arc in path.arcs}
    pruned = lattice.prune(beam)
    assert len(kept - close) <= pruned.num_arcs <= len(kept | close)
    assert pruned.best_path().cost == pytest.approx(best, abs=1e-5)
    assert pruned.prune(beam).num_arcs == pruned.num_arcs


@given(small_lattices(), st.floats(0.1, 3), st.floats(0.1, 3))
def test_scaling_scales_every_path(lattice: Lattice, acoustic: float, graph: float) -> None:
    scaled = lattice.scale(acoustic, graph).best_path()
    expected = min(
        sum(acoustic * float(lattice.acoustic[a]) + graph * float(lattice.graph[a]) for a in path.arcs)
        for path in paths(lattice)
    )
    assert scaled.cost == pytest.approx(expected, abs=1e-4)


@given(st.lists(small_lattices(), max_size=4))
def test_a_shard_comes_back(tmp_path_factory: pytest.TempPathFactory, several: list[Lattice]) -> None:
    path = tmp_path_factory.mktemp("shard") / "1.npz"
    written = {f"utt-{index}": lattice for index, lattice in enumerate(several)}
    lattices.save(path, written)
    read = lattices.load(path)
    assert list(read) == list(written)
    for name, lattice in written.items():
        for column in ("src", "dst", "word", "start", "end"):
            np.testing.assert_array_equal(getattr(read[name], column), getattr(lattice, column))
        np.testing.assert_allclose(read[name].acoustic, lattice.acoustic, atol=5e-4)
        np.testing.assert_allclose(read[name].graph, lattice.graph, atol=5e-4)
        assert (read[name].num_states, read[name].num_frames) == (lattice.num_states, lattice.num_frames)


def test_the_empty_lattice_holds_the_empty_path(tmp_path: Path) -> None:
    empty = Lattice.empty(12)
    assert empty.best_path().words == ()
    assert [h.words for h in empty.nbest(3)] == [()]
    assert empty.total_score() == 0.0
    assert empty.prune(5.0).num_states == 1
    assert len(empty.posteriors()) == 0
    lattices.save(tmp_path / "1.npz", {"a": empty})
    assert lattices.load(tmp_path / "1.npz")["a"].num_frames == 12


def test_states_must_be_topological() -> None:
    with pytest.raises(ValueError, match="topologically"):
        Lattice.build(2, 1, [1], [0], [1], [0], [1], [0.0], [0.0])


def test_a_damaged_shard_is_the_users_to_mend(tmp_path: Path) -> None:
    path = tmp_path / "1.npz"
    with pytest.raises(UserError):
        lattices.load(path)
    path.write_bytes(b"not a shard")
    with pytest.raises(UserError):
        lattices.load(path)

"""Kaldi's text archives: what lattice-copy writes is read, and what is written comes back."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decode.small_lattices import paths, small_lattices
from voxkit.decode import kaldi_text
from voxkit.decode.kaldi_text import OUTSIDE
from voxkit.decode.lattice import Lattice
from voxkit.errors import DataError, UserError

COMPACT = """utt-1 
0	1	7	1.5,-20,3_3_4
0	2	9	2,-19.5,5_4
1	3	8	0.5,-10,6_6
2	3	8	0.25,-12,4_6_6
3	0.125,-1,9

utt-2 
0	1	7	,,
1

"""  # fmt: skip
FRAMES = """utt-1 
0	1	3	7	1.5,-5
0	2	5	9	2,-9.5
1	4	3	0	0,-10
4	5	4	0	0,-5
5	6	6	8	0.5,-4
6	3	6	0	0,-6
2	7	4	0	0,-10
7	8	4	8	0.25,-3
8	9	6	0
9	3	6	0	0,-9
3	0.125,-1

"""  # fmt: skip


def spoken(lattice: Lattice) -> list[tuple[tuple[int, ...], float, float]]:
    """Words, graph cost and acoustic cost of all paths."""
    sums = [
        (walk.words, *(float(column[list(walk.arcs)].sum()) for column in (lattice.graph, lattice.acoustic)))
        for walk in paths(lattice)
    ]
    return sorted((words, round(graph, 3), round(acoustic, 3)) for words, graph, acoustic in sums)


def timed(lattice: Lattice) -> Counter[tuple[tuple[int, int, int], ...]]:
    """Word, start and end of the words on all paths."""
    columns = (lattice.word, lattice.start, lattice.end)
    return Counter(
        tuple(tuple(int(column[arc]) for column in columns) for arc in walk.arcs if lattice.word[arc])
        for walk in paths(lattice)
    )


def test_a_compact_lattice(tmp_path: Path) -> None:
    (tmp_path / "lat.txt").write_text(COMPACT.replace(",,", "0,0,"))
    found = kaldi_text.read(tmp_path / "lat.txt")
    lattice = found["utt-1"]
    assert spoken(lattice) == [((7, 8), 2.125, -31.0), ((9, 8), 2.375, -32.5)]
    assert lattice.num_frames == 6
    assert set(timed(lattice)) == {((7, 0, 3), (8, 3, 6)), ((9, 0, 2), (8, 2, 6))}
    assert spoken(found["utt-2"]) == [((7,), 0.0, 0.0)]
    quiet = kaldi_text.read(tmp_path / "lat.txt", outside=(4, 9))["utt-1"]
    assert set(timed(quiet)) == {((7, 0, 2), (8, 3, 5)), ((9, 0, 1), (8, 3, 5))}


def test_a_lattice_of_frames(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "lat.gz", "wb") as file:
        file.write(FRAMES.encode())
    lattice = kaldi_text.read(tmp_path / "lat.gz")["utt-1"]
    assert spoken(lattice) == [((7, 8), 2.125, -26.0 - 5.0), ((9, 8), 2.375, -32.5)]
    assert lattice.num_arcs == 4
    assert set(timed(lattice)) == {((7, 0, 3), (8, 3, 5)), ((9, 0, 2), (8, 2, 5))}


@given(st.lists(small_lattices(), max_size=3))
def test_a_compact_lattice_comes_back(tmp_path_factory: pytest.TempPathFactory, several: list[Lattice]) -> None:
    path = tmp_path_factory.mktemp("kaldi") / "lat.txt"
    written = {f"utt-{index}": lattice for index, lattice in enumerate([*several, Lattice.empty(4), Lattice.empty(0)])}
    kaldi_text.write(path, written)
    read = kaldi_text.read(path, outside=(OUTSIDE,))
    assert list(read) == list(written)
    for name, lattice in written.items():
        assert (read[name].num_frames, read[name].num_arcs) == (lattice.num_frames, lattice.num_arcs)
        assert spoken(read[name]) == spoken(lattice)
        assert timed(read[name]) == timed(lattice)
        for column in ("word", "start", "end", "acoustic", "graph"):
            np.testing.assert_array_equal(*(np.sort(getattr(one, column)) for one in (read[name], lattice)))


@given(small_lattices())
def test_the_paths_of_a_lattice_of_frames_come_back(tmp_path_factory: pytest.TempPathFactory, lattice: Lattice) -> None:
    path = tmp_path_factory.mktemp("kaldi") / "lat.gz"
    names = ["<eps>", "a", "b", "c"]
    kaldi_text.write(path, {"utt": lattice, "none": Lattice.empty(2)}, names, compact=False)
    read = kaldi_text.read(path, names, outside=(OUTSIDE,))
    assert spoken(read["utt"]) == spoken(lattice)
    assert (read["utt"].num_frames, read["none"].num_frames) == (lattice.num_frames, 2)
    if lattice.word.all():
        assert timed(read["utt"]) == timed(lattice)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("u\n0 1 5 1,2,3_3\n", 1, "no final state"),
        ("u\n0 1 5 1,2,3_3\n2\n", 1, "no final state can be reached"),
        ("u\n0 1 five 1,2,3_3\n1\n", 2, "not a word id: 'five'"),
        ("u\n0 1 5 1,x,3_3\n1\n", 2, "not a cost: 'x'"),
        ("u\n0 1 5 1,nan,3_3\n1\n", 2, "not a cost: 'nan'"),
        ("u\n0 1 5 1,2,3_y\n1\n", 2, "not a number: 'y'"),
        ("u\n0 1 5 1,2,3_3 7\n1\n", 2, "neither an arc nor a final state"),
        ("u\n0 1 5 1,2,3\n1 2 3 5 1,2\n2\n", 3, "mixed"),
        ("u\n0 1 5 1,2,3\n0 1 6 1,2,3_3\n1\n", 3, "state 1 lies after 1 frames, and on another way after 2"),
        ("u\n0 1 5 1,2,3\n1 2 5 1,2,3\n2 1 5 1,2,3\n2\n", 3, "round in a circle"),
        ("u\n0 1 5 1,2,3\n0 2 5 1,2,3_3\n1\n2\n", 3, "after 1 and 2 frames"),
        ("u\n0 1 5 1,2,3\n1\n\nu\n0 1 5 1,2,3\n1\n", 5, "its id was there before"),
        ("u\n\n", 1, "no final state"),
    ],
)
def test_what_is_broken_is_told_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "lat.txt"
    path.write_text("good\n0 1 5 1,2,3\n1\n\n" + text)
    with pytest.raises(DataError) as caught:
        kaldi_text.read(path)
    (problem,) = caught.value.problems
    assert (problem.where, problem.id) == (f"{path}:{line + 4}", "u")
    assert message in problem.what


def test_names_must_be_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "lat.txt").write_text("u\n0 1 five 1,2,3\n1 2 six 1,2,3\n2\n")
    with pytest.raises(DataError, match=r"lat\.txt:3  u  the word 'six' is not in the table"):
        kaldi_text.read(tmp_path / "lat.txt", ["<eps>", "five"])
    assert kaldi_text.read(tmp_path / "lat.txt", ["<eps>", "five", "six"])["u"].best_path().words == (1, 2)


def test_a_binary_archive_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "lat.1").write_bytes(b"utt-1 \0B\xd6\xfd\xb2\x7e\x06\0\0\0vector")
    with pytest.raises(UserError, match="not text") as caught:
        kaldi_text.read(tmp_path / "lat.1")
    assert "lattice-copy" in str(caught.value)
    with pytest.raises(UserError, match="cannot be read"):
        kaldi_text.read(tmp_path / "absent")


def test_a_state_has_one_time() -> None:
    lattice = Lattice.build(3, 9, [0, 1], [1, 2], [1, 2], [0, 3], [5, 9], [0.0, 0.0], [0.0, 0.0])
    with pytest.raises(ValueError, match="from state 1 on words begin earlier"):
        kaldi_text.write(Path("unused"), {"u": lattice})


def test_arcs_of_no_probability_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "lat.txt").write_text("u\n0 1 5 1,2,3\n0 1 6 Infinity,2,3\n1 Infinity,Infinity,\n1 2 7 0,0,4\n2\n")
    assert spoken(kaldi_text.read(tmp_path / "lat.txt")["u"]) == [((5, 7), 1.0, 2.0)]


@pytest.mark.parametrize("name", ["two words", "", " first"])
def test_ids_that_an_archive_cannot_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"cannot have the id '{name}'"):
        kaldi_text.write(tmp_path / "lat.txt", {"u": Lattice.empty(1), name: Lattice.empty(1)})
    assert not (tmp_path / "lat.txt").exists()

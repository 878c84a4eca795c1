"""A folder of results, read back cut by cut."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from voxkit.data.manifests import write_cuts
from voxkit.decode import confusion, lattice
from voxkit.decode.confusion import confusion_network
from voxkit.decode.folder import CONFUSION, FRAME_SHIFT, HYPOTHESES, LATTICES, WORDS, DecodeFolder, open_all
from voxkit.decode.lattice import Lattice
from voxkit.errors import UserError

TEXTS = ["one", "two", "one", "two", "one"]


def said(word: int) -> Lattice:
    return Lattice.build(2, 9, [0], [1], [word], [2], [7], [1.0], [0.5])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Five cuts, in shards of two, two and one."""
    folder = tmp_path / "test"
    cuts = [{"id": f"utt{i}", "supervisions": [{"id": f"utt{i}", "text": TEXTS[i]}]} for i in range(4)]
    cuts.append({"id": "utt4", "tracks": [{"cut": {}}, {"cut": {"supervisions": [{"text": TEXTS[4]}]}}]})
    write_cuts(cuts, folder / HYPOTHESES)
    lattices = {f"utt{i}": said(1 + i % 2) for i in range(5)}
    for number in (1, 2, 10):  # in the order of numbers, not of names
        part = {name: lattices.pop(name) for name in list(lattices)[:2]}
        for kind in (LATTICES, CONFUSION):
            (folder / kind).mkdir(exist_ok=True)
        lattice.save(folder / LATTICES / f"{number}.npz", part)
        confusion.save(folder / CONFUSION / f"{number}.npz", {n: confusion_network(x) for n, x in part.items()})
    (folder / WORDS).write_text("<eps> 0\none 1\ntwo 2\n")
    (folder / FRAME_SHIFT).write_text("0.04\n")
    (folder / "config.yaml").write_text(yaml.safe_dump({"command": "decode"}))
    return folder


def test_cuts_come_with_what_was_asked_for(results: Path) -> None:
    folder = DecodeFolder.open(results, lattices=True, confusion=True)
    assert len(folder) == 5
    assert folder.words == ["<eps>", "one", "two"]
    assert folder.frame_shift == 0.04
    for _ in range(2):
        found = list(folder)
        assert [item.id for item in found] == [f"utt{i}" for i in range(5)]
        for number, item in enumerate(found):
            assert item.lattice is not None
            assert item.confusion is not None
            assert item.lattice.best_path().words == (1 + number % 2,)
            assert item.confusion.best() == [1 + number % 2]
    assert [item.supervision["text"] for item in found] == TEXTS
    plain = next(iter(DecodeFolder.open(results)))
    assert (plain.lattice, plain.confusion) == (None, None)


def test_what_is_missing_is_told_with_the_option_that_makes_it(results: Path, tmp_path: Path) -> None:
    for file in (results / CONFUSION).iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"(?s)no confusion networks.*--confusion"):
        DecodeFolder.open(results, confusion=True)
    (results / LATTICES / "10.npz").unlink()
    with pytest.raises(UserError, match=r"2\.npz: nothing for 'utt4'") as error:
        list(DecodeFolder.open(results, lattices=True))
    assert "is missing" not in str(error.value)
    for file in (results / LATTICES).iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"(?s)no lattices.*--graph"):
        DecodeFolder.open(results, lattices=True)
    assert len(list(DecodeFolder.open(results))) == 5
    with pytest.raises(UserError, match="no such folder"):
        DecodeFolder.open(tmp_path / "absent")
    (results / "config.yaml").write_text(yaml.safe_dump({"command": "featurize"}))
    with pytest.raises(UserError, match="not what voxkit decode leaves"):
        DecodeFolder.open(results)


def test_a_damaged_table_of_words_is_told_with_its_line(results: Path) -> None:
    (results / WORDS).write_text("<eps> 0\none 2\n")
    with pytest.raises(UserError, match=r"words\.txt:2: not a word and its number 1"):
        _ = DecodeFolder.open(results).words
    (results / FRAME_SHIFT).unlink()
    with pytest.raises(UserError, match="frame_shift"):
        _ = DecodeFolder.open(results).frame_shift


@pytest.mark.parametrize("shift", ["nan", "inf", "0", "-0.04", "fast"])
def test_a_frame_lasts_some_time(results: Path, shift: str) -> None:
    (results / FRAME_SHIFT).write_text(shift)
    with pytest.raises(UserError, match="frame_shift: cannot be read"):
        _ = DecodeFolder.open(results).frame_shift


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        ({"supervisions": []}, "not a cut with an id"),
        ({"id": 5}, "not a cut with an id"),
        ({"id": "utt0"}, "'utt0' is there twice"),
        ({"id": "a", "supervisions": 5}, "'a' has damaged supervisions"),
        ({"id": "a", "supervisions": [5]}, "'a' has damaged supervisions"),
        ({"id": "a", "supervisions": [{"text": None}]}, "'a' has damaged supervisions"),
        ({"id": "a", "supervisions": [{"custom": 5}]}, "'a' has damaged supervisions"),
        ({"id": "a", "tracks": [{"cut": {"supervisions": [{"alignment": []}]}}]}, "'a' has damaged supervisions"),
        ({"id": "a", "tracks": [{}]}, "'a' has damaged tracks"),
    ],
)
def test_a_damaged_line_is_told(results: Path, bad: dict[str, Any], what: str) -> None:
    good = {"id": "utt0", "supervisions": [{"text": "one"}]}
    write_cuts([good, bad], results / HYPOTHESES)
    with pytest.raises(UserError, match=rf"{HYPOTHESES}:2: {what}"):
        list(DecodeFolder.open(results))


def test_only_numbers_are_shards(results: Path) -> None:
    for kind in (LATTICES, CONFUSION):
        (results / kind / "x.npz").write_text("something else")
    assert len(list(DecodeFolder.open(results, lattices=True, confusion=True))) == 5


def test_another_table_of_words_is_told(results: Path) -> None:
    (results / WORDS).write_text("<eps> 0\none 1\n")
    for kind in ({"lattices": True}, {"confusion": True}):
        with pytest.raises(UserError, match=r"words\.txt: 'utt1' has word 2, the table only 2"):
            list(DecodeFolder.open(results, **kind))
    (results / WORDS).write_text("<eps> 0\nQone 1\nQtwo 2\n")
    with pytest.raises(UserError, match=r"words\.txt: another word table\? .* 'utt0' is of 'Qone', its text is 'one'"):
        next(iter(DecodeFolder.open(results, confusion=True)))
    assert len(list(DecodeFolder.open(results))) == 5


def test_shards_that_are_missing_are_named(results: Path) -> None:
    (results / CONFUSION / "10.npz").rename(results / CONFUSION / "3.npz")
    (results / CONFUSION / "2.npz").unlink()
    with pytest.raises(UserError, match=r"3\.npz: nothing for 'utt2'.*confusion/2\.npz is missing"):
        list(DecodeFolder.open(results, confusion=True))


def test_all_bad_folders_are_told_at_once(results: Path, tmp_path: Path) -> None:
    (results / WORDS).write_text("<eps> 0\n")
    with pytest.raises(
        UserError, match=r"(?s)words\.txt: 'utt0'.*absent: no such folder.*\nfix: .*; voxkit decode"
    ) as error:
        open_all([results, tmp_path / "absent"], confusion=True)
    assert len(error.value.message.splitlines()) == 2
    assert [folder.path for folder in open_all([results, results])] == [results] * 2

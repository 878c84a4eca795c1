"""The vocabulary of a bundle, and what is noticed of a damaged one."""

import json
from pathlib import Path
from typing import Any

import pytest

from voxkit.commands.lm_nce.counting import learn_pieces
from voxkit.commands.lm_nce.vocabulary import FILE, MARKS, PIECES, Vocabulary
from voxkit.errors import UserError

TEXT = ["the cat sat", "the cats sit", "a cat sits", "that hat"] * 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle's assets, of pieces."""
    made = Vocabulary.of(learn_pieces(TEXT, 18, tmp_path), ("town",), "upper", tmp_path / PIECES)
    assert set(made.save(tmp_path)) == {FILE, PIECES}
    return tmp_path


def change(folder: Path, **facts: Any) -> None:
    known = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps({**known, **facts}))


def test_what_is_saved_is_loaded(folder: Path) -> None:
    found = Vocabulary.load(folder)
    assert (found.classes, found.normaliser, found.pieces) == (("town",), "upper", folder / PIECES)
    assert found.text(found.ids(["cats", "sat"])) == "cats sat"
    Vocabulary.of(["one", "two"]).save(folder)  # of words, whatever lies beside it
    assert Vocabulary.load(folder).pieces is None


def test_pieces_that_are_missing_or_another_models(folder: Path) -> None:
    (folder / PIECES).unlink()
    with pytest.raises(UserError, match=r"pieces\.model"):
        Vocabulary.load(folder)
    learn_pieces(TEXT[1:3] * 20, 14, folder)
    with pytest.raises(UserError, match=r"pieces\.model: does not belong to vocabulary\.json"):
        Vocabulary.load(folder)


def test_tokens_that_are_not_the_pieces(folder: Path) -> None:
    tokens = json.loads((folder / FILE).read_text())["tokens"]
    change(folder, tokens=[*tokens[:-2], tokens[-1], tokens[-2]])
    with pytest.raises(UserError, match=r"pieces\.model: does not belong to vocabulary\.json"):
        Vocabulary.load(folder)


def test_bundles_from_before_pieces_were_noted(folder: Path) -> None:
    facts = json.loads((folder / FILE).read_text())
    del facts["pieces"]
    (folder / FILE).write_text(json.dumps(facts))
    assert Vocabulary.load(folder).pieces == folder / PIECES
    whole = (folder / PIECES).read_bytes()
    (folder / PIECES).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="does not belong to"):
        Vocabulary.load(folder)
    (folder / PIECES).unlink()
    assert Vocabulary.load(folder).pieces is None


@pytest.mark.parametrize(
    "facts",
    [
        {"tokens": [*MARKS, "<class:town>", "a", 5]},
        {"tokens": [*MARKS, "<class:town>", "a", "a"]},
        {"tokens": [*MARKS, "a", "<class:town>"]},
        {"tokens": ["<s>", "<unk>", "</s>", "<class:town>", "a"]},
        {"classes": 5},
        {"normaliser": 5},
    ],
)
def test_what_is_no_vocabulary(folder: Path, facts: dict[str, Any]) -> None:
    change(folder, **facts)
    with pytest.raises(UserError, match=r"vocabulary\.json: cannot be read"):
        Vocabulary.load(folder)

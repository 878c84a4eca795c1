"""Classes in place of their phrases."""

from collections import Counter
from pathlib import Path

import pytest

from voxkit.commands.lm_nce.class_phrases import ClassPhrases
from voxkit.errors import DataError, UserError


def phrases(path: Path) -> ClassPhrases:
    path.write_text(
        "# names\ncontact\tAnn Lee\t2\teve\ncontact\tann\ntown\tlee on sea\n\ntown\tAnn\n", encoding="utf-8"
    )
    return ClassPhrases.read(path, str.lower)


def test_longest_phrases_are_replaced(tmp_path: Path) -> None:
    found = phrases(tmp_path / "classes.tsv")
    assert found.classes == ("contact", "town")
    texts = ["call ann lee now", "lee on sea", "ann lee on sea", "lee on", "call", "ann ann"]
    replaced = list(found.put("x", (text.split() for text in texts), 1.0))
    assert [" ".join(words) for words in replaced] == [
        "call <class:contact> now", "<class:town>", "<class:contact> on sea", "lee on", "call",
        "<class:town> <class:town>",
    ]  # fmt: skip


def test_a_share_of_the_sentences_is_changed_always_the_same(tmp_path: Path) -> None:
    found = phrases(tmp_path / "classes.tsv")
    some = [["call", "ann", "lee"]] * 1000

    def changed(name: str, share: float) -> list[int]:
        return [number for number, words in enumerate(found.put(name, some, share)) if len(words) == 2]

    assert len(changed("x", 0.3)) == pytest.approx(300, abs=50)
    assert changed("x", 0.3) == changed("x", 0.3) != changed("y", 0.3)
    assert set(changed("x", 0.3)) < set(changed("x", 0.6))
    assert (len(changed("x", 0.0)), len(changed("x", 1.0))) == (0, 1000)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_sentences_with_a_phrase_are_counted(share: float, tmp_path: Path) -> None:
    path, seen = tmp_path / "classes.tsv", Counter[str]()
    path.write_text("contact\tann lee\ncontact\tann\ntown\tann\ntown\tlee\nfilm\tup\n")
    found = ClassPhrases.read(path, str.lower)
    texts = ["ann lee", "ann lee and ann", "lee lee", "ann", "nobody"]  # contact; both; town; both; neither
    assert len(list(found.put("x", (text.split() for text in texts), share, seen))) == 5
    assert len(list(found.put("y", [["call", "ann", "lee"]], share, seen))) == 1
    assert seen == {"contact": 4, "town": 3}
    assert found.told(seen) == [
        "class contact: 4 sentences have one of its 2 phrases",
        "warning: class film: no sentence has one of its 1 phrases: are they written as the texts are?",
        "class town: 3 sentences have one of its 2 phrases",
    ]
    assert found.told({"town": 1})[2] == "class town: 1 sentence has one of its 2 phrases"


def test_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "classes.tsv"
    path.write_text("contact Ann\n\tbob\na b\tc\n<x>\ty\ncontact\t \n")
    with pytest.raises(DataError) as caught:
        ClassPhrases.read(path, str)
    assert [problem.where.rpartition(":")[2] for problem in caught.value.problems] == ["1", "2", "3", "4", "5"]
    path.write_text("# nothing\n")
    with pytest.raises(UserError, match="has no names"):
        ClassPhrases.read(path, str)

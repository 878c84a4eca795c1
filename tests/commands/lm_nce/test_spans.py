"""Names that belong to users."""

import math
from pathlib import Path

import pytest
import torch

from tests.commands.lm_nce.small_decodes import TABLE, sausage
from tests.commands.lm_nce.small_lm import CLASSES, model
from voxkit.commands.lm_nce.costs import Heard, Rescorer, WordTable
from voxkit.commands.lm_nce.scorer import TorchScorer
from voxkit.commands.lm_nce.spans import Names, Phrases, Span
from voxkit.commands.lm_nce.vocabulary import BEGIN, END
from voxkit.decode.folder import Decoded
from voxkit.errors import DataError, UserError


def names(path: Path, text: str) -> Names:
    path.write_text(text)
    return Names.read(path, model(classes=CLASSES).vocabulary)


def test_phrases_share_their_class_by_weight(tmp_path: Path) -> None:
    table = names(tmp_path / "n.tsv", "# mine\ncontact\tZoe Quux\t3\ncontact\tbob\n\ncontact\talice\t4\tann\n")
    contact = model(classes=CLASSES).vocabulary.class_id("contact")
    assert table.of("nobody").spans(["zoe", "quux", "bob", "alice"]) == [
        Span(0, 2, contact, math.log(3 / 4)),
        Span(2, 3, contact, math.log(1 / 4)),
    ]
    assert table.of("ann").spans(["alice", "bob"]) == [
        Span(0, 1, contact, math.log(4 / 8)),
        Span(1, 2, contact, math.log(1 / 8)),
    ]


def test_the_phrases_of_all_are_not_copied_for_each_user() -> None:
    everyone = {(3, (f"name{n}",)): 1.0 for n in range(20_000)}
    users = {f"user{n}": {(3, ("own",)): 2.0, (3, ("name1",)): 1.0} for n in range(2000)}
    table = Names({"": everyone, **users})  # 40 million entries, were they copied
    total = 20_003
    assert table.of("user7").spans(["own", "name1", "name2"]) == [
        Span(0, 1, 3, math.log(2 / total)), Span(1, 2, 3, math.log(2 / total)), Span(2, 3, 3, math.log(1 / total)),
    ]  # fmt: skip
    assert table.of("nobody").spans(["own", "name1"]) == [Span(1, 2, 3, math.log(1 / 20_000))]


def test_every_choice_of_phrases_that_do_not_overlap_is_a_reading() -> None:
    phrases = Phrases({(3, ("a",)): 1.0, (3, ("a", "b")): 1.0, (3, ("b",)): 2.0})
    found = phrases.readings(["a", "b", "c", "a"], 100)
    spans = [[(span.start, span.end) for span in reading.spans] for reading in found]
    expected = [[], [(0, 1)], [(0, 2)], [(1, 2)], [(3, 4)]]
    expected += [[(0, 1), (1, 2)], [(0, 1), (3, 4)], [(0, 2), (3, 4)], [(1, 2), (3, 4)], [(0, 1), (1, 2), (3, 4)]]
    assert spans == expected
    assert found[-1].score == pytest.approx(math.log(1 / 4) + math.log(2 / 4) + math.log(1 / 4))
    assert len(phrases.readings(["a", "b", "c", "a"], 3)) == 3
    assert [reading.spans for reading in phrases.readings(["c"], 5)] == [()]


def test_the_probability_is_the_sum_of_the_readings(tmp_path: Path) -> None:
    made = model(classes=CLASSES)
    scorer, vocabulary = TorchScorer(made), made.vocabulary
    words = WordTable(vocabulary, TABLE)
    table = names(tmp_path / "n.tsv", "contact\tzoe quux\t1\ncontact\tbob\t3\n")
    one = sausage([[(word, 0.0, 0.0)] for word in map(TABLE.index, ["call", "zoe", "quux", "at"])]).best_path()
    found = Rescorer(scorer, words, table)([Heard(Decoded({"id": "x"}), [one])])[0].parts[0, 2]

    def score(tokens: list[int]) -> float:
        inputs, targets = torch.tensor([[BEGIN, *tokens]]), torch.tensor([*tokens, END])
        with torch.no_grad():
            return float(made.scores(made.hidden(inputs)[0], targets).sum())

    call, at, contact = vocabulary.index["call"], vocabulary.index["at"], vocabulary.class_id("contact")
    plain = score([call, 0, 0, at]) - 2 * words.unknown_penalty
    named = score([call, contact, at]) + math.log(1 / 4)
    assert words.unknown_penalty == pytest.approx(math.log(2))
    assert found == pytest.approx(-math.log(math.exp(plain) + math.exp(named)), abs=1e-4)


def test_a_name_wins_when_it_is_the_users(tmp_path: Path) -> None:
    made = model(classes=CLASSES)
    with torch.no_grad():  # the class is likely everywhere, <unk> is not
        made.output.bias[made.vocabulary.class_id("contact")] += 6.0
        made.output.bias[0] -= 6.0
    words = WordTable(made.vocabulary, TABLE)
    table = names(tmp_path / "n.tsv", "contact\tzoe\t1\tann\n")
    call, zoe, bob = (TABLE.index(word) for word in ("call", "zoe", "bob"))
    lattice = sausage([[(call, 0.0, 0.0)], [(zoe, 0.0, 0.0), (bob, 0.0, 0.0)]])

    def best(speaker: str) -> str:
        cut = {"id": "x", "supervisions": [{"speaker": speaker}]}
        scores = Rescorer(TorchScorer(made), words, table)([Heard(Decoded(cut), lattice.nbest(2))])[0]
        words_of = scores.heard.hypotheses[int(scores.parts[:, 2].argmin())].words
        return " ".join(TABLE[word] for word in words_of)

    assert best("ann") == "call zoe"
    assert best("eve") == "call bob"


def test_bad_tables_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"n\.tsv:2.*not a class and a phrase") as told:
        names(tmp_path / "n.tsv", "contact\tbob\ncontact\n\ncontact\talice\tmany\ncontact\tcat\t-1\n")
    assert "n.tsv:4" in told.value.message
    assert "n.tsv:5" in told.value.message
    assert "--max-bad" not in str(told.value)
    with pytest.raises(DataError, match=r"n\.tsv:2.*'1e300' is not a weight above 0, at most 1e\+100"):
        names(tmp_path / "n.tsv", "contact\tbob\t1e100\ncontact\tcat\t1e300\n")
    with pytest.raises(UserError, match=r"n\.tsv:1: the model knows no class 'street'"):
        names(tmp_path / "n.tsv", "street\tbroadway\n")
    with pytest.raises(UserError, match=r"n\.tsv:1: .*'street'(.|\n)*n\.tsv:3: .*'song'"):
        names(tmp_path / "n.tsv", "street\tbroadway\ncontact\tbob\nsong\tone\nstreet\twall street\n")
    with pytest.raises(UserError, match="has no names"):
        names(tmp_path / "n.tsv", "# nothing\n")
    (tmp_path / "n.tsv").write_bytes(b"contact\tbj\xf6rn\n")
    with pytest.raises(DataError, match=r"n\.tsv:1.*not UTF-8"):
        Names.read(tmp_path / "n.tsv", model(classes=CLASSES).vocabulary)

"""How well texts are foreseen, also beside n-gram models."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.commands.lm_nce.small_lm import WORDS, model, save
from voxkit.commands.lm_nce.command import app
from voxkit.commands.lm_nce.comparison import Found, compared, ngram_log_p
from voxkit.commands.lm_nce.export import run as export
from voxkit.commands.lm_nce.model import LmModel
from voxkit.commands.lm_nce.reading import Sentence, normalised, self_normalised
from voxkit.commands.lm_nce.score import PICTURE, ROWS, SCORE, Examination, run
from voxkit.commands.lm_nce.scorer import TorchScorer
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, UNKNOWN
from voxkit.decode.arpa import Arpa
from voxkit.errors import DataError, UserError

TEXTS = ("Call Alice", "the cat is on it", "zebra is the dog", "bob", "me and my cat and your dog")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "test.txt"
    path.write_text("".join(f"{one}\n" for one in TEXTS))
    return path


def by_hand(made: LmModel) -> tuple[float, float]:
    """Perplexities, normalised and not, of TEXTS, word by word."""
    normal, plain, count = 0.0, 0.0, 0
    for one in TEXTS:
        ids = [made.vocabulary.index.get(word, UNKNOWN) for word in one.lower().split()] + [END]
        with torch.no_grad():
            scores = made.all_scores(made.hidden(torch.tensor([[BEGIN, *ids[:-1]]])))[0]
        for place, word in enumerate(ids):
            if word != UNKNOWN:
                normal += float(scores[place].log_softmax(0)[word])
                plain += float(scores[place, word])
                count += 1
    return math.exp(-normal / count), math.exp(-plain / count)


def numbers(lines: str, mark: str) -> float:
    return float(next(line for line in lines.splitlines() if mark in line).split()[1])


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_perplexity_is_that_of_words_one_by_one(
    kind: str, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = model(kind)
    exp = save(made, tmp_path / "exp", kind)
    export(exp, tmp_path / "graph")
    for path in (exp, tmp_path / "graph"):
        capsys.readouterr()
        run(Examination(path, (text,)), None)
        lines = capsys.readouterr().out
        normal, plain = by_hand(made)
        assert numbers(lines, "[ normalised, 18 words, 5 sentences, 1 unknown ]") == pytest.approx(normal, abs=0.02)
        assert numbers(lines, "[ self-normalised, 18 words") == pytest.approx(plain, abs=0.01)
        assert "%OOV 5.26 [ 1 / 19 words ]" in lines
        assert lines.count("%TPS") == 2
        assert "times as fast" in lines


def test_self_normalised_alone(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = model()
    run(Examination(save(made, tmp_path / "exp"), (text,), fast=True), tmp_path / "out")
    lines = capsys.readouterr().out
    assert numbers(lines, "%PPL") == pytest.approx(by_hand(made)[1], abs=0.01)
    assert "[ normalised" not in lines
    found = json.loads((tmp_path / "out" / SCORE).read_text())
    assert found["perplexity"] is None
    assert not (tmp_path / "out" / PICTURE).exists()


def test_the_folder(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, other = model(), tmp_path / "other.txt"
    other.write_text("your dog\n")
    examination = Examination(save(made, tmp_path / "exp"), (text, other))
    run(examination, tmp_path / "out")
    printed = capsys.readouterr().out
    head, *rows = [line.split("\t") for line in (tmp_path / "out" / ROWS).read_text().splitlines()]
    assert [row[1] for row in rows] == ["1", "2", "3", "4", "5", "1"]
    assert [row[-1] for row in rows] == [*(one.lower() for one in TEXTS), "your dog"]
    column = head.index("ln_p")
    found = json.loads((tmp_path / "out" / SCORE).read_text())
    assert sum(float(row[column]) for row in rows) == pytest.approx(found["log_normalised"], abs=1e-2)
    assert found["words"] == 20
    assert (tmp_path / "out" / PICTURE).read_bytes().startswith(b"\x89PNG")
    run(examination, tmp_path / "out")  # nothing to do, but the same lines
    assert capsys.readouterr().out == printed


def test_long_sentences_are_cut_as_in_training() -> None:
    made = model()
    one = Sentence.of(WORDS, made.vocabulary)
    assert [len(window) for window in one.windows(8)] == [9, 9, 6]
    assert [window[0] for window in one.windows(8)] == [BEGIN, one.tokens[7], one.tokens[15]]
    scorer = TorchScorer(made)
    (said,), (scores,) = normalised(made, [one], 8), self_normalised(scorer, [one], 8)
    np.testing.assert_allclose(said.score, scores, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        whole = made.all_scores(made.hidden(torch.tensor(one.windows(8)[1][None, :-1])))[0]
    np.testing.assert_allclose(said.log_z[8:16], whole.logsumexp(1), rtol=1e-5)


def test_beside_an_ngram_model(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All words that the n-gram model knows are known to the network here: its perplexity is its own."""
    arpa = Arpa.estimate([one.lower().split() for one in TEXTS if "zebra" not in one], 2)
    arpa.write(tmp_path / "lm.arpa")
    exp = save(model(), tmp_path / "exp")
    run(Examination(exp, (text,), tmp_path / "lm.arpa"), tmp_path / "out")
    lines = capsys.readouterr().out
    wanted = arpa.perplexity([one.lower().split() for one in TEXTS]).value
    alone, both = numbers(lines, "lm.arpa, 18 words that both know"), numbers(lines, "[ both")
    assert alone == pytest.approx(wanted, abs=0.01)
    assert both <= alone + 0.01
    for weight, name in ((0.0, "zero"), (1.0, "one"), (0.3, "some")):
        run(Examination(exp, (text,), tmp_path / "lm.arpa", weight), tmp_path / name)
        lines = capsys.readouterr().out
        mixed = numbers(lines, "[ both")
        assert mixed >= both - 0.01
        if weight in (0.0, 1.0):
            assert mixed == pytest.approx(alone if weight == 0 else numbers(lines, "the network, the same"), abs=0.01)


def test_words_of_one_model_alone_are_left_out() -> None:
    arpa = Arpa.estimate([["a", "cat"], ["a", "zebra"]], 2)
    log_p = ngram_log_p(arpa, ["a", "dog", "cat"])
    assert np.isnan(log_p[1])
    assert log_p[2] == pytest.approx(arpa.log10((), "cat") * math.log(10))
    known = np.array([True, False, True, True])
    scores = np.log(np.array([0.5, 0.25, 0.25, 0.125]))
    found = Found([scores], [], [known], [log_p])
    result = compared(found, 0.5, Path("x.arpa"))
    assert (result.words, result.sentences) == (2, 1)
    assert result.network == pytest.approx((0.5 * 0.25 * 0.125) ** (-1 / 3))
    with pytest.raises(UserError, match="none of the words"):
        compared(Found([scores[:2]], [], [known[[1, 0]]], [log_p[[1, 0]] * np.nan]), None, Path("x.arpa"))


def test_another_vocabulary_is_another_result(text: Path, tmp_path: Path) -> None:
    exp = save(model(), tmp_path / "exp")
    before = Examination(exp, (text,)).spec()
    assert Examination(exp, (text,)).spec() == before
    file = exp / "bundle" / "assets" / "vocabulary.json"
    file.write_text(file.read_text().replace("alice", "lewis"))
    assert Examination(exp, (text,)).spec() != before


def test_bad_texts(tmp_path: Path) -> None:
    exp = save(model(), tmp_path / "exp")
    (tmp_path / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError, match=r"latin.txt:1"):
        run(Examination(exp, (tmp_path / "latin.txt",)), None)
    with pytest.raises(UserError, match="no sentence"):
        run(Examination(exp, (tmp_path / "empty.txt",)), None)
    result = CliRunner().invoke(app, ["score", str(exp), str(tmp_path / "empty.txt"), "--weight", "0.5"])
    assert isinstance(result.exception, UserError)
    assert "--arpa" in str(result.exception)

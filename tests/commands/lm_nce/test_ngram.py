"""N-gram models of corpora and their mixture."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from voxkit.commands.lm_nce.command import app
from voxkit.commands.lm_nce.ngram import Interpolated, Request, Seen, chances, run
from voxkit.decode.arpa import Arpa
from voxkit.errors import UserError

TALK = ["I want a taxi", "i want a room", "book a taxi please", "a room please"] * 3
BOOK = ["the king was old", "the old king rode", "a king"] * 3


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, str]:
    for name, lines in {"talk": TALK, "book": BOOK, "dev": ["i want a taxi please", "book a room zzz"]}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    return {name: str(tmp_path / f"{name}.txt") for name in ("talk", "book")}


def test_all_models_have_the_same_words() -> None:
    words = sorted({word for line in (*TALK, *BOOK) for word in line.split()})
    some = {name: Seen.of([line.split() for line in text], 3) for name, text in (("talk", TALK), ("book", BOOK))}
    dev = [["i", "want", "<unk>", "king", "nothing"], ["a", "room"]]
    found = {name: chances(one.over(words), dev) for name, one in some.items()}
    assert {len(values) for values in found.values()} == {7}
    assert all((values > 0).all() for values in found.values())
    mixture = Interpolated.of(found)
    assert sum(mixture.weights.values()) == pytest.approx(1)
    assert mixture.mixture <= min(mixture.perplexities.values())
    total = sum(weight * found[name] for name, weight in mixture.weights.items())
    assert mixture.mixture == pytest.approx(math.exp(-np.log(total).mean()))


def test_the_mixture_and_its_perplexities(
    texts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = Request(texts, [tmp_path / "dev.txt"], 3, "lower", None)
    run(request, tmp_path / "out")
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("] ")[2] for line in lines[:3]] == ["talk", "book", "mixture"]
    values = [float(line.split()[1]) for line in lines[:3]]
    assert values[2] <= values[0] < values[1]
    assert "8 words, 2 sentences, 1 out of vocabulary" in lines[2]
    facts = json.loads((tmp_path / "out" / "weights.json").read_text())
    assert facts["weights"]["talk"] > 0.9
    assert facts["mixture"] == pytest.approx(values[2], abs=0.01)
    lm = Arpa.read(tmp_path / "out" / "lm.arpa")
    assert lm.words == {word for line in (*TALK, *BOOK) for word in line.lower().split()}
    assert sum(10 ** lm.log10(("<s>", "i"), word) for word in [*lm.words, "</s>"]) == pytest.approx(1, abs=1e-5)
    run(request, tmp_path / "out")
    assert "nothing to do" in capsys.readouterr().err


def test_listed_words(texts: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("<eps> 0\na 1\ntaxi 2\nbus 3\n#0 4\n")
    run(Request({"talk": texts["talk"]}, [], 2, "lower", tmp_path / "words.txt"), tmp_path / "out")
    lm = Arpa.read(tmp_path / "out" / "lm.arpa")
    assert lm.words == {"a", "taxi", "bus"}
    assert ("<unk>",) in lm.orders[0]
    assert not (lm.orders[0][("bus",)][0] > lm.orders[0][("taxi",)][0])


def test_command(texts: dict[str, str], tmp_path: Path) -> None:
    given = ["ngram", "--corpus", f"a={texts['talk']}", "--corpus", texts["book"], "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*given, "--dev", str(tmp_path / "dev.txt"), "--order", "2"])
    assert done.exit_code == 0, done.output
    assert "weights: a " in done.stdout
    alone = CliRunner().invoke(app, [*given[:-1], str(tmp_path / "other")])
    assert isinstance(alone.exception, UserError)
    assert "there is no --dev" in alone.exception.message
    twice = CliRunner().invoke(app, [*given, "--corpus", f"a={texts['book']}"])
    assert isinstance(twice.exception, UserError)
    assert "given twice" in twice.exception.message

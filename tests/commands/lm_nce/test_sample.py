"""Sentences drawn from a model."""

import gzip
import math
import os
import subprocess
from collections import Counter
from itertools import islice, product
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.commands.lm_nce.small_lm import CLASSES, WORDS, model, save
from voxkit.commands.lm_nce.command import app
from voxkit.commands.lm_nce.export import run as export
from voxkit.commands.lm_nce.model import LmModel
from voxkit.commands.lm_nce.sample import Request, Sampler, run
from voxkit.commands.lm_nce.scorer import TorchScorer, open_scorer
from voxkit.commands.lm_nce.vocabulary import BEGIN, END, UNKNOWN
from voxkit.errors import UserError

FEW = WORDS[:3]


def ending(kind: str = "lstm", classes: tuple[str, ...] = (), end: float = 3.0, few: bool = False) -> LmModel:
    """A model whose sentences end after some words; with `few` words it says three only."""
    made = model(kind, classes=classes)
    with torch.no_grad():
        made.output.bias[END] += end
        if few:
            made.output.bias[3 + len(FEW) :] -= 100
    return made


def probability(made: LmModel, words: tuple[str, ...], temperature: float) -> float:
    """Of a whole sentence, drawn one word after the other with what is never drawn left out."""
    ids = [made.vocabulary.index[word] for word in words]
    with torch.no_grad():
        scores = made.all_scores(made.hidden(torch.tensor([[BEGIN, *ids]])))[0] / temperature
    scores[:, [UNKNOWN, BEGIN]] = -torch.inf
    scores[0, END] = -torch.inf
    logs = scores.log_softmax(1)[torch.arange(len(ids) + 1), torch.tensor([*ids, END])]
    return math.exp(float(logs.sum()))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sentences_come_as_often_as_they_are_likely(temperature: float) -> None:
    """Of at most two words, which are drawn again if they are longer; compared by chi-square."""
    made, count = ending(few=True), 4000
    request = Request(sentences=count, seed=2, temperature=temperature, longest=2)
    found = Counter(Sampler(TorchScorer(made), request, 64).sentences())
    all_of_them = [one for size in (1, 2) for one in product(FEW, repeat=size)]
    chances = {" ".join(one): probability(made, one, temperature) for one in all_of_them}
    total = sum(chances.values())
    assert set(found) <= set(chances)
    expected = {text: count * chance / total for text, chance in chances.items()}
    often = [text for text in expected if expected[text] >= 5]
    assert len(often) >= 4
    chi_square = sum((found[text] - expected[text]) ** 2 / expected[text] for text in often)
    assert chi_square < len(often) + 4 * math.sqrt(2 * len(often))


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_hypotheses_do_not_disturb_each_other(kind: str) -> None:
    """Sentences that follow those that ended are as likely as any: the mean log probability is that of one by one."""
    made = ending(kind, end=5.0, few=True)
    drawn = list(Sampler(TorchScorer(made), Request(sentences=300, longest=12), 7).sentences())
    others = list(Sampler(TorchScorer(made), Request(sentences=300, longest=12, seed=1), 300).sentences())
    sizes = [[len(text.split()) for text in some] for some in (drawn, others)]
    means = [sum(some) / len(some) for some in sizes]
    deviation = math.sqrt(sum((size - means[1]) ** 2 for size in sizes[1]) / 300)
    assert abs(means[0] - means[1]) < 4 * deviation * math.sqrt(2 / 300)


def test_the_seed_decides(tmp_path: Path) -> None:
    scorer = TorchScorer(ending())
    drawn = {seed: list(Sampler(scorer, Request(sentences=40, seed=seed), 16).sentences()) for seed in (0, 1)}
    again = list(Sampler(scorer, Request(words=100, seed=0), 16).sentences())
    assert drawn[0] != drawn[1]
    shorter = min(len(again), 40)
    assert again[:shorter] == drawn[0][:shorter]
    sizes = [len(text.split()) for text in again]
    assert sum(sizes) >= 100 > sum(sizes[:-1])


def test_what_is_never_drawn() -> None:
    made = ending(classes=CLASSES, end=0.0)
    with torch.no_grad():
        made.output.bias[[UNKNOWN, BEGIN, made.vocabulary.class_id("contact")]] += 20
    drawn = list(Sampler(TorchScorer(made), Request(sentences=200, longest=9), 32).sentences())
    assert len(drawn) == 200
    assert {word for text in drawn for word in text.split()} <= set(WORDS)
    assert max(len(text.split()) for text in drawn) <= 9
    assert all(drawn)


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_a_graph_draws_the_same(kind: str, tmp_path: Path) -> None:
    export(save(ending(kind), tmp_path / "exp", kind), tmp_path / "graph")
    drawn = {}
    drawn = [
        list(Sampler(open_scorer(tmp_path / name), Request(sentences=20)).sentences()) for name in ("exp", "graph")
    ]
    assert drawn[0] == drawn[1]


def test_a_model_that_never_ends() -> None:
    made = ending(end=-1000.0)
    with pytest.raises(UserError, match="ends none of"):
        list(islice(Sampler(TorchScorer(made), Request(sentences=1, longest=3), 8).sentences(), 1))


def test_a_file_is_complete_or_absent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exp = save(ending(), tmp_path / "exp")
    run(exp, Request(words=50), tmp_path / "new" / "drawn.txt", 1)
    text = (tmp_path / "new" / "drawn.txt").read_text()
    assert len(text.split()) >= 50
    assert "words per second" in capsys.readouterr().out
    never = save(ending(end=-1000.0), tmp_path / "never")
    with pytest.raises(UserError):
        run(never, Request(words=50, longest=2), tmp_path / "new" / "other.txt", 1)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["drawn.txt"]


def test_a_name_in_gz_is_gzipped(tmp_path: Path) -> None:
    exp = save(ending(), tmp_path / "exp")
    for name in ("drawn.txt", "new/one.txt.gz", "new/two.txt.gz"):
        run(exp, Request(sentences=30), tmp_path / name, 1)
    packed = (tmp_path / "new" / "one.txt.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "drawn.txt").read_bytes()
    assert packed == (tmp_path / "new" / "two.txt.gz").read_bytes()  # no time, no name in it
    never = save(ending(end=-1000.0), tmp_path / "never")
    with pytest.raises(UserError):
        run(never, Request(words=50, longest=2), tmp_path / "new" / "other.txt.gz", 1)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["one.txt.gz", "two.txt.gz"]


def test_a_dash_is_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = save(ending(), tmp_path / "exp")
    run(exp, Request(sentences=9), tmp_path / "drawn.txt", 1)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    argv = ["sample", str(exp), "--sentences", "9", "--out", "-"]
    result = CliRunner().invoke(app, argv, catch_exceptions=False)
    assert result.stdout == (tmp_path / "drawn.txt").read_text()
    assert "9 sentences" in result.stderr
    assert not list((tmp_path / "empty").iterdir())


def test_words_or_sentences(tmp_path: Path) -> None:
    for more in ([], ["--words", "5", "--sentences", "5"]):
        result = CliRunner().invoke(app, ["sample", str(tmp_path), "--out", str(tmp_path / "x.txt"), *more])
        assert isinstance(result.exception, UserError)
        assert "--words or --sentences" in result.exception.message


def test_a_pipe_gets_the_sentences_and_stays(tmp_path: Path) -> None:
    exp = save(ending(), tmp_path / "exp")
    run(exp, Request(sentences=9), tmp_path / "drawn.txt", 1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        run(exp, Request(sentences=9), pipe, 1)
        text = reader.communicate(timeout=20)[0]
    assert text == (tmp_path / "drawn.txt").read_text()
    assert pipe.is_fifo()


def test_a_folder_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a folder"):  # and not that there is no model
        run(tmp_path / "absent", Request(sentences=9), tmp_path, 1)


def test_a_place_that_cannot_be_and_a_link_that_stays(tmp_path: Path) -> None:
    exp = save(model(), tmp_path / "exp")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="file: cannot create the folder"):
        run(exp, Request(sentences=2), tmp_path / "file" / "x.txt", 1)
    (tmp_path / "link.txt").symlink_to("target.txt")
    run(exp, Request(sentences=2), tmp_path / "link.txt", 1)
    assert (tmp_path / "link.txt").is_symlink()
    assert len((tmp_path / "target.txt").read_text().splitlines()) == 2


def test_seeds_that_torch_cannot_take(tmp_path: Path) -> None:
    told = ["sample", str(tmp_path), "--out", str(tmp_path / "x.txt"), "--words", "5", "--seed", str(2**63)]
    result = CliRunner().invoke(app, told)
    assert result.exit_code == 2
    assert "--seed" in result.output

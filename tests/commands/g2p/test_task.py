"""Training, from files to a bundle that pronounces, and scoring."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.g2p.small_model import make, spoken, words
from voxkit import bundle
from voxkit.commands.g2p.command import G2p, score, train
from voxkit.commands.g2p.material import chosen, named, rewritten
from voxkit.commands.g2p.tables import ANY, END, START, UNKNOWN
from voxkit.commands.g2p.task import G2pTask, drawn
from voxkit.config import build
from voxkit.data.pronunciations import Pronunciation
from voxkit.errors import DataError, UserError

SMALL = [
    *("model.width=16", "model.decoder_width=16", "model.language_width=4", "model.layers=1", "batch.words=32"),
    *("train.warmup=2", "train.tensorboard=false", "train.threads=1", "train.device=cpu"),
]

STEADY = ["train.schedule=constant", "train.score_every=1"]


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    """Two languages, 120 words each; one word is in both."""
    path = tmp_path / "lexicon.tsv"
    rows = [(word, spoken(word, language), language) for language in ("one", "two") for word in words(language)]
    path.write_text("".join(f"{word}\t{' '.join(phones)}\t{language}\n" for word, phones, language in rows))
    return path


def task(tmp_path: Path, lexicon: Path, *sets: str, **data: object) -> G2pTask:
    folder = tmp_path / "task"
    folder.mkdir(exist_ok=True)
    return G2pTask(build(G2p, None, [*SMALL, *sets], data={"train": (str(lexicon),), **data}), folder)


def test_files_with_and_without_a_language() -> None:
    assert named("fre=a.tsv") == ("fre", Path("a.tsv"))
    assert named("en-us=/x/a=b.tsv") == ("en-us", Path("/x/a=b.tsv"))
    assert named("/x/a=b.tsv") == ("", Path("/x/a=b.tsv"))


def test_fewer_words_are_part_of_more_words() -> None:
    items = [Pronunciation(f"w{n}", ("a",), language, "") for n in range(40) for language in ("x", "y")]
    items += [Pronunciation("w1", ("b",), "x", "")]
    few, more = (chosen(items, (), count, "here") for count in (5, 20))
    assert {(i.language, i.word) for i in few} < {(i.language, i.word) for i in more}
    assert len({i.word for i in few if i.language == "x"}) == 5
    assert {i.language for i in chosen(items, ("y",), None, "here")} == {"y"}
    with pytest.raises(UserError, match="nothing in z"):
        chosen(items, ("z",), None, "here")


def test_what_is_written_alike_counts_once() -> None:
    items = [Pronunciation("a", (phone,), "x", "") for phone in ("aː", "a")]
    config = build(G2p, None, ["phones.length=drop"]).phones
    assert [item.phones for item in rewritten(items, config)] == [("a",)]
    with pytest.raises(UserError, match="nothing of"):
        rewritten([Pronunciation("a", ("ː",), "x", "f:3")], config)


def test_batches_hold_every_word_once_and_follow_from_seed_and_epoch(tmp_path: Path, lexicon: Path) -> None:
    made = task(tmp_path, lexicon)
    batches = made.batches("train", 3)
    assert sorted(name for i in range(len(batches)) for name in batches.ids(i)) == sorted(
        f"{item.language}:{item.word}" for item in made.items
    )
    again, other = made.batches("train", 3), made.batches("train", 4)
    assert [batches.ids(i) for i in range(len(batches))] == [again.ids(i) for i in range(len(again))]
    assert [batches.ids(i) for i in range(len(batches))] != [other.ids(i) for i in range(len(other))]
    torch.manual_seed(5)
    batch = batches[0]
    assert batch.letters.shape[0] == len(batches.ids(0)) == batch.phones.shape[0]
    assert ((batch.phones == END).sum(1) == 1).all()
    assert torch.allclose(batch.owners.sum(1), torch.ones(len(batch.owners)))


def test_letters_and_languages_are_hidden_now_and_then(tmp_path: Path, lexicon: Path) -> None:
    batches = task(tmp_path, lexicon, "hide_letters=0.5", "hide_language=0.5").batches("train", 0)
    torch.manual_seed(0)
    found = [batches[i] for i in range(len(batches))]
    hidden = torch.cat([batch.language == ANY for batch in found]).float().mean()
    letters = torch.cat([(batch.letters == UNKNOWN).flatten() for batch in found]).float().mean()
    assert 0.3 < hidden < 0.7
    assert 0.15 < letters < 0.5
    assert all((batch.letters.gather(1, batch.lengths.unsqueeze(1) - 1) == 2).all() for batch in found)  # not the end


def test_a_word_of_two_languages_belongs_to_both(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text("Bad\tb a d\tone\nbad\tB A D\ttwo\nmen\tm e n\tone\n")
    made = task(tmp_path, path)
    assert made.owners.tolist() == [[0, 0.5, 0.5], [0, 0.5, 0.5], [0, 1, 0]]


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=4), temperature=st.floats(1, 1000), seed=st.integers(0, 9)
)
def test_languages_are_drawn_by_temperature(counts: list[int], temperature: float, seed: int) -> None:
    language = np.repeat(np.arange(len(counts)), counts)
    found = drawn(language, temperature, np.random.default_rng(seed))
    got = np.bincount(language[found], minlength=len(counts))
    if temperature == 1:
        assert got.tolist() == counts
    shares = np.array(counts) ** (1 / temperature)
    assert np.abs(got - len(language) * shares / shares.sum()).max() <= 1
    times = np.bincount(found, minlength=len(language))
    for kind in range(len(counts)):
        assert np.ptp(times[language == kind]) <= 1


def test_the_loss_is_cross_entropy_where_nothing_is_smoothed(tmp_path: Path, lexicon: Path) -> None:
    made = task(tmp_path, lexicon, "label_smoothing=0", "language_loss=0", "model.dropout=0")
    model, batch = made.model().eval(), made.batches("train", 0)[0]
    with torch.no_grad():
        found = made.loss(model, batch)
    said, _ = model(batch.letters, batch.lengths, batch.language, batch.phones)
    by_hand = torch.nn.functional.nll_loss(said.flatten(0, 1), batch.phones.flatten(), ignore_index=START)
    assert float(found.total / found.weight) == pytest.approx(float(by_hand.detach()), rel=1e-5)
    smooth = task(tmp_path, lexicon, "label_smoothing=0.1", "language_loss=0.5", "model.dropout=0")
    with torch.no_grad():
        more = smooth.loss(model, batch)
    assert torch.isfinite(more.total)
    assert float(more.parts["phones"]) == pytest.approx(float(found.total), rel=1e-5)
    assert float(more.parts["languages"]) > 0


def test_training_resumes_and_ends_with_the_same_bits(tmp_path: Path, lexicon: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    given = {"train": [str(lexicon)], "dev": [str(lexicon)], "words": 40}
    train(**given, out=whole, set_=[*SMALL, "train.epochs=4", "train.select=last", *STEADY])
    for epochs in (1, 4):
        train(**given, out=parts, set_=[*SMALL, f"train.epochs={epochs}", "train.select=last", *STEADY])
    one, two = (bundle.load(path).model.state_dict() for path in (whole, parts))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not (whole / "rejected.jsonl").exists()
    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert {"wer", "per"} <= next(record.keys() for record in records if record["kind"] == "score")


@pytest.mark.parametrize("extra", [["model.kind=transformer", "model.heads=2"], ["phones.table=language"]])
def test_other_models_train(tmp_path: Path, lexicon: Path, extra: list[str]) -> None:
    out = tmp_path / "exp"
    train(train=[str(lexicon)], out=out, words=20, set_=[*SMALL, "train.steps=3", *extra])
    assert bundle.load(out).model.pronounce([("bad", "one")])[0]


def test_bad_input_is_told_with_its_place(tmp_path: Path, lexicon: Path) -> None:
    broken = tmp_path / "broken.tsv"
    broken.write_text("good\tg o d\nworse\t\n\tx y\nmany\ta\tb\tc\td\n" + "fine\tf i n\n" * 3)
    with pytest.raises(DataError) as caught:
        train(train=[f"one={broken}"], out=tmp_path / "exp", set_=SMALL)
    assert all(f"broken.tsv:{line}" in str(caught.value) for line in (2, 3, 4))
    assert not (tmp_path / "exp").exists()
    train(train=[f"one={broken}"], out=tmp_path / "exp", max_bad=0.7, set_=[*SMALL, "train.steps=3"])
    assert len((tmp_path / "exp" / "rejected.jsonl").read_text().splitlines()) == 3
    with pytest.raises(UserError, match="needs --train and --out"):
        train()
    with pytest.raises(UserError, match="nothing in klingon"):
        train(train=[str(lexicon)], language=["klingon"], out=tmp_path / "no", set_=SMALL)


def test_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make(tmp_path / "model")
    test = tmp_path / "test.tsv"
    test.write_text("cab\tc a b\tone\nman\tx x x\tone\nman\tm a n\tone\nsoup\tS O U P\ttwo\ndad\td a d\tthree\n")
    out = tmp_path / "scored"
    score(model, [str(test)], out=out)
    printed = capsys.readouterr()
    assert "has not learnt three" in printed.err
    assert f"%WER 0.00 [ 0 / 2 ] {out} one" in printed.out
    assert printed.out == (out / "scores.txt").read_text()
    names = {"score.json", "by_language.tsv", "confusions.tsv", "errors.tsv", "predictions.tsv", "confusions.png"}
    assert names <= {path.name for path in out.iterdir()}
    rows = (out / "predictions.tsv").read_text().splitlines()
    assert "one\tman\tm a n\tx x x / m a n" in rows
    score(model, [str(test)], out=out)
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(UserError, match="beam: 5 -> 1"):
        score(model, [str(test)], out=out, beam=1)
    for lang in ("auto", "none"):
        score(model, [str(test)], lang=lang, language=["two"])
        assert "%PER" in capsys.readouterr().out
    with pytest.raises(UserError, match="neither given"):
        score(model, [str(test)], lang="some")


def test_help_does_not_import_torch() -> None:
    modules = "apply, pronounce, search, tables"
    code = f"import sys; from voxkit.commands.g2p import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_words_that_are_too_long_are_told(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.tsv"
    path.write_text(f"ab\ta b\tone\n{'a' * 300}\ta\tone\nb\t{'b ' * 300}\tone\nba\tb a\tone\n")
    with pytest.raises(DataError, match=r"lexicon\.tsv:2") as caught:
        task(tmp_path, path)
    assert "too long: 2" in str(caught.value)
    assert [item.word for item in task(tmp_path, path, max_bad=0.5).items] == ["ab", "ba"]


@pytest.mark.parametrize(
    ("sets", "what"), [(["model.heads=3"], "3 heads"), (["model.width=33", "model.heads=1"], "a BiLSTM's is even")]
)
def test_impossible_sizes_are_told(sets: list[str], what: str) -> None:
    with pytest.raises(UserError, match=what):
        build(G2p, None, sets)


def test_words_without_a_language_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = tmp_path / "test.tsv"
    test.write_text("cab\tc a b\n")
    score(make(tmp_path / "model", steps=0), [str(test)])
    assert "words that name no language" in capsys.readouterr().err
    score(make(tmp_path / "one", steps=0, languages=("one",)), [str(test)])
    assert "words that name no language" not in capsys.readouterr().err

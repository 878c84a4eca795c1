"""What the training loop is given: batches, losses, models and scores."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.commands.lm_nce import small_texts
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.model import LmModel
from voxkit.commands.lm_nce.objective import nce
from voxkit.commands.lm_nce.task import Batch, LmTask, make
from voxkit.commands.lm_nce.vocabulary import BEGIN, END
from voxkit.config import from_mapping


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    small_texts.talk(folder / "talk.txt", 600)
    small_texts.books(folder / "books.txt", 300)
    small_texts.talk(folder / "dev.txt", 60, seed=1)
    return folder


def task(texts: Path, folder: Path, dev: bool = True, **settings: Any) -> LmTask:
    data = {"corpora": {name: str(texts / f"{name}.txt") for name in ("talk", "books")}, "dev_words": 100}
    data |= {"dev": [str(texts / "dev.txt")]} if dev else {}
    weights = {"kind": "given", "given": {"talk": 0.7, "books": 0.3}}
    whole: dict[str, Any] = {"data": data, "weights": weights, "model": {"width": 8}, "batch": {"words": 64}}
    for name, values in settings.items():
        whole[name] = {**whole.get(name, {}), **values}
    return make(from_mapping(LmNce, whole, "test"), folder)


# ---------------------------------------------------------------------------------------------- batches


def test_batches_are_the_sentences_that_were_drawn(texts: Path, tmp_path: Path) -> None:
    made = task(texts, tmp_path, batch={"longest": 5, "words": 40})  # those of books are cut
    batches = made.batches("train", 0)
    names: list[str] = []
    for place in range(len(batches)):
        ids, batch = batches.ids(place), batches[place]
        assert batch.real.numel() <= 40
        assert batch.real.numel() <= batches[batches.worst()].real.numel()
        for row, name in enumerate(ids):
            corpus, number = name.split(":")
            window, count = made.texts[corpus][int(number)], int(batch.real[row].sum())
            assert batch.real[row, :count].all()
            assert batch.inputs[row, :count].tolist() == window[:-1].tolist()
            assert batch.targets[row, :count].tolist() == window[1:].tolist()
            assert set(batch.targets[row, count:].tolist()) <= {END}
        names += ids
    total = sum(made.sizes.values())
    assert abs(sum(name.startswith("talk:") for name in names) - 0.7 * total) <= 1
    assert abs(len(names) - total) <= 2
    again = made.batches("train", 0)
    assert [again.ids(place) for place in range(len(again))] == [batches.ids(place) for place in range(len(batches))]
    assert made.batches("train", 1).ids(0) != batches.ids(0)


def test_an_epoch_is_as_long_as_is_wanted(texts: Path, tmp_path: Path) -> None:
    made = task(texts, tmp_path, batch={"epoch": 50})
    for epoch in range(3):
        assert abs(len(made.batches("train", epoch).places) - 50) <= 2


def test_a_corpus_without_weight_is_not_drawn_from(texts: Path, tmp_path: Path) -> None:
    made = task(texts, tmp_path, weights={"given": {"books": 1.0}})
    batches = made.batches("train", 0)
    assert {name.split(":")[0] for place in range(len(batches)) for name in batches.ids(place)} == {"books"}
    assert "corpora: talk 0.000 books 1.000" in made.account()


# ---------------------------------------------------------------------------------------------- models and scores


def unigram_perplexity(made: LmTask) -> float:
    """Of the dev windows, by the frequencies of tokens."""
    words = np.concatenate([window[1:] for window in made.dev])
    return math.exp(-np.log(made.corpora.unigram[words]).mean())


def test_a_new_model_knows_how_often_words_come(texts: Path, tmp_path: Path) -> None:
    made = task(texts, tmp_path)
    model = made.model().eval()
    torch.nn.init.zeros_(model.output.weight)
    score = made.score(model)
    assert score.value == score.values["ppl"] == pytest.approx(unigram_perplexity(made), rel=1e-4)
    assert score.values["mean_ln_z"] == pytest.approx(0, abs=1e-5)
    assert model.output.bias[BEGIN] < model.output.bias[END] - 20
    assert score.lines[0].startswith(f"%PPL {score.value:.2f} [ normalised, ")
    assert all(line.endswith(" dev") for line in score.lines)


def test_or_it_knows_nothing(texts: Path, tmp_path: Path) -> None:
    made = task(texts, tmp_path, objective={"bias": "uniform"})
    model = made.model().eval()
    torch.nn.init.zeros_(model.output.weight)
    score = made.score(model)
    assert score.value == pytest.approx(len(made.corpora.vocabulary), rel=1e-4)
    assert score.values["mean_ln_z"] == pytest.approx(0, abs=1e-5)


def test_without_dev_training_sentences_are_scored(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = task(texts, tmp_path, dev=False, data={"dev_words": 400})
    assert "note: there is no --dev" in capsys.readouterr().err
    assert all(line.endswith(" train") for line in made.score(made.model().eval()).lines)
    words = sum(len(window) - 1 for window in made.dev)
    assert 300 < words < 700
    was = made.corpora.vocabulary.index["was"]
    ours = sum(len(window) - 1 for window in made.dev if was not in window)
    assert 0.5 < ours / words < 0.9  # about 0.7, the weight of talk


# ---------------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_scores_for_the_loss_are_those_of_the_model(texts: Path, tmp_path: Path, kind: str, tie: bool) -> None:
    made = task(texts, tmp_path, model={"kind": kind, "heads": 2, "tie": tie, "dropout": 0})
    model, batch, noise = made.model(), made.batches("train", 0)[0], torch.tensor([3, 4, 4, 9])
    wanted, output = batch.targets[batch.real], model.output

    def step_by_step() -> tuple[torch.Tensor, ...]:
        known = model.hidden(batch.inputs)[batch.real]
        return model.scores(known, wanted), torch.nn.functional.linear(known, output.weight[noise], output.bias[noise])

    both: list[tuple[torch.Tensor, ...]] = []
    for found in (model(batch.inputs, batch.targets, batch.real, noise), step_by_step()):
        model.zero_grad()
        (found[0].sum() + (found[1] ** 2).sum()).backward()
        both.append((*found, *(part.grad.clone() for part in model.parameters() if part.grad is not None)))
    assert len(both[0]) == len(both[1]) > 4
    torch.testing.assert_close(both[0], both[1])
    (total,) = model(batch.inputs, batch.targets, batch.real)
    scores = model.all_scores(model.hidden(batch.inputs)[batch.real])
    torch.testing.assert_close(total, torch.nn.functional.cross_entropy(scores, wanted, reduction="sum"))


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_ln_z_of_a_new_model_is_about_0(texts: Path, tmp_path: Path, kind: str, tie: bool) -> None:
    made = task(texts, tmp_path, model={"kind": kind, "width": 64, "layers": 2, "tie": tie})
    values = made.score(made.model().eval()).values
    assert abs(values["mean_ln_z"]) < 0.3
    assert values["var_ln_z"] < 0.1


def test_the_loss_of_nce_is_over_words_that_are_there(texts: Path, tmp_path: Path) -> None:
    made = task(texts, tmp_path, objective={"noise": 7}, model={"dropout": 0})
    model, batch = made.model(), made.batches("train", 0)[0]
    torch.manual_seed(5)
    found = made.loss(model, batch)
    torch.manual_seed(5)
    words = made.noise.draw(7)
    scores = model.all_scores(model.hidden(batch.inputs)[batch.real])
    targets, log_kq = batch.targets[batch.real], made.noise.log_q + math.log(7)
    target = scores.gather(1, targets.unsqueeze(1)).squeeze(1)
    right, wrong = nce(target, scores[:, words], log_kq[targets], log_kq[words])
    torch.testing.assert_close(found.total, right + wrong)
    assert found.weight == len(targets)
    assert float(found.parts["noise"]) == pytest.approx(wrong.item(), rel=1e-5)
    padded = Batch(*(torch.nn.functional.pad(part, (0, 3)) for part in (batch.inputs, batch.targets, batch.real)))
    torch.manual_seed(5)
    torch.testing.assert_close(made.loss(model, padded).total, found.total)


@pytest.mark.parametrize("kind", ["nce", "softmax", "sampled"])
def test_every_objective_learns(texts: Path, tmp_path: Path, kind: str) -> None:
    small = {"model": {"width": 16, "dropout": 0}, "batch": {"words": 100, "epoch": 800}}
    made = task(texts, tmp_path, objective={"kind": kind, "noise": 64}, weights={"given": {"talk": 1.0}}, **small)
    torch.manual_seed(0)
    model = made.model()
    assert isinstance(model, LmModel)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.015)
    for epoch in range(4):
        optimiser.param_groups[0]["lr"] = 0.015 / 2**epoch
        batches = made.batches("train", epoch)
        for place in range(len(batches)):
            optimiser.zero_grad()
            loss = made.loss(model, batches[place])
            (loss.total / loss.weight).backward()
            optimiser.step()
    with torch.no_grad():
        score = made.score(model.eval())
    assert small_texts.LEAST * 0.9 < score.value < small_texts.LEAST * 1.25
    if kind == "nce":
        assert abs(score.values["mean_ln_z"]) < 0.1
        assert score.values["var_ln_z"] < 0.05

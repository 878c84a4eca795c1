"""The networks: step by step as all at once, alone as in a batch; and the search against trying everything."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands.g2p.small_model import make
from voxkit import bundle
from voxkit.commands.g2p.command import LetterConfig, ModelConfig, PhoneConfig
from voxkit.commands.g2p.model import G2pModel
from voxkit.commands.g2p.pronounce import Pronouncer
from voxkit.commands.g2p.search import beam_search
from voxkit.commands.g2p.tables import ANY, END, START, Tables
from voxkit.commands.g2p.torch_scorer import TorchScorer
from voxkit.commands.g2p.translated import Translated, common_languages
from voxkit.data.pronunciations import Pronunciation
from voxkit.errors import UserError

KINDS = {
    "lstm": ModelConfig(width=16, decoder_width=24, language_width=4, dropout=0.0),
    "one look": ModelConfig(width=16, decoder_width=16, language_width=4, decoder_layers=1, layers=1, dropout=0.0),
    "transformer": ModelConfig(kind="transformer", width=16, heads=2, language_width=4, dropout=0.0),
}
ITEMS = [Pronunciation("ab", ("a", "b"), "x", ""), Pronunciation("bc", ("b", "k"), "y", "")]


def untrained(kind: str, items: list[Pronunciation] = ITEMS, sharp: float = 3.0) -> G2pModel:
    torch.manual_seed(1)
    model = G2pModel(KINDS[kind], Tables.learn(items, LetterConfig(), PhoneConfig())).eval()
    with torch.no_grad():
        model.output.weight.mul_(sharp * 3)  # with opinions
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_step_by_step_as_all_at_once(kind: str) -> None:
    model = untrained(kind)
    letters, lengths = torch.tensor([[3, 4, 2, 0], [4, 5, 3, 2]]), torch.tensor([3, 4])
    language, phones = torch.tensor([1, 2]), torch.tensor([[2, 3, END, START], [3, 4, 4, END]])
    whole, guess = model(letters, lengths, language, phones)
    assert whole.shape == (2, 4, len(model.tables.phones))
    assert guess.exp().sum(1).tolist() == pytest.approx([1, 1])
    encoded = model.encode(letters, lengths, language)
    state, previous = encoded.state, torch.full((2, 1), START)
    for place in range(4):
        found, state = model.decode(previous, language, encoded.memory, state)
        assert torch.allclose(found[:, 0], whole[:, place], atol=1e-5)
        previous = phones[:, place : place + 1]
    alone, _ = model(letters[:1, :3], lengths[:1], language[:1], phones[:1])
    assert torch.allclose(alone, whole[:1], atol=1e-5)  # whatever it is padded to


@pytest.mark.parametrize("kind", KINDS)
def test_phones_of_other_languages_are_not_said(kind: str) -> None:
    model = untrained(kind)
    letters, lengths = torch.tensor([[3, 4, 2]]), torch.tensor([3])
    with torch.no_grad():
        found, _ = model(letters, lengths, torch.tensor([1]), torch.tensor([[END]]))
    forbidden = ~model.tables.allowed[1]
    assert found[0, 0].exp()[torch.from_numpy(forbidden)].max() == 0
    assert found.exp().sum() == pytest.approx(1)


def log_probability(model: G2pModel, letters: list[int], language: int, phones: list[int]) -> float:
    said = torch.tensor([[*phones, END]])
    found, _ = model(torch.tensor([letters]), torch.tensor([len(letters)]), torch.tensor([language]), said)
    return float(found.gather(2, said.unsqueeze(2)).sum())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8)
@given(word=st.text("abc", min_size=1, max_size=3), language=st.integers(0, 2))
def test_the_search_finds_the_best_of_all(kind: str, word: str, language: int) -> None:
    model = untrained(kind)
    letters = model.tables.letter_ids(word)
    allowed = [int(p) for p in np.flatnonzero(model.tables.allowed[language]) if p > END]
    with torch.no_grad():
        every = {
            phones: log_probability(model, letters, language, list(phones))
            for size in range(1, 4)
            for phones in itertools.product(allowed, repeat=size)
        }
        (found,) = beam_search([TorchScorer(model)], [letters], [language], beam=60, nbest=5)
        for phones, score in found:
            assert score == pytest.approx(log_probability(model, letters, language, phones), abs=1e-3)
    best = max(every, key=lambda phones: every[phones])
    assert found[0][1] >= every[best] - 1e-4
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert sum(np.exp(score) for _, score in found) <= 1 + 1e-6


def test_the_search_treats_words_alike_alone_and_together() -> None:
    model = untrained("lstm")
    words = [model.tables.letter_ids(word) for word in ("a", "abcabc", "cb", "bbbbb")]
    together = beam_search([TorchScorer(model)], words, [1, 2, 0, 1], beam=4, nbest=3)
    for word, language, found in zip(words, [1, 2, 0, 1], together, strict=True):
        (alone,) = beam_search([TorchScorer(model)], [word], [language], beam=4, nbest=3)
        assert [phones for phones, _ in alone] == [phones for phones, _ in found]
        assert [score for _, score in alone] == pytest.approx([score for _, score in found], abs=1e-4)


def test_an_ensemble_of_equals_is_the_model() -> None:
    model = untrained("lstm")
    words = [model.tables.letter_ids(word) for word in ("ab", "cba")]
    one = beam_search([TorchScorer(model)], words, [1, 2], beam=4)
    two = beam_search([TorchScorer(model)] * 2, words, [1, 2], beam=4)
    assert [found[0][0] for found in one] == [found[0][0] for found in two]
    assert [found[0][1] for found in one] == pytest.approx([found[0][1] for found in two])


def test_models_of_one_language_take_part_in_its_words() -> None:
    more = [*ITEMS, Pronunciation("d", ("d",), "z", "")]
    main, only = untrained("lstm", more), untrained("lstm", ITEMS[1:])
    assert common_languages(main.tables, only.tables) == {main.tables.language_ids["y"]}
    other = Tables.learn(ITEMS[1:], LetterConfig(form="nfc"), PhoneConfig())
    assert common_languages(main.tables, other) == frozenset()
    own = Translated(TorchScorer(only), main.tables)
    ids = [main.tables.letter_ids("bc")], [main.tables.language_ids["y"]]
    (through,) = beam_search([own], *ids, beam=4)
    (direct,) = beam_search([TorchScorer(only)], [only.tables.letter_ids("bc")], [1], beam=4)
    assert main.tables.phone_names(through[0][0]) == only.tables.phone_names(direct[0][0])
    assert through[0][1] == pytest.approx(direct[0][1], abs=1e-5)
    both = Pronouncer([TorchScorer(main), TorchScorer(only)])
    alone = Pronouncer([TorchScorer(main)])
    assert both.pronounce([("ab", "x"), ("d", "")]) == alone.pronounce([("ab", "x"), ("d", "")])
    (mixed,) = both.pronounce([("bc", "y")])
    assert mixed[0].probability != alone.pronounce([("bc", "y")])[0][0].probability


def test_a_trained_model_pronounces(tmp_path: Path) -> None:
    made = make(tmp_path / "model")
    pronouncer = Pronouncer.load([made])
    found = pronouncer.pronounce([("cab", "one"), ("cob", "two"), ("жж", "one"), ("cab", "three")], nbest=3)
    assert found[0][0].phones == ("c", "a", "b")
    assert found[1][0].phones == ("C", "O", "B")
    assert found[2] == []
    assert found[3]
    assert pronouncer.languages(["name", "soup"])[1][0][0] == "two"
    assert bundle.load(made).model.pronounce([("cab", "one")])[0][0].phones == ("c", "a", "b")


def test_models_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    one, two = make(tmp_path / "1", steps=0, languages=("one",)), make(tmp_path / "2", steps=0, languages=("two",))
    with pytest.raises(UserError, match="no language in common"):
        Pronouncer.load([one, two])


def test_the_unknown_language_has_every_phone() -> None:
    assert untrained("lstm").tables.allowed[ANY, END:].all()


def test_what_is_said_alike_in_two_languages_counts_once() -> None:
    torch.manual_seed(1)
    both = [Pronunciation("ab", ("a", "b"), language, "") for language in ("x", "y")]
    tables = Tables.learn(both, LetterConfig(), PhoneConfig(table="language"))
    model = G2pModel(KINDS["lstm"], tables).eval()
    (found,) = Pronouncer([TorchScorer(model)], beam=30).pronounce([("ab", "")], nbest=4)
    assert len({hypothesis.phones for hypothesis in found}) == len(found) == 4
    (several,) = beam_search([TorchScorer(model)], [tables.letter_ids("ab")], [ANY], beam=30, nbest=30)
    same = [score for numbers, score in several if tables.phone_names(numbers) == found[0].phones]
    assert len(same) > 1
    assert found[0].probability == pytest.approx(sum(np.exp(same)), rel=1e-4)

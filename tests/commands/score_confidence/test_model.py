"""The nets: what they say of an utterance must not depend on what else is in the batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import nn

from tests.commands.score_confidence.made_decodes import make
from voxkit.commands.score_confidence.classify import log_odds, logistic
from voxkit.commands.score_confidence.command import TrainConfidence
from voxkit.commands.score_confidence.embedding import Reader
from voxkit.commands.score_confidence.features import NAMES
from voxkit.commands.score_confidence.material import Material, read, words_of
from voxkit.commands.score_confidence.model import (
    WHOLE,
    ConfidenceModel,
    TwoWay,
    acoustic_net,
    hypothesis_net,
    whole_inputs,
)
from voxkit.commands.score_confidence.trainer import folds
from voxkit.commands.score_confidence.vocabulary import Vocabulary
from voxkit.config import build
from voxkit.errors import UserError
from voxkit.metrics.calibration import numbered

TINY = Path(__file__).parents[3] / "conf" / "score_confidence" / "tiny.yaml"


@pytest.fixture(scope="module")
def tiny() -> TrainConfidence:
    return build(TrainConfidence, TINY, ["features.sampling_rate=8000"])


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[Material, Vocabulary]:
    folder = make(tmp_path_factory.mktemp("decodes") / "small", utterances=24)
    vocabulary = Vocabulary(words_of([folder]), {})
    return read([folder], vocabulary, "none", need_reference=True), vocabulary


@pytest.mark.parametrize("kind", ["acoustic", "hypothesis"])
def test_embeddings_do_not_depend_on_the_batch(
    kind: str, tiny: TrainConfidence, material: tuple[Material, Vocabulary]
) -> None:
    words, vocabulary = material
    torch.manual_seed(0)
    net = (acoustic_net if kind == "acoustic" else hypothesis_net)(tiny, vocabulary)
    mean, deviation = words.features.mean(axis=0), words.features.std(axis=0) + 1
    together, alone = (np.zeros((len(words.kind), net.size), np.float32) for _ in range(2))
    reader = Reader(words, mean, deviation, vocabulary, tiny)
    reader.embed(net, np.arange(len(words.utterances)), together)
    for index in range(len(words.utterances)):
        reader.embed(net, np.array([index]), alone)
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.ptp(together, axis=0).min() > 0


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_the_lstm_each_way_is_torchs(lengths: list[int]) -> None:
    torch.manual_seed(1)
    mine = TwoWay(8, 0.0).eval()
    theirs = nn.LSTM(8, 4, batch_first=True, bidirectional=True)
    for name, weight in mine.forth.named_parameters():
        theirs.get_parameter(name).data = weight.data
    for name, weight in mine.back.named_parameters():
        theirs.get_parameter(f"{name}_reverse").data = weight.data
    x = torch.randn(len(lengths), max(lengths) + 2, 8)
    found = mine(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        torch.testing.assert_close(found[row, :length], theirs(x[row : row + 1, :length])[0][0])


def test_a_model_is_built_for_every_choice(tiny: TrainConfidence, material: tuple[Material, Vocabulary]) -> None:
    for change in ({"acoustic": False}, {"hypothesis": False, "classifier": "network"}, {"decoder": "posterior"}):
        model = ConfidenceModel(tiny.model_copy(update=change), material[1])
        assert len(model.acoustic) == 2 * change.get("acoustic", True)
        assert len(model.hypothesis) == 2 * change.get("hypothesis", True)
        assert model.word.mean.shape[0] == (
            (1 if change.get("decoder") else len(NAMES))
            + 4 * change.get("acoustic", True)
            + 2 * change.get("hypothesis", True)
        )


def test_whole_utterances_without_words() -> None:
    odds = np.array([1.0, -1.0, 2.0], dtype=np.float32)
    shared = np.ones((3, len(WHOLE) - 3), dtype=np.float32)
    found = whole_inputs(odds, shared, np.array([0, 2, 2, 3]))
    assert found[:, 0].tolist() == [0, 0, 2]
    assert found[:, 1].tolist() == [-1, 0, 2]
    share = 1 / (1 + np.exp(-odds))
    assert found[:, 2] == pytest.approx([np.log(share[0] * share[1]), 0, np.log(share[2])])


def test_logistic_regression_is_scikit_learns() -> None:
    draw = np.random.default_rng(0)
    inputs = draw.normal(3, 2, size=(200, 3)).astype(np.float32)
    right = inputs[:, 0] + draw.normal(size=200) > 3
    standard = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    wanted = LogisticRegression(C=1 / (0.01 * 200)).fit(standard, right).decision_function(standard)
    assert log_odds(logistic(inputs, right, 0.01), inputs) == pytest.approx(wanted, abs=1e-2)


@pytest.mark.parametrize(("right", "odds"), [(True, np.log(4.0)), (False, -np.log(4.0))])
def test_words_that_are_all_alike_make_a_constant(right: bool, odds: float) -> None:
    inputs = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert log_odds(logistic(inputs, np.array([right] * 3), 0.01), inputs) == pytest.approx([odds] * 3)


def test_folds_do_not_divide_speakers(material: tuple[Material, Vocabulary]) -> None:
    words, _ = material
    speakers = [utterance.speaker for utterance in words.utterances]
    found = folds(words, 3, seed=0)
    place: dict[str, set[int]] = {}
    for speaker, fold in zip(speakers, found, strict=True):
        place.setdefault(speaker, set()).add(int(fold))
    assert all(len(some) == 1 for some in place.values())
    load = np.bincount(words.of_words(found))
    assert load.max() - load.min() <= np.bincount(words.of_words(numbered(speakers))).max()
    assert (found != folds(words, 3, seed=1)).any()


def test_few_speakers_are_divided_by_recording(
    material: tuple[Material, Vocabulary], capsys: pytest.CaptureFixture[str]
) -> None:
    words, _ = material
    assert len(set(folds(words, 8, seed=0))) == 8
    assert "share speakers" in capsys.readouterr().err
    with pytest.raises(UserError, match="24 recordings cannot make 30 folds"):
        folds(words, 30, seed=0)

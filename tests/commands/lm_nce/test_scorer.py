"""Scores of words one after the other: the same as of whole sentences, by torch and by graphs."""

from itertools import product
from pathlib import Path

import pytest
import torch

from tests.commands.lm_nce.small_lm import CLASSES, WORDS, model, save
from voxkit import bundle
from voxkit.commands.lm_nce import export
from voxkit.commands.lm_nce.scorer import OnnxScorer, Scorer, TorchScorer, open_scorer
from voxkit.commands.lm_nce.vocabulary import BEGIN
from voxkit.errors import UserError
from voxkit.onnx_model import OnnxModel

KINDS = ("lstm", "transformer")


def along(scorer: Scorer, words: torch.Tensor) -> torch.Tensor:
    """The scores of the words of (B, T) sentences after their first, (B, T - 1)."""
    state, found = scorer.start(len(words)), []
    for place in range(words.shape[1] - 1):
        hidden, state = scorer.advance(words[:, place], state)
        found.append(scorer.scores(hidden, words[:, place + 1]))
    return torch.stack(found, 1)


def sentences(count: int = 5, length: int = 6) -> torch.Tensor:
    """Random words after <s>."""
    drawn = torch.randint(2, len(WORDS) + 3, (count, length), generator=torch.Generator().manual_seed(1))
    drawn[:, 0] = BEGIN
    return drawn


@pytest.mark.parametrize("kind", KINDS)
def test_word_by_word_as_in_whole_sentences(kind: str) -> None:
    made, words = model(kind), sentences()
    with torch.inference_mode():
        scores = made.all_scores(made.hidden(words[:, :-1]))
    wanted = scores.gather(2, words[:, 1:, None]).squeeze(2)
    torch.testing.assert_close(along(TorchScorer(made), words), wanted)
    torch.testing.assert_close(along(TorchScorer(made, normalised=True), words), wanted - scores.logsumexp(2))


@pytest.mark.parametrize(("kind", "tie"), list(product(KINDS, (True, False))))
def test_what_is_saved_scores_the_same(kind: str, tie: bool, tmp_path: Path) -> None:
    made, words = model(kind, tie=tie), sentences()
    path = save(made, tmp_path / "exp", kind, tie=tie)
    export.run(path, tmp_path / "graph")
    wanted = along(TorchScorer(made), words)
    for where in (path, path / "bundle", tmp_path / "graph"):
        scorer = open_scorer(where)
        torch.testing.assert_close(along(scorer, words), wanted, atol=1e-4, rtol=1e-4)
        true = along(open_scorer(where, normalised=True), words)
        torch.testing.assert_close(true, along(TorchScorer(made, normalised=True), words), atol=1e-4, rtol=1e-4)
    assert isinstance(scorer, OnnxScorer)


@pytest.mark.parametrize("kind", KINDS)
def test_hypotheses_of_different_lengths_are_joined(kind: str, tmp_path: Path) -> None:
    made, words = model(kind), sentences(2, 7)
    export.run(save(made, tmp_path / "exp", kind), tmp_path / "graph")
    for scorer in (TorchScorer(made), open_scorer(tmp_path / "graph")):
        states = []
        for row, length in ((0, 2), (1, 5)):
            state = scorer.start(1)
            for word in words[row, :length]:
                _, state = scorer.advance(word[None], state)
            states.append(state)
        hidden, after = scorer.advance(torch.stack([words[0, 2], words[1, 5]]), scorer.join(states))
        hidden, _ = scorer.advance(torch.stack([words[0, 3], words[1, 6]]), after)
        whole = made.hidden(words)
        torch.testing.assert_close(hidden, torch.stack([whole[0, 3], whole[1, 6]]), atol=1e-4, rtol=1e-4)


def test_nothing_to_score(tmp_path: Path) -> None:
    export.run(save(model(), tmp_path / "exp"), tmp_path / "graph")
    for scorer in (TorchScorer(model(), normalised=True), open_scorer(tmp_path / "graph", normalised=True)):
        none = torch.zeros(0, dtype=torch.int64)
        hidden, state = scorer.advance(none, scorer.start(0))
        assert hidden.shape == (0, 8)
        assert [len(part) for part in state] == [0, 0]
        assert scorer.scores(hidden, none).shape == (0,)


def test_classes_come_with_the_bundle(tmp_path: Path) -> None:
    scorer = open_scorer(save(model(classes=CLASSES), tmp_path / "exp"))
    assert scorer.vocabulary.class_id("contact") == 3


def test_another_system(tmp_path: Path) -> None:
    other = tmp_path / "exp"
    save(model(), other)
    config = other / "bundle" / "config.yaml"
    config.write_text(config.read_text().replace("system: lm_nce", "system: audio_event"))
    with pytest.raises(UserError):
        open_scorer(other)
    (other / "bundle" / bundle.WEIGHTS).unlink()
    with pytest.raises(UserError, match="no trained model"):
        open_scorer(other)


def test_a_graph_is_not_exported_again(tmp_path: Path) -> None:
    export.run(save(model(), tmp_path / "exp"), tmp_path / "graph")
    with pytest.raises(UserError, match="an ONNX graph already"):
        export.run(tmp_path / "graph", tmp_path / "again")


@pytest.mark.parametrize("graph", ["", "table", "body"])
def test_weights_that_are_no_numbers(graph: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model()
    exp = save(made, tmp_path / "whole")
    if graph:
        export.run(exp, tmp_path / "damaged")
        call = OnnxModel.__call__

        def damaged(self: OnnxModel, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
            *others, bias = call(self, *inputs)
            if graph == "body":
                return (others[0], others[1] * torch.nan, *others[2:], bias)
            bias[5:6] = torch.nan  # a step asks for no row of the table
            return (*others, bias)

        monkeypatch.setattr(OnnxModel, "__call__", damaged)
    else:
        with torch.no_grad():
            made.body.layers[1].all_weights[0][2][3] = torch.inf
        save(made, tmp_path / "damaged")
    with pytest.raises(UserError, match=r"damaged: has weights that are no numbers"):
        open_scorer(tmp_path / "damaged")

import torch

from voxkit.commands.ner.command import Ner
from voxkit.commands.ner.model import NerModel, graph
from voxkit.commands.ner.tables import Tables
from voxkit.commands.ner.task import first
from voxkit.config import build
from voxkit.data.tagging import Sentence
from voxkit.nn.recurrent import BiLstm, PaddedBiLstm

SENTENCES = [Sentence.of("1", ["a", "bc", "def"], ["B-x", "I-x", "O"])]
SAID = {"a": ("e",), "bc": ("b", "k"), "def": ("d", "e", "f")}


def model(units: str) -> NerModel:
    config = build(Ner, None, [f"units=[{units}]"])
    torch.manual_seed(0)
    return NerModel(config, Tables.learn(SENTENCES, config, SAID)).eval()


def parts(tables: Tables, words: list[str]) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for unit in tables.symbols:
        if unit == "words":
            found.append(torch.tensor([tables.word_number(word) for word in words]))
        else:
            said = [SAID[word] for word in words]
            found += map(torch.from_numpy, tables.padded(unit, words, said))
    return found


def test_a_padded_layer_is_a_bidirectional_one() -> None:
    torch.manual_seed(0)
    packed, padded = BiLstm(6, 1, 0.0), PaddedBiLstm(6, 3)
    ahead, behind = padded.ahead.state_dict(), padded.behind.state_dict()
    packed.lstm.load_state_dict({**ahead, **{f"{name}_reverse": tensor for name, tensor in behind.items()}})
    x, lengths = torch.randn(3, 5, 6), torch.tensor([5, 1, 3])
    expected, found = packed(x, lengths), padded(x, lengths)
    last = padded.last(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[row, :length], expected[row, :length])
        torch.testing.assert_close(last[row], torch.cat([expected[row, length - 1, :3], expected[row, 0, 3:]]))


def test_any_units_make_a_model() -> None:
    for units in ("words", "chars", "phones", "bytes", "words,chars", "chars,phones,bytes", "words,chars,phones,bytes"):
        made = model(units)
        given = parts(made.tables, ["a", "bc", "def"])
        scores = made(torch.tensor([3, 1]), torch.tensor([[0, 1, 2], [2, 0, 0]]), *given)
        assert scores.emissions.shape == (2, 3, len(made.tables.tags))
        assert torch.isfinite(scores.emissions).all()
        assert ("words" in units) == any(name.startswith("words.") for name in made.state_dict())


def test_padding_and_neighbours_in_the_batch_change_nothing() -> None:
    made = model("words,chars,phones")
    given = parts(made.tables, ["a", "bc", "def"])
    together = made(torch.tensor([3, 1]), torch.tensor([[0, 1, 2], [1, 0, 0]]), *given).emissions
    alone = made(torch.tensor([1]), torch.tensor([[0]]), *parts(made.tables, ["bc"])).emissions
    torch.testing.assert_close(together[1, :1], alone[0])


def test_the_first_sentence_of_a_call_is_that_sentence() -> None:
    made = model("words,chars")
    call = (torch.tensor([2, 3]), torch.tensor([[2, 1, 0], [0, 1, 2]]), *parts(made.tables, ["a", "bc", "def"]))
    torch.testing.assert_close(made(*first(call)).emissions[0], made(*call).emissions[0, :2])


def test_the_examples_of_the_graph_are_inputs() -> None:
    made = model("words,chars,phones,bytes")
    scores = made(*graph(made).inputs.values())
    assert scores.emissions.shape == (2, 3, len(made.tables.tags))

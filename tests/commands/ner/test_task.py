"""Training: batches, the loss, and a model that learns."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from voxkit.commands.ner.command import Ner
from voxkit.commands.ner.crf import negative_log_likelihood
from voxkit.commands.ner.tables import UNKNOWN
from voxkit.commands.ner.task import NerTask, identified, inputs, sentences, some_of
from voxkit.config import build
from voxkit.data.tagging import Sentence
from voxkit.errors import DataError, UserError

TRAIN = """fly\tO
to\tO
Bonn\tB-city
in\tO
May\tB-month

go\tO
to\tO
New\tB-city
York\tI-city
.\tO

call\tO
Bonn\tB-city
"""
LEXICON = "fly F L AY\nto T UW\nbonn B AA N\nin IH N\nmay M EY\n"


@pytest.fixture
def train(tmp_path: Path) -> Path:
    (tmp_path / "train.conll").write_text(TRAIN)
    return tmp_path / "train.conll"


def task(train: Path, folder: Path, *sets: str, **data: object) -> NerTask:
    config = build(Ner, None, list(sets), data={"train": (str(train),), **data})
    folder.mkdir(exist_ok=True)
    return NerTask(config, folder)


def test_batches_hold_all_sentences_with_their_words_and_tags(train: Path, tmp_path: Path) -> None:
    made = task(train, tmp_path / "a", "batch.words=10", "words.hide=0")
    batches = made.batches("train", 0)
    seen = []
    for i in range(len(batches)):
        batch = batches[i]
        names = made.tables.symbols["words"]
        for row, (length, id) in enumerate(zip(batch.lengths.tolist(), batches.ids(i), strict=True)):
            (sentence,) = [one for one in made.sentences if one.id == id]
            words = [names[batch.parts[0][place]] for place in batch.places[row, :length]]
            assert words == [word.lower() for word in sentence.words]
            assert batch.tags[row, :length].tolist() == made.tables.tag_numbers(sentence.tags or ())
            seen.append(id)
    assert sorted(seen) == sorted(one.id for one in made.sentences)


def test_rare_words_are_hidden_more_often(train: Path, tmp_path: Path) -> None:
    made = task(train, tmp_path / "a", "words.hide=2")
    assert made.numbers is not None
    counts = np.array(made.tables.counts)[made.numbers]
    np.testing.assert_allclose(made.hidden, 2 / (2 + counts))
    torch.manual_seed(0)
    batches = made.batches("train", 0)
    hidden = [float((batches[0].parts[0] == UNKNOWN).double().mean()) for _ in range(200)]
    assert np.mean(hidden) == pytest.approx(made.hidden.mean(), abs=0.05)


def test_the_loss_is_the_sum_over_the_sentences(train: Path, tmp_path: Path) -> None:
    made = task(train, tmp_path / "a", "batch.words=100")
    model = made.model().eval()
    batch = made.batches("train", 0)[0]
    loss = made.loss(model, batch)
    expected = negative_log_likelihood(model(*inputs(batch)), batch.tags, batch.lengths)
    assert loss.weight == batch.lengths.sum()
    torch.testing.assert_close(loss.total, expected.sum())


def test_phones_come_from_the_lexicon(train: Path, tmp_path: Path) -> None:
    (tmp_path / "lexicon.txt").write_text(LEXICON)
    made = task(train, tmp_path / "a", "units=[phones]", f"phones.lexicon={tmp_path / 'lexicon.txt'}")
    assert set(made.tables.symbols["phones"][2:]) == set("F L AY T UW B AA N IH M EY".split())
    assert made.said(["Bonn", "York"]) == {"Bonn": ("B", "AA", "N"), "York": ()}
    assert set(made.assets) == {"tables.json", "lexicon.txt"}


def test_texts_as_a_recogniser_writes_them(train: Path, tmp_path: Path) -> None:
    made = task(train, tmp_path / "a", "text.asr=true", "words.lower=false")
    assert [one.words for one in made.sentences][1] == ("go", "to", "new", "york")
    assert "Bonn" not in made.tables.symbols["words"]


def test_fewer_sentences_are_part_of_more() -> None:
    many = [Sentence.of(str(number), [f"w{number}"]) for number in range(200)]
    chosen = [some_of(many, share) for share in (0.005, 0.05, 0.2, 1.0)]
    assert [len(some) for some in chosen] == [1, 10, 40, 200]
    ids = [{one.id for one in some} for some in chosen]
    assert ids[0] < ids[1] < ids[2] < ids[3]
    assert [one.id for one in chosen[1]] == sorted((one.id for one in chosen[1]), key=int)


def test_a_model_learns_its_sentences(train: Path, tmp_path: Path) -> None:
    made = task(train, tmp_path / "a", "model.cells=16", "words.hide=0", "batch.buckets=1")
    torch.manual_seed(0)
    model = made.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    batch = made.batches("train", 0)[0]
    assert len(batch.lengths) == 3
    before = made.score(model.eval())
    for _ in range(40):
        model.train()
        optimizer.zero_grad()
        made.loss(model, batch).total.backward()
        optimizer.step()
    after = made.score(model.eval())
    assert after.value == 0.0 < before.value
    assert after.values == {"f1": 100.0}
    assert after.lines[0].startswith("%F1 100.00")


def test_the_vocabulary_is_told(train: Path, tmp_path: Path) -> None:
    made = task(train, tmp_path / "a", "units=[words,chars,bytes]")
    assert f"({made.tables.subwords} subword symbols); 2 labels" in made.account()


def test_unknown_labels_of_dev_are_told(train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dev.conll").write_text("x\tB-river\n\ny\tB-city\n")
    made = task(train, tmp_path / "a", dev=(str(tmp_path / "dev.conll"),))
    assert len(made.dev) == 2
    assert "the model has not learnt river" in capsys.readouterr().err


def test_digests_of_the_inputs_are_kept(train: Path) -> None:
    config = build(Ner, data={"train": (str(train),)})
    (kept,) = identified(config.data).digests.items()
    assert kept[0] == str(train)
    assert len(kept[1]) == 64


def test_data_without_entities_or_sentences_are_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.conll").write_text("fly\tO\nto\tO\n")
    with pytest.raises(UserError, match="holds no entities"):
        task(tmp_path / "plain.conll", tmp_path / "a")
    (tmp_path / "marks.conll").write_text(".\tO\n")
    with pytest.raises(UserError, match="nothing but punctuation"):
        task(tmp_path / "marks.conll", tmp_path / "b", "text.asr=true")
    with pytest.raises(UserError, match="nothing"):
        identified(build(Ner, data={"train": (str(tmp_path / "nothing.conll"),)}).data)


def test_bad_sentences_are_left_out_and_listed(train: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.conll").write_text(TRAIN + "\none\n")
    config = build(Ner, data={"train": (str(tmp_path / "bad.conll"),), "max_bad": 0.5})
    kept = sentences(config.data.train, config, tmp_path / "rejected.jsonl")
    assert len(kept) == 3
    assert (tmp_path / "rejected.jsonl").read_text().count("\n") == 1
    strict = build(Ner, data={"train": (str(tmp_path / "bad.conll"),)})
    with pytest.raises(DataError, match=r"bad\.conll:16"):
        sentences(strict.data.train, strict, tmp_path / "rejected.jsonl")


def test_bad_sentences_that_share_an_id_are_counted(tmp_path: Path) -> None:
    rows = "# id = same\none\n\n" * 9 + TRAIN
    (tmp_path / "bad.conll").write_text(rows)
    config = build(Ner, data={"train": (str(tmp_path / "bad.conll"),), "max_bad": 0.3})
    with pytest.raises(DataError, match="9 of 12"):
        sentences(config.data.train, config, tmp_path / "rejected.jsonl")


def test_folders_of_manifests_are_known_by_their_content(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    line = (
        '{"id": "1", "recording_id": "r", "start": 0, "duration": 1, "text": "to Bonn", "custom": {"entities": []}}\n'
    )
    (folder / "supervisions.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    (kept,) = identified(build(Ner, data={"train": (str(folder),)}).data).digests.values()
    assert len(kept) == 64

"""Corpora of tagged sentences: small made-up copies of their layouts, and the corpora where they are."""

from __future__ import annotations

import doctest
import gzip
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from voxkit.data.corpora import germeval2014, ner_btc, snips, source, tagged, wnut17
from voxkit.data.corpora.registry import TAGGED
from voxkit.data.tagged_files import read
from voxkit.data.tagging import Sentence
from voxkit.errors import DataError, Problems, UserError


def put(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def told(sentences: Iterable[Sentence]) -> list[str]:
    """Words with their tags."""
    return [" ".join(map("/".join, zip(one.words, one.tags or (), strict=True))) for one in sentences]


def test_examples_in_docstrings() -> None:
    result = doctest.testmod(tagged)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Caf\u00e9 \u00c0 \u00df\u00fc\u00df", "Caf\u00e9 \u00c0 \u00df\u00fc\u00df"),
        ("Espa\u00c3\u00b1a", "Espa\u00f1a"),
        ("Regulate\u00e2\u0080\u00a6g", "Regulate\u2026g"),
        ("Pop \u00ed\u00a0\u00bc\u00ed\u00bd\u0095 off", "Pop \U0001f355 off"),  # halves of UTF-16, each in UTF-8
        ("\u00ed\u00a0\u00bc", "\u00ed\u00a0\u00bc"),  # one half alone
        ("a \u0096 b\u0081\ufeff", "a \u2013 b"),
    ],
)
def test_mending(text: str, expected: str) -> None:
    assert tagged.mended(text) == expected


@pytest.mark.parametrize(
    "names",
    [
        ("train.conll", "dev.conll.gz", "test.conll"),
        ("wnut17train.conll", "emerging.dev.conll", "emerging.test.annotated"),
    ],
)
def test_wnut17(tmp_path: Path, names: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    for name, word in zip(names, ("one", "two", "Dubbz\ufeff"), strict=True):
        put(tmp_path / name, f"#{word}\tO\n{word}\tB-person\n\t\n")
    put(tmp_path / "emerging.test.conll", "not read")
    assert source.locate(wnut17.CORPUS, tmp_path) == tmp_path
    assert [path.name for path in wnut17.files(tmp_path)] == list(names)
    parts = wnut17.read(tmp_path, Problems())
    assert {part: told(sentences) for part, sentences in parts.items()} == {
        "train": ["#one/O one/B-person"], "dev": ["#two/O two/B-person"], "test": ["#Dubbz/O Dubbz/B-person"],
    }  # fmt: skip
    assert [one.id for one in parts["test"]] == ["test:1"]
    assert f"{names[2]}: 2 lines mended" in capsys.readouterr().err


@pytest.mark.parametrize(
    "form",
    ["{}.conll", "CONLL-format_data_{}.conll.gz", "CONLL-format/data/{}.conll", "data/BTC/CONLL-format/data/{}.conll"],
)
def test_ner_btc(tmp_path: Path, form: str) -> None:
    for section in "abefgh":
        put(tmp_path / form.format(section), f"{section}\tB-ORG\n\tO\n \tO\nend \tO\n\n\tO\n\n")
    put(tmp_path / form.format("x"), "not read")
    assert source.locate(ner_btc.CORPUS, tmp_path) == tmp_path
    assert len(ner_btc.files(tmp_path)) == 6
    parts = ner_btc.read(tmp_path, Problems())
    assert {part: "".join(one.group for one in sentences) for part, sentences in parts.items()} == {
        "train": "abeg", "dev": "h", "test": "f",
    }  # fmt: skip
    assert told(parts["dev"]) == ["h/B-ORG end/O"]


GERMAN = "#\thttp://{0}\t[2010-07-04]\t\n1\tDie\tO\tO\n2\tUni\tB-ORG\tO\n3\t{0}\tI-ORG\tB-LOC\n4\t\u0096\tO\tO\n\n"


def test_germeval_with_its_official_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part, place in (("train", "Ulm"), ("dev", "Bonn"), ("test", "Kiel")):
        put(tmp_path / f"NER-de-{part}.tsv", GERMAN.format(place))
    assert source.locate(germeval2014.CORPUS, tmp_path) == tmp_path
    assert len(germeval2014.files(tmp_path)) == 3
    parts = germeval2014.read(tmp_path, Problems())
    assert {part: told(sentences) for part, sentences in parts.items()} == {
        part: [f"Die/O Uni/B-ORG {place}/I-ORG \u2013/O"]
        for part, place in (("train", "Ulm"), ("dev", "Bonn"), ("test", "Kiel"))
    }
    assert "not the official division" not in capsys.readouterr().err


def test_germeval_without_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put(tmp_path / "NER-de-dev.tsv.gz", "".join(GERMAN.format(f"Ort{n}") for n in range(1000)) * 2)
    assert source.locate(germeval2014.CORPUS, tmp_path) == tmp_path
    assert germeval2014.files(tmp_path) == [path]
    parts = germeval2014.read(tmp_path, Problems())
    assert "not the official division" in capsys.readouterr().err
    shares = {part: len(sentences) / 2000 for part, sentences in parts.items()}
    assert shares == {"train": pytest.approx(0.7, abs=0.05), "dev": pytest.approx(0.1, abs=0.04),
                      "test": pytest.approx(0.2, abs=0.05)}  # fmt: skip
    distinct = [set(told(sentences)) for sentences in parts.values()]
    assert sum(map(len, distinct)) == len(set().union(*distinct)) == 1000


def test_germeval_with_dev_and_test_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [
        put(tmp_path / "NER-de-dev.tsv", "".join(GERMAN.format(f"Ort{n}") for n in range(1000)) * 2),
        put(tmp_path / "NER-de-test.tsv.gz", GERMAN.format("Kiel")),
    ]
    assert source.locate(germeval2014.CORPUS, tmp_path) == tmp_path
    assert germeval2014.files(tmp_path) == paths
    parts = germeval2014.read(tmp_path, Problems())
    assert "not the official division" in capsys.readouterr().err
    assert list(parts) == ["train", "dev", "test"]
    assert told(parts["test"]) == ["Die/O Uni/B-ORG Kiel/I-ORG \u2013/O"]
    assert len(parts["train"]) + len(parts["dev"]) == 2000
    assert len(parts["dev"]) / 2000 == pytest.approx(0.1, abs=0.04)
    train, dev = (set(told(parts[part])) for part in ("train", "dev"))
    assert len(train | dev) == len(train) + len(dev) == 1000


def query(text: str) -> list[dict[str, str]]:
    """`play |song:Yellow Submarine| now` as chunks."""
    chunks = []
    for place, piece in enumerate(text.split("|")):
        slot, _, content = piece.rpartition(":") if place % 2 else ("", "", piece)
        chunks += [{"text": content, "entity": slot} if slot else {"text": content}] if content else []
    return chunks


PLAY = [
    "play |track:Yellow  Submarine|'s |sort:tune| at |time:one pm||relation:near| me\n",
    "Kurutta |album:Taiy\u00c5\u008d| ",
    "",
]


def test_snips_as_tables(tmp_path: Path) -> None:
    for name, texts in (("train.jsonl.gz", PLAY), ("validate.jsonl", PLAY[:1])):
        lines = [json.dumps({"intent": "PlayMusic", "data": query(text)}) for text in texts]
        put(tmp_path / name, "".join(f"{line}\n" for line in lines))
    assert source.locate(snips.CORPUS, tmp_path) == tmp_path
    assert [path.name for path in snips.files(tmp_path)] == ["train.jsonl.gz", "validate.jsonl"]
    parts = snips.read(tmp_path, Problems())
    first = "play/O Yellow/B-track Submarine/I-track 's/O tune/B-sort at/O one/B-time pm/I-time near/B-relation me/O"
    assert {part: told(sentences) for part, sentences in parts.items()} == {
        "train": [first, "Kurutta/O Taiy\u014d/B-album"], "dev": [], "test": [first],
    }  # fmt: skip
    assert [(one.id, one.group) for one in parts["train"]] == [
        ("PlayMusic-1", "PlayMusic"), ("PlayMusic-2", "PlayMusic"),
    ]  # fmt: skip
    assert [(one.id, one.where) for one in parts["test"]] == [("PlayMusic-validate-1", f"{tmp_path}/validate.jsonl:1")]


@pytest.mark.parametrize("inside", ["", "2017-06-custom-intent-engines"])
def test_snips_as_its_repository_has_it(tmp_path: Path, inside: str) -> None:
    folder = tmp_path / inside
    tables = {
        "AddToPlaylist": ("latin-1", ["add |playlist:\u00c9xitos|"]),
        "GetWeather": ("utf-8", ["rain in |city:Le\u00f3n|", "wind in |city:Ulm|"]),
        "PlayMusic": ("latin-1", ["play |track:Taiy\u00c5\u008d| \u00c3", "play \u00c3|track:\u00e9t\u00e9|"]),
    }
    for intent, (encoding, texts) in tables.items():
        content = json.dumps({intent: [{"data": query(text)} for text in texts]}, ensure_ascii=False)
        put(folder / intent / f"train_{intent}_full.json", content, encoding)
        put(folder / intent / f"validate_{intent}.json", content)
        put(folder / intent / f"train_{intent}.json", "not read")
    assert source.locate(snips.CORPUS, tmp_path) == tmp_path
    assert len(snips.files(tmp_path)) == 6
    parts = snips.read(tmp_path, Problems())
    assert told(parts["train"]) == told(parts["test"]) == [
        "add/O \u00c9xitos/B-playlist", "rain/O in/O Le\u00f3n/B-city", "wind/O in/O Ulm/B-city",
        "play/O Taiy\u014d/B-track \u00c3/O", "play/O \u00c3/O \u00e9t\u00e9/B-track",
    ]  # fmt: skip
    assert Counter(one.group for one in parts["train"]) == {"AddToPlaylist": 1, "GetWeather": 2, "PlayMusic": 2}


def test_the_dev_part_of_snips(tmp_path: Path) -> None:
    texts = {"A": [f"say |word:w{n % 1200}|" for n in range(1300)], "B": [f"say |word:w{n}|" for n in range(50)]}
    lines = [json.dumps({"intent": intent, "data": query(text)}) for intent, all in texts.items() for text in all]
    put(tmp_path / "train.jsonl", "\n".join(lines))
    put(tmp_path / "validate.jsonl", lines[0])
    parts = snips.read(tmp_path, Problems())
    assert Counter(one.group for one in parts["dev"]) == {"A": 100, "B": 5}
    assert len(parts["train"]) == 1350 - 105
    for intent in "AB":
        train, dev = ({one.words for one in parts[part] if one.group == intent} for part in ("train", "dev"))
        assert not train & dev
    ids = [one.id for part in ("train", "dev") for one in parts[part]]
    assert len(set(ids)) == 1350
    put(tmp_path / "train.jsonl", "\n".join(reversed(lines)))
    again = snips.read(tmp_path, Problems())
    assert sorted(told(again["dev"])) == sorted(told(parts["dev"]))


@pytest.mark.parametrize("name", ["train.conll", "dev.conll", "test.conll"])
@pytest.mark.parametrize("what", ["empty", "blank", "folder"])
def test_a_part_of_columns_that_has_nothing_is_refused(tmp_path: Path, name: str, what: str) -> None:
    for part in ("train", "dev", "test"):
        put(tmp_path / f"{part}.conll", "a\tB-person\n")
    put(tmp_path / name, "\n \n" if what == "blank" else "")
    if what == "folder":
        (tmp_path / name).unlink()
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=rf"{name}: {'not a file' if what == 'folder' else 'holds no sentences'}"):
        wnut17.read(tmp_path, Problems())


@pytest.mark.parametrize("names", [("train.jsonl", "validate.jsonl"), ("A/train_A_full.json", "A/validate_A.json")])
def test_a_part_of_snips_that_has_nothing_is_refused(tmp_path: Path, names: Sequence[str]) -> None:
    query = '{"intent": "A", "data": [{"text": "a"}]}' if names[0] == "train.jsonl" else '{"A": [{"data": []}]}'
    for empty in range(2):
        for place, name in enumerate(names):
            nothing = "" if names[0] == "train.jsonl" else '{"A": []}'
            put(tmp_path / name, nothing if place == empty else query)
        with pytest.raises(UserError, match=rf"{names[empty]}: holds no sentences"):
            snips.read(tmp_path, Problems())


def test_snips_that_are_no_text(tmp_path: Path) -> None:
    lines = [
        '{"intent": "A", "data": [{"text": "fine"}]}',
        '{"intent": "A\\ud800", "data": [{"text": "a"}]}',
        '{"intent": "A", "data": [{"text": "a", "entity": "x\\ud800"}]}',
    ]
    for name in ("train.jsonl", "validate.jsonl"):
        put(tmp_path / name, "\n".join(lines))
    problems = Problems()
    parts = snips.read(tmp_path, problems)
    assert [problem.kind for problem in problems] == 4 * ["control character"]
    assert "".join(problem.id for problem in problems).encode()
    tagged.write(parts, tmp_path, problems, max_bad=0.7)
    assert (tmp_path / "rejected.jsonl").exists()


def test_bad_snips(tmp_path: Path) -> None:
    lines = [
        '{"intent": "A", "data": [{"text": "fine"}]}',
        '{"intent": "A", "data": [{"entity": "x"}]}',
        '{"intent": "A"}',
        '{"intent": "A", "data": [{"text": "a", "entity": "x y"}]}',
        '{"intent": "A", "data": [{"text": "a", "entity": 3}]}',
        '{"intent": "A", "data": [{"text": "a\\u0000"}]}',
        "{",
    ]
    path = put(tmp_path / "train.jsonl", "\n".join(lines))
    put(tmp_path / "validate.jsonl", "[]")
    problems = Problems()
    parts = snips.read(tmp_path, problems)
    assert [(problem.where, problem.kind) for problem in problems] == [
        (f"{path}:2", "bad query"), (f"{path}:3", "bad query"), (f"{path}:4", "bad slot"), (f"{path}:5", "bad slot"),
        (f"{path}:6", "control character"), (f"{path}:7", "broken JSON line"),
        (f"{tmp_path}/validate.jsonl:1", "broken JSON line"),
    ]  # fmt: skip
    assert len(parts["train"]) == 1


@pytest.mark.parametrize(
    "content", ["{", 9999 * '{"a":', "[]", "{}", '{"A": [{}]}', '{"A": 3}', '{"A": [], "B": []}', '{"A": [3]}']
)
def test_bad_documents_of_snips(tmp_path: Path, content: str) -> None:
    for name, text in (("train_A_full.json", content), ("validate_A.json", '{"A": [{"data": [{"text": "fine"}]}]}')):
        put(tmp_path / "A" / name, text)
    problems = Problems()
    parts = snips.read(tmp_path, problems)
    assert [(problem.where, problem.kind) for problem in problems] == [
        (f"{tmp_path}/A/train_A_full.json", "broken JSON")
    ]
    assert len(parts["test"]) == 1


def test_what_is_written(tmp_path: Path) -> None:
    one = Sentence.of("1", ["New", "York"], ["B-city", "I-city"], group="g")
    two = Sentence.of("2", ["no"], ["O"])
    sizes = tagged.write({"train": [one, two], "dev": [], "test": [two]}, tmp_path, Problems())
    assert sizes.split(", ") == [
        "train 2 sentences with 1 entities", "dev 0 sentences with 0 entities", "test 1 sentences with 0 entities",
        "1 label",
    ]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"train.conll", "test.conll"}
    assert (tmp_path / "train.conll").read_text() == (
        "# id = 1\n# group = g\nNew\tB-city\nYork\tI-city\n\n# id = 2\nno\tO\n\n"
    )
    with pytest.raises(UserError, match="no sentences"):
        tagged.write({"train": []}, tmp_path, Problems())


def test_problems_of_all_parts_come_at_once(tmp_path: Path) -> None:
    for name in ("train.conll", "dev.conll", "test.conll"):
        put(tmp_path / name, "good\tO\n\nbad\tcity\n\ngood\tB-city\n")
    problems = Problems()
    parts = wnut17.read(tmp_path, problems)
    with pytest.raises(DataError, match="3 of 9 items") as error:
        tagged.write(parts, tmp_path / "out", problems)
    assert [problem.where for problem in error.value.problems] == [
        f"{tmp_path / name}:3" for name in ("train.conll", "dev.conll", "test.conll")
    ]
    assert not (tmp_path / "out").exists()


# Sentences, words and entities. The sums over the parts are those that grep counts in the files (empty lines, lines
# with a tab, tags that begin with B-), and of snips the number of chunks with an entity. A tweet without any word
# (section h) and six rows without a word (f and h) are left out of the Broad Twitter Corpus.
EXPECTED = {
    "wnut17": {"train": (3394, 62730, 1975), "dev": (1009, 15733, 836), "test": (1287, 23394, 1079)},
    "ner_btc": {"train": (5338, 85480, 7141), "dev": (2000, 29476, 3368), "test": (2000, 35425, 4376)},
    "germeval2014": {"train": (1588, 30232, 1931), "dev": (196, 3522, 227), "test": (416, 7899, 516)},
    "snips": {"train": (13084, 121353, 33927), "dev": (700, 6549, 1821), "test": (700, 6721, 1794)},
}
LABELS = {"wnut17": 6, "ner_btc": 3, "germeval2014": 12, "snips": 39}


@pytest.mark.parametrize("name", list(TAGGED))
def test_real_corpora(name: str, tmp_path: Path) -> None:
    if not (Path(os.environ.get("VOXKIT_DATA", "none")) / name).is_dir():
        pytest.skip(f"no {name} in $VOXKIT_DATA")
    folder, problems = source.locate(TAGGED[name], None), Problems()
    if name == "germeval2014" and any(folder.glob("NER-de-train.tsv*")):
        pytest.skip("the counts are those without the official parts")
    parts = TAGGED[name].read(folder, problems)
    assert not problems
    assert {
        part: (len(all), sum(len(one.words) for one in all), sum(len(one.entities()) for one in all))
        for part, all in parts.items()
    } == EXPECTED[name]
    assert len({entity.label for all in parts.values() for one in all for entity in one.entities()}) == LABELS[name]
    tagged.write(parts, tmp_path, problems)
    for part, sentences in parts.items():
        back, total = read([tmp_path / f"{part}.conll"], problems, tagged=True)
        assert total == len(sentences)
        assert [(one.id, one.words, one.tags, one.group) for one in back] == [
            (one.id, one.words, one.tags, one.group) for one in sentences
        ]
    assert not problems

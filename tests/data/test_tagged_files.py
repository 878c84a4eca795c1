"""Reading and writing tagged sentences: formats, what comes back, what is refused."""

from __future__ import annotations

import doctest
import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.data import tag_schemes, tagged_files, tagged_json
from voxkit.data.pronunciations import hidden_character
from voxkit.data.tag_schemes import bio, is_tag
from voxkit.data.tagged_files import conll_lines, is_plain, read, source_file, write_conll
from voxkit.data.tagged_json import Mark, marked
from voxkit.data.tagging import Entity, Sentence, entities, pieces, tags_of, to_bioes
from voxkit.errors import Problems, UserError


def put(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def good(tmp_path: Path, name: str, text: str, tagged: bool = True, only_spaces: bool = False) -> list[Sentence]:
    """The sentences of a file without problems."""
    problems = Problems()
    sentences, total = read([put(tmp_path / name, text)], problems, tagged, only_spaces)
    assert not problems, problems.report()
    assert total == len(sentences)
    return sentences


def wrong(tmp_path: Path, name: str, text: str | bytes, tagged: bool = True) -> list[tuple[str, str]]:
    """Line and kind of each problem of a file; each tells what is wrong and what to do."""
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    problems = Problems()
    sentences, total = read([path], problems, tagged)
    assert total == len(sentences) + len(problems.bad_ids)
    assert all(problem.what and problem.fix for problem in problems)
    assert not any(hidden_character(problem.id) for problem in problems)
    assert all(problem.where.startswith(f"{path}") for problem in problems)
    return [(problem.where.removeprefix(f"{path}:"), problem.kind) for problem in problems]


def shown(sentence: Sentence) -> list[tuple[str, str]]:
    """Label and text of each entity."""
    return [(entity.label, sentence.surface(entity)) for entity in sentence.entities()]


@pytest.mark.parametrize("module", [tag_schemes, tagged_files, tagged_json])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted
    assert not result.failed


# Tags


labels = st.sampled_from(["city", "creative-work", "B", "I", "O"])


@st.composite
def found_entities(draw: st.DrawFn) -> tuple[list[Entity], int]:
    """Entities that do not overlap, and the number of words."""
    found, place = [], 0
    for gap, length, label in draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), labels), max_size=6)):
        found.append(Entity(label, place + gap, place + gap + length))
        place += gap + length
    return found, place + draw(st.integers(0, 2))


def iob1(tags: tuple[str, ...]) -> list[str]:
    """BIO with `B-` only between entities of one label."""
    before = ["O", *tags]
    return [
        tag if tag[0] != "B" or last[2:] == tag[2:] else f"I-{tag[2:]}" for last, tag in zip(before, tags, strict=False)
    ]


@given(found_entities())
def test_all_schemes_tell_the_same_entities(given: tuple[list[Entity], int]) -> None:
    tags = tags_of(*given)
    bioes = to_bioes(tags)
    bilou = [{"E": "L", "S": "U"}.get(tag[0], tag[0]) + tag[1:] for tag in bioes]
    bmes = [{"I": "M"}.get(tag[0], tag[0]) + tag[1:] for tag in bioes]
    bmew = [{"S": "W"}.get(tag[0], tag[0]) + tag[1:] for tag in bmes]
    for other in (tags, bioes, bilou, bmes, bmew, iob1(tags)):
        assert all(map(is_tag, other))
        assert bio(other) == tags


@given(st.lists(st.tuples(st.sampled_from("BIESLUMW"), labels) | st.none()))
def test_any_tags_become_bio(given: list[tuple[str, str] | None]) -> None:
    tags = [f"{one[0]}-{one[1]}" if one else "O" for one in given]
    plain = bio(tags)
    assert [tag[2:] for tag in plain] == [tag[2:] for tag in tags]
    assert tags_of(entities(plain), len(plain)) == plain
    assert bio(plain) == plain


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("I-a I-a", "B-a I-a"), ("B-a I-b", "B-a B-b"), ("O E-a", "O B-a"), ("B-a B-a", "B-a B-a"),
        ("B-a O I-a", "B-a O B-a"), ("S-a I-a", "B-a B-a"), ("E-a E-a", "B-a B-a"), ("B-a L-a I-a", "B-a I-a B-a"),
    ],
)  # fmt: skip
def test_broken_sequences_are_read_as_conlleval_has_them(tags: str, expected: str) -> None:
    assert " ".join(bio(tags.split())) == expected


# Columns


IN_COLUMNS = [("play", "O"), ("New", "B-place"), ("York", "I-place"), ("#hash", "O"), ("#", "B-song")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.conll", "play\tO\nNew\tB-place\nYork\tI-place\n#hash\tO\n#\tB-song\n"),
        ("a.conll.gz", "play\tO\nNew\tB-place\nYork\tI-place\n#hash\tO\n#\tB-song\n\n\n"),
        ("a.txt", "\ufeffplay O\r\nNew B-place\r\nYork I-place\r\n#hash O\r\n# B-song\r\n"),
        ("a.iob", "play NN O\nNew  NNP I-place\nYork NNP\tI-place\n#hash NN O\n# NN I-song\n"),
        ("a", "\n\nplay\tO\nNew\tB-place\nYork\tE-place\n#hash\tO\n#\tS-song"),
        ("a.tsv", "# made by hand\nplay\tO \nNew\tB-place\t\n York\tL-place\n#hash\tO\n#\tU-song\n \n\t\n"),
        ("a.bio", "-DOCSTART- -X- O O\n\nplay NN B-VP O\nNew NN B-NP I-place\nYork NN I-NP I-place\n#hash NN O O\n"
         "# NN O I-song\n"),
        ("de.tsv", "#\thttp://news\t[2010-07-04]\t\n1\tplay\tO\tO\n2\tNew\tB-place\tB-x\n3\tYork\tI-place\tO\n"
         "4\t#hash\tO\tO\n5\t#\tB-song\tO\n"),
        ("a.conllu", "# text = ...\n1 play VB O\n2 New NNP B-place\n3 York NNP I-place\n4 #hash NN O\n5 # NN B-song\n"),
    ],
)  # fmt: skip
def test_every_form_of_columns_gives_the_same(tmp_path: Path, name: str, text: str) -> None:
    for tagged in (True, False):
        (sentence,) = good(tmp_path, name, text, tagged)
        assert sentence.tags is not None
        assert list(zip(sentence.words, sentence.tags, strict=True)) == IN_COLUMNS
        assert shown(sentence) == [("place", "New York"), ("song", "#")]
        assert sentence.where.rpartition(":")[0] == str(tmp_path / name)


def test_ids_groups_and_comments(tmp_path: Path) -> None:
    text = (
        "# id = one\n# group = news item\n#\n# nothing\n#\tO\n#b\tO\n\n# sent_id=two\n## more\n#\tO\n\n\n#a\tO\nb\tO\n"
    )
    sentences = good(tmp_path, "a.conll", text)
    assert [(one.id, one.group, one.words) for one in sentences] == [
        ("one", "news item", ("#", "#b")), ("two", "", ("#",)), ("a:13", "", ("#a", "b")),
    ]  # fmt: skip
    assert [one.where.rpartition(":")[2] for one in sentences] == ["5", "10", "13"]


def test_ids_are_unique(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [put(tmp_path / "a.conll", "x\tO\n"), put(tmp_path / "b" / "a.conll", "x\tO\n\n# id = a:1\nx\tO\n")]
    paths.append(put(tmp_path / "c.jsonl", '{"id": "a:1~2", "words": ["x"], "tags": ["O"]}\n'))
    sentences, _ = read([*paths, paths[0]], Problems(), True)
    assert [one.id for one in sentences] == ["a:1", "a-2:1", "a:1~2", "a:1~2~2", "a-3:1"]


def test_words_without_tags(tmp_path: Path) -> None:
    (sentence,) = good(tmp_path, "a.conll", "play\n#hash\n#\n", tagged=False)
    assert (sentence.words, sentence.tags) == (("play", "#hash", "#"), None)
    first, second = good(tmp_path, "b.conll", "play\t_\n\nthis\tO\n", tagged=False)
    assert (first.tags, second.tags) == (None, ("O",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tO\nb\nc\tO\n", [("2", "broken line")]),
        ("a\tO\nb\tx\tO\nc\tO\n\nd\tO\n", [("2", "broken line")]),
        ("a O\nb c O\nd O\n", [("2", "broken line")]),
        ("a\tO\n# a comment\nb\tO\n", [("2", "broken line")]),
        ("a\tO\n\tO\nb\tO\n", [("2", "no word")]),
        ("a\tO\nb\tcity\nc\tO\n", [("2", "bad tag")]),
        ("#a\tcity\nc\tO\nc\tO\n", [("1", "bad tag")]),
        ("a\tO\nb\tI-\nc\tO\nd\tb-city\n\ne\tO\n", [("2", "bad tag"), ("4", "bad tag")]),
        ("a\tO\nb\0\tO\n", [("2", "control character")]),
        ("a\tO\nb\tB-\x96\n", [("2", "control character")]),
        ("a\tO\nb\ufeff\tO\n", [("2", "control character")]),
        ("a\tO\nb\x1cc\tO\n", [("2", "control character")]),
        ("# id = a\x07\na\tO\n\n# group = \x1b[1m\nb\tO\n", [("2", "control character"), ("5", "control character")]),
        (b"a\tO\nM\xfcnchen\tO\n\n\xff\tO\n", [("2", "not UTF-8"), ("4", "not UTF-8")]),
        ("a\tO\n\nb\t_\n\nc\tO\nd\t_\n", [("3", "not tagged"), ("6", "not tagged")]),
    ],
)
def test_bad_columns(tmp_path: Path, text: str | bytes, expected: list[tuple[str, str]]) -> None:
    assert wrong(tmp_path, "a.conll", text) == expected


def test_a_sentence_with_a_problem_is_left_out_alone(tmp_path: Path) -> None:
    problems = Problems()
    text = "a\tO\n\n# id = bad\nb\nc\tx\n\nd\tO\n"
    sentences, total = read([put(tmp_path / "a.conll", text)], problems, True)
    assert [one.words for one in sentences] == [("a",), ("d",)]
    assert (total, problems.bad_ids) == (3, {"bad"})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.conll", "", "holds no sentences"),
        ("a.conll", "-DOCSTART- -X- O O\n\n# nothing\n", "holds no sentences"),
        ("a.jsonl", "\n", "holds no sentences"),
        ("a.txt", "This is a text.\nAnd another one.\n", "a.txt:1: no tag at the end of 'This is a text.'"),
        ("a.conll", "word\n\nword\n", "a.conll:1: no tag at the end of 'word'"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        read([put(tmp_path / name, text)], Problems(), True)
    assert "word<TAB>tag" in error.value.fix


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.conll.gz").write_bytes(gzip.compress(b"a\tO\n" * 1000)[:-10])
    for name in ("a.conll.gz", "none.conll", "none.jsonl", "none"):
        with pytest.raises(UserError, match=name):
            read([tmp_path / name], Problems(), True)


words = st.text(min_size=1).map(str.strip).filter(lambda word: word and not hidden_character(word))
lines = words.map(lambda text: " ".join(text.split()))


@st.composite
def any_sentence(draw: st.DrawFn) -> Sentence:
    given = draw(
        st.lists(words | st.sampled_from(["#", "#a", "-DOCSTART-", "O", "B-x", "1", "_", "# id = x"]), min_size=1)
    )
    tags = None
    if draw(st.booleans()):
        label = st.sampled_from(["city", "creative-work"]) | words
        tags = bio(draw(st.lists(st.just("O") | label.map("B-{}".format) | label.map("I-{}".format),
                                 min_size=len(given), max_size=len(given))))  # fmt: skip
    return Sentence.of(draw(lines), given, tags, group=draw(st.just("") | lines))


@given(st.lists(any_sentence(), min_size=1, unique_by=lambda one: one.id))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, sentences: list[Sentence]) -> None:
    path = tmp_path_factory.mktemp("conll") / "a.conll"
    write_conll(sentences, path)
    problems = Problems()
    back, _ = read([path], problems, tagged=False)
    assert not problems
    assert [(one.id, one.words, one.tags, one.group, one.text) for one in back] == [
        (one.id, one.words, one.tags, one.group, one.text) for one in sentences
    ]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for word in ("", "a\tb", "a\nb", " a", "a\0", "\u2028"):
        with pytest.raises(UserError, match="cannot be written as columns"):
            write_conll([Sentence.of("1", ["a", word], ["O", "O"])], tmp_path / "a.conll")
    with pytest.raises(UserError, match="cannot be written as columns"):
        write_conll([Sentence.of("1", ["a"], ["city"])], tmp_path / "a.conll")
    assert not list(tmp_path.iterdir())


def test_gzipped_columns(tmp_path: Path) -> None:
    sentence = Sentence.of("1", ["a", "b"], ["O", "B-x"], group="g")
    write_conll([sentence, sentence], tmp_path / "a.conll.gz")
    text = gzip.decompress((tmp_path / "a.conll.gz").read_bytes()).decode()
    assert text == "# id = 1\n# group = g\na\tO\nb\tB-x\n\n" * 2
    assert conll_lines(sentence) == ["# id = 1", "# group = g", "a\tO", "b\tB-x", ""]


# JSON lines


@pytest.mark.parametrize(
    "data",
    [
        {"text": "fly to  New York.", "entities": [{"start": 8, "end": 16, "label": "city", "confidence": 0.5}]},
        {"text": "fly to  New York.", "entities": [[8, 16, "city"]]},
        {"text": "fly to  New York.", "entities": [[7, 16, " city "]]},
        {"text": "fly to  New York.", "spans": [[8, 16, "city"]], "tokens": [{"text": "fly"}]},
        {"tokens": ["fly", "to", "New", "York", "."], "tags": ["O", "O", "B-city", "E-city", "O"]},
        {"words": ["fly", "to", " New", "York", "."], "ner_tags": ["O", "O", "I-city", "I-city", "O"], "text": "?"},
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json"])
def test_every_form_of_json_gives_the_same(tmp_path: Path, name: str, data: dict[str, object]) -> None:
    for tagged in (True, False):
        (sentence,) = good(tmp_path, name, "\n" + json.dumps(data), tagged)
        assert sentence.words == ("fly", "to", "New", "York", ".")
        assert sentence.tags == (("O", "O", "B-city", "I-city", "O") if tagged else None)
        assert shown(sentence) == ([("city", "New York")] if tagged else [])
        assert (sentence.id, sentence.where) == ("a:2", f"{tmp_path / name}:2")


def test_json_without_tags(tmp_path: Path) -> None:
    text = (
        '{"text": "a, b", "id": 7, "intent": "go"}\n{"words": ["a,", "b"], "group": "x", "intent": "go"}\n{"text": " "}'
    )
    problems = Problems()
    first, second = read([put(tmp_path / "a.jsonl", text)], problems, tagged=False)[0]
    assert not problems
    assert (first.id, first.words, first.tags, first.group) == ("7", ("a", ",", "b"), None, "go")
    assert (second.id, second.words, second.tags, second.group) == ("a:2", ("a,", "b"), None, "x")
    (first, _), _ = read([tmp_path / "a.jsonl"], problems, tagged=False, only_spaces=True)
    assert first.words == ("a,", "b")


def test_entities_inside_words_divide_them(tmp_path: Path) -> None:
    data = {"text": "one pmnear L.A.", "entities": [[0, 6, "time"], [6, 10, "relation"], [11, 14, "city"]]}
    (sentence,) = good(tmp_path, "a.jsonl", json.dumps(data))
    assert sentence.words == ("one", "pm", "near", "L.A", ".")
    assert shown(sentence) == [("time", "one pm"), ("relation", "near"), ("city", "L.A")]
    (sentence,) = good(tmp_path, "a.jsonl", json.dumps(data), only_spaces=True)
    assert sentence.words == ("one", "pm", "near", "L.A", ".")


texts = st.text(st.sampled_from("ab.' -\n\u00e9"), max_size=12)


@given(texts, st.lists(st.integers(0, 12), unique=True).map(sorted), st.booleans())
def test_entities_keep_their_characters(text: str, edges: list[int], only_spaces: bool) -> None:
    marks = [
        Mark(start, end, "x")
        for start, end in zip(edges[::2], edges[1::2], strict=False)
        if end <= len(text) and text[start:end].strip()
    ]
    sentence = marked("1", text, marks, only_spaces=only_spaces)
    assert "".join(sentence.words) == "".join(text.split())
    assert [sentence.surface(entity) for entity in sentence.entities()] == [
        text[m.start : m.end].strip() for m in marks
    ]
    assert {begin for begin, _ in pieces(text, only_spaces)} <= {begin for begin, _ in sentence.spans}
    if not marks:
        assert list(sentence.spans) == pieces(text, only_spaces)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"text": "a b"', "broken JSON line"),
        ('["a"]', "broken JSON line"),
        ('{"id": 1}', "no text"),
        ('{"text": 1}', "bad text"),
        ('{"text": "a b"}', "not tagged"),
        ('{"text": "a b", "entities": "a"}', "bad entities"),
        ('{"text": "a b", "entities": ["a"]}', "bad entity"),
        ('{"text": "a b", "entities": [[0, 1]]}', "bad entity"),
        ('{"text": "a b", "entities": [["0", 1, "x"]]}', "bad entity"),
        ('{"text": "a b", "entities": [[false, true, "x"]]}', "bad entity"),
        ('{"text": "a b", "entities": [{"start": 0, "end": 1}]}', "bad entity"),
        ('{"text": "a b", "entities": [[0, 1, ""]]}', "bad label"),
        ('{"text": "a b", "entities": [[0, 1, "x\\ty"]]}', "bad label"),
        ('{"text": "a b", "entities": [[0, 4, "x"]]}', "entity outside"),
        ('{"text": "a b", "entities": [[-1, 1, "x"]]}', "entity outside"),
        ('{"text": "a b", "entities": [[1, 1, "x"]]}', "entity outside"),
        ('{"text": "a b", "entities": [[1, 2, "x"]]}', "empty entity"),
        ('{"text": "a b", "entities": [[0, 3, "x"], [2, 3, "y"]]}', "overlapping entities"),
        ('{"text": "a \\u0000 b", "entities": []}', "control character"),
        ('{"text": "a \\ud800 b", "entities": []}', "control character"),
        ('{"tokens": ["a", "b"]}', "not tagged"),
        ('{"tokens": "a b", "tags": ["O", "O"]}', "bad tokens"),
        ('{"tokens": ["a", 2], "tags": ["O", "O"]}', "bad tokens"),
        ('{"tokens": ["a", "b"], "tags": [0, 1]}', "bad tags"),
        ('{"tokens": ["a", "b"], "tags": ["O"]}', "bad tags"),
        ('{"tokens": ["a", "b"], "tags": ["O", "city"]}', "bad tag"),
        ('{"tokens": ["a", " "], "tags": ["O", "O"]}', "no word"),
        ('{"tokens": ["a", "b\\u0007"], "tags": ["O", "O"]}', "control character"),
        ('{"id": "a\\u0007", "tokens": ["a"], "tags": ["O"]}', "control character"),
        ('{"group": "a\\u001b", "text": "a", "entities": []}', "control character"),
        ('{"recording_id": "r", "id": "a\\u0000", "text": "a", "custom": {"entities": []}}', "control character"),
    ],
)
def test_bad_json(tmp_path: Path, line: str, kind: str) -> None:
    fine = '{"text": "a b", "entities": []}\n'
    assert wrong(tmp_path, "a.jsonl", f"{fine}\n{line}\n{fine}") == [("3", kind)]


@pytest.mark.parametrize(
    "data",
    [
        {"text": "pmnear L.A.", "entities": [[0, 2, "time"], [2, 6, "relation"]]},
        {"text": "pmnear L.A.", "entities": [[0, 99, "time"]]},
        {"text": "pmnear L.A.", "spans": "none"},
        {"recording_id": "r", "text": "pmnear L.A.", "custom": {"entities": [[0, 2, "time"], [5]]}},
        {"tokens": ["pmnear", "L.A", "."], "tags": ["O"]},
        {"tokens": ["pmnear", "L.A", "."], "tags": ["O", "city", 3]},
    ],
)
def test_where_no_tags_are_wanted_those_of_json_are_nothing(tmp_path: Path, data: dict[str, object]) -> None:
    (sentence,) = good(tmp_path, "a.jsonl", json.dumps(data), tagged=False)
    assert (sentence.words, sentence.tags) == (("pmnear", "L.A", "."), None)


def test_all_bad_entities_are_told(tmp_path: Path) -> None:
    path = put(
        tmp_path / "a.jsonl", '{"id": "x", "text": "a b", "entities": [[0, 9, "x"], [5], [0, 2, "x"], [0, 3, "y"]]}'
    )
    problems = Problems()
    assert read([path], problems, True) == ([], 1)
    assert [problem.kind for problem in problems] == ["entity outside", "bad entity", "overlapping entities"]
    assert problems.bad_ids == {"x"}
    assert "'a b' (y, 0 to 3) overlaps with 'a ' (x, 0 to 2)" in problems.report()


def test_bad_bytes_in_json(tmp_path: Path) -> None:
    assert wrong(tmp_path, "a.jsonl", b'{"text": "M\xfc", "entities": []}\n') == [("1", "broken JSON line")]


# Manifests


def supervision(id: str, text: str | None, **custom: object) -> dict[str, object]:
    data = {"id": id, "recording_id": "r", "start": 0.0, "duration": 1.0, "channel": 0, "text": text, "custom": custom}
    return {key: value for key, value in data.items() if value is not None and value != {}}


def cut(*supervisions: dict[str, object]) -> dict[str, object]:
    return {"id": "c", "type": "MonoCut", "start": 0, "duration": 2, "channel": 0, "supervisions": list(supervisions)}


ENTITY = {"label": "city", "start": 8, "end": 16, "text": "New York", "confidence": 0.9}


@pytest.mark.parametrize("name", ["cuts.jsonl.gz", "supervisions.jsonl.gz", "mixed.jsonl"])
@pytest.mark.parametrize("as_folder", [False, True])
def test_manifests(tmp_path: Path, name: str, as_folder: bool) -> None:
    one = supervision("s1", "fly to  New York", entities=[ENTITY], domain="travel")
    two, silent = supervision("s2", "stop", entities=[]), supervision("s3", None)
    if name.startswith("supervisions"):
        lines = [one, two, silent]
    elif name.startswith("mixed"):
        lines = [{"id": "m", "type": "MixedCut", "tracks": [{"cut": cut(one)}, {"cut": cut(two, silent)}]}]
    else:
        lines = [cut(one, two), cut(silent), cut()]
    path = put(tmp_path / name, "".join(f"{json.dumps(line)}\n" for line in lines))
    if as_folder and name == "mixed.jsonl":
        with pytest.raises(UserError, match="no such manifest"):
            read([tmp_path], Problems(), True)
        return
    for tagged in (True, False):
        problems = Problems()
        sentences, total = read([tmp_path if as_folder else path], problems, tagged)
        assert (len(problems), total) == (0, 2)
        assert [(s.id, s.words, s.group) for s in sentences] == [
            ("s1", ("fly", "to", "New", "York"), "travel"), ("s2", ("stop",), ""),
        ]  # fmt: skip
        assert shown(sentences[0]) == ([("city", "New York")] if tagged else [])
        assert sentences[0].where == f"{path}:1"


def test_manifests_without_entities(tmp_path: Path) -> None:
    lines = [cut(supervision("s1", "fly, fly"), supervision("s2", None)), supervision("s4", " ")]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    assert wrong(tmp_path, "a.jsonl", json.dumps(lines[0])) == [("1", "not tagged")]
    problems = Problems()
    (sentence,), _ = read([put(tmp_path / "a.jsonl", text)], problems, tagged=False)
    assert not problems
    assert (sentence.id, sentence.words, sentence.tags) == ("s1", ("fly", ",", "fly"), None)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"text": "a b", "type": "question"}, "not tagged"),
        (cut(supervision("s", "a b", entities=[{**ENTITY, "end": 99}])), "entity outside"),
        (supervision("s", "a b", entities=[{"label": "x", "start": 0}]), "bad entity"),
        ({**supervision("s", "a"), "text": 3}, "bad text"),
        ({"type": "MonoCut", "supervisions": ["a"]}, "not a cut"),
        ({"tracks": [{}]}, "not a cut"),
    ],
)
def test_bad_manifests(tmp_path: Path, line: object, kind: str) -> None:
    fine = json.dumps(cut(supervision("fine", "a", entities=[])))
    assert wrong(tmp_path, "a.jsonl", f"{fine}\n{json.dumps(line)}\n") == [("2", kind)]


def test_a_manifest_without_texts(tmp_path: Path) -> None:
    for tagged in (True, False):
        assert [kind for _, kind in wrong(tmp_path, "a.jsonl", json.dumps(cut()), tagged)] == ["no texts"]


# Text


@pytest.mark.parametrize(
    ("name", "text", "plain"),
    [
        ("notes.txt", "\ufeffPlay this (now)!\r\n\n  \nO O\nI like type O\n", True),
        ("notes", "O O\nO O\n", True),
        ("notes.conll", "O O\nO O\n", False),
        ("notes.txt.gz", "play O\nthis B-x\n", False),
        ("notes.txt", "play\tO\n", False),
        ("notes.txt", '{"text": "play"}\n', False),
        ("notes.jsonl", "play\n", False),
        ("notes.txt", "\n", True),
        ("notes.txt", "we drove from Berlin on I-95\n", True),
        ("notes.txt", "mit der S-Bahn\n", True),
        ("notes.txt", "mit der S-Bahn\n\nmit der U-Bahn\n", True),
        ("notes.txt", "Blutgruppe O\nmit der S-Bahn\n", True),
        ("notes.txt", "from O\nB-side\nO\nI-95\n", True),
        ("notes.txt", "play O\n" * 10 + "this thing O\nthat B-x\n", True),
        ("notes.txt", "play O\n" * 20 + "this thing O\nthat B-x\n", False),
        ("notes.txt", "# id = 7\nplay NN O\nthis NN B-x\n\nplay NN O\n", False),
        ("notes.txt", "[laughter] play this\n", True),
        ("notes.txt", '["play"]\n', True),
    ],
)
def test_plain_text_is_told_from_the_others(tmp_path: Path, name: str, text: str, plain: bool) -> None:
    assert is_plain(put(tmp_path / name, text)) == plain


@pytest.mark.parametrize("text", ['[{"text": "a"}]', "\ufeff[\n  {", "\n [ {\n"])
@pytest.mark.parametrize("name", ["a.json", "a.txt.gz", "a.conll"])
def test_json_arrays_are_refused(tmp_path: Path, name: str, text: str) -> None:
    path = put(tmp_path / name, text)
    with pytest.raises(UserError, match=r"a JSON array\nfix: .*jq -c"):
        is_plain(path)
    with pytest.raises(UserError, match="a JSON array"):
        read([path], Problems(), True)


# Files


def test_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.conll")
    os.mkfifo(tmp_path / "pipe.jsonl")
    for path in (tmp_path / "pipe.conll", tmp_path / "pipe.jsonl", Path("/dev/null")):
        for use in (is_plain, source_file, lambda one: read([one], Problems(), True)):
            with pytest.raises(UserError, match=r"not a regular file.*\nfix: write it to a file"):
                use(path)


def test_what_is_read_for_a_path(tmp_path: Path) -> None:
    path = put(tmp_path / "supervisions.jsonl.gz", "{}\n")
    assert source_file(tmp_path) == source_file(path) == path
    assert source_file(tmp_path / "none.conll") == tmp_path / "none.conll"
    path.unlink()
    with pytest.raises(UserError, match="no such manifest"):
        source_file(tmp_path)


def test_names_of_files_need_not_be_text(tmp_path: Path) -> None:
    paths = [tmp_path / os.fsdecode(b"M\xfc.conll"), tmp_path / os.fsdecode(b"M\xfc\x07.jsonl")]
    put(paths[0], "a\tO\n\nb\n")
    put(paths[1], '{"words": ["a"], "tags": ["O"]}\n{"text": 1}\n')
    problems = Problems()
    found, _ = read(paths, problems, True)
    assert [one.id for one in found] == ["M\\udcfc:1", "M\\udcfc_:1"]
    told = [one.where + one.id for one in found] + [one.where + one.id for one in problems]
    assert "".join(told).encode()
    assert len(problems) == 2


def test_entities_that_divide_words_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"text": "play abba", "entities": [{"start": 6, "end": 9, "label": "artist"}]},
        {"text": "play abba", "entities": [{"start": 5, "end": 9, "label": "artist"}]},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    problems = Problems()
    found, _ = read([tmp_path / "a.jsonl"], problems, tagged=True)
    assert [sentence.words for sentence in found] == [("play", "a", "bba"), ("play", "abba")]
    told = capsys.readouterr().err
    assert "entities of 1 texts begin or end inside of words" in told
    assert "a.jsonl:1" in told

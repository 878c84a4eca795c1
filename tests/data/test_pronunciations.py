"""Reading and writing pronunciations: formats, what comes back, what is refused."""

# ruff: noqa: RUF001
from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxkit.data.lexicon import base_word, without_stress
from voxkit.data.pronunciations import (
    Pronunciation,
    hidden_character,
    parse,
    read_pronunciations,
    write_pronunciations,
)
from voxkit.errors import DataError, Problems, UserError


def read(tmp_path: Path, text: str, name: str = "words.tsv", **options: object) -> list[tuple[str, str, str]]:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return rows(read_pronunciations(path, **options))  # type: ignore[arg-type]


def rows(items: list[Pronunciation]) -> list[tuple[str, str, str]]:
    return [(item.word, " ".join(item.phones), item.language) for item in items]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("two.tsv", "cat\tk ae t\ncat\tk a t\ndog\td o g\ncat\tk ae t\n"),
        ("two.tsv.gz", "\ufeffcat\tk ae t\r\n\r\n cat\tk  a t \r\ndog\td o g"),
        ("comments.tsv", ";;; made by hand\ncat\tk ae t\ncat\tk a t\ndog\td o g\t\n"),
        ("lexicon.txt", "cat k ae t\ncat k a t\ndog  d o g\n"),
        ("cmudict.dict", ";;; a comment\n<s> SIL\ncat k ae t\ncat(2) k a t # rare, old\ndog d o g\n"),
        ("lexiconp.txt", "cat 1.0 k ae t\ncat 0.3 k a t\ndog 1.0 d o g\n"),
        ("lexiconp.txt", "cat 1.0\tk ae t\ncat(2)  0.3\tk a t\ndog\t1\td o g\n<s> 1.0\tSIL\n"),  # Kaldi's own
        ("nbest.tsv", "cat\t0.6\tk ae t\ncat\t.3\tk a t\ndog\t1\td o g\n"),
        ("nbest.tsv", "cat\t0.6 k ae t\t\ncat\t2.2e-308\tk a t\ndog\t1 d o g\n"),
        ("variants.tsv", "cat\tk ae t\ncat(2)\tk a t\ndog(1)\td o g\n"),
    ],
)
def test_every_format_gives_the_same(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, text, name) == [("cat", "k ae t", ""), ("cat", "k a t", ""), ("dog", "d o g", "")]
    assert {language for _, _, language in read(tmp_path, text, name, language="eng")} == {"eng"}


def test_places_and_languages(tmp_path: Path) -> None:
    path = tmp_path / "w.tsv"
    path.write_text("pain\tp eɪ n\ten-us\n\npain\tp ɛ̃\tfre\nbánh răng\tɓ a ŋ z a ŋ\n")
    items = read_pronunciations(path)
    assert [(item.language, item.where) for item in items] == [
        ("en-us", f"{path}:1"), ("fre", f"{path}:3"), ("", f"{path}:4"),
    ]  # fmt: skip
    assert items[2].word == "bánh răng"
    with pytest.raises(DataError, match=r"w\.tsv:1  pain:.*w\.tsv:1  the row's language is en-us, not fre"):
        read_pronunciations(path, "fre")


def test_the_format_is_that_of_the_file(tmp_path: Path) -> None:
    """A line without a tab is a broken line of a TSV, not a dictionary's."""
    with pytest.raises(DataError, match=r"words\.tsv:3  dog d o g:.*words\.tsv:3  no phones"):
        read(tmp_path, "cat\tk ae t\ncow\tk aʊ\ndog d o g\n")
    assert read(tmp_path, "cat k ae t\ncow\tk aʊ\ndog d o g\n")[1] == ("cow", "k aʊ", "")


def test_probabilities_beside_words_with_spaces_and_languages(tmp_path: Path) -> None:
    """What `g2p apply --nbest` writes; a word that it could not say has probability 0 and no phones."""
    text = "new york\t0.6\tn u j\ten\nroute 1\t0.4\tr u t\ten\npain\t1\tp ɛ̃\tfr\n"
    assert read(tmp_path, text) == [("new york", "n u j", "en"), ("route 1", "r u t", "en"), ("pain", "p ɛ̃", "fr")]
    with pytest.raises(DataError, match="no phones after the word"):
        read(tmp_path, f"{text}x\t0\t\ten\n")
    with pytest.raises(DataError, match=r"words\.tsv:4 .*4 columns instead of 2 or 3 beside the probability"):
        read(tmp_path, f"{text}x\t0.5\tx\ten\tx\n")


def test_words_that_end_in_numbers_or_brackets_are_words(tmp_path: Path) -> None:
    assert [word for word, _, _ in read(tmp_path, "f(x)\tɛ f\nroute 1\tr u t\nlevel .5\tl ɛ v\nb\tb i\n")] == [
        "f(x)", "route 1", "level .5", "b",
    ]  # fmt: skip


def test_problems_of_equal_rows_in_two_files_are_two(tmp_path: Path) -> None:
    problems = Problems()
    for name in ("one.tsv", "two.tsv"):
        (tmp_path / name).write_text("fine\tf\nalone\t\n")
        parse(tmp_path / name, "", problems)
    assert len(problems.bad_ids) == 2


BAD = (
    "good\tɡ ʊ d\nalone\n\tx\nempty\t \nfour\tf\ten\t\nphones\tf o\tn z\nbell\tb\x07\nzero\0\tz\nsep\u2028\ts\n"
    "probability\t1.0\tp r\nfine\tf aɪ n\n"
)


def test_every_bad_row_is_reported_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, BAD)
    problems = caught.value.problems
    assert Counter(problem.kind for problem in problems) == {
        "no pronunciation": 2, "no word": 1, "broken line": 1, "bad language": 2, "control character": 3,
    }  # fmt: skip
    assert [int(problem.where.rpartition(":")[2]) for problem in problems] == list(range(2, 11))
    assert all(problem.fix for problem in problems)
    rejected = tmp_path / "rejected.jsonl"
    assert [word for word, _, _ in read(tmp_path, BAD, max_bad=0.9, rejected=rejected)] == ["good", "fine"]
    assert len(rejected.read_text().splitlines()) == 9
    with pytest.raises(DataError, match="9 of 11 items"):
        read(tmp_path, BAD, max_bad=0.8)


@pytest.mark.parametrize(
    "text",
    [
        "a 0.5 x\nb b y\nc 0.2 z\nd 1.0 z\n",
        "a 0.5\tx\nb b\ty\nc 0.2\tz\nd 1.0\tz\n",
        "a\t0.5\tx\nb\tb\ty\nc\t0.2\tz\nd\t1\tz\n",
    ],
)
def test_a_bad_probability(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r":2 .*'b' is not a probability"):
        read(tmp_path, text, "lexiconp.txt")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for content in (b"", b"\n;;; nothing\n"):
        (tmp_path / "empty").write_bytes(content)
        with pytest.raises(UserError, match="no pronunciations in it") as caught:
            read_pronunciations(tmp_path / "empty")
        assert caught.value.fix
    with pytest.raises(UserError, match="cannot be read"):
        read_pronunciations(tmp_path / "absent")
    (tmp_path / "latin1.tsv").write_bytes("é\te\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_pronunciations(tmp_path / "latin1.tsv")
    whole = gzip.compress(b"cat\tk ae t\n" * 1000)
    damaged = whole[:40] + bytes(20) + whole[60:]
    for content in (b"cat\tk ae t\n", whole[:40], damaged):
        (tmp_path / "broken.tsv.gz").write_bytes(content)
        with pytest.raises(UserError):
            read_pronunciations(tmp_path / "broken.tsv.gz")


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff"), min_size=1)
WORDS = TEXT.filter(lambda text: text == text.strip() and base_word(text) == text)
PHONES = st.lists(TEXT.filter(lambda text: len(text.split()) == 1 and text == text.strip()), min_size=1, max_size=5)
LANGUAGES = st.from_regex(r"([a-z]{2,3}([_-][a-zA-Z0-9]{1,4}){0,2})?", fullmatch=True)
ITEMS = st.lists(st.tuples(WORDS, PHONES.map(tuple), LANGUAGES), min_size=1, unique=True)


@settings(max_examples=200, deadline=None)
@given(ITEMS, st.sampled_from(["w.tsv", "w.tsv.gz"]))
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[str, tuple[str, ...], str]], name: str
) -> None:
    path = tmp_path_factory.mktemp("written") / name
    write_pronunciations([Pronunciation(*item, "memory") for item in items], path)
    back = read_pronunciations(path)
    assert [(item.word, item.phones, item.language) for item in back] == items
    assert [item.where for item in back] == [f"{path}:{number}" for number in range(1, len(items) + 1)]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text("ab(2)\t\n\r #;.01\0<s>", max_size=60).map(str.encode)))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "w"
    path.write_bytes(content)
    try:
        items = read_pronunciations(path)
    except UserError:
        return
    assert items
    assert all(item.word and all(item.phones) and item.phones for item in items)
    assert not any(hidden_character(item.word + "".join(item.phones)) for item in items)


@pytest.mark.parametrize(
    ("word", "phones", "language"),
    [
        ("a\tb", ("x",), ""), ("a\nb", ("x",), ""), ("", ("x",), ""), (" a", ("x",), ""), ("a", (), ""),
        ("a", ("x y",), ""), ("a", ("",), ""), ("a", ("x",), "two words"), ("a\ud800", ("x",), ""),
        ("a(2)", ("x",), ""),
    ],
)  # fmt: skip
def test_what_could_not_be_read_back_is_not_written(
    tmp_path: Path, word: str, phones: tuple[str, ...], language: str
) -> None:
    with pytest.raises(UserError, match="cannot be written as TSV"):
        write_pronunciations([Pronunciation(word, phones, language, "x:1")], tmp_path / "w.tsv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "phones", "language"),
    [("a", ("1", "x"), ""), ("a", ("1",), "en"), ("a 1", ("x",), ""), ("a", (".5", "x"), "en"), ("a", (".", "x"), "")],
)
def test_numbers_come_back(tmp_path: Path, word: str, phones: tuple[str, ...], language: str) -> None:
    """Also where they would be taken for probabilities."""
    write_pronunciations([Pronunciation(word, phones, language, "")], tmp_path / "w.tsv")
    assert rows(read_pronunciations(tmp_path / "w.tsv")) == [(word, " ".join(phones), language)]


def test_gzip_is_reproducible(tmp_path: Path) -> None:
    items = [Pronunciation("a", ("x",), "", "")]
    for name in ("one.tsv.gz", "two.tsv.gz"):
        write_pronunciations(items, tmp_path / name)
    assert (tmp_path / "one.tsv.gz").read_bytes() == (tmp_path / "two.tsv.gz").read_bytes()


def test_cmudict() -> None:
    path = Path(os.environ.get("VOXKIT_DATA", "none")) / "cmudict" / "cmudict.dict.gz"
    if not path.is_file():
        pytest.skip("no cmudict in $VOXKIT_DATA")
    items = read_pronunciations(path, "eng")
    assert len({item.word for item in items}) == 126052
    assert len({phone for item in items for phone in without_stress(item.phones)}) == 39
    assert ("tomato", "T AH0 M AA1 T OW2", "eng") in rows(items)

"""Corpora of pronunciations: small made-up copies of their layouts, espeak-ng, and the corpora where they are."""

# ruff: noqa: RUF001
from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.config import build
from voxkit.data.corpora import cmudict, espeak_words, lexical, sigmorphon, source, wikipron
from voxkit.data.corpora.corpus import Pronounced
from voxkit.data.corpora.espeak_config import LANGUAGES, EspeakConfig
from voxkit.data.corpora.registry import LEXICAL
from voxkit.data.pronunciations import Pronunciation, read_pronunciations
from voxkit.errors import DataError, Problems, UserError


def table(path: Path, *words: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{word}\t{' '.join(word)}\n" for word in words), encoding="utf-8")
    return path


def said(pronounced: Pronounced) -> dict[str, list[str]]:
    """The parts as lists of `word/language`."""
    return {part: [f"{item.word}/{item.language}" for item in items] for part, items in pronounced.splits.items()}


@pytest.mark.parametrize("inside", ["", "task1/data"])
def test_sigmorphon_2020(tmp_path: Path, inside: str) -> None:
    for part, word in (("train", "ab"), ("dev", "ba"), ("test", "bb")):
        for language in ("vie", "dut"):
            table(tmp_path / inside / part / f"{language}_{part}.tsv", word)
        (tmp_path / inside / part / "README.md").touch()
    assert source.locate(sigmorphon.SIGMORPHON_2020, tmp_path) == tmp_path
    assert said(sigmorphon.read_2020(tmp_path, Problems())) == {
        "train": ["ab/dut", "ab/vie"], "dev": ["ba/dut", "ba/vie"], "test": ["bb/dut", "bb/vie"],
    }  # fmt: skip


@pytest.mark.parametrize("inside", ["", "high", "data/high"])
def test_sigmorphon_2021(tmp_path: Path, inside: str) -> None:
    for part in lexical.PARTS:
        table(tmp_path / inside / f"eng_us_{part}.tsv", part)
    assert source.locate(sigmorphon.SIGMORPHON_2021, tmp_path) == tmp_path
    expected = {part: [f"{part}/eng_us"] for part in lexical.PARTS}
    assert said(sigmorphon.read_2021(tmp_path, Problems())) == expected


def test_a_file_that_is_there_twice_is_read_once(tmp_path: Path) -> None:
    for part in lexical.PARTS:
        table(tmp_path / part / f"vie_{part}.tsv", "ab")
        (tmp_path / part / f"vie_{part}.tsv.gz").write_bytes(b"not read")
        table(tmp_path / f"eng_us_{part}.tsv", "ab")
        (tmp_path / f"eng_us_{part}.tsv.gz").write_bytes(b"not read")
    for corpus, names in (
        (sigmorphon.SIGMORPHON_2020, [f"{part}/vie_{part}.tsv" for part in lexical.PARTS]),
        (sigmorphon.SIGMORPHON_2021, [f"eng_us_{part}.tsv" for part in lexical.PARTS]),
    ):
        assert [str(path.relative_to(tmp_path)) for path in corpus.files(tmp_path)] == names
        assert all(len(items) == 1 for items in corpus.read(tmp_path, Problems()).splits.values())


def test_wikipron_reads_one_file_for_each_language(tmp_path: Path) -> None:
    for name in (
        "deu_latn_broad.tsv", "deu_latn_broad_filtered.tsv", "deu_latn_narrow.tsv", "cym_latn_nw_broad.tsv",
        "cym_latn_sw_narrow.tsv", "hbs_cyrl_broad.tsv", "hbs_latn_broad.tsv", "eng_latn_us_broad_filtered.tsv",
    ):  # fmt: skip
        table(tmp_path / name, "ab")
    (tmp_path / "README.md").touch()
    assert [(path.name, tag) for path, tag in wikipron.choose(tmp_path)] == [
        ("cym_latn_nw_broad.tsv", "cym_nw"),
        ("cym_latn_sw_narrow.tsv", "cym_sw"),
        ("deu_latn_broad_filtered.tsv", "deu"),
        ("eng_latn_us_broad_filtered.tsv", "eng_us"),
        ("hbs_cyrl_broad.tsv", "hbs"),
        ("hbs_latn_broad.tsv", "hbs"),
    ]


def test_cmudict(tmp_path: Path) -> None:
    (tmp_path / "cmudict.dict").write_text("a AH0\na(2) EY1\nbee B IY1 # insect\n")
    items = [item for items in cmudict.read(tmp_path, Problems()).splits.values() for item in items]
    assert sorted((item.word, item.phones) for item in items) == [
        ("a", ("AH0",)), ("a", ("EY1",)), ("bee", ("B", "IY1")),
    ]  # fmt: skip
    assert {item.language for item in items} == {"eng_us_arpabet"}
    for name in ("cmudict.dict.gz", "cmudict.dict.old"):
        (tmp_path / name).touch()
    assert cmudict.files(tmp_path) == [tmp_path / "cmudict.dict"]


def test_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    files = [table(tmp_path / f"{name}_latn_broad.tsv", "good", "fine") for name in ("deu", "nld")]
    for path in files:
        with path.open("a") as file:
            file.write("alone\n")
    problems = Problems()
    pronounced = wikipron.read(tmp_path, problems)
    with pytest.raises(DataError) as error:
        lexical.write(pronounced, tmp_path / "out", problems)
    assert "2 of 6 items" in str(error.value)  # the bad rows are equal but for their files
    assert {problem.where for problem in error.value.problems} == {f"{path}:3" for path in files}
    assert not (tmp_path / "out").exists()


def test_what_is_written(tmp_path: Path) -> None:
    train = [Pronunciation("a", ("x",), "deu", ""), Pronunciation("a", ("y",), "deu", "")]
    pronounced = Pronounced({"train": train, "dev": [], "test": [Pronunciation("a", ("x",), "nld", "")]})
    sizes = lexical.write(pronounced, tmp_path, Problems())
    assert sizes.split(", ") == [
        *(f"{part} {count} pronunciations of {words} words" for part, count, words in (("train", 2, 1), ("dev", 0, 0))),
        "test 1 pronunciations of 1 words",
        "2 languages",
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"train.tsv", "test.tsv"}
    assert (tmp_path / "train.tsv").read_text() == "a\tx\tdeu\na\ty\tdeu\n"
    with pytest.raises(UserError, match="no pronunciations"):
        lexical.write(Pronounced({"train": []}), tmp_path, Problems())


@given(st.lists(st.tuples(st.text(min_size=1), st.sampled_from(["deu", "nld"]))), st.text())
def test_a_word_is_in_one_part(words: list[tuple[str, str]], salt: str) -> None:
    items = [Pronunciation(word, ("x",), language, "") for word, language in words]
    splits = lexical.by_word(items, 0.3, 0.3, salt).splits
    assert sum(map(len, splits.values())) == len(items)
    parts = [{item.word for item in items} for items in splits.values()]
    assert len(set().union(*parts)) == sum(map(len, parts))
    assert splits == lexical.by_word(items, 0.3, 0.3, salt).splits


def test_a_seed_divides_in_its_own_way() -> None:
    items = [Pronunciation(str(number), ("x",), "", "") for number in range(2000)]
    one, two = (lexical.by_word(items, salt=salt).splits for salt in ("1:", "2:"))
    assert one["test"] != two["test"]
    for splits in (one, two):
        assert len(splits["dev"]) == pytest.approx(200, abs=50)
        assert len(splits["test"]) == pytest.approx(200, abs=50)


@pytest.mark.parametrize(
    ("word", "script"),
    [
        ("été", "LATIN"), ("άγιε", "GREEK"), ("नहीं", "DEVANAGARI"), ("사람", "HANGUL"), ("ㅋㅋ", ""),
        ("p53", ""), ("don't", ""), ("вiн", ""), ("ºi", ""),
    ],
)  # fmt: skip
def test_scripts(word: str, script: str) -> None:
    assert espeak_words.script_of(word) == script


def test_final_sigma() -> None:
    assert espeak_words.spelled("τουσ") == "τους"
    assert espeak_words.spelled("σου") == "σου"


@pytest.fixture
def speaks() -> None:
    pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed")
    pytest.importorskip("wordfreq", reason="wordfreq is not installed")


def test_frequent_words_of_all_languages(speaks: None) -> None:
    splits = espeak_words.read(EspeakConfig(per_language=60), Problems()).splits
    items = [item for items in splits.values() for item in items]
    assert Counter(item.language for item in items) == dict.fromkeys(LANGUAGES, 60)
    assert all(len(item.word) > 1 and item.phones for item in items)
    assert not any(mark in phone for item in items for phone in item.phones for mark in "()_ˈˌ ")
    by_key = {(item.word, item.language): " ".join(item.phones) for item in items}
    assert by_key["the", "en-us"] == "ð ə"
    assert by_key["nicht", "de"] == "n ɪ ç t"
    assert by_key["της", "el"] == "t i s"
    assert splits == espeak_words.read(EspeakConfig(per_language=60), Problems()).splits


def test_stress_marks(speaks: None) -> None:
    config = build(EspeakConfig, sets=["languages=[en-us]", "per_language=50", "stress=true"])
    splits = espeak_words.read(config, Problems()).splits
    assert any(phone.startswith("ˈ") for items in splits.values() for item in items for phone in item.phones)


def test_own_words(speaks: None, tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("\ufeffnacht\r\nnacht\n\nнос\tru\n")
    config = EspeakConfig(words=str(path), languages=("de", "nl"))
    items = [item for items in espeak_words.read(config, Problems()).splits.values() for item in items]
    assert sorted((item.word, "".join(item.phones), item.language, item.where) for item in items) == [
        ("nacht", "naxt", "de", f"{path}:1"), ("nacht", "nɑxt", "nl", f"{path}:1"), ("нос", "nos", "ru", f"{path}:4"),
    ]  # fmt: skip


def test_own_words_that_are_wrong(speaks: None, tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("hus\nhus\ttlh-x\ntwo words\nhus\tsv\tx\nhu\0s\n\tsv\ngoogle\tru\n!\tsv\n")
    problems = Problems()
    espeak_words.read(EspeakConfig(words=str(path), languages=("sv",)), problems)
    assert {(problem.where.rpartition(":")[2], problem.kind) for problem in problems} == {
        ("2", "unknown language"), ("3", "bad word"), ("4", "bad language"), ("5", "control character"),
        ("6", "bad word"), ("7", "foreign word"), ("8", "no pronunciation"),
    }  # fmt: skip
    path.write_text("\n")
    with pytest.raises(UserError, match="no words in it"):
        espeak_words.read(EspeakConfig(words=str(path)), Problems())


def test_languages_that_are_not_there(speaks: None) -> None:
    with pytest.raises(UserError, match="espeak-ng has no language xx, yy"):
        espeak_words.read(EspeakConfig(languages=("xx", "de", "yy")), Problems())
    with pytest.raises(UserError, match="no list of words for 'eo'") as error:
        espeak_words.read(EspeakConfig(languages=("eo",)), Problems())
    assert "words=FILE" in error.value.fix
    with pytest.raises(UserError, match="named twice"):
        build(EspeakConfig, sets=["languages=[de,de]"])


EXPECTED = {
    "sigmorphon2020_g2p": ({"train": 54000, "dev": 6750, "test": 6750}, 15),
    "sigmorphon2021_g2p_high": ({"train": 33344, "dev": 4168, "test": 4168}, 1),
    "wikipron": ({"train": 71136, "dev": 8821, "test": 8854}, 9),
    "cmudict": ({"train": 107997, "dev": 13671, "test": 13496}, 1),
}


@pytest.mark.parametrize("name", list(LEXICAL))
def test_real_corpora(name: str, tmp_path: Path) -> None:
    if not (Path(os.environ.get("VOXKIT_DATA", "none")) / name).is_dir():
        pytest.skip(f"no {name} in $VOXKIT_DATA")
    problems = Problems()
    pronounced = LEXICAL[name].read(source.locate(LEXICAL[name], None), problems)
    assert not problems
    counts, languages = EXPECTED[name]
    assert {part: len(items) for part, items in pronounced.splits.items()} == counts
    assert len({item.language for items in pronounced.splits.values() for item in items}) == languages
    lexical.write(pronounced, tmp_path, problems)
    back = read_pronunciations(tmp_path / "dev.tsv")
    assert [(i.word, i.phones, i.language) for i in back] == [
        (i.word, i.phones, i.language) for i in pronounced.splits["dev"]
    ]
    words = {part: {(i.word, i.language) for i in items} for part, items in pronounced.splits.items()}
    assert not words["train"] & words["test"]
    assert not words["train"] & words["dev"]

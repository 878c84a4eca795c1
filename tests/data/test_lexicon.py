import gzip
from collections import Counter
from pathlib import Path

import pytest

from voxkit.data.lang import BACKOFF, EPSILON, PIECES, Lang, train_pieces
from voxkit.data.lexicon import BLANK, Lexicon
from voxkit.errors import DataError, UserError


def read(tmp_path: Path, text: str, name: str = "lexicon.txt", **kwargs: object) -> Lexicon:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return Lexicon.read(path, **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lexicon.txt", "cat k ae t\ncat k a t\ndog d o g\n"),
        ("lexicon.txt.gz", "cat k ae t\ncat k a t\ndog d o g\n"),
        ("tsv", "cat\tk ae t\ncat\tk a t\ndog\td o g\n"),
        ("cmu", ";;; a comment\n<s> SIL\ncat  k ae t\ncat(2)  k a t # rare\r\ndog  d o g\n"),
        ("lexiconp.txt", "cat 1.0 k ae t\ncat 0.3 k a t\ndog 1 d o g\n"),
        ("lexiconp.tsv", "cat\t1.0\tk ae t\ncat\t.3\tk a t\ndog\t1e-1\td o g\n"),
        ("lexiconp.kaldi", "cat 1.0\tk ae t\ncat  0.3\tk a t\ndog 0.5\td o g\n<s> 1.0\tSIL\n"),
        ("lexiconp.mixed", "cat 1.0\tk ae t\ncat(2) 0.3\tk a t\ndog\t1\td o g\n"),
        ("variants.tsv", "cat\tk ae t\ncat(2)\tk a t\ndog(1)\td o g\n"),
    ],
)
def test_every_format_gives_the_same_words(tmp_path: Path, name: str, text: str) -> None:
    lexicon = read(tmp_path, text, name)
    assert {word: list(said) for word, said in lexicon.entries.items()} == {
        "cat": [("k", "ae", "t"), ("k", "a", "t")],
        "dog": [("d", "o", "g")],
    }
    if "lexiconp" in name:
        assert lexicon.entries["cat"]["k", "a", "t"] == 0.3


def test_a_phone_called_1_is_no_probability(tmp_path: Path) -> None:
    lexicon = read(tmp_path, "da d 1\nbid b 1 d\nid 1 d\nbad b a d\n")
    assert lexicon.entries["id"] == {("1", "d"): 1.0}


def test_stress_and_case(tmp_path: Path) -> None:
    lexicon = read(tmp_path, "the DH AH0\nthe DH AH1\n", word=str.upper, strip_stress=True)
    assert lexicon.entries == {"THE": {("DH", "AH"): 1.0}}


def test_every_bad_line_is_reported_with_its_number(tmp_path: Path) -> None:
    text = "good g\nalone\n#0 a\nweird <blk> a\nalso a #1\ntwo words\ta b\nfine f\n"
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    kinds = Counter(problem.kind for problem in caught.value.problems)
    assert kinds == {"no pronunciation": 1, "reserved word": 1, "reserved phone": 2, "bad word": 1}
    assert {problem.where.rpartition(":")[2] for problem in caught.value.problems} == {"2", "3", "4", "5", "6"}
    rejected = tmp_path / "rejected.jsonl"
    assert set(read(tmp_path, text, max_bad=0.8, rejected=rejected).entries) == {"good", "fine"}
    assert len(rejected.read_text().splitlines()) == 5


def test_a_bad_probability_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":2 .*1\.5"):
        read(tmp_path, "a 0.5 x\nb 1.5 y\nc 0.2 z\nd 1.0 z\n")
    with pytest.raises(DataError, match=r":2 .*1\.5"):
        read(tmp_path, "a 0.5\tx\nb 1.5\ty\nc 0.2\tz\nd 1.0\tz\n")
    with pytest.raises(DataError, match="the word contains a space"):
        read(tmp_path, "a\tx\nchapter 1\tz\nb\ty\n")


@pytest.mark.parametrize("text", ["", "\n;;; nothing\n"])
def test_an_empty_lexicon_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="no pronunciations"):
        read(tmp_path, text)


def test_no_such_lexicon(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read") as caught:
        Lexicon.read(tmp_path / "absent")
    assert caught.value.fix == "check the path of the lexicon"


def test_a_lang_folder_comes_back(tmp_path: Path) -> None:
    lexicon = Lexicon()
    lexicon.add("cat", ("k", "a", "t"))
    lexicon.add("cat", ("k", "t"), 0.25)
    written = Lang(tmp_path, "phone", [BLANK, "a", "k", "t"], [EPSILON, "cat", BACKOFF], "lower")
    written.save(lexicon)
    lang = Lang.load(tmp_path)
    assert (lang.units, lang.tokens, lang.words, lang.normaliser) == (
        "phone",
        written.tokens,
        written.words,
        "lower",
    )
    assert lang.pronunciations("cat") == [([2, 1, 3], 1.0), ([2, 3], 0.25)]
    assert lang.oov("cat dog cat") == ["dog"]
    assert "cat" in lang
    assert "dog" not in lang
    assert lang.spell([2, 1, 3]) == "k a t"
    assert sorted(lang.assets()) == ["lang.yaml", "lexicon.txt", "tokens.txt", "words.txt"]
    with pytest.raises(UserError, match="no decoding graph"):
        _ = lang.graph


@pytest.mark.parametrize("units", ["char", "bpe"])
def test_pieces_spell_any_word_of_known_letters(tmp_path: Path, units: str) -> None:
    words = Counter({"stone": 5, "tones": 3, "note": 7, "éte": 2})
    pieces = train_pieces(words, units, 14, tmp_path / PIECES)  # type: ignore[arg-type]
    Lang(tmp_path, units, [BLANK, *pieces], [EPSILON, *words, BACKOFF], "none").save()  # type: ignore[arg-type]
    lang = Lang.load(tmp_path)
    for word in (*words, "tonne"):
        ((ids, probability),) = lang.pronunciations(word)
        assert probability == 1.0
        assert 0 not in ids
        assert lang.spell(ids) == word
    assert lang.oov("stone zebra") == ["zebra"]
    two = [index for word in ("note", "éte") for index in lang.pronunciations(word)[0][0]]
    assert lang.spell(two) == "note éte"


def test_too_many_pieces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose another --vocab-size"):
        train_pieces(Counter(["ab", "ba"]), "bpe", 500, tmp_path / PIECES)


@pytest.mark.parametrize("damage", ["tokens.txt", "words.txt", "lang.yaml", "lexicon.txt"])
def test_a_damaged_lang_folder_is_the_users_to_mend(tmp_path: Path, damage: str) -> None:
    lexicon = Lexicon()
    lexicon.add("a", ("x",))
    Lang(tmp_path, "phone", [BLANK, "x"], [EPSILON, "a", BACKOFF], "none").save(lexicon)
    (tmp_path / damage).unlink()
    with pytest.raises(UserError):
        Lang.load(tmp_path)
    (tmp_path / damage).write_text("x\n")
    if damage != "lexicon.txt":
        with pytest.raises(UserError, match="damaged"):
            Lang.load(tmp_path)


def test_a_column_of_languages_is_left_out(tmp_path: Path) -> None:
    plain, weighted, phones = (tmp_path / name for name in ("plain.tsv", "weighted.tsv", "phones.tsv"))
    plain.write_text("nacht\tn a x t\tde\nnuit\tn ɥ i\tfr\n")
    weighted.write_text("nacht\t0.5\tn a x t\tde\nnacht\t1\tn a k t\tde\n")
    phones.write_text("ab\ta\tb\ncd\tc\td\n")
    assert dict(Lexicon.read(plain).entries) == {"nacht": {("n", "a", "x", "t"): 1.0}, "nuit": {("n", "ɥ", "i"): 1.0}}
    assert Lexicon.read(weighted).entries["nacht"] == {("n", "a", "x", "t"): 0.5, ("n", "a", "k", "t"): 1.0}
    assert list(Lexicon.read(phones).entries["ab"]) == [("a", "b")]  # phones in columns of their own

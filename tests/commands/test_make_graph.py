import subprocess
import sys
from pathlib import Path

import pytest

from voxkit.commands.make_graph.command import MakeGraph
from voxkit.commands.make_graph.task import Inputs, make
from voxkit.config import build
from voxkit.data.lang import Lang
from voxkit.decode.arpa import Arpa
from voxkit.errors import DataError, UserError

LEXICON = "to t uw\ntwo t uw\ntoo t uw\none w ah n\nwon w ah n\ngo g ow\nunheard ah n\n"
TEXT = "go to one\none two two\ngo go\nwon one\n" * 5


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    path = tmp_path / "lexicon.txt"
    path.write_text(LEXICON)
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def settings(**kwargs: object) -> MakeGraph:
    return build(MakeGraph, None, None, **kwargs)


def test_a_lang_folder_from_lexicon_and_text(
    tmp_path: Path, lexicon: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "lang"
    make(settings(), Inputs(lexicon, text, dev_text=text), out)
    lang = Lang.load(out)
    assert lang.tokens == ["<blk>", "ah", "g", "n", "ow", "t", "uw", "w"]
    assert lang.words == ["<eps>", "go", "one", "to", "too", "two", "unheard", "won", "#0"]
    assert lang.graph.stat().st_size > 1000
    printed = capsys.readouterr().out
    assert "%OOV 0.00 [ 0 / 50 running words, 0 words ]" in printed
    assert "%PPL " in printed
    assert printed == (out / "summary.txt").read_text()
    lm = Arpa.read(out / "lm.arpa")
    assert "unheard" in lm.words  # shares what the unseen get
    assert -4 < lm.log10((), "unheard") < lm.log10((), "won")
    make(settings(), Inputs(lexicon, text, dev_text=text), out)
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(UserError, match="order: 3 -> 2"):
        make(settings(order=2), Inputs(lexicon, text, dev_text=text), out)


def test_the_phones_of_another_folder_can_be_kept(tmp_path: Path, lexicon: Path, text: Path) -> None:
    make(settings(), Inputs(lexicon, text), tmp_path / "lang")
    few = tmp_path / "few.txt"
    few.write_text("go g ow\nto t uw\none w ah n\ntwo t uw\nwon w ah n\n")
    made = Inputs(few, text, tokens=tmp_path / "lang" / "tokens.txt")
    few.write_text(few.read_text().replace("one w ah n", "one n ow"))
    make(settings(), made, tmp_path / "same")
    assert Lang.load(tmp_path / "same").tokens == Lang.load(tmp_path / "lang").tokens
    assert Lang.load(tmp_path / "same").words != Lang.load(tmp_path / "lang").words
    few.write_text("go g ow\nto t oy\none w aa n\n")
    with pytest.raises(DataError, match="2 of 3") as caught:
        make(settings(), made, tmp_path / "other")
    assert "oy not in" in str(caught.value)
    assert not (tmp_path / "other").exists()
    few.write_text("go g ow\nto t oy\nto t uw\none w aa n\ntwo t uw\nwon w ah n\n")
    make(settings(max_oov=1), made, tmp_path / "other", max_bad=0.4)
    lang = Lang.load(tmp_path / "other")
    assert lang.words == ["<eps>", "go", "to", "two", "won", "#0"]  # of "to" a pronunciation is left
    assert len((tmp_path / "other" / "rejected_phones.jsonl").read_text().splitlines()) == 2
    with pytest.raises(UserError, match="learnt anew"):
        make(settings(units="char"), Inputs(text=text, tokens=made.tokens), tmp_path / "chars")


def test_unheard_words_can_be_dropped(tmp_path: Path, lexicon: Path, text: Path) -> None:
    make(settings(unseen="drop"), Inputs(lexicon, text), tmp_path / "lang")
    assert "unheard" not in Arpa.read(tmp_path / "lang" / "lm.arpa").words


def test_words_without_pronunciation_are_listed_and_limited(tmp_path: Path, lexicon: Path, text: Path) -> None:
    text.write_text(TEXT + "go zebra\nzebra okapi\n")
    with pytest.raises(UserError, match=r"5\.6% of the running words.*zebra"):
        make(settings(), Inputs(lexicon, text), tmp_path / "lang")
    out = tmp_path / "lang"
    assert not out.exists()
    assert (tmp_path / "lang.partial" / "oov.txt").exists()
    make(settings(max_oov=0.1), Inputs(lexicon, text), out)  # in the same place, as the advice says
    assert not (tmp_path / "lang.partial").exists()
    assert (out / "oov.txt").read_text() == "2\tzebra\n1\tokapi\n"
    lm = Arpa.read(out / "lm.arpa")
    assert not {"zebra", "<unk>"} & lm.words
    assert {"unheard", "too"} <= lm.words


def test_a_lexicon_that_was_mended_is_taken(tmp_path: Path, lexicon: Path, text: Path) -> None:
    text.write_text(TEXT + "go zebra\n")
    with pytest.raises(UserError, match="no pronunciation"):
        make(settings(max_oov=0), Inputs(lexicon, text), tmp_path / "lang")
    lexicon.write_text(LEXICON + "zebra t uw\n")
    make(settings(max_oov=0), Inputs(lexicon, text), tmp_path / "lang")
    assert (tmp_path / "lang" / "oov.txt").read_text() == ""


def test_an_arpa_model_instead_of_text(tmp_path: Path, lexicon: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arpa = tmp_path / "lm.arpa"
    Arpa.estimate([line.split() for line in (TEXT + "go zebra\n").splitlines()], 2).write(arpa)
    make(settings(max_oov=0.2), Inputs(lexicon, arpa=arpa), tmp_path / "lang")
    assert "by unigram probability, 1 words" in capsys.readouterr().out
    assert (tmp_path / "lang" / "oov.txt").read_text() == "0\tzebra\n"


@pytest.mark.parametrize("units", ["char", "bpe"])
def test_units_learnt_from_text(tmp_path: Path, text: Path, units: str) -> None:
    out = tmp_path / "lang"
    make(settings(units=units, vocab_size=14), Inputs(text=text), out)
    lang = Lang.load(out)
    assert lang.units == units
    assert lang.words == ["<eps>", "go", "one", "to", "two", "won", "#0"]
    assert lang.graph.exists()


def test_a_folder_without_a_language_model_is_enough_to_train(tmp_path: Path, lexicon: Path) -> None:
    make(settings(), Inputs(lexicon), tmp_path / "lang")
    lang = Lang.load(tmp_path / "lang")
    assert lang.pronunciations("go") == [([2, 4], 1.0)]
    with pytest.raises(UserError, match="no decoding graph"):
        _ = lang.graph


@pytest.mark.parametrize(
    ("inputs", "kwargs", "message"),
    [
        (Inputs(), {}, "need a lexicon"),
        (Inputs(), {"units": "bpe"}, "learnt from words"),
        (Inputs(Path("lexicon.txt"), Path("text.txt")), {"units": "bpe"}, "bpe units .* take no pronunciations"),
        (Inputs(Path("lexicon.txt"), Path("text.txt")), {"units": "char"}, "char units .* take no pronunciations"),
        (Inputs(lexicon=Path("absent")), {}, "cannot be read"),
    ],
)
def test_inputs_that_do_not_go_together(
    tmp_path: Path, inputs: Inputs, kwargs: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make(settings(**kwargs), inputs, tmp_path / "lang")
    assert not (tmp_path / "lang").exists()


def test_the_command_reports_bad_lines_and_leaves_nothing(tmp_path: Path, lexicon: Path) -> None:
    lexicon.write_text(LEXICON + "lonely\n")
    line = [sys.executable, "-m", "voxkit", "make-graph", "--lexicon", str(lexicon), "--out", str(tmp_path / "lang")]
    result = subprocess.run(line, capture_output=True, text=True)
    assert result.returncode == 2
    assert "lexicon.txt:8  lonely:8  no phones after the word" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lexicon.txt"]

"""`g2p apply` with a small model of two languages: pipes, files, manifests, lexicons, conversations."""

import gzip
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.commands.g2p import small_model
from voxkit.commands.g2p import apply, export
from voxkit.commands.g2p.answers import Answerer
from voxkit.commands.g2p.apply import LEXICON, UNPRONOUNCED, Request, unfit
from voxkit.commands.g2p.entries import Entry, parse, read_files
from voxkit.commands.g2p.pronounce import Pronouncer
from voxkit.commands.g2p.search import Hypothesis
from voxkit.data.lexicon import Lexicon
from voxkit.data.text import normaliser
from voxkit.errors import DataError, Problems, UserError

ROOT = Path(__file__).parents[3]
WAIT = 60.0  # seconds; a loaded machine starts slowly


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model.make(tmp_path_factory.mktemp("g2p") / "bundle")


@pytest.fixture(scope="module")
def model(bundle: Path) -> Path:
    """The same, exported."""
    export.run(bundle, bundle.parent / "exported")
    return bundle.parent / "exported"


@pytest.fixture(scope="module")
def pronouncer(model: Path) -> Pronouncer:
    return Pronouncer.load([model])


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "voxkit", "g2p", "apply", *map(str, arguments)]


def ran(given: str | bytes, *arguments: object) -> subprocess.CompletedProcess[str]:
    data = given.encode() if isinstance(given, str) else given
    done = subprocess.run(command(*arguments), input=data, capture_output=True, cwd=ROOT, timeout=WAIT)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def applied(
    capsys: pytest.CaptureFixture[str], model: Path, words: Path, **settings: object
) -> tuple[list[list[str]], str]:
    """The columns of the answers, and what standard error said."""
    capsys.readouterr()
    apply.run(Request((model,), (words,), **settings))  # type: ignore[arg-type]
    told = capsys.readouterr()
    return [line.split("\t") for line in told.out.splitlines()], told.err


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_pipe_is_answered_line_by_line(model: Path) -> None:
    with subprocess.Popen(
        command(model, "--lang", "one"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in ("bad", "cab"):  # the second is written only when the first is answered
            process.stdin.write(f"{word}\n".encode())
            process.stdin.flush()
            assert process.stdout.readline().decode() == f"{word}\t{' '.join(word)}\n"
        process.stdin.write(b"dab")  # without a line feed
        process.stdin.close()
        assert process.stdout.read().decode() == "dab\td a b\n"
    assert process.returncode == 0


def test_torch_stays_out_of_exported_models(model: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom voxkit.commands.g2p.apply import Request, run\n"
        "assert 'torch' not in sys.modules\n"
        f"run(Request((Path({str(model)!r}),), (), 'one'))\n"
        "print(sorted({'torch', 'lhotse', 'scipy', 'matplotlib', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], input="bad\n", text=True, capture_output=True, cwd=ROOT)
    assert done.stdout == "bad\tb a d\n[]\n", done.stderr


def test_a_pipe_with_bad_lines_goes_on_and_tells_in_the_end(model: Path) -> None:
    given = b"\xef\xbb\xbfbad\r\n\n\xff\xfe\nsoup\ttwo\ncab\tone\textra\nd\x07d\n\tone\ncab\n"
    done = ran(given, model, "--lang", "one")
    assert done.returncode == 2
    assert done.stdout == "bad\tb a d\nsoup\tS O U P\ttwo\ncab\tc a b\n"
    for number, what in ((3, "not UTF-8"), (5, "3 columns"), (6, r"U+0007"), (7, "no word")):
        assert f"notice: left out: stdin:{number} " in done.stderr
        assert what in done.stderr.split("items have problems")[1]
    assert "pronounced 3 of 3 words (2 one, 1 two)" in done.stderr


def test_a_reader_that_goes_away_ends_it(model: Path) -> None:
    with subprocess.Popen(
        command(model, "--lang", "one"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"bad\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        try:
            process.stdin.write(b"cab\n" * 5000)
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.wait(WAIT)
        assert process.returncode == 141
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_line_without_an_end_does_not_fill_the_memory(model: Path) -> None:
    done = ran(b"ok\n" + b"a" * 200_000, model)
    assert done.returncode == 2
    assert "stdin:2: a line of more than 65536 bytes" in done.stderr


def test_a_closed_standard_input_is_told(model: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" <&-', "bash", *command(model)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert "standard input is closed" in done.stderr


def test_alternatives_have_probabilities(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = written(tmp_path / "words", "bad\ndecoded\nsoup\ttwo\n")
    rows, _ = applied(capsys, model, words, lang="one", nbest=4)
    for word in ("bad", "decoded", "soup"):
        shares = [float(row[1]) for row in rows if row[0] == word]
        assert len(shares) == 4
        assert shares == sorted(shares, reverse=True)
        assert 0 < shares[-1] <= sum(shares) <= 1 + 1e-6
    assert [len(row) for row in rows] == [3] * 8 + [4] * 4  # the language where the line names it
    few, _ = applied(capsys, model, words, lang="one", nbest=4, least=0.9)
    assert [row[0] for row in few] == ["bad", "decoded", "soup"]  # the first always
    best, _ = applied(capsys, model, words, lang="one")
    assert [row[1] for row in best] == [row[2] for row in few]


def test_the_model_tells_languages_apart(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = written(tmp_path / "words", "name\nsoup\ncod\ttwo\n")
    rows, told = applied(capsys, model, words)
    assert rows[:2] == [["name", "n a m e", "one"], ["soup", "S O U P", "two"]]
    assert rows[2][2] == "two"
    assert "pronounced 3 of 3 words (2 two, 1 one)" in told


def test_words_switch_languages_where_the_model_is_sure(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = written(tmp_path / "words", "soup\nname\n")
    plain, _ = applied(capsys, model, words, lang="one")
    assert [len(row) for row in plain] == [2, 2]
    assert plain[0][1] != "S O U P"
    rows, _ = applied(capsys, model, words, lang="one", switch=0.8)
    assert rows == [["soup", "S O U P", "two"], ["name", "n a m e", "one"]]
    never, _ = applied(capsys, model, words, lang="one", switch=1.0)
    assert [row[2] for row in never] == ["one", "one"]


def test_languages_that_were_not_learnt_are_told_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = written(tmp_path / "words", "soup\tzzz\nname\nsoup\tzzz\nname\tzzz\n")
    rows, told = applied(capsys, model, words, lang="tow")
    assert rows[0][2] == "zzz"
    assert len(rows[1]) == 2
    assert told.count("notice: the model has not learnt") == 2
    assert "'tow' and says its words as of an unknown language; similar names: two" in told
    assert "'zzz' and says its words as of an unknown language; it knows one, two" in told


def test_words_without_known_letters_get_no_phones(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = written(tmp_path / "words", f"☃☃\nb☃d\n{'ab' * 200}\n")
    rows, told = applied(capsys, model, words, lang="one")
    assert rows[0] == ["☃☃", ""]
    assert rows[1][1]
    assert rows[2][1] == ""
    assert "pronounced 1 of 3 words (1 one); 2 not: ☃☃ abab" in told
    weighted, _ = applied(capsys, model, words, lang="one", nbest=2)
    assert weighted[0] == ["☃☃", "0", ""]


@pytest.mark.parametrize("kind", ["bundle", "model"])
def test_long_words_fit_a_transformer(kind: str, tmp_path: Path) -> None:
    made = small_model.make(tmp_path / "bundle", "transformer", steps=0)
    if kind == "model":
        export.run(made, tmp_path / "exported")
        made = tmp_path / "exported"
    said = Pronouncer.load([made]).pronounce([("ab" * 110, "one"), ("ab" * 150, "one")], 5)
    assert 0 < max(len(found.phones) for found in said[0]) <= 256
    assert said[1] == []


CUT = {"id": "c", "start": 0, "duration": 9, "channel": 0, "type": "MonoCut"}


def supervision(id: str, **more: object) -> dict[str, object]:
    return {"id": id, "recording_id": "r", "start": 0, "duration": 1, "channel": 0, **more}


def manifest(path: Path, *lines: object) -> Path:
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_manifests_give_each_word_once(tmp_path: Path) -> None:
    cuts = manifest(
        tmp_path / "cuts.jsonl.gz",
        {**CUT, "supervisions": [supervision("a", text="bad cab  bad", language="one"), supervision("b")]},
        {
            "id": "d",
            "type": "MixedCut",
            "tracks": [
                {"cut": {**CUT, "supervisions": [supervision("e", text="Bad soup", language="xx")]}},
                {"cut": {"id": "p", "type": "PaddingCut", "duration": 1}, "offset": 9},
            ],
        },
    )
    texts = manifest(tmp_path / "sup.jsonl", supervision("a", text="soup dab"))
    plain = normaliser("none")
    assert read_files([tmp_path], plain, ()) == [[Entry("bad"), Entry("cab"), Entry("Bad"), Entry("soup")]]
    found = read_files([cuts, texts], normaliser("lower"), ("one", "two"))
    assert found == [[Entry("bad", "one"), Entry("cab", "one"), Entry("bad"), Entry("soup")], [Entry("dab")]]


def test_all_bad_lines_are_told_at_once(tmp_path: Path) -> None:
    text = written(tmp_path / "words.txt", b"bad\nb\x01d\n\xff\na\tone\tx\ncab\tk a b\n")
    broken = manifest(
        tmp_path / "broken.jsonl",
        "{\n",
        {**CUT, "supervisions": [supervision("a", text=5)]},
        {"id": "r", "sources": []},
        supervision("x", text="b\u0001d"),
        {"id": "m", "type": "MixedCut", "tracks": [5]},
        {**CUT, "id": "w", "supervisions": ["bad"]},
    )
    silent = manifest(tmp_path / "silent.jsonl", {**CUT, "supervisions": []})
    with pytest.raises(DataError) as error:
        read_files([text, broken, silent], normaliser("none"), ())
    report = str(error.value)
    for where in ("words.txt:2", "words.txt:3", "words.txt:4", "words.txt:5"):
        assert where in report
    for where in (
        "broken.jsonl:1",
        "broken.jsonl:2",
        "broken.jsonl:3",
        "broken.jsonl:4",
        "broken.jsonl:5",
        "silent.jsonl",
    ):
        assert where in report
    assert "11 of 12 items" in report


def test_a_line_may_have_spaces_around_and_inside() -> None:
    problems = Problems()
    assert parse(b"  new york \t\r\n", "f:3", problems) == Entry("new york")
    assert parse(" می\u200cروم\u3000\tfas ".encode(), "f:3", problems) == Entry("می\u200cروم", "fas")
    assert parse(b" \t \n", "f:3", problems) is None
    assert not problems


def test_files_that_are_not_there_are_told(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.txt: cannot be read"):
        apply.run(Request((model,), (tmp_path / "none.txt",)))
    with pytest.raises(UserError, match="holds no trained model"):
        apply.run(Request((tmp_path,), (tmp_path / "none.txt",)))
    with pytest.raises(UserError, match="no text normaliser"):
        apply.run(Request((model,), (), normaliser="shout"))


def request(model: Path, words: Path, known: Path | None = None, **settings: object) -> Request:
    return Request((model,), (words,), "one", known, **settings)  # type: ignore[arg-type]


def test_a_lexicon_is_complete_and_made_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = written(tmp_path / "words", "bad\nnew name\ncab\nbad\n<eps>\n#name\nman(2)\n☃\nsoup\ttwo\n;;;a\n")
    out = tmp_path / "out"
    apply.run(request(model, words), out)
    assert "pronounced 3 of 9 words (2 one, 1 two); 6 not: " in capsys.readouterr().err
    assert (out / LEXICON).read_text() == "bad\tb a d\ncab\tc a b\nsoup\tS O U P\n"
    failed = dict(line.split("\t") for line in (out / UNPRONOUNCED).read_text().splitlines())
    assert set(failed) == {"new name", "<eps>", "#name", "man(2)", "☃", ";;;a"}
    assert failed["☃"] == "the model knows no letter of it"
    assert list(Lexicon.read(out / LEXICON).entries) == ["bad", "cab", "soup"]
    monkeypatch.setattr(Pronouncer, "load", lambda *_: pytest.fail("loaded again"))
    apply.run(request(model, words), out)
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(UserError, match="nbest: 1 -> 2"):
        apply.run(request(model, words, nbest=2), out)
    words.write_text("dab\n")
    with pytest.raises(UserError, match="made with other settings"):
        apply.run(request(model, words), out)


def test_nothing_is_written_where_lines_are_bad(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        apply.run(request(model, written(tmp_path / "words", "bad\nb\x01d\n")), tmp_path / "out")
    assert os.listdir(tmp_path) == ["words"]


@pytest.mark.parametrize("weighted", [False, True])
def test_known_words_are_left_out_or_come_first(
    model: Path, tmp_path: Path, weighted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    share = "0.25 " if weighted else ""
    known = written(tmp_path / "known", f"cab {share}K AE B\ncab(2) {share}C A B\nzoo {share}Z UW\n")
    words = written(tmp_path / "words", "bad\ncab\n")
    rows, told = applied(capsys, model, words, lang="one", known=known)
    assert rows == [["bad", "b a d"]]
    assert "1 are in --known" in told
    apply.run(request(model, words, known), tmp_path / "new")
    assert (tmp_path / "new" / LEXICON).read_text() == "bad\tb a d\n"
    apply.run(request(model, words, known, with_known=True), tmp_path / "all")
    text = (tmp_path / "all" / LEXICON).read_text()
    assert text.splitlines()[-1] == ("bad\t1\tb a d" if weighted else "bad\tb a d")
    found = Lexicon.read(tmp_path / "all" / LEXICON)
    assert list(found.entries) == ["cab", "zoo", "bad"]
    assert found.entries["cab"] == dict.fromkeys([("K", "AE", "B"), ("C", "A", "B")], 0.25 if weighted else 1.0)


def test_a_graph_is_made_of_it(model: Path, tmp_path: Path) -> None:
    words = written(tmp_path / "words", "bad\nman\nsoup\ttwo\n")
    apply.run(request(model, words, nbest=3), tmp_path / "out")
    lexicon = Lexicon.read(tmp_path / "out" / LEXICON)
    assert all(len(ways) == 3 and max(ways.values()) == 1 for ways in lexicon.entries.values())
    assert all(0 < share <= 1 for ways in lexicon.entries.values() for share in ways.values())
    text = written(tmp_path / "text", "bad man soup\nman bad\n")
    line = ["voxkit", "make-graph", "--lexicon", tmp_path / "out" / LEXICON, "--text", text, "--out", tmp_path / "lang"]
    subprocess.run([sys.executable, "-m", *map(str, line)], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "lang").is_dir()


def test_a_lexicon_of_what_comes_through_a_pipe(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for status, given in ((0, "bad\ncab\n"), (0, "bad\ncab\n"), (2, "bad\n")):
        done = ran(given, model, "--lang", "one", "--out", out)
        assert done.returncode == status, done.stderr
    assert (out / LEXICON).read_text() == "bad\tb a d\ncab\tc a b\n"


def test_what_cannot_be_in_a_lexicon() -> None:
    for word in ("a b", "", "<s>", "</s>", "<sil>", "#1", "a(2)", ";;;", "\u3000"):
        assert unfit(word), word
    for word in ("a", "(2)", "<unk>", "a#", "it's", ";;", "한국"):
        assert not unfit(word), word


def test_several_models_answer_together(model: Path, tmp_path: Path, bundle: Path) -> None:
    words = [("bad", "one"), ("soup", "two")]
    alone, both = (Pronouncer.load(models).pronounce(words) for models in ([model], [model, bundle]))
    for one, other in zip(alone, both, strict=True):
        assert one[0].phones == other[0].phones
        assert one[0].probability == pytest.approx(other[0].probability, abs=1e-4)
    strangers = [small_model.make(tmp_path / name, steps=0, languages=(name,)) for name in ("one", "two")]
    with pytest.raises(UserError, match="no language in common"):
        Pronouncer.load(strangers)


def test_a_single_language_needs_no_name(tmp_path: Path) -> None:
    made = Pronouncer.load([small_model.make(tmp_path / "one", steps=0, languages=("one",))])
    (answer,) = Answerer(made)([Entry("bad")])
    assert (answer.language, answer.tells_language) == ("one", False)


def test_a_conversation(model: Path) -> None:
    typed = ":nbest 2\nbad soup\n:lang two\nsoup\n:lang tw\n:nbest 1000\n:nonsense\n☃\n\n:quit\nname\n"
    done = ran(typed, model, "--interactive")
    assert done.returncode == 0, done.stderr
    head, _, rest = done.stdout.partition(":quit")
    assert ":lang fre" in head
    assert "soup  [two" in rest
    lines = [line.split() for line in rest.splitlines()]
    assert [line[1:] for line in lines if line[:1] and line[0].endswith("%")].count(["S", "O", "U", "P"]) == 2
    assert "soup  [two]" in rest
    assert "similar names: two" in done.stderr
    assert done.stdout.count("Ctrl-D") == 3  # in the beginning, and for two commands that are none
    assert "the model knows no letter of it" in rest
    assert "name" not in rest


def terminal(model: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    outer, inner = pty.openpty()
    with subprocess.Popen(
        command(model, "--interactive", "--lang", "one"), stdin=inner, stdout=inner, stderr=inner, cwd=ROOT
    ) as process:
        os.close(inner)
        yield outer, process
    os.close(outer)


def test_a_conversation_on_a_terminal_ends_with_ctrl_d(model: Path) -> None:
    for outer, process in terminal(model):
        shown, sent, end = b"", [b"\x04", b"bad\n"], time.monotonic() + WAIT
        while time.monotonic() < end:
            try:
                shown += os.read(outer, 4096)
            except OSError:  # the other end is closed
                break
            if sent and shown.count(b"g2p> ") == 3 - len(sent):
                os.write(outer, sent.pop())
        assert process.wait(WAIT) == 0
        assert b"%  b a d" in shown


def test_languages_that_a_manifest_names_win(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"id": "a", "recording_id": "r", "start": 0, "duration": 1, "text": "bad", "language": "one"},
        {"id": "b", "recording_id": "r", "start": 0, "duration": 1, "text": "bob", "language": "English"},
    ]
    path = tmp_path / "supervisions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    apply.run(replace(request(model, path), lang="two"))
    found = capsys.readouterr()
    assert found.out.splitlines() == ["bad\tb a d\tone", "bob\tB O B"]
    assert "names languages that the model has not learnt, which do not count: English" in found.err


def test_phones_that_look_like_probabilities_or_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"bad": ("1", "2"), "cab": ("a", "#", "b")}
    monkeypatch.setattr(
        Pronouncer, "pronounce", lambda self, words, nbest: [[Hypothesis(said[word], 0.5)] for word, _ in words]
    )
    model = small_model.make(tmp_path / "one", steps=0, languages=("one",))
    apply.run(request(model, written(tmp_path / "words", "bad\ncab\n")), tmp_path / "out")
    assert Lexicon.read(tmp_path / "out" / LEXICON).entries == {"bad": {("1", "2"): 1.0}}
    assert (tmp_path / "out" / "unpronounced.txt").read_text() == "cab\tits phones have a meaning in graphs\n"


def test_a_language_that_is_no_tag_is_refused(model: Path) -> None:
    done = ran("bad\n", model, "--lang", "a\tb")
    assert done.returncode == 2
    assert "no language tag" in done.stderr
    assert not done.stdout

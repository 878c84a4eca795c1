"""`ner corrupt`: what is written, how much of it changed, and which options go together."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.g2p import small_model
from tests.commands.ner import small_ner
from voxkit.commands.ner import corrupt
from voxkit.commands.ner.corrupt import Corruption
from voxkit.data.tagged_files import read
from voxkit.data.tagging import Sentence
from voxkit.errors import DataError, Problems, UserError

ROOT = Path(__file__).parents[3]
LEXICON = "bad\tb a1 d\nbat\tb a0 d\ncab\tc a b\nman\tm a n\nplay\tp l ay\nrain\tr ai n\nrein\tr ai n\n"


@pytest.fixture
def test_set(tmp_path: Path) -> Path:
    return small_ner.columns(tmp_path / "test.conll", *small_ner.sentences())


def sentences(path: Path) -> list[Sentence]:
    problems = Problems()
    found, _ = read([path], problems, tagged=True)
    assert not problems
    return found


def changes(before: list[Sentence], after: list[Sentence]) -> list[list[str]]:
    return [
        [old.id, was, became]
        for old, new in zip(before, after, strict=True)
        for was, became in zip(old.words, new.words, strict=True)
        if was != became
    ]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_typing_errors_are_listed(test_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    corrupt.run(Corruption((test_set,), share=0.3), out)
    before, after = sentences(test_set), sentences(out / "sentences.conll")
    assert [(one.id, one.tags) for one in after] == [(one.id, one.tags) for one in before]
    head, *rows = [line.split("\t") for line in (out / "changes.tsv").read_text().splitlines()]
    assert head == ["sentence", "before", "after"]
    assert rows == changes(before, after)
    words = sum(len(one.words) for one in before)
    told = f"changed {len(rows)} of {words} words ({100 * len(rows) / words:.1f} %)"
    assert capsys.readouterr().out == f"{told}\n{out / 'sentences.conll'}\n"
    assert 0.1 < len(rows) / words < 0.4
    corrupt.run(Corruption((test_set,), share=0.3), out)
    again = capsys.readouterr()
    assert "nothing to do" in again.err
    assert again.out.startswith(told)
    with pytest.raises(UserError, match="seed: 0 -> 1"):
        corrupt.run(Corruption((test_set,), share=0.3, seed=1), out)
    corrupt.run(Corruption((test_set,), share=0.3, seed=1), tmp_path / "other")
    assert (tmp_path / "other" / "changes.tsv").read_text() != (out / "changes.tsv").read_text()


def test_words_that_sound_alike(tmp_path: Path) -> None:
    test = small_ner.columns(tmp_path / "test.conll", Sentence.of("a", ["Rain", "play", "bad"], ["O", "B-x", "O"]))
    lexicon = written(tmp_path / "lexicon", LEXICON)
    corrupt.run(Corruption((test,), "misheard", 1.0, lexicon=lexicon), tmp_path / "out")
    (found,) = sentences(tmp_path / "out" / "sentences.conll")
    assert found.words == ("Rein", "play", "bat")  # nothing sounds like play
    assert found.tags == ("O", "B-x", "O")
    told = "changed 2 of 3 words (66.7 %)\n1 more were chosen and stay: no other is known for them\n"
    assert (tmp_path / "out" / "summary.txt").read_text() == told


SOUNDS = "two\tt u\ntoo\tt u\nto\tt u\nsew\ts o\nso\ts o\nsow\ts o\n"


def test_part_of_a_set_is_corrupted_as_the_whole_is(tmp_path: Path) -> None:
    some = [Sentence.of(f"a{n}", ["to", "sew"], ["O", "O"]) for n in range(50)]
    others = [Sentence.of(f"b{n}", ["two", "two", "so"], ["O", "O", "O"]) for n in range(50)]
    lexicon = written(tmp_path / "lexicon", SOUNDS)
    for settings in (
        Corruption((), share=0.5),
        Corruption((), "misheard", 0.5, lexicon=lexicon),
        Corruption((), "misheard", 0.5, lexicon=lexicon, known=(lexicon,)),
    ):
        training = [Sentence.of("t", ["too"] * 9)] if settings.known else []
        whole, _ = settings.changed([*others, *some], training)
        assert settings.changed(some, training)[0] == whole[50:]
        assert whole[50:] != some


def test_training_says_what_is_likely_and_the_test_set_does_not(tmp_path: Path) -> None:
    test = [Sentence.of(f"a{n}", ["to"], ["O"]) for n in range(300)]
    test += [Sentence.of(f"b{n}", ["two"] * 100, ["O"] * 100) for n in range(9)]
    settings = Corruption((), "misheard", 1.0, lexicon=written(tmp_path / "lexicon", SOUNDS))
    for training, share in (([], 0.5), ([Sentence.of("t", ["too"] * 9)], 9.1 / 9.2)):
        after, _ = settings.changed(test, training)
        heard = [sentence.words[0] for sentence in after[:300]]
        assert set(heard) <= {"two", "too"}
        assert heard.count("too") / 300 == pytest.approx(share, abs=0.13)


def test_torch_is_not_needed() -> None:
    code = "import sys, voxkit.commands.ner.corrupt; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_model_says_words_that_the_lexicon_lacks(tmp_path: Path) -> None:
    test = small_ner.columns(tmp_path / "test.conll", Sentence.of("a", ["name", "cab"], ["O", "O"]))
    lexicon = written(tmp_path / "lexicon", "naim\tn a m e\nkab\tc a b\nman\tm a n\n")
    model = small_model.make(tmp_path / "g2p", languages=("one",))
    settings = Corruption((test,), "misheard", 1.0, lexicon=lexicon, g2p=model)
    corrupt.run(settings, tmp_path / "out")
    (found,) = sentences(tmp_path / "out" / "sentences.conll")
    assert found.words == ("naim", "kab")
    corrupt.run(Corruption((test,), "misheard", 1.0, lexicon=lexicon), tmp_path / "without")
    (found,) = sentences(tmp_path / "without" / "sentences.conll")
    assert found.words == ("name", "cab")


def test_what_a_recogniser_took_words_for(tmp_path: Path) -> None:
    test = small_ner.columns(tmp_path / "test.conll", Sentence.of("a", ["Rain", "play"], ["O", "O"]))
    decoded = tmp_path / "decoded"
    decoded.mkdir()
    written(decoded / "confusions.tsv", "count\treference\trecognised\n3\train\tran\n2\tplay\t-\n")
    for number, path in enumerate((decoded, decoded / "confusions.tsv")):
        out = tmp_path / f"out{number}"
        corrupt.run(Corruption((test,), "misheard", 1.0, confusions=path), out)
        (found,) = sentences(out / "sentences.conll")
        assert found.words == ("Ran", "play")


def test_names_are_new(test_set: Path, tmp_path: Path) -> None:
    settings = Corruption((test_set,), "names", labels=("city",), known=(test_set,))
    corrupt.run(settings, tmp_path / "out")
    before, after = sentences(test_set), sentences(tmp_path / "out" / "sentences.conll")
    rows = changes(before, after)
    assert rows
    known = {word.lower() for one in before for word in one.words}
    assert all(became.lower() not in known for _, _, became in rows)
    assert {was for _, was, _ in rows} <= {word for city in small_ner.CITIES for word in city.split()}
    with pytest.raises(UserError, match="no entities with the label town"):
        corrupt.run(Corruption((test_set,), "names", labels=("town",)), tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_recognised_text_is_written_so(tmp_path: Path) -> None:
    one = small_ner.tagged("Rain in", ("Baden-Baden", "city"), "?")
    test = small_ner.columns(tmp_path / "test.conll", one, Sentence.of("n", ["?!"], ["O"]))
    corrupt.run(Corruption((test,), share=0.0, asr_text=True), tmp_path / "out")
    (found,) = sentences(tmp_path / "out" / "sentences.conll")
    assert (found.words, found.tags) == (("rain", "in", "baden", "baden"), ("O", "O", "B-city", "I-city"))
    assert (tmp_path / "out" / "summary.txt").read_text() == "changed 0 of 4 words (0.0 %)\n"


def test_options_that_do_not_go_together_are_told(test_set: Path, tmp_path: Path) -> None:
    lexicon = written(tmp_path / "lexicon", LEXICON)
    for settings, why in (
        (Corruption((test_set,), "typos", lexicon=lexicon), "--lexicon is not for --kind typos"),
        (Corruption((test_set,), "typos", known=(test_set,)), "--train is not for --kind typos"),
        (Corruption((test_set,), "names", confusions=lexicon), "--confusions is not for --kind names"),
        (Corruption((test_set,), "misheard", labels=("x",), lexicon=lexicon), "--label is not for --kind misheard"),
        (Corruption((test_set,), "misheard"), "needs words that may be heard"),
        (Corruption((test_set,), "misheard", g2p=lexicon, confusions=lexicon), "--g2p says words that --lexicon lacks"),
        (Corruption((test_set,), "misheard", lexicon=tmp_path / "none"), "none: "),
        (Corruption((test_set,), "misheard", lexicon=lexicon, g2p=tmp_path), "holds no trained model"),
        (Corruption((test_set,), "misheard", confusions=tmp_path), r"confusions\.tsv: "),
        (Corruption((tmp_path / "none",)), "none: "),
    ):
        with pytest.raises(UserError, match=why):
            corrupt.run(settings, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["lexicon", "test.conll"]


def test_bad_sentences_are_told_or_left_out(test_set: Path, tmp_path: Path) -> None:
    test_set.write_text(test_set.read_text() + "\nplay\tO\tO\n")
    with pytest.raises(DataError, match="1 of "):
        corrupt.run(Corruption((test_set,)), tmp_path / "out")
    corrupt.run(Corruption((test_set,), max_bad=0.1), tmp_path / "out")
    assert len(sentences(tmp_path / "out" / "sentences.conll")) == len(small_ner.sentences())
    assert (tmp_path / "out" / "rejected.jsonl").exists()


def test_the_result_belongs_to_its_inputs_in_their_order(test_set: Path, tmp_path: Path) -> None:
    other = small_ner.columns(tmp_path / "other.conll", *small_ner.sentences()[:3])
    corrupt.run(Corruption((test_set, other)), tmp_path / "out")
    for inputs in ((other, test_set), (test_set, other, other)):
        with pytest.raises(UserError, match="made with other settings\n  test: "):
            corrupt.run(Corruption(inputs), tmp_path / "out")


def test_a_folder_stands_for_the_manifest_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    line = {"id": "a", "recording_id": "r", "text": "play yesterday", "custom": {"entities": [[5, 14, "track"]]}}
    (folder / "supervisions.jsonl.gz").write_bytes(gzip.compress(json.dumps(line).encode()))
    corrupt.run(Corruption((folder,), known=(folder,), kind="names"), tmp_path / "out")
    assert [one.id for one in sentences(tmp_path / "out" / "sentences.conll")] == ["a"]


def test_pipes_in_the_place_of_files_are_refused(test_set: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = tmp_path / "pipe"
    for corruption in (
        Corruption((pipe,)),
        Corruption((test_set,), "names", known=(pipe,)),
        Corruption((test_set,), "misheard", lexicon=pipe),
        Corruption((test_set,), "misheard", confusions=pipe),
    ):
        with pytest.raises(UserError, match="not a regular file"):
            corrupt.run(corruption, tmp_path / "out")


def test_the_command(test_set: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "voxkit", "ner", "corrupt", test_set, "--out", tmp_path / "out"]
    done = subprocess.run([*line, "--kind", "typos"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("changed ")
    done = subprocess.run([*line, "--kind", "misheard"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "give --lexicon, --confusions or both" in done.stderr

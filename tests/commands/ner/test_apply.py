"""`ner apply` with a small model: pipes, texts and manifests."""

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.commands.ner import small_ner
from voxkit.commands.ner import apply
from voxkit.commands.ner.apply import Request
from voxkit.commands.ner.formats import conll, inline, jsonl, tsv
from voxkit.commands.ner.manifests import merge, word_times
from voxkit.commands.ner.results import Answer, Finder
from voxkit.commands.ner.tagger import Tagger
from voxkit.data.manifests import open_cuts
from voxkit.data.tagged_files import read
from voxkit.data.tagging import Entity, divided
from voxkit.errors import DataError, Problems, UserError

ROOT = Path(__file__).parents[3]
WAIT = 60.0  # seconds; a loaded machine starts slowly

PLAYED = "play Yesterday by The Beatles\n"
MARKED = "play [Yesterday](track) by [The Beatles](artist)\n"
RAIN = "will it rain in Cape Town tomorrow ?\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_ner.make(tmp_path_factory.mktemp("ner") / "bundle")


@pytest.fixture(scope="module")
def tagger(model: Path) -> Tagger:
    return Tagger.load(model)


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of recognised text."""
    return small_ner.make(tmp_path_factory.mktemp("heard") / "bundle", asr=True)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "voxkit", "ner", "apply", *map(str, arguments)]


def ran(given: str | bytes, *arguments: object) -> subprocess.CompletedProcess[str]:
    data = given.encode() if isinstance(given, str) else given
    done = subprocess.run(command(*arguments), input=data, capture_output=True, cwd=ROOT, timeout=WAIT)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def printed(capsys: pytest.CaptureFixture[str], model: Path, *inputs: Path, **settings: object) -> str:
    capsys.readouterr()
    apply.run(Request(model, inputs, **settings))  # type: ignore[arg-type]
    return capsys.readouterr().out


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# ---------------------------------------------------------------------------------------------- the ways to write


def answer(text: str, *entities: tuple[int, int, str]) -> Answer:
    """An answer to a text of words between spaces; entities as first word, end, label."""
    sentence = divided("id", text, only_spaces=True)
    return Answer(sentence, tuple(Entity(label, begin, end) for begin, end, label in entities), (0.5,) * len(entities))


def test_entities_are_marked_in_the_text() -> None:
    one = answer("  play  yesterday by the\tbeatles ", (1, 2, "track"), (3, 5, "artist"))
    assert inline(one) == "  play  [yesterday](track) by [the\tbeatles](artist) \n"
    assert tsv(one) == "id\t8\t17\ttrack\t0.5000\tyesterday\nid\t21\t32\tartist\t0.5000\tthe beatles\n"
    assert conll(one) == "# id = id\nplay\tO\nyesterday\tB-track\nby\tO\nthe\tB-artist\nbeatles\tI-artist\n\n"
    data = json.loads(jsonl(one))
    assert data["text"] == "  play  yesterday by the\tbeatles "
    assert data["entities"][1] == {
        "label": "artist",
        "text": "the\tbeatles",
        "confidence": 0.5,
        "start": 21,
        "end": 32,
    }


def unmarked(text: str) -> tuple[str, list[tuple[int, int, str]]]:
    """The text that was marked, and the entities in it."""
    plain, found, place, begin = "", list[tuple[int, int, str]](), 0, 0
    while place < len(text):
        if text[place] == "\\":
            plain, place = plain + text[place + 1], place + 2
        elif text[place] == "[":
            begin, place = len(plain), place + 1
        elif match := re.match(r"\]\(((?:\\.|[^\\)])*)\)", text[place:], re.DOTALL):
            found.append((begin, len(plain), re.sub(r"\\(.)", r"\1", match[1])))
            place += len(match[0])
        else:
            plain, place = plain + text[place], place + 1
    return plain, found


@given(st.lists(st.text("ab[]()\\!", min_size=1), min_size=1, max_size=6), st.data())
def test_marked_texts_can_be_read_again(words: list[str], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(begin + 1, len(words)))
    label = data.draw(st.text("x()[\\", min_size=1))
    one = answer(" ".join(words), (begin, end, label))
    text, found = unmarked(inline(one).removesuffix("\n"))
    assert text == " ".join(words)
    assert found == [(*one.sentence.span(one.entities[0]), label)]


# ---------------------------------------------------------------------------------------------- texts


def test_a_pipe_is_answered_line_by_line(model: Path) -> None:
    with subprocess.Popen(command(model), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line, expected in ((PLAYED, MARKED), ("\n", "\n"), (PLAYED, MARKED)):
            process.stdin.write(line.encode())
            process.stdin.flush()
            assert process.stdout.readline().decode() == expected  # before the next is written
        process.stdin.write(b"play Queen")  # without a line feed
        process.stdin.close()
        assert re.sub(r"[\[\]]|\(.*?\)", "", process.stdout.read().decode()) == "play Queen\n"
    assert process.returncode == 0


def test_bad_lines_of_a_pipe_are_told_and_the_others_answered(model: Path) -> None:
    done = ran(b"\xef\xbb\xbf" + PLAYED.encode() + b"\xff\xfe\n\nto\x07o\n" + PLAYED.encode(), model)
    assert done.returncode == 2
    assert done.stdout == MARKED + "\n\n\n" + MARKED
    assert "notice: left out: stdin:2 " in done.stderr
    assert "notice: left out: stdin:4 " in done.stderr
    report = done.stderr.split("items have problems")[1]
    assert "not UTF-8" in report
    assert "U+0007" in report
    assert "found 4 entities (2 track, 2 artist) in 5 sentences" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_standard_input_is_told(model: Path) -> None:
    line = ["bash", "-c", 'exec "$@" <&-', "bash", *command(model)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "standard input is closed" in done.stderr


def test_a_full_standard_output_is_told(model: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        line = command(model, written(tmp_path / "a.txt", PLAYED))
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "no space left on the disk: standard output" in done.stderr


def test_a_text_keeps_its_lines(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = written(tmp_path / "a.txt", f"\n{PLAYED}\n\nthank [you] \\o/\r\n{PLAYED}")
    lines = printed(capsys, model, text).splitlines(keepends=True)
    assert lines[:4] == ["\n", MARKED, "\n", "\n"]
    assert unmarked(lines[4])[0] == "thank [you] \\o/\n"
    assert lines[5:] == [MARKED]


def test_columns_and_json_lines_are_read(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = small_ner.tagged("play", ("So What", "track"), "by", ("Queen", "artist"))
    table = small_ner.columns(tmp_path / "a.conll", one, one)
    expected = "play [So What](track) by [Queen](artist)\n"
    assert printed(capsys, model, table) == 2 * expected
    lines = written(tmp_path / "a.jsonl", json.dumps({"text": "play So What by Queen"}) + "\n")
    assert printed(capsys, model, lines, table) == 3 * expected
    problems = Problems()
    result = written(tmp_path / "b.conll", printed(capsys, model, table, format="conll"))
    found, _ = read([result], problems, tagged=True)
    assert [(again.words, again.tags) for again in found] == 2 * [(one.words, one.tags)]
    assert not problems


def test_what_a_text_ends_in_is_no_tag(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = written(tmp_path / "a.txt", "play Yesterday on I-95\n")
    assert unmarked(printed(capsys, model, text).removesuffix("\n"))[0] == "play Yesterday on I-95"


def test_files_of_one_name_have_ids_of_their_own(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
    texts = [written(tmp_path / folder / "x.txt", PLAYED) for folder in "ab"]
    lines = [written(tmp_path / folder / "x.jsonl", json.dumps({"id": "one", "text": "play"})) for folder in "ab"]
    shown = printed(capsys, model, *texts, *lines, format="jsonl")
    assert [json.loads(line)["id"] for line in shown.splitlines()] == ["x:1", "x-2:1", "one", "one~2"]


def test_a_line_break_in_a_text_is_a_space(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = written(tmp_path / "a.jsonl", json.dumps({"text": "play So\nWhat\r\nby\u2028Queen\n"}) + "\n")
    assert printed(capsys, model, lines) == "play [So What](track) by [Queen](artist) \n"


def test_pipes_in_the_place_of_files_are_refused(model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for out in (None, tmp_path / "out"):
        with pytest.raises(UserError, match="not a regular file"):
            apply.run(Request(model, (tmp_path / "pipe",)), out)
    assert os.listdir(tmp_path) == ["pipe"]


def test_confidences_limit_what_is_shown(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = written(tmp_path / "a.txt", PLAYED + RAIN)
    rows = [line.split("\t") for line in printed(capsys, model, text, format="tsv").splitlines()]
    expected = [("track", "Yesterday"), ("artist", "The Beatles"), ("city", "Cape Town")]
    assert [(row[3], row[5]) for row in rows] == expected
    assert all(text.read_text().splitlines()[row[3] == "city"][int(row[1]) : int(row[2])] == row[5] for row in rows)
    shown = map(json.loads, printed(capsys, model, text, format="jsonl").splitlines())
    shares = sorted(one["confidence"] for line in shown for one in line["entities"])
    assert 0 < shares[0] <= shares[-1] <= 1
    few = printed(capsys, model, text, format="tsv", least=shares[1])
    assert len(few.splitlines()) == sum(share >= shares[1] for share in shares) < len(rows)
    assert printed(capsys, model, text, format="tsv", least=1.0) == ""


def test_recognised_text_is_answered_in_the_text_as_it_was(
    heard: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written(tmp_path / "a.txt", "Will it rain in BADEN-BADEN, tomorrow?\n...\nPlay: SO WHAT! by queen.\n")
    expected = "Will it rain in [BADEN-BADEN](city), tomorrow?\n...\nPlay: [SO WHAT](track)! by [queen](artist).\n"
    assert printed(capsys, heard, text) == expected


def test_any_model_can_be_given_recognised_text(tagger: Tagger) -> None:
    finder = Finder(tagger, asr_text=True)
    (found,) = finder([finder.divided("id", "What's up, U.S.A.?", "f:1")])
    assert found.sentence.words == ("what's", "up", "u", "s", "a")
    (nothing,) = finder([finder.divided("id", "-- ?!", "f:2")])
    assert (nothing.sentence.words, inline(nothing)) == ((), "-- ?!\n")


def test_all_bad_lines_of_files_are_told_before_anything_else(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written(tmp_path / "a.txt", PLAYED.encode() + b"\xff\n")
    lines = written(tmp_path / "b.jsonl", '{"text": "play"}\n{\n')
    with pytest.raises(DataError) as caught:
        apply.run(Request(model, (text, lines)))
    assert "a.txt:2" in str(caught.value)
    assert "b.jsonl:2" in str(caught.value)
    with pytest.raises(DataError):
        apply.run(Request(model, (text, lines)), tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.jsonl"]
    assert capsys.readouterr().out == ""


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    text = written(tmp_path / "a.txt", PLAYED)
    with pytest.raises(UserError, match="holds no trained model"):
        apply.run(Request(tmp_path, (text,)))
    from tests.commands.g2p import small_model

    with pytest.raises(UserError, match="a model of g2p, not of ner"):
        apply.run(Request(small_model.make(tmp_path / "g2p", steps=0), (text,)))


@pytest.mark.parametrize("name", ["a.txt", "a.conll", "a.jsonl"])
def test_empty_files_are_told(name: str, model: Path, tmp_path: Path) -> None:
    empty = written(tmp_path / name, "\n\n")
    for out in (None, tmp_path / "out"):
        with pytest.raises(UserError, match="holds no sentences"):
            apply.run(Request(model, (empty,)), out)
    assert os.listdir(tmp_path) == [name]


def test_files_that_are_not_there_are_told(model: Path, tmp_path: Path) -> None:
    for out in (None, tmp_path / "out"):
        with pytest.raises(UserError, match=r"none\.txt: "):
            apply.run(Request(model, (tmp_path / "none.txt",)), out)
        with pytest.raises(UserError, match=r"none\.jsonl\.gz: "):
            apply.run(Request(model, (tmp_path / "none.jsonl.gz",)), out)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format", ["inline", "tsv", "jsonl", "conll"])
def test_texts_give_a_file_that_is_made_once(
    format: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written(tmp_path / "a.txt", PLAYED + RAIN)
    shown = printed(capsys, model, text, format=format)
    request = Request(model, (text,), format)
    apply.run(request, tmp_path / "out")
    name = tmp_path / "out" / f"entities.{'txt' if format == 'inline' else format}"
    assert capsys.readouterr().out == f"{name}\n"
    assert name.read_text() == shown
    apply.run(request, tmp_path / "out")
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"least: 0\.0 -> 0\.5"):
        apply.run(Request(model, (text,), format, least=0.5), tmp_path / "out")
    for inputs in ((text, text), (written(tmp_path / "b.txt", RAIN), text)):
        with pytest.raises(UserError, match="inputs: "):
            apply.run(Request(model, inputs, format), tmp_path / "out")
    written(text, RAIN)
    with pytest.raises(UserError, match="made with other settings"):
        apply.run(request, tmp_path / "out")
    apply.run(Request(model, (text, tmp_path / "b.txt"), format), tmp_path / "two")
    with pytest.raises(UserError, match="inputs: "):
        apply.run(Request(model, (tmp_path / "b.txt", text), format), tmp_path / "two")


def test_a_pipe_gives_a_file_too(model: Path, tmp_path: Path) -> None:
    for status, text in ((0, PLAYED), (0, PLAYED), (2, RAIN)):
        done = ran(text, model, "--out", tmp_path / "out")
        assert done.returncode == status, done.stderr
    assert (tmp_path / "out" / "entities.txt").read_text() == MARKED


def test_a_full_disk_is_told(model: Path, tmp_path: Path, small_disk: Path) -> None:
    text = written(tmp_path / "a.txt", PLAYED * 3000)
    done = ran("", model, text, "--out", small_disk / "out")
    assert done.returncode == 2
    assert "no space left on the disk" in done.stderr
    assert not (small_disk / "out").exists()


# ---------------------------------------------------------------------------------------------- manifests


def supervision(id: str, **more: object) -> dict[str, Any]:
    return {"id": id, "recording_id": "r", "start": 1.5, "duration": 4.0, "channel": 0, **more}


def cut(id: str, *supervisions: dict[str, Any]) -> dict[str, Any]:
    recording = {
        "id": "r",
        "sources": [{"type": "file", "channels": [0], "source": "r.wav"}],
        "sampling_rate": 8000,
        "num_samples": 80000,
        "duration": 10.0,
    }
    head = {"id": id, "start": 0.0, "duration": 10.0, "channel": 0, "recording": recording, "type": "MonoCut"}
    return {**head, "supervisions": list(supervisions)}


PADDING = {"id": "p", "duration": 1.0, "sampling_rate": 8000, "feat_value": 0.0}


def aligned(*words: str) -> dict[str, Any]:
    return {"word": [[word, round(1.5 + 0.25 * place, 2), 0.2, 0.9] for place, word in enumerate(words)]}


def manifest(path: Path, *lines: object) -> Path:
    text = "".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def without_custom(value: Any) -> Any:
    """All but the custom fields, wherever they are."""
    if isinstance(value, list):
        return [without_custom(one) for one in value]
    return {k: without_custom(v) for k, v in value.items() if k != "custom"} if isinstance(value, dict) else value


def content(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def test_cuts_come_back_with_entities_and_their_times(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = {"speaker_age": 5, "entities": [{"label": "old"}]}
    words = PLAYED.split()
    lines = [
        cut("a", supervision("a1", text=PLAYED.strip(), alignment=aligned(*words), custom=stale)),
        cut("b", supervision("b1", text=RAIN.strip(), alignment=aligned("will")), supervision("b2")),
        {
            "id": "m",
            "type": "MixedCut",
            "tracks": [
                {"type": "MonoCut", "cut": cut("m1", supervision("s", text="  play  So What", custom=None))},
                {"type": "PaddingCut", "offset": 10, "cut": PADDING},
            ],
        },
        cut("c", supervision("c1", text="")),
        cut("d"),
    ]
    source = manifest(tmp_path / "in" / "some.jsonl", *lines)
    apply.run(Request(model, (source,)), tmp_path / "out")
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'out' / 'cuts.jsonl.gz'}\n"
    assert "found 4 entities in 4 texts of 5 lines" in told.err
    assert "the entities of 2 supervisions have no times" in told.err
    made = content(tmp_path / "out" / "cuts.jsonl.gz")
    (first,) = made[0]["supervisions"]
    assert first["custom"]["speaker_age"] == 5
    track, artist = first["custom"]["entities"]
    assert 0 < track.pop("confidence") <= 1
    assert track == {"label": "track", "text": "Yesterday", "start": 5, "end": 14, "start_time": 1.75, "end_time": 1.95}
    assert (artist["start_time"], artist["end_time"], artist["text"]) == (2.25, 2.7, "The Beatles")
    rain = made[1]["supervisions"][0]["custom"]["entities"]
    assert [(one["text"], "start_time" in one) for one in rain] == [("Cape Town", False)]
    mixed = made[2]["tracks"][0]["cut"]["supervisions"][0]
    assert [(one["label"], one["start"], one["end"]) for one in mixed["custom"]["entities"]] == [("track", 8, 15)]
    assert made[3]["supervisions"][0]["custom"] == {"entities": []}
    assert without_custom(made) == without_custom(lines)
    assert len(list(open_cuts(tmp_path / "out"))) == 5
    apply.run(Request(model, (source,)), tmp_path / "out")
    assert "nothing to do" in capsys.readouterr().err


def test_the_result_is_called_as_what_it_is(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoded = manifest(tmp_path / "decoded" / "hypotheses.jsonl.gz", cut("a", supervision("a", text=RAIN.strip())))
    for path, name in (
        (decoded, "hypotheses.jsonl.gz"),
        (decoded.parent, "hypotheses.jsonl.gz"),
        (manifest(tmp_path / "s.jsonl", supervision("a", text=RAIN.strip())), "supervisions.jsonl.gz"),
    ):
        out = tmp_path / f"out{len(os.listdir(tmp_path))}"
        apply.run(Request(model, (path,)), out)
        assert capsys.readouterr().out == f"{out / name}\n"
        (line,) = content(out / name)
        (found,) = line.get("supervisions", [line])
        assert [one["text"] for one in found["custom"]["entities"]] == ["Cape Town"]


def test_shards_are_joined_in_the_order_of_the_lines(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [PLAYED, RAIN, "thank you !", "play Waterloo", "play So What"]
    source = manifest(
        tmp_path / "cuts.jsonl.gz",
        *(cut(f"c{n}", supervision(f"s{n}", text=text.strip())) for n, text in enumerate(texts)),
    )
    request = Request(model, (source,))
    apply.run(request, tmp_path / "whole")
    for shard in ("1/3", "2/3"):
        apply.run(request, tmp_path / "out", shard)
    with pytest.raises(UserError, match="parts are missing: 3/3"):
        apply.run(request, tmp_path / "out", None, merged=True)
    apply.run(request, tmp_path / "out", "3/3")
    with pytest.raises(UserError, match="made with other settings"):
        apply.run(Request(model, (source,), least=0.5), tmp_path / "out", None, merged=True)
    apply.run(request, tmp_path / "out", None, merged=True)
    assert content(tmp_path / "out" / "cuts.jsonl.gz") == content(tmp_path / "whole" / "cuts.jsonl.gz")
    capsys.readouterr()
    apply.run(request, tmp_path / "out", None, merged=True)
    assert "nothing to do" in capsys.readouterr().err
    apply.run(request, tmp_path / "many", "7/7")
    assert content(tmp_path / "many" / "shard-7-of-7" / "cuts.jsonl.gz") == []


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folders = [tmp_path / "1", tmp_path / "2"]
    manifest(folders[0] / "cuts.jsonl.gz", cut("a"))
    manifest(folders[1] / "cuts.jsonl.gz", cut("b"), cut("c"))
    with pytest.raises(UserError, match="more lines"):
        merge(folders, "cuts.jsonl.gz", tmp_path)
    assert not (tmp_path / "cuts.jsonl.gz").exists()


def test_all_bad_lines_of_a_manifest_are_told(model: Path, tmp_path: Path) -> None:
    source = manifest(
        tmp_path / "cuts.jsonl",
        cut("a", supervision("a", text=5)),
        "{\n",
        cut("b", supervision("b", text="play", custom=[])),
        supervision("c", text="play"),
        json.dumps(cut("d", supervision("d", text="\ud800"))) + "\n",
        {"id": "m", "type": "MixedCut", "tracks": [5]},
        cut("e", supervision("e", text="play")),
    )
    with pytest.raises(DataError) as caught:
        apply.run(Request(model, (source,)), tmp_path / "out")
    for number in range(1, 7):
        assert f"cuts.jsonl:{number} " in str(caught.value)
    assert "6 of 7 items" in str(caught.value)
    assert os.listdir(tmp_path) == ["cuts.jsonl"]


@pytest.mark.parametrize("lines", [[], [cut("a")], [cut("a", supervision("a"))]])
def test_a_manifest_without_texts_is_told(lines: list[object], model: Path, tmp_path: Path) -> None:
    source = manifest(tmp_path / "in" / "cuts.jsonl.gz", *lines)
    with pytest.raises(DataError, match="no supervision in it has a text"):
        apply.run(Request(model, (source.parent,)), tmp_path / "out")
    with pytest.raises(UserError):
        apply.run(Request(model, (source,)))
    assert os.listdir(tmp_path) == ["in"]


def test_sentences_of_some_type_are_no_manifest(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = manifest(tmp_path / "questions.jsonl", {"text": PLAYED.strip(), "type": "question"})
    assert printed(capsys, model, lines) == MARKED
    apply.run(Request(model, (lines,)), tmp_path / "out")
    assert (tmp_path / "out" / "entities.txt").read_text() == MARKED


def test_a_folder_stands_for_the_manifest_in_it(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    with pytest.raises(UserError, match="no such manifest"):
        apply.run(Request(model, (manifest(folder / "other.jsonl", "").parent,)))
    for name, line, text in (
        ("supervisions.jsonl.gz", supervision("a", text="play Waterloo"), "play [Waterloo](track)\n"),
        ("cuts.jsonl.gz", cut("a", supervision("a", text="play So What")), "play [So What](track)\n"),
        ("hypotheses.jsonl.gz", cut("a", supervision("a", text=PLAYED.strip())), MARKED),
    ):
        manifest(folder / name, line)
        assert printed(capsys, model, folder) == text
        apply.run(Request(model, (folder,)), tmp_path / name)
        assert os.listdir(tmp_path / name).count(name) == 1


def test_what_does_not_go_together_is_refused(model: Path, tmp_path: Path) -> None:
    text = written(tmp_path / "a.txt", PLAYED)
    cuts = manifest(tmp_path / "cuts.jsonl", cut("a", supervision("a", text="play")))
    for arguments, why in (
        ((Request(model, (text, cuts)), tmp_path / "out"), "two kinds"),
        ((Request(model, (text,)), tmp_path / "out", "1/2"), "for manifests"),
        ((Request(model, (cuts,)), None, "1/2"), "need a folder"),
        ((Request(model, (cuts,)), tmp_path / "out", "1/2", True), "give one of them"),
        ((Request(model, (cuts,)), tmp_path / "out", "3/2"), "not a part"),
        ((Request(model, (cuts,), "tsv"), tmp_path / "out"), "--format tsv is for texts"),
        ((Request(model, (cuts,), "inline"), tmp_path / "out", "1/2"), "--format inline is for texts"),
    ):
        with pytest.raises(UserError, match=why):
            apply.run(*arguments)  # type: ignore[arg-type]
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "cuts.jsonl"]


def test_a_manifest_is_shown_too(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = manifest(tmp_path / "cuts.jsonl", cut("a", supervision("a1", text=PLAYED.strip()), supervision("a2")))
    assert printed(capsys, model, source) == MARKED
    decoded = manifest(tmp_path / "decoded" / "hypotheses.jsonl.gz", cut("a", supervision("a1", text=PLAYED.strip())))
    assert printed(capsys, model, decoded.parent) == MARKED
    rows = printed(capsys, model, source, format="tsv")
    assert [row.split("\t")[0] for row in rows.splitlines()] == ["a1", "a1"]


def test_word_times_need_the_words_of_the_text() -> None:
    items = aligned("new", "york")["word"]
    assert word_times({"text": " new  york", "alignment": {"word": items}}) == [(1.5, 1.7), (1.75, 1.95)]
    named = [{"symbol": symbol, "start": start, "duration": length} for symbol, start, length, _ in items]
    assert word_times({"text": "new york", "alignment": {"word": named}}) == [(1.5, 1.7), (1.75, 1.95)]
    for broken in (None, {}, {"word": items[:1]}, {"word": 5}, {"word": [5, 6]}, {"word": [["new", 1, "x"], items[1]]}):
        assert word_times({"text": "new york", "alignment": broken}) is None
    assert word_times({"text": "new york"}) is None


@pytest.mark.parametrize(
    "time",
    ["[1e999, 1]", "[NaN, 1]", "[1, NaN]", "[1, -0.5]", f"[{'9' * 400}, 1]", f"[1, {'9' * 400}]", "[1e308, 1e308]"],
)
def test_times_that_are_none_are_not_written(
    time: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start, duration = time.strip("[]").split(", ")
    line = json.dumps(
        supervision("a", text="play Yesterday", alignment={"word": [["play", 0, 1], ["Yesterday", 7, 8]]})
    )
    source = manifest(tmp_path / "supervisions.jsonl", line.replace("7, 8", f"{start}, {duration}") + "\n")
    apply.run(Request(model, (source,)), tmp_path / "out")
    assert "have no times" in capsys.readouterr().err
    (found,) = content(tmp_path / "out" / "supervisions.jsonl.gz")[0]["custom"]["entities"]
    assert found["text"] == "Yesterday"
    assert not {"start_time", "end_time"} & set(found)

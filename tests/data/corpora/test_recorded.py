"""Readers of the recorded corpora, on small made-up copies of their layouts, and on the corpora where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxkit.data.corpora import an4, esc10, fsdd, kathleen_en, wake_words, writing
from voxkit.data.corpora.corpus import Prepared, Utterance
from voxkit.data.corpora.registry import CORPORA, LEXICAL, TAGGED, TEXTS, describe, unknown
from voxkit.data.corpora.table import read_lines, read_table
from voxkit.errors import DataError, Problems, UserError


def tone(path: Path, seconds: float = 0.5, rate: int = 16000, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.sin(np.arange(int(seconds * rate)) / 9)
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate)
    return path


def table(path: Path, *rows: str) -> None:
    path.write_text("\n".join(rows).replace(" ", "\t") + "\n", encoding="utf-8")


def sphinx(root: Path) -> Path:
    """AN4 in the layout of its source, with two speakers."""
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "an4.dic").write_text("<s> SIL\nGO  G OW\nA  AH\nA(2)  EY\nA(3)  AH\n")
    for part, folder in (("train", "an4_clstk"), ("test", "an4test_clstk")):
        ids = [f"{part}1-fash-b", f"{part}2-fash-b"]
        (root / "etc" / f"an4_{part}.fileids").write_text("".join(f"{folder}/fash/{id}\n" for id in ids))
        marks = ("<s> ", " </s>") if part == "train" else ("", "")
        lines = [f"{marks[0]}GO A{marks[1]} ({id})\n" for id in ids]
        (root / "etc" / f"an4_{part}.transcription").write_text("".join(lines))
        for id in ids:
            tone(root / "wav" / folder / "fash" / f"{id}.wav")
    return root


def test_an4_as_at_its_source(tmp_path: Path) -> None:
    problems = Problems()
    prepared = an4.read(sphinx(tmp_path), problems)
    assert not problems
    assert [u.id for u in prepared.splits["train"]] == ["train1-fash-b", "train2-fash-b"]
    assert all(u.text == "GO A" and u.speaker == "fash" and u.gender == "female" for u in prepared.splits["test"])
    assert prepared.files["lexicon.txt"] == "GO G OW\nA AH\nA EY\n"
    assert prepared.files["text_train.txt"] == "GO A\nGO A\n"


def test_an4_problems_have_places(tmp_path: Path) -> None:
    root = sphinx(tmp_path)
    (root / "etc" / "an4_train.transcription").write_text("<s> GO </s> (train1-fash-b)\nGO A\n")
    (root / "etc" / "an4.dic").write_text("GO\n")
    problems = Problems()
    an4.read(root, problems)
    found = {(p.kind, p.where.removeprefix(str(root) + "/")) for p in problems}
    assert found == {
        ("broken line", "etc/an4_train.transcription:2"),
        ("no transcript", "etc/an4_train.fileids:2"),
        ("broken line", "etc/an4.dic:1"),
    }


def test_dev_speakers_keep_the_proportion() -> None:
    women, men = {f"f{i:02d}" for i in range(21)}, {f"m{i:02d}" for i in range(53)}
    chosen = an4.dev_speakers(women | men, 8)
    assert len(chosen) == 8
    assert len(chosen & women) == 2
    assert chosen == an4.dev_speakers(men | women, 8)


def test_fsdd_split_by_take(tmp_path: Path) -> None:
    header = "utt_id path digit speaker gender accent"
    rows = [f"{d}_theo_{t} {d}_theo_{t}.flac {d} theo male USA/neutral" for d in (0, 7) for t in (0, 4, 5, 49)]
    table(tmp_path / "metadata.tsv", header, *rows)
    splits = fsdd.read(tmp_path, Problems()).splits
    assert [u.custom["take"] for u in splits["test"]] == [0, 4, 0, 4]
    assert [u.text for u in splits["train"]] == ["zero", "zero", "seven", "seven"]
    assert splits["train"][0].custom["accent"] == "USA/neutral"


def test_fsdd_as_at_its_source(tmp_path: Path) -> None:
    tone(tmp_path / "recordings" / "3_george_2.wav")
    tone(tmp_path / "recordings" / "odd.wav")
    problems = Problems()
    splits = fsdd.read(tmp_path, problems).splits
    assert splits["train"] == []
    assert (splits["test"][0].text, splits["test"][0].speaker, splits["test"][0].gender) == ("three", "george", "male")
    assert problems.bad_ids == {"odd"}


def test_kathleen_split(tmp_path: Path) -> None:
    lines = ["utt_id\tpath\tspeaker\ttext", *(f"u{i}\tu{i}.flac\tkathleen\tText, {i}." for i in range(25))]
    (tmp_path / "metadata.tsv").write_text("\n".join(lines))
    splits = kathleen_en.read(tmp_path, Problems()).splits
    assert [u.id for u in splits["train"]] == [f"u{i}" for i in range(5)]
    assert splits["test"][-1].text == "Text, 24."


def test_kathleen_as_at_its_source(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(22):
        for take in (99, 100) if number == 3 else (7,):
            (tmp_path / "data" / f"arctic_a{number:04d}_{take}.wav").touch()
            (tmp_path / "data" / f"arctic_a{number:04d}_{take}.txt").write_text(f"Text, {number}.")
    (tmp_path / "data" / "odd.wav").touch()
    (tmp_path / "data" / "arctic_b0001_1.wav").touch()
    problems = Problems()
    splits = kathleen_en.read(tmp_path, problems).splits
    assert [u.id for u in splits["train"]] == ["arctic_a0000", "arctic_a0001"]
    assert len(splits["test"]) == 20
    assert splits["test"][1].path.name == "arctic_a0003_100.wav"  # the newest take
    assert splits["test"][1].text == "Text, 3."
    assert problems.bad_ids == {"odd", "arctic_b0001"}


def test_wake_words_as_at_their_source(tmp_path: Path) -> None:
    for name in ("alexa/0.flac", "smart mirror/0386da81.wav", "smart mirror/notes.txt"):
        (tmp_path / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / name).touch()
    (tmp_path / "audio" / "multiple_keywords.wav").touch()
    clips = wake_words.read(tmp_path, Problems()).splits["all"]
    assert [(u.id, u.text, u.custom["keyword"]) for u in clips] == [
        ("alexa-0", "alexa", "alexa"),
        ("smart_mirror-0386da81", "smart mirror", "smart_mirror"),
    ]


def test_esc10_as_in_esc50(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n"
        "1-100038-A-14.wav,1,14,chirping_birds,False,100038,A\n"
        "5-17150-A-12.wav,5,12,crackling_fire,True,17150,A\n"
        "9-1-A-12.wav,9,12,crackling_fire,True,1,A\n"
    )
    problems = Problems()
    clips = esc10.read(tmp_path, problems).splits["all"]
    assert [(u.id, u.custom) for u in clips] == [
        ("1-100032-A-0", {"class": "dog_bark", "class_id": 0, "fold": 1}),
        ("5-17150-A-12", {"class": "fire_crackling", "class_id": 9, "fold": 5}),
    ]
    assert clips[0].path == tmp_path / "audio" / "1-100032-A-0.wav"
    assert [p.where for p in problems] == [f"{tmp_path}/meta/esc50.csv:5"]
    (tmp_path / "meta" / "esc50.csv").write_text("filename,fold\na.wav,1\n")
    with pytest.raises(UserError, match=r"esc50\.csv:2: no category, esc10"):
        esc10.read(tmp_path, Problems())


def test_esc10_in_folders(tmp_path: Path) -> None:
    for name in ("001 - Dog bark/1-100032-A.ogg", "010 - Fire crackling/5-18766-B.ogg", "002 - Rain/rain.ogg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    problems = Problems()
    clips = esc10.read(tmp_path, problems).splits["all"]
    assert [(u.id, u.custom["class"], u.custom["fold"]) for u in clips] == [
        ("1-100032-A", "dog_bark", 1),
        ("5-18766-B", "fire_crackling", 5),
    ]
    assert problems.bad_ids == {"rain"}


def test_esc10_fold_out_of_range(tmp_path: Path) -> None:
    header = "clip_id path fold class_id class licence author source_url"
    table(tmp_path / "metadata.tsv", header, "a a.flac 1 0 dog CC0 x http://y", "b b.flac 6 0 dog CC0 x http://y")
    problems = Problems()
    (clip,) = esc10.read(tmp_path, problems).splits["all"]
    assert clip.custom == {
        "class": "dog", "licence": "CC0", "author": "x", "source_url": "http://y", "class_id": 0, "fold": 1,
    }  # fmt: skip
    assert [(p.where, p.id) for p in problems] == [(f"{tmp_path}/metadata.tsv:3", "b")]


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\n1\t2\n\n3\n")
    problems = Problems()
    assert [row["b"] for row in read_table(path, ("a",), problems)] == ["2"]
    assert [p.where for p in problems] == [f"{path}:4"]
    with pytest.raises(UserError, match="no column c"):
        list(read_table(path, ("c",), problems))
    path.write_bytes("a\tb\r\n1\tx\u2028y\x0b\r\n2\ty\0\r\n".encode())
    assert [row["b"] for row in read_table(path, ("a",), problems)] == ["x\u2028y\x0b"]
    assert [(p.where, p.what) for p in problems][1:] == [(f"{path}:3", "it holds a NUL character")]
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(UserError, match=r"t\.tsv:2: not UTF-8"):
        read_lines(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_lines(tmp_path / "none")


def utterances(root: Path) -> list[Utterance]:
    good = [
        Utterance(f"u{i}", tone(root / f"u{i}.wav"), f"t:{i}", text=f"word {i}", speaker="s", custom={"n": i})
        for i in range(3)
    ]
    part = Utterance("part", root / "u0.wav", "t:3", text="x", recording_id="u0", start=0.1, duration=0.2)
    return [*good, part]


def test_manifests_are_lhotse_s(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    items = utterances(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    prepared = Prepared({"train": items, "dev": items[:1]}, {"lexicon.txt": "A a\n"})
    sizes = writing.write(prepared, out, Problems())
    assert sizes["train"] == (4, pytest.approx(1.7))
    cuts = lhotse.CutSet.from_file(out / "cuts_train.jsonl.gz").to_eager()
    lhotse.validate(cuts)
    assert [cut.id for cut in cuts] == ["u0", "u1", "u2", "part"]
    assert cuts["part"].load_audio().shape == (1, 3200)
    assert cuts["u2"].supervisions[0].custom == {"n": 2}
    supervisions = lhotse.SupervisionSet.from_file(out / "supervisions_train.jsonl.gz")
    recordings = lhotse.RecordingSet.from_file(out / "recordings_train.jsonl.gz")
    assert len(recordings) == 3
    (part,) = (item for item in supervisions if item.id == "part")
    assert part.start == pytest.approx(0.1)
    lhotse.validate(supervisions)
    again = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    assert sum(len(cut.supervisions) for cut in again) == 4
    assert (out / "lexicon.txt").read_text() == "A a\n"


def bad(root: Path) -> list[Utterance]:
    broken = root / "broken.flac"
    tone(broken, 3.0)
    broken.write_bytes(broken.read_bytes()[:2000])
    silent = root / "silent.wav"
    soundfile.write(silent, np.zeros(8000), 16000)
    return [
        Utterance("missing", root / "none.wav", "t:10", text="x"),
        Utterance("broken", broken, "t:11", text="x"),
        Utterance("silent", silent, "t:12", text="x"),
        Utterance("outside", root / "u0.wav", "t:13", text="x", start=0.4, duration=0.5),
        Utterance("untold", root / "u0.wav", "t:14", text=""),
        Utterance("u0", root / "u1.wav", "t:15", text="x"),
    ]


def test_all_problems_at_once(tmp_path: Path) -> None:
    items = utterances(tmp_path) + bad(tmp_path)
    with pytest.raises(DataError) as error:
        writing.write(Prepared({"all": items}), tmp_path / "out", Problems())
    where = {problem.where for problem in error.value.problems}
    assert where == {f"t:{line}" for line in range(10, 16)}
    assert not (tmp_path / "out").exists()


def test_going_on_without_the_bad_ones(tmp_path: Path) -> None:
    items = utterances(tmp_path) + bad(tmp_path)
    out = tmp_path / "out"
    sizes = writing.write(Prepared({"all": items}), out, Problems(), max_bad=0.7)
    assert sizes["all"][0] == 3
    listed = {json.loads(line)["id"] for line in (out / "rejected.jsonl").read_text().splitlines()}
    assert listed == {"missing", "broken", "silent", "outside", "untold", "u0"}


def test_empty_corpus(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no utterances"):
        writing.write(Prepared({"all": []}), tmp_path, Problems())


def test_registry() -> None:
    assert [row[0] for row in describe()] == ["mini", "spoken", *CORPORA, "espeak", *LEXICAL, *TAGGED, *TEXTS, "dir"]
    assert "did you mean an4" in unknown("an44").fix


EXPECTED = {
    "an4": {"train": 948, "test": 130, "train_tune": 844, "dev": 104},
    "fsdd": {"train": 2700, "test": 300},
    "kathleen_en": {"train": 195, "test": 20},
    "librispeech_mini": {"all": 26},
    "esc10": {"all": 400},
    "wake_words": {"all": 270},
}


@pytest.mark.parametrize("name", list(CORPORA))
def test_official_parts(name: str) -> None:
    folder = Path(os.environ.get("VOXKIT_DATA", "none")) / name
    if not folder.is_dir():
        pytest.skip(f"no {name} in $VOXKIT_DATA")
    problems = Problems()
    prepared = CORPORA[name].read(folder, problems)
    assert not problems
    assert {part: len(items) for part, items in prepared.splits.items()} == EXPECTED[name]
    assert all(item.path.is_file() for items in prepared.splits.values() for item in items)
    speakers = {part: {item.speaker for item in items} for part, items in prepared.splits.items()}
    if name == "an4":
        assert not speakers["train"] & speakers["test"]
        assert not speakers["train_tune"] & speakers["dev"]
        assert len(speakers["dev"]) == 8
        words = {line.split()[0] for line in prepared.files["lexicon.txt"].splitlines()}
        assert words.issuperset(w for items in prepared.splits.values() for u in items for w in str(u.text).split())

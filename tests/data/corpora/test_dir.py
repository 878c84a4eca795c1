"""The user's own audio: folders, transcripts, Kaldi data directories."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxkit.data.corpora import dir
from voxkit.errors import Problems, UserError


def tone(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(16000) / 9), 16000)
    return path


def read(folder: Path) -> tuple[dict[str, object], list[tuple[str, str, str]]]:
    problems = Problems()
    (found,) = dir.read(folder, problems).splits.values()
    return {u.id: u for u in found}, [(p.kind, Path(p.where).name, p.id) for p in problems]


def test_folder_of_audio(tmp_path: Path) -> None:
    for name in ("b.flac", "x/a.wav", "x/y/c.ogg"):
        tone(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    found, problems = read(tmp_path)
    assert list(found) == ["b", "x-a", "x-y-c"]
    assert not problems
    assert found["b"].text is None


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"lat\xe9in")
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    tone(tmp_path / "good.wav")
    (odd / "a.wav").write_bytes((tmp_path / "good.wav").read_bytes())
    found, problems = read(tmp_path)
    assert list(found) == ["good"]
    assert problems == [("unusable name", "a.wav", "lat\\udce9in-a")]
    with pytest.raises(UserError, match="folder's name is not UTF-8") as caught:
        read(odd)
    str(caught.value).encode()


def test_nul_is_a_problem_and_other_separators_are_text(tmp_path: Path) -> None:
    for name in "abc":
        tone(tmp_path / f"{name}.wav")
    (tmp_path / "transcripts.tsv").write_bytes("a\tone\u2028two\x0cthree\r\nb\tone\0\r\nc\tone\x85two\n".encode())
    found, problems = read(tmp_path)
    assert {id: u.text for id, u in found.items()} == {"a": "one\u2028two\x0cthree", "c": "one\x85two"}
    assert problems[0] == ("broken line", "transcripts.tsv:2", "b")
    (tmp_path / "wav.scp").write_text("a a.wav\nb b\0.wav\n")
    assert ("broken line", "wav.scp:2", "b") in read(tmp_path)[1]


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no audio and no wav\.scp"):
        read(tmp_path)


def test_transcripts(tmp_path: Path) -> None:
    for name in ("a.wav", "x/b.wav", "c.wav", "d.wav", "d.flac"):
        tone(tmp_path / name)
    lines = ["path\ttext\tspeaker", "x/b.wav\thello there\tanna", "a\tgood day", "./c.wav\tyes"]
    (tmp_path / "transcripts.tsv").write_text("\n".join(lines) + "\n\nd.flac\tno\nd.wav\tno\n")
    found, problems = read(tmp_path)
    assert list(found) == ["x-b", "a", "c", "d", "d"][:4]
    assert (found["x-b"].text, found["x-b"].speaker, found["a"].speaker) == ("hello there", "anna", None)
    assert not problems


def test_problems_of_transcripts(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", "d.wav", "d.flac", "e.wav"):
        tone(tmp_path / name)
    lines = ["a.wav\tone", "a\tagain", "none.wav\ttwo", "b.wav", "d\twhich", "e.wav\tx\ty\tz"]
    (tmp_path / "transcripts.tsv").write_text("\n".join(lines))
    _, problems = read(tmp_path)
    assert problems[:5] == [
        ("duplicate id", "transcripts.tsv:2", "a"),
        ("missing file", "transcripts.tsv:3", "none.wav"),
        ("broken line", "transcripts.tsv:4", "b.wav"),
        ("ambiguous name", "transcripts.tsv:5", "d"),
        ("broken line", "transcripts.tsv:6", "e.wav"),
    ]
    assert {kind for kind, _, _ in problems[5:]} == {"no transcript"}


def kaldi(folder: Path, **files: str) -> Path:
    tone(folder / "r1.wav")
    tone(folder / "r2.wav")
    for name, content in files.items():
        (folder / name.replace("wav_scp", "wav.scp")).write_text(content)
    return folder


def test_kaldi_folder(tmp_path: Path) -> None:
    folder = kaldi(
        tmp_path,
        wav_scp=f"r1 {tmp_path}/r1.wav\nr2 r2.wav\n",
        text="r1 HELLO THERE\nr2 YES\n",
        utt2spk="r1 s1\nr2 s2\n",
        spk2gender="s1 f\ns2 m\n",
    )
    found, problems = read(folder)
    assert not problems
    assert (found["r1"].text, found["r1"].speaker, found["r1"].gender) == ("HELLO THERE", "s1", "female")
    assert found["r2"].path == tmp_path / "r2.wav"


def test_kaldi_segments(tmp_path: Path) -> None:
    folder = kaldi(
        tmp_path,
        wav_scp="r1 r1.wav\n",
        segments="u1 r1 0.1 0.4\nu2 r1 0.5 -1\nu3 r9 0 1\nu4 r1 0.5 0.2\nu5 r1 0\n",
        text="u1 A\nu2 B\n",
    )
    found, problems = read(folder)
    assert (found["u1"].recording_id, found["u1"].start, found["u1"].duration) == ("r1", 0.1, 0.3)
    assert found["u2"].duration is None
    assert problems == [
        ("unknown recording", "segments:3", "u3"),
        ("wrong times", "segments:4", "u4"),
        ("broken line", "segments:5", "u5"),
    ]


def test_pipes_are_refused_with_the_fix(tmp_path: Path) -> None:
    folder = kaldi(tmp_path, wav_scp="r1 sph2pipe -f wav a.sph |\nr2 r2.wav\n")
    problems = Problems()
    (found,) = dir.read(folder, problems).splits.values()
    assert [u.id for u in found] == ["r2"]
    (problem,) = problems
    assert problem.kind == "piped audio"
    assert problem.fix == "run it once: sph2pipe -f wav a.sph > r1.wav; then write `r1 r1.wav`"


def test_problems_of_a_kaldi_folder(tmp_path: Path) -> None:
    folder = kaldi(
        tmp_path,
        wav_scp="r1 r1.wav\nr1 r2.wav\nr2 r2.wav\nr3\n",
        text="r1 A\nr8 B\n",
        utt2spk="r1 s1\nr2 s2\n",
    )
    _, problems = read(folder)
    assert (
        problems
        == [
            ("duplicate id", "wav.scp:2", "r1"),
            ("broken line", "wav.scp:4", "r3"),
            ("no transcript", "wav.scp:3", "r2"),
            ("unknown utterance", "text:2", "r8"),
            ("unknown utterance", "utt2spk:2", "r2"),
        ][: len(problems)]
    )

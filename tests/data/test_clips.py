"""Clips from manifests, folders of classes and audio files; what is wrong with them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.decode import tones
from voxkit.data.clips import (
    CLASSES,
    Clip,
    class_names,
    clip_digests,
    clip_files,
    decodable,
    flat_files,
    is_folder_of_classes,
    load_classes,
    load_clip,
    open_clips,
    reference_events,
    require_inputs,
    unfolded,
)
from voxkit.data.events import Event
from voxkit.errors import DataError, UserError

SHORTEST = 0.025


def manifest(folder: Path, *supervisions: list[dict[str, Any]], duration: float = 0.5) -> Path:
    """A manifest with a cut for each list of supervisions; ids and times are filled in."""
    folder.mkdir(exist_ok=True)
    soundfile.write(folder / "sound.wav", tones.tone("low", duration), tones.RATE)
    lines = []
    for number, some in enumerate(supervisions):
        name = f"u{number}"
        place = {"recording_id": name, "start": 0.0, "duration": duration, "channel": 0}
        recording = {
            "id": name,
            "sources": [{"type": "file", "channels": [0], "source": str(folder / "sound.wav")}],
            "sampling_rate": tones.RATE,
            "num_samples": round(duration * tones.RATE),
            "duration": duration,
            "channel_ids": [0],
        }
        filled = [{"id": f"{name}-{n}", **place, **one} for n, one in enumerate(some)]
        cut = {"id": name, "start": 0.0, "duration": duration, "channel": 0, "type": "MonoCut"}
        lines.append(json.dumps({**cut, "supervisions": filled, "recording": recording}))
    (folder / "cuts.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder / "cuts.jsonl"


def test_folders_of_classes(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 2)
    (folder / "low" / "notes.txt").write_text("no audio")
    clips = open_clips(folder, "text", "single", SHORTEST)  # folders have the class in one place only
    assert [clip.id for clip in clips] == [f"{name}/{n}" for name in sorted(tones.TONES) for n in range(2)]
    assert class_names(clips) == sorted(tones.TONES)
    assert all(clip.id.startswith(clip.labels[0]) and clip.duration == 0.5 for clip in clips)
    assert len(clip_files(folder)) == 6
    assert not is_folder_of_classes(tmp_path / "none")
    assert not is_folder_of_classes(folder / "low")


def test_what_a_folder_of_classes_holds_besides_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tones.write(tmp_path / "tones", 1)
    for place in ("top.wav", "low/deep/er.wav", "low/._0.wav", ".hidden/0.wav"):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_bytes((folder / "low" / "0.wav").read_bytes())
    (folder / "empty").mkdir()
    assert {clip.id for clip in open_clips(folder, "auto", "single", SHORTEST)} == {f"{name}/0" for name in tones.TONES}
    told = capsys.readouterr().err
    assert "4 audio files are hidden or in no class's folder" in told
    assert "no audio in empty, which becomes no class" in told


def test_names_of_folders_that_are_no_classes_are_refused(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 1)
    for name in ("a  b", "c\td", "-"):
        (folder / name).mkdir()
        (folder / name / "0.wav").write_bytes((folder / "low" / "0.wav").read_bytes())
    with pytest.raises(DataError, match="class name: 3") as caught:
        open_clips(folder, "auto", "single", SHORTEST)
    assert "which stands for none" in str(caught.value)
    assert "blanks at an end or in a row" in str(caught.value)


def test_lines_with_one_id_count_each(tmp_path: Path) -> None:
    cuts = manifest(tmp_path / "a", [{"text": "low"}], [{"text": "high"}], [{}])
    with open(cuts, "a") as file:
        file.write(cuts.read_text().splitlines(keepends=True)[2] * 2)
    with pytest.raises(DataError, match="3 of 5 items"):
        open_clips(cuts, "auto", "single", SHORTEST, max_bad=0.3)


def test_flat_folders_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "low.wav").write_bytes(b"")
    (tmp_path / "._low.wav").write_bytes(b"")
    assert flat_files(tmp_path) == [tmp_path / "low.wav"]


@pytest.mark.parametrize("name", ["a\tb", "a\u2028b"])
def test_names_that_would_break_tables_are_refused(tmp_path: Path, name: str) -> None:
    folder = tones.write(tmp_path / "tones", 1)
    (folder / "low" / "0.wav").rename(folder / "low" / f"{name}.wav")
    with pytest.raises(DataError, match="name: 1"):
        open_clips(folder, "auto", "single", SHORTEST)


def test_links_to_nothing_and_folders_called_like_audio_are_told_with_the_rest(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 1)
    (folder / "low" / "gone.wav").symlink_to(tmp_path / "nowhere")
    (folder / "low" / "folder.wav").mkdir()
    digests = clip_digests(folder)
    assert [Path(name).stem for name, found in digests.items() if not found] == ["folder", "gone"]
    with pytest.raises(DataError, match=r"gone") as caught:
        open_clips(folder, "auto", "single", SHORTEST)
    assert "folder.wav" in str(caught.value)


def test_audio_files_need_no_labels_and_stereo_is_averaged(tmp_path: Path) -> None:
    samples = tones.tone("mid")
    left = np.linspace(-0.5, 0.5, len(samples), dtype=np.float32)
    both = np.stack([samples + left, samples - left], 1)
    soundfile.write(tmp_path / "a.wav", both, tones.RATE, subtype="FLOAT")
    (tmp_path / "b").mkdir()
    soundfile.write(tmp_path / "b" / "a.wav", samples, tones.RATE, subtype="FLOAT")
    paths = [tmp_path / "a.wav", tmp_path / "b" / "a.wav"]
    stereo, mono = open_clips(paths, "auto", "multi", SHORTEST, need_labels=False)
    assert [stereo.id, mono.id] == [str(path) for path in paths]  # equal names do not tell them apart
    np.testing.assert_allclose(load_clip(stereo, tones.RATE), load_clip(mono, tones.RATE), atol=1e-6)
    (alone,) = open_clips(paths[0], "auto", "multi", SHORTEST, need_labels=False)
    assert (alone.id, alone.labels) == ("a", ())
    assert clip_files(paths[0]) == [paths[0]]


@pytest.mark.parametrize(
    ("label", "one", "other", "wanted"),
    [
        ("auto", {"text": "yes"}, {"text": "no  thanks"}, [("yes",), ("no thanks",)]),
        ("auto", {"text": "x", "custom": {"keyword": "yes"}}, {"custom": {"keyword": "no"}}, [("yes",), ("no",)]),
        ("auto", {"text": "yes", "custom": {"keyword": "x"}}, {"text": "no"}, [("yes",), ("no",)]),
        ("auto", {"custom": {"class": 3, "event": "x"}}, {"custom": {"class": 4, "event": "x"}}, [("3",), ("4",)]),
        ("kind", {"text": "x", "custom": {"kind": "yes"}}, {"custom": {"kind": "no"}}, [("yes",), ("no",)]),
        ("text", {"text": "yes", "custom": {"class": "x"}}, {"text": "no"}, [("yes",), ("no",)]),
        ("labels", {"custom": {"labels": ["b", "a", "b"]}}, {"custom": {"labels": []}}, [("b", "a"), ()]),
    ],
)
def test_where_labels_are(
    tmp_path: Path, label: str, one: dict[str, Any], other: dict[str, Any], wanted: list[tuple[str, ...]]
) -> None:
    file = manifest(tmp_path, [one], [other])
    head: Any = "multi" if label == "labels" else "single"
    assert [clip.labels for clip in open_clips(file, label, head, SHORTEST)] == wanted


def test_all_that_is_wrong_is_told_together(tmp_path: Path) -> None:
    file = manifest(tmp_path, [{"text": "a"}], [{}], [{"text": "a"}, {"text": "b"}], [{"text": "c"}], [])
    with pytest.raises(DataError) as caught:
        open_clips(file, "text", "single", SHORTEST, classes=["a", "b"])
    told = str(caught.value)
    assert "4 of 5 items have problems" in told
    assert "no class: 2" in told
    assert "several classes: 1" in told
    assert "unknown class: 1" in told
    assert f"{file}:4  u3  c: not among the classes" in told
    rejected = tmp_path / "rejected.jsonl"
    (good,) = open_clips(file, "text", "single", SHORTEST, 0.8, rejected, ["a", "b"])
    assert good.id == "u0"
    assert len(rejected.read_text().splitlines()) == 4
    with pytest.raises(DataError, match="shorter than a frame: 5"):
        open_clips(file, "text", "multi", 1.0, need_labels=False)


@pytest.mark.parametrize("head", ["single", "multi"])
def test_clips_that_lack_the_field_of_the_others_are_named(tmp_path: Path, head: Any) -> None:
    some = [{"text": "x", "custom": {"keyword": name}} for name in "aab"]
    file = manifest(tmp_path, [some[0]], [some[1]], [{"text": "y"}], [some[2]])
    with pytest.raises(DataError) as caught:
        open_clips(file, "auto", head, SHORTEST)
    assert f"{file}:3  u2  supervision u2-0 has no custom['keyword'], which most of the others have" in str(
        caught.value
    )
    assert [clip.labels for clip in open_clips(file, "auto", head, SHORTEST, 0.3)] == [("a",), ("a",), ("b",)]
    assert len(open_clips(file, "auto", head, SHORTEST, need_labels=False)) == 4
    assert open_clips(file, "text", head, SHORTEST)[2].labels == ("y",)


def test_a_field_that_few_have_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = manifest(tmp_path, [{"text": "a"}], [{"text": "b", "custom": {"event": "x"}}])
    assert [clip.labels for clip in open_clips(file, "auto", "single", SHORTEST)] == [("a",), ("b",)]
    assert "the text is the class: 1 of 2 supervisions have custom['event']" in capsys.readouterr().err


def test_clips_without_a_text_are_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its supervisions have no text"):
        open_clips(manifest(tmp_path, [{}], [{"text": "a"}]), "text", "single", SHORTEST)


def test_audio_that_cannot_be_decoded_is_told_together(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 2)
    for name in ("low/0", "mid/1"):
        soundfile.write(folder / f"{name}.wav", np.full(400, np.nan), tones.RATE, subtype="FLOAT")
    clips = open_clips(folder, "auto", "single", SHORTEST)
    kept: dict[int, int] = {}

    def keep(index: int, samples: tones.Samples) -> None:
        kept[index] = len(samples)

    with pytest.raises(DataError, match=r"2 of 6 items have problems[\s\S]*NaN audio: 2"):
        decodable(clips, tones.RATE, 0.3, None, keep)
    kept.clear()
    good = decodable(clips, tones.RATE // 2, 0.4, tmp_path / "rejected.jsonl", keep)
    assert [clip.id for clip in good] == ["high/0", "high/1", "low/1", "mid/0"]
    assert kept == dict.fromkeys(range(4), 2000)
    assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == 2


def test_several_classes_are_fine_for_several_and_none_too(tmp_path: Path) -> None:
    file = manifest(tmp_path, [{"text": "a"}, {"text": "b"}], [{"custom": {"x": 1}}])
    assert [clip.labels for clip in open_clips(file, "text", "multi", SHORTEST)] == [("a", "b"), ()]
    bare = manifest(tmp_path / "bare", [])
    with pytest.raises(DataError, match="no class"):
        open_clips(bare, "text", "multi", SHORTEST)  # perhaps nobody has listened to it
    assert len(open_clips(bare, "text", "multi", SHORTEST, need_labels=False)) == 1


def test_files_that_cannot_be_opened_count(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 1)
    (folder / "low" / "empty.wav").touch()
    (folder / "low" / "text.flac").write_text("no audio")
    with pytest.raises(DataError, match=r"2 of 5 items have problems[\s\S]*zero length: 1[\s\S]*unreadable audio: 1"):
        open_clips(folder, "auto", "single", SHORTEST)
    assert len(open_clips(folder, "auto", "single", SHORTEST, max_bad=0.4)) == 3


def test_events_have_the_times_of_supervisions(tmp_path: Path) -> None:
    timed = [
        {"start": 0.25, "duration": 0.25, "custom": {"event": ["b", "c"]}},
        {"start": 0.0, "duration": 0.125, "custom": {"event": "a"}},
    ]
    (clip,) = open_clips(manifest(tmp_path, timed), "auto", "multi", SHORTEST)
    wanted = [Event("a", 0.0, 0.125), Event("b", 0.25, 0.5), Event("c", 0.25, 0.5)]
    assert reference_events(clip) == wanted
    tracks = [
        {"type": "MonoCut", "offset": 0.0, "cut": {**clip.cut, "supervisions": []}},
        {"type": "MonoCut", "offset": 1.0, "cut": dict(clip.cut)},
    ]
    mixed = Clip({"id": "m", "type": "MixedCut", "tracks": tracks}, (), "there", "event")
    assert mixed.duration == 1.5
    assert reference_events(mixed) == [Event(label, start + 1, end + 1) for label, start, end, _ in wanted]


def test_a_folder_of_audio_without_classes_is_told_of(tmp_path: Path) -> None:
    folder = tones.write(tmp_path / "tones", 2)
    files = [folder / "low" / f"{number}.wav" for number in range(2)]
    (folder / "low" / "notes.txt").write_text("no audio")
    assert flat_files(folder / "low") == files
    assert flat_files(folder) == flat_files(files[0]) == []
    assert unfolded([folder / "low", folder]) == [*files, folder]
    for call in (clip_files, lambda path: open_clips(path, "auto", "single", SHORTEST)):
        with pytest.raises(UserError, match=r"sub-folder for each class.*voxkit prepare dir --source .*low --out DATA"):
            call(folder / "low")


def test_where_a_missing_class_may_be_is_told(tmp_path: Path) -> None:
    file = manifest(tmp_path, [{"custom": {"sort": "a"}}], [{"custom": {"sort": "b", "fold": 1}}])
    fix = "name the field with --label NAME"
    for label, told in (("auto", "no text, and no custom field class, label"), ("x", "no custom['x']")):
        with pytest.raises(DataError) as caught:
            open_clips(file, label, "single", SHORTEST)
        assert told in str(caught.value)
        assert fix in str(caught.value)
        assert "those of the first clips have custom['sort'], custom['fold']" in str(caught.value)
    assert len(open_clips(file, "sort", "single", SHORTEST)) == 2
    with pytest.raises(DataError, match="has no supervisions"):
        open_clips(manifest(tmp_path / "bare", []), "auto", "single", SHORTEST)


def test_inputs_that_are_none_are_told_together(tmp_path: Path) -> None:
    good = tones.write(tmp_path / "tones", 1)
    (tmp_path / "notes.md").write_text("text")
    paths = [tmp_path / "none.wav", good, tmp_path / "notes.md", tmp_path / "none.jsonl"]
    with pytest.raises(UserError) as caught:
        require_inputs(paths)
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 of 4 inputs cannot be used"
    assert [path.name in line for path, line in zip((paths[0], *paths[2:]), lines[1:], strict=False)] == [True] * 3
    with pytest.raises(UserError, match=r"^.*notes.md: not a JSON-lines"):
        require_inputs(paths[2:3])
    with pytest.raises(UserError, match="1 of 2 inputs"):
        require_inputs(paths[:2])
    (tmp_path / "none.wav").write_text("no audio")
    require_inputs(paths[:2])  # which is one bad clip


def test_what_is_no_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such manifest"):
        open_clips(tmp_path / "none.jsonl", "auto", "single", SHORTEST)
    (tmp_path / "cuts.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no cuts"):
        open_clips(tmp_path / "cuts.jsonl", "auto", "single", SHORTEST)


@pytest.mark.parametrize("text", ["", "a\na\n", None])
def test_damaged_lists_of_classes_are_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / CLASSES).write_text(text)
    with pytest.raises(UserError, match="copy the model again"):
        load_classes(tmp_path)

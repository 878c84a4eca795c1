"""Events in recordings of tones, written and drawn."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.decode import tones
from voxkit.data.clips import Clip, open_clips, reference_events
from voxkit.data.detect_config import DetectConfig
from voxkit.data.manifests import check_cuts, open_cuts
from voxkit.decode import detecting
from voxkit.decode.detecting import Detector
from voxkit.errors import DataError, UserError

SCENE = (("quiet", 1.0), ("low", 1.0), ("quiet", 1.0), ("high", 1.5), ("quiet", 0.5))
WANTED = [("low", 1.0, 2.0), ("high", 3.0, 4.5)]


def detector() -> Detector:
    return Detector(tones.classifier(), DetectConfig(hop=0.05, smoothing=0.0, low=1.0), (tones.QUIET,))


def recording(path: Path, channels: int = 1) -> Path:
    samples = tones.scene(*SCENE)
    soundfile.write(path, samples if channels == 1 else samples[:, None].repeat(channels, 1), tones.RATE)
    return path


def opened(*paths: Path) -> list[Clip]:
    return open_clips(paths, "auto", "multi", 0.025, need_labels=False)


def test_events_are_found_where_they_are(tmp_path: Path) -> None:
    found = detecting.find(detector(), opened(recording(tmp_path / "scene.wav")), 0.0)
    ((clip, events),) = found
    assert clip.id == "scene"
    assert [event.label for event in events] == [label for label, *_ in WANTED]
    for event, (_, start, end) in zip(events, WANTED, strict=True):
        assert (event.start, event.end) == pytest.approx((start, end), abs=0.2)


@pytest.mark.parametrize(("before", "after"), [(0.3, 0.3), (0.0, 0.1), (0.1, 0.0)])
def test_onsets_and_offsets_near_the_ends(before: float, after: float) -> None:
    window = tones.SECONDS
    samples = tones.scene(("quiet", before * window), ("low", 2.0), ("quiet", after * window))
    one = detector()
    (event,) = one.events(one.heard(samples))
    wanted = (before * window, before * window + 2.0)
    assert (event.start, event.end) == pytest.approx(wanted, abs=0.2 * window)


def test_thresholds_of_a_class_are_its_own(tmp_path: Path) -> None:
    clips = opened(recording(tmp_path / "scene.wav"))
    strict = Detector(tones.classifier("multi"), DetectConfig(hop=0.05), (tones.QUIET,), {"low": 1.0})
    ((_, events),) = detecting.find(strict, clips, 0.0)
    assert {event.label for event in events} == {"high"}


@pytest.mark.parametrize("channels", [1, 2])
def test_manifests_of_events_are_sound(tmp_path: Path, channels: int) -> None:
    found = detecting.find(detector(), opened(recording(tmp_path / "scene.wav", channels)), 0.0)
    detecting.write(found, tmp_path)
    cuts = check_cuts(open_cuts(tmp_path), tmp_path)
    (cut,) = cuts
    assert [(one.text, one.custom["class"]) for one in cut.supervisions] == [(name, name) for name, *_ in WANTED]
    assert all(0 < one.custom["score"] <= 1 for one in cut.supervisions)
    with gzip.open(tmp_path / detecting.SUPERVISIONS) as file:
        lines = [json.loads(line) for line in file]
    assert [(line["recording_id"], line["text"]) for line in lines] == [("scene", name) for name, *_ in WANTED]
    read = detecting.read_events(tmp_path / detecting.EVENTS)
    for event, (_, start, end) in zip(read["scene"], WANTED, strict=True):
        assert (event.start, event.end) == pytest.approx((start, end), abs=0.2)
    (again,) = opened(tmp_path)
    assert [event.label for event in reference_events(again)] == [name for name, *_ in WANTED]


def test_supervisions_count_from_the_recording_and_cuts_from_the_cut(tmp_path: Path) -> None:
    (clip,) = opened(recording(tmp_path / "scene.wav"))
    later = Clip({**clip.cut, "id": "later", "start": 2.5, "duration": 2.5}, (), clip.where)
    detecting.write(detecting.find(detector(), [later], 0.0), tmp_path)
    (cut,) = open_cuts(tmp_path)
    with gzip.open(tmp_path / detecting.SUPERVISIONS) as file:
        lines = [json.loads(line) for line in file]
    assert cut.supervisions[0].start == pytest.approx(0.5, abs=0.2)
    assert lines[0]["start"] == pytest.approx(3.0, abs=0.2)


def test_pictures_are_drawn_on_demand(tmp_path: Path) -> None:
    clips = opened(recording(tmp_path / "scene.wav"))
    detecting.find(detector(), clips, 0.0, tmp_path, ["scene"])
    assert (tmp_path / "plots" / "scene.png").stat().st_size > 10_000
    with pytest.raises(UserError, match="--plot other: no such recording"):
        detecting.require_known(["other"], clips)


def test_recordings_that_cannot_be_used(tmp_path: Path) -> None:
    samples = tones.scene(*SCENE)
    samples[9] = float("inf")
    soundfile.write(tmp_path / "bad.wav", samples, tones.RATE, subtype="FLOAT")
    clips = opened(recording(tmp_path / "good.wav"), tmp_path / "bad.wav")
    with pytest.raises(DataError, match="NaN audio: 1"):
        detecting.find(detector(), clips, 0.0)
    assert [clip.id for clip, _ in detecting.find(detector(), clips, 0.5)] == ["good"]


def test_events_of_mixed_cuts_cannot_be_written(tmp_path: Path) -> None:
    (clip,) = opened(recording(tmp_path / "scene.wav"))
    mixed: dict[str, Any] = {
        "id": "m", "type": "MixedCut", "tracks": [{"type": "MonoCut", "offset": 0.0, "cut": dict(clip.cut)}]
    }  # fmt: skip
    with pytest.raises(DataError, match="mixed cut: 1"):
        detecting.require_recordings([clip, Clip(mixed, (), "there:2")])
    detecting.require_recordings([clip])


def test_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ((clip, events),) = detecting.find(detector(), opened(recording(tmp_path / "scene.wav")), 0.0)
    detecting.show([(clip.id, events)], named=False)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [len(row) for row in rows] == [4, 4]
    assert [row[2] for row in rows] == ["low", "high"]
    detecting.show([(clip.id, events)], named=True)
    assert capsys.readouterr().out.startswith("scene\t")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    detecting.show([(clip.id, events), ("none", [])], named=True)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "scene:"
    assert "start" in told[1]
    assert told[-2:] == ["none:", "no events"]

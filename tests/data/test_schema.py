"""Lines that are not cuts, in every way: each is a problem with its place, none a crash, and none runs anything."""

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.augmentation import ReverbWithImpulseResponse

from voxkit.data import audio, schema
from voxkit.data.checks import Requirements, check, duration_of, to_cut
from voxkit.data.manifests import check_cuts, open_cuts, parse_line
from voxkit.errors import DataError

RATE = 16000
EVERYTHING = Requirements(RATE, text=True, decode=True, segments=True)
VALUES = [None, "x", [], {}, [None], -1, 0, True, "1.0", 1e308, 10**400, math.nan, math.inf, "\ud800", "a\0b"]
DELETED = object()


@pytest.fixture
def cut(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)
    cut = Recording.from_file(path, recording_id="a").to_cut().with_id("a")
    cut.supervisions = [
        SupervisionSegment("a", "a", 0, 1.0, text="yes", speaker="s", custom={"weight": 2.0}, alignment={})
    ]
    return {**cut.to_dict(), "custom": {"note": [1]}}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def spoilt(data: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    data = copy.deepcopy(data)
    inner: Any = data
    for key in path[:-1]:
        inner = inner[key]
    if value is DELETED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data


def test_whatever_a_field_holds_it_is_accepted_by_all_or_told(cut: dict[str, Any], tmp_path: Path) -> None:
    mixed = {"id": "m", "type": "MixedCut", "tracks": [{"cut": cut, "type": "MonoCut", "offset": 0.0}]}
    lines = []
    for data, path in [(good, path) for good in (cut, mixed) for path in places(good)]:
        for value in [*VALUES, DELETED]:
            line = spoilt(data, path, value)
            if path != ("id",):
                line["id"] = f"cut-{len(lines)}"  # or all but the first would have its id
            lines.append(parse_line(f"cuts.jsonl:{len(lines)}", json.dumps(line).encode()))
    problems, bad, count = check(lines, EVERYTHING)
    assert count == len(lines) > 500
    assert len(bad) < len(lines)
    assert len({problem.where for problem in problems}) == len(bad)
    str(problems.report(10**9)).encode()
    for line in lines:
        assert math.isfinite(duration_of(line.data or {}))
        if line.where not in bad:
            to_cut(line.data or {})


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        (("id",), None, "id is null, not a string that is not empty"),
        (("start",), math.nan, "start is NaN, not a finite number"),
        (("duration",), "1.0", 'duration is "1.0", not a finite number'),
        (("channel",), None, "channel is null, not a channel's number"),
        (("recording",), None, "recording is null, not an object"),
        (("recording", "num_samples"), "16000", 'recording.num_samples is "16000", not a whole number'),
        (("recording", "sampling_rate"), 0, "recording.sampling_rate is 0, not a positive whole number"),
        (("recording", "sources", 0), None, "recording.sources[0] is null, not an object"),
        (("recording", "sources", 0, "type"), DELETED, "recording.sources[0] lacks type"),
        (("recording", "sources", 0, "source"), "a\0b", 'recording.sources[0].source is "a\\u0000b", not a path'),
        (("recording", "transforms"), [{"name": "Nonsense", "kwargs": {}}], "lhotse does not accept it"),
        (("supervisions",), {}, "supervisions is an object, not a list"),
        (("supervisions", 0), None, "supervisions[0] is null, not an object"),
        (("supervisions", 0, "id"), None, "supervisions[0].id is null, not a string that is not empty"),
        (("supervisions", 0, "start"), math.nan, "supervisions[0].start is NaN, not a finite number"),
        (("supervisions", 0, "duration"), 10**400, "supervisions[0].duration is a huge number, not a finite number"),
        (("supervisions", 0, "text"), 5, "supervisions[0].text is 5, not a string without NUL or null"),
        (("supervisions", 0, "custom"), "x", 'supervisions[0].custom is "x", not an object or null'),
        (("supervisions", 0, "custom", "weight"), math.nan, "supervisions[0].custom.weight is NaN, not a number of"),
        (("supervisions", 0, "custom", "weight"), "high", 'supervisions[0].custom.weight is "high", not a number of'),
        (("supervisions", 0, "alignment"), {"word": [["a", 0]]}, "alignment.word is not a list of [symbol, start, dur"),
        (("supervisions", 0, "text"), "a\0", 'supervisions[0].text is "a\\u0000", not a string without NUL or null'),
        (("supervisions", 0, "text"), "\ud800", "holds half a character"),
        (("colour",), "red", "lhotse does not accept it"),
    ],
)
def test_what_is_said_of_a_field(cut: dict[str, Any], path: tuple[Any, ...], value: object, what: str) -> None:
    fault = schema.fault(spoilt(cut, path, value))
    assert fault is not None
    assert fault[0] == "not a cut"
    assert what in fault[1]


def test_null_where_it_means_nothing(cut: dict[str, Any]) -> None:
    for name in ("text", "language", "speaker", "gender", "custom", "alignment"):
        cut["supervisions"][0][name] = None
    cut["custom"] = None
    assert schema.fault(cut) is None
    assert to_cut(cut).supervisions[0].alignment is None
    assert "alignment" in cut["supervisions"][0]  # the caller's mapping is as it was


def test_lines_nested_without_end() -> None:
    deep = parse_line("cuts.jsonl:1", b"[" * 100000)
    digits = parse_line("cuts.jsonl:2", b'{"id": "a", "start": ' + b"9" * 5000 + b"}")
    nested: Any = []
    for _ in range(100):
        nested = [nested]
    inner = {"id": "a", "type": "MonoCut", "start": 0, "duration": 1, "channel": 0, "custom": {"x": nested}}
    problems, bad, _ = check([deep, digits, parse_line("cuts.jsonl:3", json.dumps(inner).encode())], EVERYTHING)
    assert bad == {f"cuts.jsonl:{number}" for number in (1, 2, 3)}
    said = [problem.what for problem in problems]
    assert "too deeply" in said[0]
    assert "thousands of digits" in said[1]
    assert "levels deep" in said[2]


def recording_of(kind: str, source: str | bytes) -> dict[str, Any]:
    sources = [{"type": kind, "channels": [0], "source": source}]
    return {"id": "r", "sources": sources, "sampling_rate": RATE, "num_samples": RATE, "duration": 1.0}


def hidden(cut: dict[str, Any], where: str, recording: dict[str, Any]) -> dict[str, Any]:
    """`cut` with a recording put where lhotse finds it."""
    if where == "recording":
        return {**cut, "recording": recording}
    if where == "track":
        return {"id": "m", "type": "MixedCut", "tracks": [{"cut": {**cut, "recording": recording}, "type": "MonoCut"}]}
    if where == "transform":
        reverb = {"name": "ReverbWithImpulseResponse", "kwargs": {"rir": recording}}
        return {**cut, "recording": {**cut["recording"], "transforms": [reverb]}}
    return {**cut, "custom": {"noise": recording}}


@pytest.mark.parametrize("where", ["recording", "track", "transform", "custom"])
def test_nothing_in_a_manifest_is_run(cut: dict[str, Any], tmp_path: Path, where: str) -> None:
    trace, source = tmp_path / "trace", cut["recording"]["sources"][0]["source"]
    data = hidden(cut, where, recording_of("command", f"touch {trace}; cat {source}"))
    path = tmp_path / "cuts.jsonl"
    path.write_text(json.dumps(data) + "\n")
    said = rf"{path}:1  {data['id']}  command source is not run; write the audio to a file first"
    with pytest.raises(DataError, match=said):
        check_cuts(open_cuts(path), path, full_audio=True)
    with pytest.raises(DataError, match=said):
        list(open_cuts(path))
    with pytest.raises(audio.AudioError, match="command source is not run"):
        to_cut(data)
    with pytest.raises(audio.AudioError, match="command source is not run"):
        audio.load_cut(schema.made(data))
    assert not trace.exists()


def test_nothing_in_a_manifest_is_fetched(cut: dict[str, Any]) -> None:
    fault = schema.fault(hidden(cut, "recording", recording_of("url", "http://127.0.0.1:9/a.wav")))
    assert fault == ("source not a file", "url source is not fetched", "download it first")
    for kind in ("shar", "memory", "other"):
        fault = schema.fault(hidden(cut, "recording", recording_of(kind, "x")))
        assert fault is not None
        assert fault[0] == "source not a file"


@pytest.mark.parametrize(
    ("kind", "path", "what"),
    [
        ("numpy_files", "pipe:touch trace;", "storage in a pipe is not run"),
        ("numpy_files", "s3://bucket/feats", "storage at a url is not fetched"),
        ("lilcom_url", "feats", 'storage of type "lilcom_url" is not opened'),
        ("memory_raw", "", 'storage of type "memory_raw" is not opened'),
        ("kaldiio", "feats.scp", 'storage of type "kaldiio" is not opened'),
    ],
)
def test_features_are_read_from_files_alone(cut: dict[str, Any], kind: str, path: str, what: str) -> None:
    cut["features"] = {
        "type": "kaldi-fbank", "num_frames": 100, "num_features": 80, "frame_shift": 0.01, "sampling_rate": RATE,
        "start": 0, "duration": 1.0, "storage_type": "numpy_files", "storage_path": "feats", "storage_key": "a.npy",
    }  # fmt: skip
    assert schema.fault(cut) is None
    cut["features"].update(storage_type=kind, storage_path=path)
    fault = schema.fault(cut)
    assert fault is not None
    assert fault[:2] == ("source not a file", what)


def test_audio_in_memory_is_audio(cut: dict[str, Any]) -> None:
    """Bytes made by the program itself need no file."""
    content = Path(cut["recording"]["sources"][0]["source"]).read_bytes()
    recording = Recording("a", [AudioSource("memory", [0], content)], RATE, RATE, 1.0)
    made = MonoCut("a", 0, 1.0, 0, recording=recording)
    assert len(check_cuts(CutSet.from_cuts([made]), full_audio=True)) == 1
    samples, rate = audio.load_cut(made)
    assert (len(samples), rate) == (RATE, RATE)


def test_transforms_that_lhotse_knows(cut: dict[str, Any]) -> None:
    """Speed and reverberation by a recording in a file pass; they are lhotse's to make."""
    made = to_cut(cut)
    reverb = ReverbWithImpulseResponse(rir=made.recording.to_dict())
    for one in (made.perturb_speed(1.1), made.reverb_rir(), made.pad(2.0), made.append(made.with_id("b"))):
        assert schema.fault(json.loads(json.dumps(one.to_dict()))) is None
    data = {**cut, "recording": {**cut["recording"], "transforms": [reverb.to_dict()]}}
    assert schema.fault(json.loads(json.dumps(data))) is None

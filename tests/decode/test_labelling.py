"""Clips to classes: what posteriors decide, what manifests get, thresholds in files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from tests.decode import tones
from voxkit.data.checks import Line, Requirements, check
from voxkit.data.clips import Clip, open_clips
from voxkit.decode.labelling import (
    decided,
    labelled,
    of_classes,
    predict,
    read_thresholds,
    rows,
    write_thresholds,
)
from voxkit.decode.predictions import Prediction, Predictions
from voxkit.errors import DataError, UserError


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.01, 1))
def test_decisions(scores: list[float], threshold: float) -> None:
    classes = [f"c{n}" for n in range(len(scores))]
    limits = [threshold] * len(scores)
    several = decided(scores, classes, "multi", limits)
    assert set(several) == {name for name, score in zip(classes, scores, strict=True) if score >= threshold}
    values = [scores[classes.index(name)] for name in several]
    assert values == sorted(values, reverse=True)
    (best,) = decided(scores, classes, "single", None)
    assert scores[classes.index(best)] == max(scores)
    assert decided(scores, classes, "single", limits) == ([best] if max(scores) >= threshold else [])


def test_rows_tell_the_best_or_that_there_is_none() -> None:
    said = Predictions("multi", ("a", "b"), (Prediction("x", (), (0.6, 0.9)), Prediction("y", (), (0.1, 0.2))))
    assert list(rows(said, None)) == [("x", "b", 0.9), ("x", "a", 0.6), ("y", "-", 0.2)]
    assert list(rows(said, [0.5, 0.95])) == [("x", "a", 0.6), ("y", "-", 0.2)]
    assert list(rows(said, None, top=1)) == [("x", "b", 0.9), ("y", "b", 0.2)]


def test_clips_are_predicted_and_bad_ones_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tones.write(tmp_path / "tones", 2)
    broken = tones.tone("low")
    broken[7] = np.nan
    soundfile.write(folder / "low" / "bad.wav", broken, tones.RATE, subtype="FLOAT")
    soundfile.write(folder / "mid" / "mute.wav", np.zeros(4000), tones.RATE)
    clips = open_clips(folder, "auto", "single", 0.02)
    with pytest.raises(DataError, match="1 of 8 items have problems\nNaN audio: 1"):
        predict(tones.classifier(), clips)
    rejected = tmp_path / "rejected.jsonl"
    groups = [clip.id.partition("/")[2] for clip in clips]
    said = predict(tones.classifier(), clips, groups, max_bad=0.2, rejected=rejected)
    assert "low/bad" in rejected.read_text()
    assert [item.id for item in said.items] == [clip.id for clip in clips if clip.id != "low/bad"]
    assert all(item.id.endswith(item.group) for item in said.items)
    assert all(said.best(item) == item.labels[0] for item in said.items if item.group != "mute")
    assert "1 clips are silent" in capsys.readouterr().err


def cut(**more: Any) -> dict[str, Any]:
    recording = {
        "id": "r", "sources": [{"type": "file", "channels": [0], "source": "r.wav"}], "sampling_rate": 8000,
        "num_samples": 8000, "duration": 1.0, "channel_ids": [0],
    }  # fmt: skip
    whole = {"id": "x", "start": 0.25, "duration": 0.5, "channel": 0, "recording": recording, "type": "MonoCut"}
    return {**whole, "supervisions": [], **more}


def supervision(**more: Any) -> dict[str, Any]:
    return {"id": "s", "recording_id": "r", "start": 0.0, "duration": 0.5, "channel": 0, **more}


@pytest.mark.parametrize("head", ["single", "multi"])
def test_manifests_keep_their_labels_and_get_the_predicted_ones(head: Any) -> None:
    item = Prediction("x", (), (0.25, 0.75))
    said = Predictions(head, ("a", "b"), (item,))
    before = cut(supervisions=[supervision(text="hm", custom={"class": "a"})])
    found = labelled(before, item, said, ["b"])
    assert before["supervisions"][0]["custom"] == {"class": "a"}
    (custom,) = (one["custom"] for one in found["supervisions"])
    predicted = "b" if head == "single" else ["b"]
    assert custom == {"class": "a", "predicted": predicted, "posteriors": {"a": 0.25, "b": 0.75}}
    assert labelled(before, item, said, [])["supervisions"][0]["custom"]["predicted"] == (
        None if head == "single" else []
    )
    bare = labelled(cut(), item, said, ["b"])
    problems, _, _ = check([Line("there:1", bare)], Requirements(audio=False, segments=True))
    assert not len(problems)
    assert bare["supervisions"][0]["duration"] == 0.5


def test_mixed_cuts_are_labelled_too() -> None:
    item = Prediction("x", (), (1.0,))
    tracks = [{"type": "MonoCut", "offset": 0.0, "cut": cut()}, {"type": "MonoCut", "offset": 0.1, "cut": cut(id="y")}]
    found = labelled(
        {"id": "x", "type": "MixedCut", "tracks": tracks}, item, Predictions("single", ("a",), (item,)), "a"
    )
    assert found["tracks"][0]["cut"]["supervisions"][0]["custom"]["predicted"] == "a"
    clip = Clip(found, (), "there")
    assert len(clip.supervisions) == 1
    assert clip.duration == pytest.approx(0.6)


def test_thresholds_are_written_and_read(tmp_path: Path) -> None:
    values = {"a": 0.123456789012, "b": 1.0}
    write_thresholds(values, tmp_path)
    assert read_thresholds(tmp_path, ["a", "b"]) == values
    assert read_thresholds(tmp_path / "thresholds.yaml", ["a", "b", "c"]) == values
    assert of_classes(values, ["b", "c"], 0.5) == [1.0, 0.5]
    with pytest.raises(UserError, match="of classes that the model does not know: b"):
        read_thresholds(tmp_path, ["a"])


@pytest.mark.parametrize("text", ["a: 0", "a: 1.5", "a: yes", "a: high", "- a", "", "a: .nan"])
def test_other_thresholds_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "thresholds.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match="not a number above 0"):
        read_thresholds(file, ["a"])


def test_missing_thresholds_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_thresholds(tmp_path / "none.yaml", ["a"])

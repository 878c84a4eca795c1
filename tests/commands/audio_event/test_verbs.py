"""`audio-event apply`, `score` and `export` on a model of tones."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from tests.commands.audio_event import made_model
from tests.decode import tones
from voxkit import bundle
from voxkit.commands.audio_event.command import apply, export, score
from voxkit.config import to_dict
from voxkit.data.audio import load, resample
from voxkit.data.clips import open_clips
from voxkit.data.detect_config import DetectConfig
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.manifests import check_cuts, open_cuts, write_cuts
from voxkit.decode.classifier import Classifier
from voxkit.decode.listening import Listener, detections
from voxkit.decode.predictions import Predictions
from voxkit.errors import DataError, UserError
from voxkit.onnx_session import facts_of, open_session

SCENE = (("quiet", 0.5), ("low", 1.0), ("high", 1.0), ("low", 1.0), ("quiet", 0.5))
QUIET: dict[str, Any] = {"background": ["quiet"], "set_": ["smoothing=0", "min_duration=0.2"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `tones`, models of them: `single`, `multi` and `quiet`, which knows quiet too; and a recording."""
    folder = tmp_path_factory.mktemp("place")
    data = tones.write(folder / "tones", 4)
    made_model.make(data, folder / "single", "train.epochs=16")
    made_model.make(data, folder / "multi", "head=multi", "train.epochs=12")
    shutil.copytree(data, folder / "with_quiet")
    (folder / "with_quiet" / "quiet").mkdir()
    for number in range(4):
        sound = tones.tone("quiet", seed=number)
        soundfile.write(folder / "with_quiet" / "quiet" / f"{number}.wav", sound, tones.RATE)
    made_model.make(
        folder / "with_quiet", folder / "quiet", "train.epochs=40", "augment.wrap=false", "augment.shift=0.5"
    )
    samples = tones.scene(*SCENE)
    soundfile.write(folder / "scene.wav", samples, tones.RATE)
    ((clip),) = open_clips(folder / "scene.wav", "auto", "multi", 0.02, need_labels=False)
    said = [
        {"id": f"s{n}", "recording_id": "scene", "start": n + 0.5, "duration": 1.0, "channel": 0,
         "custom": {"event": name}}
        for n, (name, _) in enumerate(SCENE[1:-1])
    ]  # fmt: skip
    write_cuts([{**clip.cut, "supervisions": said}], folder / "scene.jsonl.gz")
    return folder


def lines(folder: Path, name: str = "cuts.jsonl.gz") -> list[dict[str, Any]]:
    with gzip.open(folder / name) as file:
        return [json.loads(line) for line in file]


def require_told(cases: list[tuple[str, Any]]) -> None:
    """Each call fails and says what belongs to it."""
    for told, call in cases:
        with pytest.raises(UserError) as caught:
            call()
        assert told in str(caught.value)


def test_clips_are_labelled_on_standard_output(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(place / "single", [place / "tones"])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(row[0].partition("/")[0], float(row[2]) > 0.4) for row in rows] == [(row[1], True) for row in rows]
    apply(place / "single", [place / "tones" / "low" / "0.wav"], top=2)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["0", "0"]
    assert rows[0][1] == "low"
    apply(place / "single", [place / "tones"], threshold=1.0)
    assert {line.split("\t")[1] for line in capsys.readouterr().out.splitlines()} == {"-"}


def test_labelled_manifests_are_sound_and_can_be_scored(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "applied"
    apply(place / "single", [place / "tones"], out)
    assert len(list(check_cuts(open_cuts(out), out))) == 12
    for line in lines(out):
        custom = line["supervisions"][0]["custom"]
        assert custom["predicted"] == custom["class"] == line["id"].partition("/")[0]
        assert sum(custom["posteriors"].values()) == pytest.approx(1, abs=1e-4)
    before = (out / "predictions.jsonl").stat().st_mtime_ns
    apply(place / "single", [place / "tones"], out)
    assert (out / "predictions.jsonl").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="made with other settings"):
        apply(place / "single", [place / "tones"], out, threshold=0.9)
    capsys.readouterr()
    score([out, place / "tones"])
    from_applied = capsys.readouterr().out
    score([place / "single", place / "tones"])
    from_model = capsys.readouterr().out
    assert from_applied.replace(str(out), "X") == from_model.replace(str(place / "single"), "X")
    assert "%ACC 100.00 [ 12 / 12" in from_model


def test_what_was_applied_knows_where_labels_are(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model whose classes are in `kind`, of clips with a misleading text."""
    cuts = []
    for cut in open_cuts_of(place / "tones"):
        (said,) = cut["supervisions"]
        cuts.append({**cut, "supervisions": [{**said, "text": "a b", "custom": {"kind": said["custom"]["class"]}}]})
    write_cuts(cuts, tmp_path / "cuts.jsonl")
    made_model.make(tmp_path / "cuts.jsonl", tmp_path / "model", "data.label=kind")
    apply(tmp_path / "model", [tmp_path / "cuts.jsonl"], tmp_path / "applied")
    score([tmp_path / "model", tmp_path / "cuts.jsonl"], tmp_path / "scored")
    wanted = capsys.readouterr().out.replace(str(tmp_path / "scored"), "X").splitlines()[-5:]
    for name in ("applied", "scored"):
        score([tmp_path / name, tmp_path / "cuts.jsonl"])
        assert capsys.readouterr().out.replace(str(tmp_path / name), "X").splitlines() == wanted
    apply(place / "single", [tmp_path / "cuts.jsonl"], tmp_path / "told", label="kind")
    score([tmp_path / "told", tmp_path / "cuts.jsonl"])
    assert "[ 12 / 12" in capsys.readouterr().out


def test_scores_are_written(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "test"
    score([place / "single", place / "tones"], out, by="class")
    told = capsys.readouterr().out
    assert told == (out / "scores.txt").read_text()
    assert f"%ACC 100.00 [ mean over 3 classes, lowest 100.00, highest 100.00 ] {out}\n" in told
    assert not (out / "score.txt").exists()
    names = {"by_class.txt", "by_group.txt", "confusion.png", "det.png", "score.json", "predictions.jsonl"}
    assert names <= {path.name for path in out.iterdir()}
    assert Predictions.read(out).classes == tuple(sorted(tones.TONES))
    told_of = json.loads((out / "score.json").read_text())
    assert told_of["parameters"] == sum(p.numel() for p in bundle.load(place / "single").model.parameters())
    assert told_of["multiply_adds"] > told_of["parameters"]
    score([place / "single", place / "tones"], out, by="class")
    assert capsys.readouterr().out == told


def test_runs_are_pooled(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, other in (("one", 0), ("two", 1)):
        cuts = [cut for n, cut in enumerate(open_cuts_of(place / "tones")) if n % 2 == other]
        write_cuts(cuts, tmp_path / f"{name}.jsonl")
        score([place / "single", tmp_path / f"{name}.jsonl"], tmp_path / name / "test")
    folders = [tmp_path / name / "test" for name in ("one", "two")]
    capsys.readouterr()
    score(folders, tmp_path / "pool", predictions=True, by="fold")
    told = capsys.readouterr().out
    assert "%ACC 100.00 [ 12 / 12" in told
    assert "mean over 2 folds" in told
    assert {item.group for item in Predictions.read(tmp_path / "pool").items} == {"one", "two"}
    score(folders, predictions=True)
    assert "mean over 2 runs" in capsys.readouterr().out


def open_cuts_of(folder: Path) -> list[Any]:
    return [clip.cut for clip in open_clips(folder, "auto", "single", 0.02)]


def test_several_classes_are_told_by_thresholds(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tuned"
    score([place / "multi", place / "tones"], out, tune=True)
    assert "%F1 " in capsys.readouterr().out
    found = yaml.safe_load((out / "thresholds.yaml").read_text())
    assert set(found) == set(tones.TONES)
    assert all(0 < value <= 1 for value in found.values())
    score([place / "multi", place / "tones"], thresholds=out)
    assert "%F1 100.00" in capsys.readouterr().out
    apply(place / "multi", [place / "tones"], tmp_path / "applied", thresholds=out / "thresholds.yaml")
    for line in lines(tmp_path / "applied"):
        custom = line["supervisions"][0]["custom"]
        assert custom["predicted"] == [custom["class"]]


def test_long_recordings_become_events(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "events"
    apply(place / "quiet", [place / "scene.wav"], out, plot=["scene"], **QUIET)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[2] for row in rows] == ["low", "high", "low"]
    assert [float(row[0]) for row in rows] == pytest.approx([0.5, 1.5, 2.5], abs=0.3)
    assert (out / "plots" / "scene.png").exists()
    assert len(lines(out, "supervisions.jsonl.gz")) == 3
    apply(place / "quiet", [place / "scene.wav"], out, plot=["scene"], **QUIET)
    assert [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()] == ["low", "high", "low"]
    apply(place / "quiet", [place / "scene.wav"], detect=False)
    assert len(capsys.readouterr().out.splitlines()) == 1
    apply(place / "quiet", [place / "scene.wav"], background=["low", "quiet"], set_=QUIET["set_"])
    assert [line.split("\t")[2] for line in capsys.readouterr().out.splitlines()] == ["high"]


def test_shards_of_clips_are_joined_as_if_they_were_one(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place / "tones", tmp_path / "some")
    (tmp_path / "some" / "low" / "0.wav").write_bytes(b"RIFF")  # rejected with every shard's list of lines
    samples = np.full(tones.RATE, np.nan, np.float32)
    soundfile.write(tmp_path / "some" / "high" / "1.wav", samples, tones.RATE, subtype="FLOAT")  # by one shard alone
    given: dict[str, Any] = {"max_bad": 1.0}
    apply(place / "single", [tmp_path / "some"], tmp_path / "whole", **given)
    out = tmp_path / "many"
    for shard in ("1/3", "2/3"):
        apply(place / "single", [tmp_path / "some"], out, shard=shard, **given)
    with pytest.raises(UserError, match="parts are missing: 3/3"):
        apply(place / "single", [tmp_path / "some"], out, merge=True, **given)
    apply(place / "single", [tmp_path / "some"], out, shard="3/3", **given)
    with pytest.raises(UserError, match="made with other settings"):
        apply(place / "single", [tmp_path / "some"], out, merge=True, threshold=0.9, **given)
    apply(place / "single", [tmp_path / "some"], out, merge=True, **given)
    capsys.readouterr()
    apply(place / "single", [tmp_path / "some"], out, merge=True, **given)
    assert "nothing to do" in capsys.readouterr().err
    assert lines(out) == lines(tmp_path / "whole")
    assert len(lines(out)) == 10
    for name in ("predictions.jsonl", "rejected.jsonl", "rejected_audio.jsonl"):
        assert (out / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_shards_that_divided_other_clips_are_not_joined(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "tones", tmp_path / "tones")
    write_cuts(open_cuts_of(tmp_path / "tones"), tmp_path / "cuts.jsonl")
    given: dict[str, Any] = {"max_bad": 0.5}
    apply(place / "single", [tmp_path / "cuts.jsonl"], tmp_path / "out", shard="1/2", **given)
    first = tmp_path / "tones" / "high" / "0.wav"
    first.rename(tmp_path / "away.wav")
    apply(place / "single", [tmp_path / "cuts.jsonl"], tmp_path / "out", shard="2/2", **given)
    (tmp_path / "away.wav").rename(first)
    with pytest.raises(UserError, match="6 of 12 clips are in no part"):
        apply(place / "single", [tmp_path / "cuts.jsonl"], tmp_path / "out", merge=True, **given)
    assert not (tmp_path / "out" / "cuts.jsonl.gz").exists()


def test_there_may_be_more_shards_than_clips(place: Path, tmp_path: Path) -> None:
    for shard in range(1, 15):
        apply(place / "single", [place / "tones"], tmp_path, shard=f"{shard}/14")
    assert lines(tmp_path / "shard-14-of-14") == []
    apply(place / "single", [place / "tones"], tmp_path, merge=True)
    assert [line["id"] for line in lines(tmp_path)] == [cut["id"] for cut in open_cuts_of(place / "tones")]


def test_shards_of_recordings_are_joined_as_if_they_were_one(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"{name}.wav" for name in ("b", "a", "c")]
    for file, length in zip(files, (5, 3, 1), strict=True):
        soundfile.write(file, tones.scene(*SCENE[:length]), tones.RATE)
    more: dict[str, Any] = {**QUIET, "plot": ["c"], "detect": True}
    apply(place / "quiet", files, tmp_path / "whole", **more)
    printed = capsys.readouterr().out
    for shard in ("1/2", "2/2"):
        apply(place / "quiet", files, tmp_path / "many", shard=shard, **more)
    capsys.readouterr()
    apply(place / "quiet", files, tmp_path / "many", merge=True, **more)
    assert capsys.readouterr().out == printed
    for name in ("cuts.jsonl.gz", "supervisions.jsonl.gz"):
        assert lines(tmp_path / "many", name) == lines(tmp_path / "whole", name)
    assert [line["id"] for line in lines(tmp_path / "many")] == ["b", "a", "c"]
    for name in ("events.tsv", "plots/c.png"):
        assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_events_are_scored_and_tuned(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score([place / "quiet", place / "scene.jsonl.gz"], tmp_path / "x", events=True, collar=0.3, **QUIET)
    assert "%F1 100.00 [ precision 100.00, recall 100.00, 3 of 3 events" in capsys.readouterr().out
    assert {"score.json", "by_class.tsv", "events.tsv"} <= {path.name for path in (tmp_path / "x").iterdir()}
    score([place / "quiet", place / "scene.jsonl.gz"], tmp_path / "y", events=True, collar=0.3, tune=True, **QUIET)
    assert set(yaml.safe_load((tmp_path / "y" / "thresholds.yaml").read_text())) == set(tones.TONES)
    capsys.readouterr()
    score([place / "quiet", place / "scene.jsonl.gz"], events=True, collar=0.3, background=["low", "quiet"])
    assert "1 of 1 events" in capsys.readouterr().out
    with pytest.raises(UserError, match="--events does not go with --by"):
        score([place / "single", place / "scene.jsonl.gz"], events=True, by="fold")


def test_a_stream_is_reported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(place / "single", [place / "scene.wav"], stream=True, background=["low"], set_=["smoothing=0.1"])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    classifier = Classifier.load(place / "single", "audio_event")
    listener = Listener(classifier, DetectConfig(smoothing=0.1), ["low"])
    wanted = list(detections(listener, [load(place / "scene.wav")]))
    assert rows == [[f"{time:.3f}", label, f"{score:.3f}"] for label, time, score in wanted]
    assert "high" in {row[1] for row in rows} <= {"high", "mid"}


def test_the_exported_graph_says_the_same(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "onnx"
    export(place / "single", out)
    facts = json.loads((out / "model.json").read_text())
    loaded = bundle.load(place / "single")
    assert facts["classes"] == sorted(tones.TONES)
    wanted = to_dict(FeatureConfig(**loaded.config["features"]))
    assert {name: facts["features"][name] for name in wanted} == wanted
    assert facts["window"] == {"samples": 4000, "sampling_rate": tones.RATE}
    assert [str(file.relative_to(out)) for file in out.rglob("*.onnx")] == [facts["graph"]["file"]]
    assert (facts["bits"], facts["quantized"], facts["graph"]["weights"]) == (32, None, "float32")
    written = facts_of(open_session(out / facts["graph"]["file"]))
    assert "quantized" not in written
    assert {name: written[name] for name in ("head", "posteriors", "bits")} == {
        "head": "single", "posteriors": "softmax of the logits", "bits": "32",
    }  # fmt: skip
    assert json.loads(written["classes"]) == facts["classes"]
    capsys.readouterr()
    score([place / "single", place / "tones"], tmp_path / "by_torch")
    torch = capsys.readouterr().out.replace(str(tmp_path / "by_torch"), "X")
    score([out, place / "tones"], tmp_path / "by_onnx")
    assert capsys.readouterr().out.replace(str(tmp_path / "by_onnx"), "X") == torch
    counts = [json.loads((tmp_path / name / "score.json").read_text()) for name in ("by_torch", "by_onnx")]
    assert [int(written[name]) for name in ("parameters", "multiply_adds")] == [
        counts[0][name] for name in ("parameters", "multiply_adds")
    ]
    assert counts[0] == counts[1]
    with pytest.raises(UserError, match="is an ONNX graph already"):
        export(out, tmp_path / "again")


def test_eight_bits_are_smaller_and_still_right(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(place / "single", tmp_path / "float", thresholds=None)
    export(place / "single", tmp_path / "int8", int8=True, calibrate=place / "tones")
    assert "8 bits: outputs differ" in capsys.readouterr().err
    assert json.loads((tmp_path / "int8" / "model.json").read_text())["bits"] == 8
    score([tmp_path / "int8", place / "tones"])
    assert "%ACC 100.00" in capsys.readouterr().out
    with pytest.raises(UserError, match="go together"):
        export(place / "single", tmp_path / "x", int8=True)


def test_what_does_not_go_is_told(place: Path, tmp_path: Path) -> None:
    single, clips = place / "single", place / "tones"
    cases: list[tuple[str, Any]] = [
        ("needs a model", lambda: apply()),
        ("needs clips or audio", lambda: apply(single)),
        ("not 1 paths", lambda: score([single])),
        ("no such manifest", lambda: apply(single, [tmp_path / "none.jsonl"])),
        ("missing file: 1", lambda: apply(single, [tmp_path / "none.wav"])),
        ("holds no trained model", lambda: apply(clips, [clips])),
        ("give one of them", lambda: apply(single, [clips], tmp_path / "x", shard="1/2", merge=True)),
        ("need a folder", lambda: apply(single, [clips], shard="1/2")),
        ("not a part", lambda: apply(single, [clips], tmp_path / "x", shard="3/2")),
        ("no parts to merge", lambda: apply(single, [clips], tmp_path / "x", merge=True)),
        ("does not go with --shard", lambda: apply(single, [place / "scene.wav"], stream=True, shard="1/2")),
        ("give --stream", lambda: apply(single, [Path("-")])),
        ("--plot writes a picture", lambda: apply(single, [place / "scene.wav"], plot=["scene"])),
        ("these are clips", lambda: apply(single, [clips], plot=["x"])),
        ("--top is for clips", lambda: apply(single, [place / "scene.wav"], top=1)),
        ("leave out --threshold", lambda: score([single, clips], threshold=0.5)),
        ("--tune writes a file", lambda: score([single, clips], tune=True)),
        ("12 of 12 clips have no fold", lambda: score([single, clips], by="fold")),
        ("holds no predictions.jsonl", lambda: score([single], predictions=True)),
        ("does not know: whistle", lambda: apply(single, [place / "scene.wav"], background=["whistle"])),
    ]
    require_told(cases)


def test_unknown_classes_are_an_error_unless_tolerated(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tones.write(tmp_path / "tones", 1)
    (strange / "low").rename(strange / "whistle")
    with pytest.raises(DataError, match=r"unknown class: 1[\s\S]*whistle"):
        score([place / "single", strange])
    score([place / "single", strange], tmp_path / "out", max_bad=0.4)
    assert "2 / 2" in capsys.readouterr().out
    assert "whistle" in (tmp_path / "out" / "rejected.jsonl").read_text()
    apply(place / "single", [strange])  # what it is called does not matter there
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_models_of_other_rooms_are_refused(place: Path, tmp_path: Path) -> None:
    from voxkit.commands.spoken_term.command import apply as tell
    from voxkit.commands.spoken_term.command import score as examine

    with pytest.raises(UserError, match="a model of audio_event, not of spoken_term"):
        tell(place / "single", [place / "tones"])
    with pytest.raises(UserError, match="a model of audio_event, not of spoken_term"):
        examine([place / "single", place / "tones"])


def test_stereo_and_other_rates_are_averaged_and_resampled(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = tones.tone("mid", 0.5, rate=16000)
    left = 0.1 * np.cos(np.arange(len(samples)))
    soundfile.write(tmp_path / "stereo.wav", np.stack([samples + left, samples - left], 1), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "mono.wav", resample(samples, 16000, tones.RATE), tones.RATE, subtype="FLOAT")
    apply(place / "single", [tmp_path / "mono.wav", tmp_path / "stereo.wav"], top=3)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[1] for row in rows[:3]] == [row[1] for row in rows[3:]]
    assert [float(row[2]) for row in rows[:3]] == pytest.approx([float(row[2]) for row in rows[3:]], abs=0.002)


def test_print_config(capsys: pytest.CaptureFixture[str]) -> None:
    apply(hop=0.25, threshold=0.75, print_config=True)
    printed = yaml.safe_load(capsys.readouterr().out)
    assert DetectConfig(**printed) == DetectConfig(hop=0.25, threshold=0.75)


def test_a_single_label_model_without_background_is_told_of(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = "notice: this model gives every stretch one of its classes"
    files = [place / "scene.wav"]
    apply(place / "single", files)
    assert capsys.readouterr().err.count(told) == 1
    apply(place / "single", files, stream=True)
    assert told in capsys.readouterr().err
    for silent in (
        lambda: apply(place / "single", files, threshold=0.7),
        lambda: apply(place / "quiet", files, background=["quiet"]),
        lambda: apply(place / "multi", files),
        lambda: apply(place / "single", files, detect=False),
    ):
        silent()
        assert told not in capsys.readouterr().err


def test_found_events_are_scored_as_their_model_is(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes, folder = place / "scene.jsonl.gz", tmp_path / "found"
    apply(place / "quiet", [scenes], folder, detect=True, **QUIET)
    capsys.readouterr()
    score([folder, scenes], events=True, collar=0.3)
    said = capsys.readouterr().out
    score([place / "quiet", scenes], events=True, collar=0.3, **QUIET)
    assert said.replace(str(folder), "X") == capsys.readouterr().out.replace(str(place / "quiet"), "X")
    score([folder, scenes], tmp_path / "scored", events=True, background=["low"])
    assert "1 of 1 events" in capsys.readouterr().out
    cases: list[tuple[str, Any]] = [
        ("--tune needs the posteriors", lambda: score([folder, scenes], tmp_path / "x", events=True, tune=True)),
        ("--threshold, --hop or --set needs", lambda: score([folder, scenes], events=True, threshold=0.6)),
        ("give --events", lambda: score([folder, scenes])),
        ("not applied: 12", lambda: score([folder, place / "tones"], events=True)),
    ]
    score([folder, scenes], events=True, label="none")
    assert "notice: these recordings have no events of their own" in capsys.readouterr().err
    require_told(cases)


def test_classes_that_no_threshold_finds_are_named(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cut,) = lines(place, "scene.jsonl.gz")
    missed = {**cut["supervisions"][0], "id": "m", "start": 0.1, "duration": 0.02, "custom": {"event": "mid"}}
    write_cuts([{**cut, "supervisions": [*cut["supervisions"], missed]}], tmp_path / "cuts.jsonl.gz")
    score([place / "quiet", tmp_path / "cuts.jsonl.gz"], tmp_path / "x", events=True, tune=True, collar=0.3, **QUIET)
    told = "no threshold finds an event of mid: theirs is the one with the fewest false alarms"
    assert f"notice: {told}" in capsys.readouterr().err
    assert (tmp_path / "x" / "thresholds.yaml").read_text().startswith(f"# {told}\n")
    score([place / "quiet", place / "scene.jsonl.gz"], events=True, thresholds=tmp_path / "x", **QUIET)


def test_recordings_that_are_taken_as_clips_are_told_of(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = place / "scene.jsonl.gz"
    told = "notice: 1 of 1 clips last more than 1 s"
    score([place / "multi", scenes])
    err = capsys.readouterr().err
    assert told in err
    assert "--events" in err
    apply(place / "multi", [scenes])
    err = capsys.readouterr().err
    assert told in err
    assert "--detect" in err
    for detect in (False, True):
        apply(place / "multi", [scenes], detect=detect)
        assert told not in capsys.readouterr().err
    score([place / "multi", place / "tones"])
    assert "notice" not in capsys.readouterr().err
    with pytest.raises(DataError, match=r"has 2 classes: low, high; .*--events"):
        score([place / "single", scenes])


def test_a_folder_of_audio_is_taken_file_by_file(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat"
    shutil.copytree(place / "tones" / "low", flat)
    apply(place / "single", [flat], tmp_path / "out")
    assert [line["id"] for line in lines(tmp_path / "out")] == ["0", "1", "2", "3"]
    with pytest.raises(UserError, match="sub-folder for each class"):
        score([place / "single", flat])
    for file in flat.iterdir():
        file.unlink()
    shutil.copyfile(place / "scene.wav", flat / "scene.wav")
    capsys.readouterr()
    apply(place / "quiet", [flat], background=["quiet"])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert {(row[0], len(row)) for row in rows} == {("scene", 5)}


def test_all_inputs_that_cannot_be_used_are_told_at_once(place: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("text")
    with pytest.raises(UserError) as caught:
        apply(place / "single", [tmp_path / "none.wav", place / "scene.wav", tmp_path / "README.md"])
    told = str(caught.value)
    assert told.startswith("2 of 3 inputs cannot be used")
    assert "none.wav: " in told
    assert "README.md: not a" in told


def test_score_prints_its_config(capsys: pytest.CaptureFixture[str]) -> None:
    score(hop=0.25, print_config=True)
    assert DetectConfig(**yaml.safe_load(capsys.readouterr().out)) == DetectConfig(hop=0.25)
    for told, more in (("needs a model and clips", {}), ("needs folders", {"predictions": True})):
        with pytest.raises(UserError, match=told):
            score(**more)

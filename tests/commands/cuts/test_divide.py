"""`cuts split`, `sample`, `join` and `show`: every cut somewhere, whatever stays whole stays whole."""

import gzip
import json
import math
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxkit.commands.cuts import command
from voxkit.commands.cuts.divide import Amount, Unit, choose, deal, sample, split
from voxkit.commands.cuts.joined import join
from voxkit.commands.cuts.summary import show
from voxkit.data.manifests import write_cuts
from voxkit.errors import DataError, UserError

ROOT = Path(__file__).resolve().parents[3]


def made(number: int, speaker: str | None, seconds: float, **custom: Any) -> dict[str, Any]:
    recording = {
        "id": f"rec{number}",
        "sources": [{"type": "file", "channels": [0], "source": f"/nowhere/{number}.wav"}],
        "sampling_rate": 16000,
        "num_samples": round(seconds * 16000),
        "duration": seconds,
        "channel_ids": [0],
    }
    supervision = {"id": f"utt{number}", "recording_id": f"rec{number}", "start": 0.0, "duration": seconds}
    supervision |= {"channel": 0, "text": "one two" if number % 2 else "two ten", "custom": custom}
    if speaker:
        supervision |= {"speaker": speaker, "gender": "female" if speaker in "ace" else "male"}
    cut = {"id": f"utt{number}", "start": 0.0, "duration": seconds, "channel": 0, "supervisions": [supervision]}
    return {**cut, "recording": recording, "type": "MonoCut"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """60 cuts of six speakers."""
    chance = random.Random(0)
    cuts = [made(n, "abcdef"[n % 6], round(chance.uniform(0.5, 4), 2), dialect="xy"[n % 2]) for n in range(60)]
    write_cuts(cuts, tmp_path / "cuts.jsonl.gz")
    return tmp_path / "cuts.jsonl.gz"


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def ids(path: Path) -> list[str]:
    return [cut["id"] for cut in read(path)]


def speakers(path: Path) -> set[str]:
    return {cut["supervisions"][0]["speaker"] for cut in read(path)}


def hours(path: Path) -> float:
    return sum(cut["duration"] for cut in read(path)) / 3600


def voxkit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "voxkit", "cuts", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


# --------------------------------------------------------------------------------------------------- split


def test_every_speaker_is_held_out_once(corpus: Path, tmp_path: Path) -> None:
    table = split(corpus, tmp_path / "folds", 3, "speaker", 1)
    folders = [tmp_path / "folds" / f"fold-{n}-of-3" for n in (1, 2, 3)]
    held_out = [speakers(folder / "held_out.jsonl.gz") for folder in folders]
    assert sorted(name for fold in held_out for name in fold) == list("abcdef")
    for folder, fold in zip(folders, held_out, strict=True):
        assert speakers(folder / "train.jsonl.gz") == set("abcdef") - fold
        assert {*ids(folder / "train.jsonl.gz"), *ids(folder / "held_out.jsonl.gz")} == set(ids(corpus))
        assert str(folder) in table
    rows = [line.split("\t") for line in (tmp_path / "folds" / "folds.tsv").read_text().splitlines()]
    assert rows[0] == ["fold", "speaker", "cuts", "seconds"]
    assert {row[1]: {row[0]} for row in rows[1:]} == {
        name: {str(n) for n, fold in enumerate(held_out, start=1) if name in fold} for name in "abcdef"
    }
    assert sum(int(row[2]) for row in rows[1:]) == 60


def test_folds_by_cut_last_alike_and_do_not_depend_on_the_order(corpus: Path, tmp_path: Path) -> None:
    split(corpus, tmp_path / "folds", 4, "cut", 1)
    cuts = read(corpus)
    random.Random(1).shuffle(cuts)
    write_cuts(cuts, tmp_path / "shuffled.jsonl.gz")
    split(tmp_path / "shuffled.jsonl.gz", tmp_path / "again", 4, "cut", 1)
    split(corpus, tmp_path / "other", 4, "cut", 2)
    names = [f"fold-{n}-of-4/held_out.jsonl.gz" for n in (1, 2, 3, 4)]
    total = hours(corpus)
    for name in names:
        assert hours(tmp_path / "folds" / name) == pytest.approx(total / 4, rel=0.03)
        assert set(ids(tmp_path / "folds" / name)) == set(ids(tmp_path / "again" / name))
    assert any(ids(tmp_path / "folds" / name) != ids(tmp_path / "other" / name) for name in names)


def test_the_same_again_has_nothing_to_do(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = split(corpus, tmp_path / "folds", 2, "speaker", 1)
    assert split(corpus, tmp_path / "folds", 2, "speaker", 1) == table
    assert "nothing to do" in capsys.readouterr().err
    with pytest.raises(UserError, match="seed: 1 -> 2"):
        split(corpus, tmp_path / "folds", 2, "speaker", 2)


def test_too_few_speakers_and_cuts_without_one(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"6 speaker\(s\) cannot make 7 folds"):
        split(corpus, tmp_path / "folds", 7, "speaker", 1)
    cuts = [*read(corpus), made(60, None, 1.0), made(61, None, 1.0), made(62, "a", 1.0)]
    cuts[-1]["supervisions"] += made(63, "b", 1.0)["supervisions"]
    write_cuts(cuts, tmp_path / "bad.jsonl.gz")
    with pytest.raises(DataError) as error:
        split(tmp_path / "bad.jsonl.gz", tmp_path / "folds", 2, "speaker", 1)
    assert "no speaker: 2" in str(error.value)
    assert "bad.jsonl.gz:63  utt62  has 2 speakers: a, b" in str(error.value)
    assert not list(tmp_path.glob("folds*"))


@given(
    seconds=st.lists(st.floats(0.1, 20), min_size=1, max_size=40), folds=st.integers(2, 5), seed=st.integers(0, 1000)
)
def test_no_fold_exceeds_another_by_more_than_its_last_unit(seconds: list[float], folds: int, seed: int) -> None:
    units = [(f"s{n}", value) for n, value in enumerate(seconds)]
    fold_of = deal(units, folds, seed)
    sums = [sum(value for value, fold in zip(seconds, fold_of, strict=True) if fold == one) for one in range(folds)]
    assert max(sums) - min(sums) <= max(seconds) + 1e-6
    assert len(set(fold_of)) == min(folds, len(seconds))


# -------------------------------------------------------------------------------------------------- sample


def test_a_sample_and_its_rest(corpus: Path, tmp_path: Path) -> None:
    wanted = 0.4 * hours(corpus)
    table = sample(corpus, tmp_path / "out", Amount(wanted, None), "cut", [], 1)
    drawn, rest = (ids(tmp_path / "out" / name) for name in ("sample.jsonl.gz", "rest.jsonl.gz"))
    assert sorted(drawn + rest) == sorted(ids(corpus))
    assert drawn == [name for name in ids(corpus) if name in set(drawn)]
    assert hours(tmp_path / "out" / "sample.jsonl.gz") == pytest.approx(wanted, abs=2.1 / 3600)
    kept = {cut["id"]: cut for cut in read(corpus)}
    assert all(kept[cut["id"]] == cut for cut in read(tmp_path / "out" / "rest.jsonl.gz"))
    assert str(len(drawn)) in table
    sample(corpus, tmp_path / "fewer", Amount(None, 0.1), "cut", [], 1)
    assert set(ids(tmp_path / "fewer" / "sample.jsonl.gz")) < set(drawn)
    sample(corpus, tmp_path / "other", Amount(wanted, None), "cut", [], 2)
    assert ids(tmp_path / "other" / "sample.jsonl.gz") != drawn


def test_a_sample_keeps_speakers_whole_and_shares_of_fields(corpus: Path, tmp_path: Path) -> None:
    sample(corpus, tmp_path / "out", Amount(None, 0.34), "speaker", ["gender"], 1)
    drawn = speakers(tmp_path / "out" / "sample.jsonl.gz")
    assert drawn.isdisjoint(speakers(tmp_path / "out" / "rest.jsonl.gz"))
    assert len(drawn) == 2
    assert len(drawn & set("ace")) == 1
    sample(corpus, tmp_path / "cuts", Amount(None, 0.5), "cut", ["speaker", "dialect"], 1)
    counts = Counter(cut["supervisions"][0]["speaker"] for cut in read(tmp_path / "cuts" / "sample.jsonl.gz"))
    assert all(3 <= counts[name] <= 7 for name in "abcdef")


def test_samples_that_cannot_be(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are only"):
        sample(corpus, tmp_path / "out", Amount(5.0, None), "cut", [], 1)
    with pytest.raises(UserError, match="did you mean dialect"):
        sample(corpus, tmp_path / "out", Amount(None, 0.5), "cut", ["dialct"], 1)
    write_cuts([made(n, "ab"[n % 2], 1.0, dialect="xyz"[n % 3]) for n in range(9)], corpus)
    with pytest.raises(DataError, match="speaker of two kinds"):
        sample(corpus, tmp_path / "out", Amount(None, 0.5), "speaker", ["dialect"], 1)
    refused = voxkit("sample", corpus, "--out", tmp_path / "out", "--hours", "1", "--share", "0.5")
    assert (refused.returncode, "either --hours or --share" in refused.stderr) == (2, True)
    for hours in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UserError, match=r"--hours .*: not an amount to draw"):
            command.sample(corpus, tmp_path / "out", hours)
    assert not list(tmp_path.glob("out*"))


@given(
    seconds=st.lists(st.floats(0.1, 20), min_size=2, max_size=40),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
    strata=st.integers(1, 4),
)
def test_a_sample_is_as_near_as_one_unit(seconds: list[float], share: float, seed: int, strata: int) -> None:
    units = [Unit(f"u{n}", (str(n % strata),), value, 1) for n, value in enumerate(seconds)]
    wanted = share * sum(seconds)
    chosen = choose(units, wanted, seed)
    assert 0 < len(chosen) < len(units)
    if 1 < len(chosen) < len(units) - 1:
        assert abs(sum(seconds[place] for place in chosen) - wanted) <= max(seconds) / 2 + 1e-6
    smaller = choose(units, wanted / 2, seed)
    assert smaller <= chosen


# -------------------------------------------------------------------------------------------- join and show


def test_join_keeps_all_and_refuses_ids_that_occur_twice(corpus: Path, tmp_path: Path) -> None:
    sample(corpus, tmp_path / "out", Amount(None, 0.5), "cut", [], 1)
    parts = [tmp_path / "out" / name for name in ("rest.jsonl.gz", "sample.jsonl.gz")]
    joined = join(parts, tmp_path / "joined")
    assert read(joined) == [cut for part in parts for cut in read(part)]
    assert join(parts, tmp_path / "joined") == joined
    with pytest.raises(UserError, match="cuts"):
        join(parts[::-1], tmp_path / "joined")
    refused = voxkit("join", corpus, parts[0], "--out", tmp_path / "twice")
    assert refused.returncode == 2
    assert all(f"  {name}  also at {corpus}:" in refused.stderr for name in ids(parts[0]))
    assert not (tmp_path / "twice").exists()


def test_features_are_found_where_they_are_now(tmp_path: Path) -> None:
    (tmp_path / "moved" / "feats").mkdir(parents=True)
    stored = {"type": "fbank", "num_frames": 100, "num_features": 80, "frame_shift": 0.01, "sampling_rate": 16000}
    stored |= {"start": 0.0, "duration": 1.0, "storage_type": "numpy_files", "storage_path": "/gone/feats"}
    write_cuts(
        [{**made(0, "a", 1.0), "features": {**stored, "storage_key": "0.npy"}}], tmp_path / "moved/cuts.jsonl.gz"
    )
    (cut,) = read(join([tmp_path / "moved"], tmp_path / "joined"))
    assert cut["features"]["storage_path"] == str(tmp_path / "moved" / "feats")


def test_show_counts(corpus: Path, tmp_path: Path) -> None:
    shown = dict(line.split(None, 1) for line in show([corpus]).splitlines() if len(line.split()) == 2)
    assert shown["cuts"] == "60"
    assert shown["hours"] == f"{hours(corpus):.3f}"
    assert shown["words"] == "120"
    lines = show([corpus]).splitlines()
    assert any(line.startswith("speakers") and "6; female (30), male (30)" in line for line in lines)
    assert any(line.startswith("vocabulary") and "3 words" in line for line in lines)
    assert any(line.startswith("custom dialect") and line.endswith("x (30), y (30)") for line in lines)
    weighted = [made(n, "a", 1.0, weight=n / 100, extra=[n], flag=None) for n in range(100)]
    write_cuts(weighted, tmp_path / "weighted.jsonl.gz")
    lines = show([tmp_path / "weighted.jsonl.gz"]).splitlines()
    assert any("custom weight" in line and "50% 0.495" in line and "sum 49.5" in line for line in lines)
    assert any(line.startswith("custom extra") and line.endswith("<list>") for line in lines)


def test_broken_lines_are_all_told(corpus: Path) -> None:
    with gzip.open(corpus, "at") as file:
        file.write("{not json}\n" + json.dumps(made(3, "a", 1.0)) + "\n")
    told = voxkit("show", corpus)
    assert told.returncode == 2
    assert f"{corpus}:61" in told.stderr
    assert f"{corpus}:62  utt3  also at {corpus}:4" in told.stderr
    assert "Traceback" not in told.stderr

"""Opening, checking, dividing and writing manifests; every kind of damage."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

from voxkit.data.manifests import check_cuts, manifest_files, open_cuts, parse_shard, shard, write_cuts
from voxkit.errors import DataError, UserError

RATE = 16000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def make_cut(folder: Path, name: str, seconds: float = 1.0, text: str = "yes no") -> MonoCut:
    path = folder / f"{name}.flac"
    soundfile.write(path, noise(seconds), RATE)
    cut = Recording.from_file(path, recording_id=name).to_cut()
    cut.id = name
    cut.supervisions = [SupervisionSegment(name, name, 0, cut.duration, text=text, speaker=name[0])]
    return cut


@pytest.fixture
def lines(tmp_path: Path) -> list[dict]:
    """The lines of a manifest of ten good cuts."""
    return [make_cut(tmp_path, f"{'ab'[i % 2]}{i}").to_dict() for i in range(10)]


def write_lines(path: Path, lines: list[dict | str]) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (gzip.open(path, "wt") if path.suffix == ".gz" else open(path, "w")).write(text)
    return path


def truncate(path: str) -> None:
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])


def spoil(kind: str) -> Callable[[list[dict]], None]:  # what each kind of damage does to the line in the middle
    def source(lines: list[dict]) -> str:
        return str(lines[4]["recording"]["sources"][0]["source"])

    def supervision(lines: list[dict], **changes: object) -> None:
        lines[4]["supervisions"][0].update(changes)

    return {
        "missing file": lambda lines: Path(source(lines)).unlink(),
        "zero length": lambda lines: soundfile.write(source(lines), noise(0), RATE),
        "wrong sampling rate": lambda lines: soundfile.write(source(lines), noise(1), 8000),
        "wrong length": lambda lines: soundfile.write(source(lines), noise(0.5), RATE),
        "silent audio": lambda lines: soundfile.write(source(lines), 0 * noise(1), RATE),
        "truncated audio": lambda lines: truncate(source(lines)),
        "unreadable audio": lambda lines: Path(source(lines)).write_text("no audio"),
        "supervision outside its recording": lambda lines: supervision(lines, start=0.5),
        "supervision outside its cut": lambda lines: lines[4].update(duration=0.5),
        "cut outside its recording": lambda lines: lines[4].update(duration=1.5),
        "empty text": lambda lines: supervision(lines, text="  "),
        "out-of-lexicon word": lambda lines: supervision(lines, text="yes perhaps"),
        "duplicate id": lambda lines: lines[4].update(id="a0"),
        "not a cut": lambda lines: lines[4].pop("type"),
        "missing channel": lambda lines: lines[4]["recording"]["sources"][0].update(channels=[1, 0]),
    }[kind]


KINDS = [
    "missing file",
    "zero length",
    "wrong sampling rate",
    "wrong length",
    "silent audio",
    "truncated audio",
    "unreadable audio",
    "supervision outside its recording",
    "supervision outside its cut",
    "cut outside its recording",
    "empty text",
    "out-of-lexicon word",
    "duplicate id",
    "not a cut",
    "missing channel",
]


def checked(path: Path, **options: object) -> CutSet:
    return check_cuts(open_cuts(path), path, need_text=True, full_audio=True, vocabulary={"yes", "no"}, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_damage_is_named_with_file_and_line(tmp_path: Path, lines: list[dict], kind: str) -> None:
    spoil(kind)(lines)
    path = write_lines(tmp_path / "cuts.jsonl", lines)
    with pytest.raises(DataError) as caught:
        checked(path)
    problems = list(caught.value.problems)
    assert {problem.kind for problem in problems} == {kind}
    assert problems[0].where == f"{path}:5"
    assert problems[0].id == lines[4]["id"]
    assert problems[0].what
    assert problems[0].fix
    assert f"{path}:5" in str(caught.value)
    good = checked(path, max_bad=0.1, rejected=tmp_path / "rejected.jsonl")
    assert [cut.id for cut in good] == [line["id"] for i, line in enumerate(lines) if i != 4]
    assert len(good) == 9
    assert json.loads((tmp_path / "rejected.jsonl").read_text().splitlines()[0])["kind"] == kind


def test_a_supervision_that_begins_before_its_cut(tmp_path: Path, lines: list[dict]) -> None:
    lines[4].update(start=0.5, duration=0.5)
    lines[4]["supervisions"][0].update(start=-0.25, duration=0.5)
    path = write_lines(tmp_path / "cuts.jsonl", lines)
    with pytest.raises(DataError, match=r"supervision a4 is at -0.25 to 0.25 s of a cut of 0.5 s"):
        checked(path)


@pytest.mark.parametrize(("start", "duration"), [(-0.005, 0.9), (0.2, 0.807), (-0.01, 1.02), (-1e-8, 1.0)])
def test_what_the_check_tolerates_lhotse_can_trim(
    tmp_path: Path, lines: list[dict], start: float, duration: float
) -> None:
    """Times are rounded to hundredths in many manifests."""
    (first,) = lines[4]["supervisions"]
    first.update(start=start, duration=duration)
    lines[4]["supervisions"].append({**first, "id": "second", "start": 0.5, "duration": 0.1})
    good = checked(write_lines(tmp_path / "cuts.jsonl", lines))
    trimmed = {cut.id: cut for cut in good.trim_to_supervisions(keep_overlapping=False)}
    assert len(trimmed) == 11
    assert 0.8 <= trimmed["a4"].duration <= 1.0
    assert len(trimmed["a4"].supervisions) == 1


def test_supervisions_that_become_cuts_have_ids_of_their_own(tmp_path: Path, lines: list[dict]) -> None:
    for place in (4, 6):
        lines[place]["supervisions"] = [
            {**lines[place]["supervisions"][0], "id": id, "start": start, "duration": 0.4}
            for id, start in (("turn-1", 0.0), (f"turn-{place}", 0.5))
        ]
    lines[8]["supervisions"] *= 2
    path = write_lines(tmp_path / "cuts.jsonl", lines)
    with pytest.raises(DataError, match="duplicate id: 2") as caught:
        checked(path)
    assert [(problem.where, problem.what) for problem in caught.value.problems] == [
        (f"{path}:7", f"supervision turn-1 is also at {path}:5"),
        (f"{path}:9", "supervision a8 is twice in the cut"),
    ]


def test_a_supervision_may_be_called_like_its_cut_and_others_where_it_is_alone(
    tmp_path: Path, lines: list[dict]
) -> None:
    for line in lines[:3]:
        line["supervisions"][0]["id"] = "a0"
    assert len(checked(write_lines(tmp_path / "cuts.jsonl", lines))) == 10


def test_nan_audio_is_found(tmp_path: Path, lines: list[dict]) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.where(np.arange(RATE) == 5, np.nan, noise(1)), RATE, subtype="FLOAT")
    lines[4]["recording"]["sources"][0]["source"] = str(path)
    with pytest.raises(DataError, match="NaN audio: 1"):
        checked(write_lines(tmp_path / "cuts.jsonl", lines))


def test_everything_is_collected_and_five_of_each_kind_are_shown(tmp_path: Path, lines: list[dict]) -> None:
    for line in lines[:7]:
        line["supervisions"][0]["text"] = ""
    lines[7]["supervisions"][0]["duration"] = 3.0
    Path(lines[8]["recording"]["sources"][0]["source"]).unlink()
    path = write_lines(tmp_path / "cuts.jsonl.gz", [*lines, '{"id": "cut off', "[1, 2]"])
    with pytest.raises(DataError) as caught:
        checked(path)
    message = str(caught.value)
    assert "11 of 12 items have problems" in message
    assert "empty text: 7" in message
    assert message.count("has no text") == 5
    assert "and 2 more" in message
    assert f"{path}:11" in message  # broken JSON
    assert "JSON, but not an object" in message
    assert "missing file: 1" in message


def test_good_cuts_pass_and_stay_lazy(tmp_path: Path, lines: list[dict]) -> None:
    path = write_lines(tmp_path / "cuts.jsonl.gz", lines)
    cuts = checked(path, sampling_rate=RATE)
    assert cuts.is_lazy
    assert len(cuts) == 10
    assert list(cuts) == list(CutSet.from_file(path))
    with pytest.raises(DataError, match="wrong sampling rate: 10") as caught:
        checked(path, sampling_rate=8000)
    for advice in ("voxkit featurize CUTS --out DIR --set features.sampling_rate=8000", "sampling_rate=16000"):
        assert advice in str(caught.value)


def test_cuts_made_in_memory(lines: list[dict], tmp_path: Path) -> None:
    path = write_lines(tmp_path / "cuts.jsonl", lines)
    cuts = open_cuts(path).to_eager()
    cuts[2].supervisions[0].text = ""
    assert len(check_cuts(cuts)) == 10
    with pytest.raises(DataError, match="cut:3"):
        check_cuts(cuts, need_text=True)
    assert len(check_cuts(cuts, need_text=True, max_bad=0.1)) == 9


def test_mixed_cuts_are_looked_into(tmp_path: Path) -> None:
    first, second = make_cut(tmp_path, "a"), make_cut(tmp_path, "b", 0.5)
    mixed = first.mix(second, offset_other_by=0.2, snr=10).pad(2.0)
    path = write_lines(tmp_path / "cuts.jsonl", [mixed.to_dict()])
    assert len(check_cuts(open_cuts(path), path, need_text=True, full_audio=True)) == 1
    Path(second.recording.sources[0].source).unlink()
    with pytest.raises(DataError, match="missing file: 1"):
        check_cuts(open_cuts(path), path)


def test_speed_and_resampling_do_not_look_like_damage(tmp_path: Path) -> None:
    cut = make_cut(tmp_path, "a")
    path = write_lines(tmp_path / "cuts.jsonl", [cut.perturb_speed(0.9).to_dict(), cut.resample(8000).to_dict()])
    assert len(check_cuts(open_cuts(path), path, full_audio=True)) == 2


def test_a_broken_line_met_without_a_check_is_still_the_users(tmp_path: Path, lines: list[dict]) -> None:
    path = write_lines(tmp_path / "cuts.jsonl", [lines[0], "", "oops"])
    with pytest.raises(DataError, match=r"cuts\.jsonl:3"):
        list(open_cuts(path))


@pytest.mark.parametrize("damage", ["cut off", "a byte", "checksum", "no gzip"])
def test_a_damaged_gzip_stream_is_never_tolerated(tmp_path: Path, lines: list[dict], damage: str) -> None:
    """What came after the damage is lost, and nobody knows how much that is."""
    path = write_lines(tmp_path / "cuts.jsonl.gz", lines)
    content = path.read_bytes()
    middle = len(content) // 2
    spoilt = {
        "cut off": content[:-200],
        "a byte": content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :],
        "checksum": content[:-8] + bytes(8),
        "no gzip": b"hello",
    }
    path.write_bytes(spoilt[damage])
    for use in (lambda: check_cuts(open_cuts(path), path, max_bad=0.99), lambda: list(open_cuts(path))):
        with pytest.raises(UserError, match=r"cuts\.jsonl\.gz:\d+: the gzip stream is damaged") as caught:
            use()
        assert not isinstance(caught.value, DataError)
        assert "make the file again" in caught.value.fix


def test_files_that_are_no_manifests(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such manifest"):
        open_cuts(tmp_path / "none.jsonl")
    (tmp_path / "cuts.yaml").touch()
    with pytest.raises(UserError, match="not a JSON-lines manifest") as caught:
        open_cuts(tmp_path / "cuts.yaml")
    assert "lhotse copy" in caught.value.fix
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="holds no cuts"):
        check_cuts(None, tmp_path / "empty.jsonl")
    (tmp_path / "out" / "shard-1-of-2").mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        manifest_files(tmp_path / "out")
    assert "--merge" in caught.value.fix


def test_what_is_there_instead_of_a_manifest(tmp_path: Path, lines: list[dict]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with pytest.raises(UserError, match=r"cuts\.jsonl\.gz: no such manifest"):
        manifest_files(data)
    make_cut(data, "a")
    with pytest.raises(UserError, match="a folder of audio") as caught:
        manifest_files(data)
    assert "voxkit prepare dir" in caught.value.fix
    for name in ("dev", "train"):
        write_lines(data / f"cuts_{name}.jsonl.gz", lines)
    with pytest.raises(UserError, match="no such manifest") as caught:
        manifest_files(data)
    assert caught.value.fix == f"give one of its manifests: {data}/cuts_dev.jsonl.gz {data}/cuts_train.jsonl.gz"
    with pytest.raises(UserError, match=r"a\.flac: audio, not a manifest"):
        manifest_files([data / "a.flac", data])
    (data / "gone.wav").symlink_to("/nowhere/x.wav")
    with pytest.raises(UserError, match=r"gone\.wav: a link to /nowhere/x\.wav, which is not there"):
        manifest_files(data / "gone.wav")


def test_several_manifests_are_chained_and_a_folder_stands_for_its_cuts(tmp_path: Path, lines: list[dict]) -> None:
    write_lines(tmp_path / "cuts.jsonl.gz", lines[:4])
    other = write_lines(tmp_path / "other.jsonl", lines[4:])
    assert [cut.id for cut in open_cuts([tmp_path, other])] == [line["id"] for line in lines]
    with pytest.raises(DataError, match="duplicate id: 6"):
        check_cuts(None, [other, other])


@pytest.mark.parametrize("count", [1, 3, 10, 12])
def test_shards_hold_every_cut_once(tmp_path: Path, lines: list[dict], count: int) -> None:
    path = write_lines(tmp_path / "cuts.jsonl", lines)
    for cuts in (open_cuts(path), open_cuts(path).to_eager()):
        parts = [shard(cuts, index, count) for index in range(1, count + 1)]
        assert sorted(cut.id for part in parts for cut in part) == sorted(line["id"] for line in lines)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_which_shard() -> None:
    assert parse_shard("2/8") == (2, 8)
    for wrong in ("0/4", "5/4", "1", "a/b", "1/-2", "/", "1/2/3"):
        with pytest.raises(UserError, match="not a part"):
            parse_shard(wrong)


def test_writing_gives_the_same_bytes_and_lhotse_reads_them(tmp_path: Path, lines: list[dict]) -> None:
    cuts = open_cuts(write_lines(tmp_path / "cuts.jsonl", lines)).to_eager()
    assert write_cuts(cuts, tmp_path / "a.jsonl.gz") == 10
    write_cuts(lines, tmp_path / "b.jsonl.gz")
    assert list(CutSet.from_file(tmp_path / "a.jsonl.gz")) == list(cuts)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()

    def fails() -> object:
        yield cuts[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_cuts(fails(), tmp_path / "c.jsonl.gz")
    assert not list(tmp_path.glob("*c.jsonl*"))

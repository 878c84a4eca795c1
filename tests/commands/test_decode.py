"""`decode` end to end on words that are spelled in tones: a token is a frequency, and the model knows them."""

import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from torch import Tensor, nn

from voxkit import bundle
from voxkit.commands.decode import picture, results
from voxkit.commands.decode.command import Decode, TuneConfig, decode
from voxkit.commands.decode.recognise import Recognised, Recogniser, Timed
from voxkit.commands.decode.task import Job, run, run_tune
from voxkit.commands.decode.tune import Grid
from voxkit.commands.make_graph.command import MakeGraph
from voxkit.commands.make_graph.task import Inputs, make
from voxkit.commands.train_am.command import TrainAm
from voxkit.commands.train_am.model import build as build_model
from voxkit.config import build, to_dict
from voxkit.data.feature_config import FeatureConfig
from voxkit.data.features import Extractor
from voxkit.data.lang import Lang
from voxkit.data.manifests import open_cuts, write_cuts
from voxkit.decode import confusion, kaldi_text, lattice
from voxkit.decode.confusion import risk
from voxkit.decode.folder import CONFUSION, LATTICES, DecodeFolder, shard_files
from voxkit.decode.lattice import Lattice
from voxkit.errors import DataError, UserError
from voxkit.nn.k2_package import load_k2

LEXICON = "one w n\ntwo t u\ntoo t u\nten t e n\nnet n e t\n"
SENTENCES = ["one two", "ten net one", "two too two", "net", "one one ten", "two net"]
RATE = 16000


def tone(token: int) -> np.ndarray:
    """80 ms of a token's frequency (silence for the blank)."""
    time = np.arange(int(0.08 * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 400 * token**1.3 * time) if token else 0 * time).astype(np.float32)


def spell(lang: Lang, text: str) -> np.ndarray:
    tokens = [0, *itertools.chain.from_iterable([*lang.pronunciations(w)[0][0], 0] for w in text.split()), 0]
    quiet = np.random.default_rng(0).normal(size=len(tokens) * len(tone(0))) * 1e-4
    return (np.concatenate([tone(token) for token in tokens]) + quiet).astype(np.float32)


class ToneModel(nn.Module):
    """Log posteriors from the distance to each tone's features."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.frame_shift = 0.01
        extractor = Extractor(FeatureConfig())
        rows = [
            extractor(tone(token) + np.random.default_rng(1).normal(size=1280) * 1e-4) for token in range(num_tokens)
        ]
        self.templates = torch.stack([row[2:-2].mean(0) for row in rows])

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        distance = torch.cdist(features, self.templates.expand(len(features), -1, -1)).square() / 200
        return (-distance).log_softmax(-1), lengths


@pytest.fixture(scope="module")
def lang(tmp_path_factory: pytest.TempPathFactory) -> Lang:
    folder = tmp_path_factory.mktemp("lang")
    (folder / "lexicon.txt").write_text(LEXICON)
    (folder / "text.txt").write_text("\n".join(SENTENCES * 4))
    make(build(MakeGraph, None, None, order=2), Inputs(folder / "lexicon.txt", folder / "text.txt"), folder / "lang")
    return Lang.load(folder / "lang")


@pytest.fixture(scope="module")
def exp(lang: Lang, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of the real kind, for what must survive a new process."""
    folder = tmp_path_factory.mktemp("exp") / "am"
    torch.manual_seed(0)
    config = build(TrainAm, None, ["model.encoder=tdnn", "model.width=16", "model.dilations=[1]", "model.channels=4"])
    state = build_model(config, len(lang.tokens)).state_dict()
    bundle.save(folder, "train_am", config, state, lang.assets())
    return folder


@pytest.fixture(scope="module")
def cuts(lang: Lang, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lhotse import Recording, SupervisionSegment

    folder = tmp_path_factory.mktemp("audio")
    made = []
    for number, text in enumerate(SENTENCES):
        path = folder / f"utt{number}.wav"
        soundfile.write(path, spell(lang, text), RATE)
        recording = Recording.from_file(path)
        cut = recording.to_cut().with_id(recording.id)
        known = {"text": text, "speaker": f"s{number % 2}", "custom": {"dialect": "tones"}}
        cut.supervisions = [SupervisionSegment(recording.id, recording.id, 0.0, cut.duration, **known)]
        made.append(cut)
    write_cuts(made, folder / "cuts.jsonl.gz")
    return folder / "cuts.jsonl.gz"


@pytest.fixture
def hearing(monkeypatch: pytest.MonkeyPatch, lang: Lang) -> None:
    """Makes every experiment load as the model that knows the tones."""

    def load(path: Path, device: str = "cpu") -> bundle.Bundle:
        config = {"features": to_dict(FeatureConfig())}
        return bundle.Bundle("train_am", config, ToneModel(len(lang.tokens)), path / "assets", path)

    monkeypatch.setattr(bundle, "load", load)


def read(folder: Path) -> dict[str, tuple[str, float]]:
    """The texts and scores in a folder of results."""
    cuts = open_cuts(folder / "hypotheses.jsonl.gz")
    return {cut.id: (cut.supervisions[0].text, cut.supervisions[0].custom["score"]) for cut in cuts}


def job(
    exp: Path, inputs: Path | list[Path], graph: Path | None, jobs: int = 1, max_bad: float = 0.0, **settings: Any
) -> Job:
    inputs = [inputs] if isinstance(inputs, Path) else inputs
    return Job(build(Decode, None, None, **settings), exp, tuple(inputs), graph, jobs, max_bad)


@pytest.mark.usefixtures("hearing")
@pytest.mark.parametrize("method", ["lattice", "nbest", "greedy"])
def test_what_was_spelled_is_read(
    exp: Path, cuts: Path, lang: Lang, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    graph = None if method == "greedy" else lang.path
    run(job(exp, cuts, graph, method=method, nbest=3), out, None, merge=False, plot=["utt1"])
    score = json.loads((out / "score.json").read_text())
    assert score["wer"]["errors"] <= (6 if method == "greedy" else 1)  # no model knows two from too without the LM
    printed = capsys.readouterr().out
    assert f"%WER {score['wer']['rate']:.2f} [" in printed
    assert "%RTF 0." in printed
    assert set(score["by_dialect"]) == {"tones"}
    assert {"alignment.txt", "by_speaker.tsv", "confusions.tsv", "confusions.png"} <= {p.name for p in out.iterdir()}
    assert (out / "plots" / "utt1.png").exists()
    heard = list(open_cuts(out / "hypotheses.jsonl.gz"))
    assert [cut.id for cut in heard] == [f"utt{i}" for i in range(len(SENTENCES))]
    (supervision,) = heard[1].supervisions
    assert (supervision.text, supervision.speaker) == ("ten net one", "s1")
    assert supervision.custom["reference"] == "ten net one"
    assert math.isfinite(supervision.custom["score"])
    times = supervision.alignment["word"]
    assert [item.symbol for item in times] == ["ten", "net", "one"]
    for item, start in zip(times, (0.08, 0.4, 0.72), strict=True):
        assert item.start == pytest.approx(start, abs=0.035)
        assert item.end == pytest.approx(start + 0.08 * len(lang.pronunciations(item.symbol)[0][0]), abs=0.05)
    if method == "greedy":
        assert not (out / "lattices").exists()
        return
    lattices = lattice.load(out / "lattices" / "1.npz")
    assert list(lattices) == [cut.id for cut in heard]
    best = lattices["utt1"].best_path()
    assert [lang.words[word] for word in best.words] == ["ten", "net", "one"]
    if method == "nbest":
        texts = [hypothesis["text"] for hypothesis in supervision.custom["nbest"]]
        assert texts[0] == "ten net one"
        assert 1 < len(set(texts)) == len(texts) <= 3


@pytest.mark.usefixtures("hearing")
@pytest.mark.parametrize(
    "settings",
    [{"method": "mbr"}, {"method": "nbest", "nbest": 3, "confusion": True}, {"method": "lattice", "confusion": True}],
    ids=lambda settings: settings["method"],
)
def test_confusion_networks_and_the_posterior_of_each_word(
    exp: Path, cuts: Path, lang: Lang, tmp_path: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    search = {"acoustic_scale": 0.05}  # so that there are doubts
    run(job(exp, cuts, lang.path, search=search, **settings), out, None, merge=False, plot=["utt1"])
    assert (out / "plots" / "utt1.png").exists()
    printed = capsys.readouterr().out
    assert re.search(r"%RTF .* search 0\.\d+, confusion 0\.\d+ \]", printed)
    score = json.loads((out / "score.json").read_text())
    assert score["oracle_wer"]["errors"] <= score["wer"]["errors"]
    assert f"%OWER {score['oracle_wer']['rate']:.2f} [" in printed
    folder = DecodeFolder.open(out, lattices=True, confusion=True)
    assert folder.words[:-1] == lang.words[:-1]
    assert folder.frame_shift == 0.01
    doubts = 0
    for found in folder:
        assert found.confusion is not None
        assert found.lattice is not None
        words = [folder.words[word] for word in found.confusion.hypothesis]
        custom = found.supervision["custom"]
        items = found.supervision["alignment"]["word"]
        assert words == found.supervision["text"].split() == [item[0] for item in items]
        assert custom["posterior"] == [item[3] for item in items]
        assert custom["posterior"] == pytest.approx(found.confusion.spoken()[0].tolist(), rel=2e-3)
        doubts += sum(posterior < 0.99 for posterior in custom["posterior"])
        starts = [item[1] for item in items]
        assert starts == sorted(starts)
        assert all(a[1] + a[2] <= b[1] + 1e-3 for a, b in itertools.pairwise(items))
        assert math.isfinite(custom["acoustic_score"] + custom["graph_score"])
        assert ("nbest" in custom) == (settings["method"] == "nbest")
        if settings["method"] != "mbr":
            assert tuple(found.confusion.hypothesis.tolist()) == found.lattice.best_path().words
        elif words and found.confusion.best() == found.confusion.hypothesis.tolist():
            assert risk(found.lattice, found.confusion.best()) <= risk(found.lattice, found.lattice.best_path().words)
    assert doubts > 0


@pytest.mark.usefixtures("hearing")
def test_the_network_lies_around_the_hypothesis_where_paths_tie(exp: Path, lang: Lang) -> None:
    """Two paths cost the same to the last bit: which one is the best path depends on how one looks for it."""
    made = Lattice.build(3, 9, [0, 0, 1], [1, 2, 2], [1, 2, 3], [0, 0, 4], [4, 9, 9], [0.0, 1.0, 1.0], [0.0] * 3)
    assert made.best_path().words != made.nbest(2)[0].words
    recogniser = Recogniser(exp, lang.path, build(Decode, None, None, method="nbest", nbest=2, confusion=True))
    found = recogniser._with_confusion(recogniser._recognise("utt", made))
    best = found.hypotheses[0]
    assert found.confusion is not None
    assert [lang.words[word] for word in found.confusion.hypothesis] == best.words
    assert best.posteriors == [0.5] * len(best.words)


@pytest.mark.usefixtures("hearing")
def test_a_network_too_large_for_the_memory_names_the_cut(
    exp: Path, cuts: Path, lang: Lang, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(confusion, "_MOST_BYTES", 100)
    with pytest.raises(UserError, match=r"utt\d: no confusion network: to align \d+ arcs with \d+ words") as error:
        run(job(exp, cuts, lang.path, confusion=True), tmp_path / "out", None, merge=False, plot=[])
    assert "shorter cuts" in error.value.fix


@pytest.mark.usefixtures("hearing")
def test_k2_reads_what_kaldi_reads(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    try:
        load_k2()
    except UserError as error:
        pytest.skip(error.message)
    for backend in ("kaldi", "k2"):
        run(job(exp, cuts, lang.path, backend=backend, confusion=True), tmp_path / backend, None, merge=False, plot=[])
    one, two = (read(tmp_path / backend) for backend in ("kaldi", "k2"))
    assert {name: text for name, (text, _) in one.items()} == {name: text for name, (text, _) in two.items()}
    for name, (_, score) in one.items():
        assert two[name][1] == pytest.approx(score, abs=0.01)
    for found in DecodeFolder.open(tmp_path / "k2", lattices=True, confusion=True):
        assert found.lattice is not None
        assert [lang.words[word] for word in found.lattice.best_path().words] == found.supervision["text"].split()


@pytest.mark.usefixtures("hearing")
def test_lattices_for_kaldi_may_be_had_of_a_finished_folder(
    exp: Path, cuts: Path, lang: Lang, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, out = job(exp, cuts, lang.path), tmp_path / "out"
    run(work, out, None, merge=False, plot=[])
    assert not (out / "kaldi").exists()
    run(work, out, None, merge=False, plot=[], kaldi=True)
    assert f"lattices for Kaldi: {out / 'kaldi'}" in capsys.readouterr().err
    shards = shard_files(out, LATTICES)
    assert sorted(path.name for path in (out / "kaldi").iterdir()) == sorted(f"lat.{path.stem}.gz" for path in shards)
    for shard in shards:
        written = kaldi_text.read(out / "kaldi" / f"lat.{shard.stem}.gz", outside=(kaldi_text.OUTSIDE,))
        known = lattice.load(shard)
        assert list(written) == list(known)
        for name, found in written.items():
            assert (found.num_frames, found.num_arcs) == (known[name].num_frames, known[name].num_arcs)
            assert found.best_path().words == known[name].best_path().words
            assert found.total_score() == pytest.approx(known[name].total_score(), abs=1e-3)


@pytest.mark.usefixtures("hearing")
def test_audio_files_print_their_text(exp: Path, cuts: Path, lang: Lang, capsys: pytest.CaptureFixture[str]) -> None:
    files = [cuts.parent / "utt3.wav", cuts.parent / "utt0.wav"]
    run(job(exp, files, lang.path), None, None, merge=False, plot=[])
    assert capsys.readouterr().out == f"{files[0]}: net\n{files[1]}: one two\n"


@pytest.mark.usefixtures("hearing")
def test_shards_merge_to_the_whole(
    exp: Path, cuts: Path, lang: Lang, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [cut.to_dict() for cut in open_cuts(cuts)]
    rows[5]["recording"]["sources"][0]["source"] = str(tmp_path / "absent.wav")
    write_cuts(rows, tmp_path / "cuts.jsonl")
    work = job(exp, tmp_path / "cuts.jsonl", lang.path, max_bad=0.4, confusion=True)
    run(work, tmp_path / "whole", None, merge=False, plot=[])
    for index in (1, 2):
        run(work, tmp_path / "parts" / f"shard-{index}-of-2", f"{index}/2", merge=False, plot=[])
    capsys.readouterr()
    run(work, tmp_path / "parts", None, merge=True, plot=["utt1"])
    whole, joined = (json.loads((tmp_path / name / "score.json").read_text()) for name in ("whole", "parts"))
    assert joined["wer"]["errors"] == whole["wer"]["errors"]
    for kind in (LATTICES, CONFUSION):
        assert [shard.name for shard in shard_files(tmp_path / "parts", kind)] == ["1.npz", "2.npz"]
    networks = [
        {found.id: found.confusion.best() for found in DecodeFolder.open(tmp_path / name, confusion=True)}
        for name in ("whole", "parts")
    ]
    assert networks[0] == networks[1]
    one, two = read(tmp_path / "whole"), read(tmp_path / "parts")
    assert set(one) == {f"utt{i}" for i in range(5)}
    assert {name: text for name, (text, _) in one.items()} == {name: text for name, (text, _) in two.items()}
    seconds = sum(cut.duration for cut in open_cuts(tmp_path / "whole" / "hypotheses.jsonl.gz"))
    assert f"s / {seconds:.1f} s, features" in capsys.readouterr().out
    assert "absent.wav" in (tmp_path / "parts" / "rejected.jsonl").read_text()
    assert (tmp_path / "parts" / "plots" / "utt1.png").exists()


def test_parts_of_other_settings_or_inputs_are_not_merged(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    for index in (1, 2):
        beam = {"beam": 4.0 + index}
        part = tmp_path / "out" / f"shard-{index}-of-2"
        run(job(exp, cuts, lang.path, search=beam), part, f"{index}/2", merge=False, plot=[])
    with pytest.raises(UserError, match=r"shard-2-of-2: made with other settings\n.*beam: 6.0 -> 5.0"):
        run(job(exp, cuts, lang.path, search={"beam": 5.0}), tmp_path / "out", None, merge=True, plot=[])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["shard-1-of-2", "shard-2-of-2"]


def test_a_shard_looks_at_no_audio_but_its_own(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    rows = [cut.to_dict() for cut in open_cuts(cuts)]
    rows[0]["recording"]["sources"][0]["source"] = str(tmp_path / "absent.wav")
    write_cuts(rows, tmp_path / "cuts.jsonl")
    run(job(exp, tmp_path / "cuts.jsonl", lang.path), tmp_path / "two", "2/2", merge=False, plot=[])
    assert len(read(tmp_path / "two")) == 3
    with pytest.raises(DataError, match=r"absent\.wav"):
        run(job(exp, tmp_path / "cuts.jsonl", lang.path), tmp_path / "one", "1/2", merge=False, plot=[])
    assert not (tmp_path / "one").exists()
    assert not (tmp_path / "one.partial").exists()


def test_audio_that_turns_out_bad_while_it_is_decoded(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    rows = [cut.to_dict() for cut in open_cuts(cuts)]
    soundfile.write(tmp_path / "silent.wav", np.zeros(rows[2]["recording"]["num_samples"]), RATE)
    rows[2]["recording"]["sources"][0]["source"] = str(tmp_path / "silent.wav")
    write_cuts(rows, tmp_path / "cuts.jsonl")
    for jobs in (1, 2):
        with pytest.raises(DataError, match="silent audio: 1"):
            run(
                job(exp, tmp_path / "cuts.jsonl", lang.path, jobs, batch_duration=1.0),
                *(tmp_path / "out", None),
                merge=False,
                plot=[],
            )
        assert sorted(path.name for path in tmp_path.iterdir()) == ["cuts.jsonl", "silent.wav"]
    run(job(exp, tmp_path / "cuts.jsonl", lang.path, max_bad=0.2), tmp_path / "out", None, merge=False, plot=[])
    assert list(read(tmp_path / "out")) == [f"utt{i}" for i in (0, 1, 3, 4, 5)]
    (rejected,) = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    assert json.loads(rejected)["id"] == "utt2"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_or_killed_it_goes_on_and_leaves_no_process(
    exp: Path, cuts: Path, lang: Lang, tmp_path: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [cut.to_dict() for cut in open_cuts(cuts)]
    rows = [{**row, "id": f"{row['id']}-{copy}"} for copy in range(8) for row in rows]
    write_cuts(rows, tmp_path / "cuts.jsonl.gz")
    settings: dict[str, Any] = {"batch_duration": 1.0, "part_seconds": 1.0, "confusion": True}
    command = [sys.executable, "-m", "voxkit", "decode", exp, "cuts.jsonl.gz", "--graph", lang.path, "--out", "out"]
    command += ["--num-jobs", "2", *(word for name in settings for word in ("--set", f"{name}={settings[name]}"))]
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    records = tmp_path / "out.partial" / "parts"
    deadline = time.monotonic() + 120
    while len(list(records.glob("[0-9]*.jsonl"))) < 3 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (75 if number == signal.SIGTERM else -9), errors
    while group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not group_lives(process.pid), "a worker outlived its parent"
    assert not (tmp_path / "out").exists()
    finished = len(list(records.glob("[0-9]*.jsonl")))
    for kind in (LATTICES, CONFUSION):
        (tmp_path / "out.partial" / kind / ".9.npz.1.tmp").write_bytes(b"half of it")
    work = job(exp, tmp_path / "cuts.jsonl.gz", lang.path, **settings)
    run(work, tmp_path / "out", None, merge=False, plot=[])
    assert f"going on after {finished} of " in capsys.readouterr().err
    assert [cut.id for cut in open_cuts(tmp_path / "out" / "hypotheses.jsonl.gz")] == [row["id"] for row in rows]
    for kind, load in ((LATTICES, lattice.load), (CONFUSION, confusion.load)):
        shards: list[dict[str, Any]] = [load(shard) for shard in shard_files(tmp_path / "out", kind)]
        assert [name for shard in shards for name in shard] == [row["id"] for row in rows]
        assert {path.suffix for path in (tmp_path / "out" / kind).iterdir()} == {".npz"}
    assert not (tmp_path / "out" / "parts").exists()
    if number == signal.SIGKILL:
        run(work, tmp_path / "whole", None, merge=False, plot=[])
        assert read(tmp_path / "out") == read(tmp_path / "whole")


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_folder_is_known_by_the_manifest_in_it(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    rows = [cut.to_dict() for cut in open_cuts(cuts)]
    write_cuts(rows, tmp_path / "feats" / "cuts.jsonl.gz")
    run(job(exp, tmp_path / "feats", lang.path), tmp_path / "out", None, merge=False, plot=[])
    write_cuts(rows[:3], tmp_path / "feats" / "cuts.jsonl.gz")
    with pytest.raises(UserError, match="made with other settings"):
        run(job(exp, tmp_path / "feats", lang.path), tmp_path / "out", None, merge=False, plot=[])


@pytest.mark.usefixtures("hearing")
def test_tuning_writes_a_config_that_decode_takes(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    grid = {"acoustic_scales": [0.05, 1.0], "blank_penalties": [0.0, 1.0]}
    run_tune(job(exp, cuts, lang.path, tune=grid), tmp_path / "tuned")
    settings = build(Decode, tmp_path / "tuned" / "decode.yaml", None)
    assert (settings.search.acoustic_scale, settings.search.blank_penalty) in set(itertools.product(*grid.values()))
    assert len((tmp_path / "tuned" / "tune.tsv").read_text().splitlines()) == 5
    assert "%WER" in (tmp_path / "tuned" / "scores.txt").read_text()


def test_among_equals_the_middle_of_the_valley_wins() -> None:
    grid = Grid(TuneConfig(acoustic_scales=(1.0, 2.0, 3.0, 4.0), blank_penalties=(0.0,)))
    grid.add("a b c", ["x y c", "a b c", "a b c", "a b x"])
    assert grid.best() == (3.0, 0.0)
    assert grid.at_edge((4.0, 0.0)) == "acoustic_scales"
    assert grid.at_edge((3.0, 0.0)) == ""


def test_several_processes_give_the_same(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    texts = []
    for jobs in (1, 2):
        out = tmp_path / str(jobs)
        run(job(exp, cuts, lang.path, jobs=jobs, batch_duration=1.0), out, None, merge=False, plot=[])
        found = open_cuts(out / "hypotheses.jsonl.gz")
        texts.append([(cut.id, cut.supervisions[0].text, cut.supervisions[0].custom["score"]) for cut in found])
    assert texts[0] == texts[1]


def test_the_same_command_again_has_nothing_to_do_and_another_is_refused(
    exp: Path, cuts: Path, lang: Lang, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run(job(exp, cuts, lang.path), out, None, merge=False, plot=[])
    first = capsys.readouterr().out
    run(job(exp, cuts, lang.path), out, None, merge=False, plot=[])
    again = capsys.readouterr()
    assert again.out == first
    assert "nothing to do" in again.err
    with pytest.raises(UserError, match="beam"):
        run(job(exp, cuts, lang.path, search={"beam": 7.0}), out, None, merge=False, plot=[])
    with pytest.raises(UserError, match="no cut 'absent'"):
        picture.draw(out, "absent", "none")


@pytest.mark.usefixtures("hearing")
def test_supervisions_inside_a_recording_are_decoded_one_by_one(
    exp: Path, lang: Lang, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lhotse import Recording, SupervisionSegment

    parts = [spell(lang, "one two"), spell(lang, "net ten")]
    soundfile.write(tmp_path / "long.wav", np.concatenate(parts), RATE)
    recording = Recording.from_file(tmp_path / "long.wav")
    cut, middle = recording.to_cut(), len(parts[0]) / RATE
    cut.supervisions = [
        SupervisionSegment("first", recording.id, 0.0, middle, text="one two"),
        SupervisionSegment("second", recording.id, middle, cut.duration - middle, text="net ten"),
    ]
    write_cuts([cut], tmp_path / "cuts.jsonl.gz")
    run(job(exp, tmp_path / "cuts.jsonl.gz", lang.path), tmp_path / "out", None, merge=False, plot=[])
    texts = [cut.supervisions[0].text for cut in open_cuts(tmp_path / "out" / "hypotheses.jsonl.gz")]
    assert texts == ["one two", "net ten"]
    assert "%SER 0.00 [ 0 / 2 ]" in capsys.readouterr().out


@pytest.mark.usefixtures("hearing")
def test_parts_of_cuts_that_would_have_the_same_id_are_refused(
    exp: Path, cuts: Path, lang: Lang, tmp_path: Path
) -> None:
    rows = [cut.to_dict() for cut in open_cuts(cuts)][:2]
    half = rows[1]["duration"] / 2
    (known,) = rows[1]["supervisions"]
    rows[1]["supervisions"] = [
        {**known, "id": "utt0", "duration": half},  # the id of the first cut
        {**known, "id": "late", "start": half, "duration": half},
    ]
    write_cuts(rows, tmp_path / "cuts.jsonl")
    with pytest.raises(DataError, match="duplicate id: 1"):
        run(job(exp, tmp_path / "cuts.jsonl", lang.path), tmp_path / "out", None, merge=False, plot=[])


@pytest.mark.usefixtures("hearing")
def test_a_mixed_cut_gets_one_hypothesis(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    one, two = (cut for cut in open_cuts(cuts) if cut.id in ("utt0", "utt3"))
    mixed = one.pad(duration=one.duration + 0.3, direction="left").append(two).with_id("both")
    before = mixed.to_dict()
    found = Recognised("both", [Timed(["one", "net"], [0.4, 0.9], [0.6, 1.2], 3.0, 1.0)])
    heard = results.with_hypothesis(mixed, found)
    (supervision,) = heard.supervisions
    assert (supervision.start, supervision.duration) == (0.0, mixed.duration)
    assert (supervision.text, supervision.custom["reference"]) == ("one net", "one two net")
    assert [item.start for item in supervision.alignment["word"]] == [0.4, 0.9]
    assert mixed.to_dict() == before


def test_words_keep_their_times_when_the_normaliser_changes_their_number(cuts: Path) -> None:
    cut = next(iter(open_cuts(cuts)))
    cut.supervisions[0].text = "twenty one [noise] two"
    words = ["twenty-one", "[noise]", "two", "[noise]"]
    found = Recognised(cut.id, [Timed(words, [0.0, 0.4, 0.5, 0.8], [0.4, 0.5, 0.8, 0.9], 1.0, 1.0)])
    (_, said), (_, heard) = picture._rows(results.with_hypothesis(cut, found), "asr_en")[0]
    assert [(span.word, span.start, span.end, span.right) for span in heard] == [
        ("TWENTY", 0.0, 0.2, True), ("ONE", 0.2, 0.4, True), ("TWO", 0.5, 0.8, True),
    ]  # fmt: skip
    assert said == heard
    found = Recognised(
        cut.id, [Timed(["[all", "of", "this]", "two"], [0.0, 0.2, 0.4, 0.6], [0.2, 0.4, 0.6, 0.8], 1, 1)]
    )
    heard = picture._rows(results.with_hypothesis(cut, found), "asr_en")[0][1][1]
    assert [(span.word, span.start, span.end) for span in heard] == [("TWO", 0.0, 0.8)]


def test_bad_audio_is_reported_and_nothing_written(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    rows = [cut.to_dict() for cut in open_cuts(cuts)]
    rows[0]["recording"]["sources"][0]["source"] = str(tmp_path / "absent.wav")
    broken = tmp_path / "cuts.jsonl"
    broken.write_text("\n".join(map(json.dumps, rows)) + "\n{not json\n")
    with pytest.raises(DataError) as caught:
        run(job(exp, broken, lang.path), tmp_path / "out", None, merge=False, plot=[])
    assert {problem.where.rpartition(":")[2] for problem in caught.value.problems} == {"1", "7"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cuts.jsonl"]
    with pytest.raises(UserError, match=r"absent\.wav"):
        run(job(exp, [tmp_path / "absent.wav"], lang.path), None, None, merge=False, plot=[])


def test_a_graph_of_other_tokens_is_refused(exp: Path, cuts: Path, lang: Lang, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(SENTENCES))
    make(build(MakeGraph, None, None, units="char"), Inputs(text=tmp_path / "text.txt"), tmp_path / "chars")
    with pytest.raises(UserError, match="tokens are not"):
        run(job(exp, cuts, tmp_path / "chars"), None, None, merge=False, plot=[])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs EXP"),
        ({"exp": Path("a")}, "needs cuts or audio"),
        ({"exp": Path("a"), "inputs": [Path("b")], "method": "lattice"}, "needs a graph"),
        ({"exp": Path("a"), "inputs": [Path("b")], "nbest": 4}, "needs a graph"),
        ({"exp": Path("a"), "inputs": [Path("b")], "method": "mbr"}, "the method mbr needs a graph"),
        ({"exp": Path("a"), "inputs": [Path("b")], "confusion": True}, "--confusion needs a graph"),
        ({"exp": Path("a"), "inputs": [Path("b")], "confusion": True, "method": "greedy"}, "makes no lattice"),
        ({"exp": Path("a"), "inputs": [Path("b")], "confusion": True, "graph": Path("c")}, "--confusion needs --out"),
        ({"exp": Path("a"), "inputs": [Path("b")], "method": "mbr", "nbest": 4}, "does not go with the method mbr"),
        ({"exp": Path("a"), "inputs": [Path("b")], "shard": "1/2"}, "needs --out"),
        ({"exp": Path("a"), "inputs": [Path("b")], "graph": Path("c"), "kaldi": True}, "--kaldi needs --out"),
        ({"exp": Path("a"), "inputs": [Path("b")], "out": Path("c"), "kaldi": True}, "without a graph makes none"),
        ({"exp": Path("a"), "inputs": [Path("b")], "plot": ["x"]}, "needs --out"),
        ({"exp": Path("a"), "inputs": [Path("b")], "out": Path("c"), "tune": True}, "needs a graph"),
        ({"exp": Path("a"), "inputs": [Path("b")], "method": "best"}, "method"),
    ],
)
def test_options_that_do_not_go_together(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        decode(**arguments)


def test_print_config_can_be_fed_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decode(nbest=7, set_=["search.beam=9"], print_config=True)
    (tmp_path / "c.yaml").write_text(capsys.readouterr().out)
    again = build(Decode, tmp_path / "c.yaml", None)
    assert (again.nbest, again.method, again.search.beam) == (7, "nbest", 9.0)
    assert yaml.safe_load((tmp_path / "c.yaml").read_text())["search"]["beam"] == 9.0

"""`lm-nce rescore` on made decode folders."""

import gzip
import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from tests.commands.lm_nce import small_lm
from tests.commands.lm_nce.small_decodes import FRAME_SHIFT, TABLE, line, make, random_lattice, write
from voxkit.commands.lm_nce.command import Rescore, app
from voxkit.commands.lm_nce.rescore import Request, run, run_tune
from voxkit.commands.lm_nce.second_pass import change
from voxkit.config import build
from voxkit.data.manifests import write_cuts
from voxkit.decode.folder import DecodeFolder
from voxkit.errors import UserError
from voxkit.metrics.edit import errors
from voxkit.metrics.report import Report, Scored


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_lm.save(small_lm.model(classes=small_lm.CLASSES), tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("lists") / "lists", lists=True)


def rescore(lm: Path, decoded: Path, out: Path, *sets: str, **options: Any) -> list[dict]:
    names = options.pop("names", None)
    shard, merge = options.pop("shard", None), options.pop("merge", False)
    settings = build(Rescore, None, ["timed=3", *sets], **options)
    request = Request(settings, lm, decoded, names)
    run(request, out, shard, merge)
    return cuts_of(out / "shard-{}-of-{}".format(*shard.split("/")) if shard else out)


def cuts_of(folder: Path) -> list[dict]:
    return [json.loads(text) for text in gzip.open(folder / "hypotheses.jsonl.gz")]


def said(cut: dict) -> dict:
    return cut["tracks"][1]["cut"]["supervisions"][0] if "tracks" in cut else cut["supervisions"][0]


def texts(cuts: list[dict]) -> list[str]:
    return [said(cut)["text"] for cut in cuts]


@pytest.mark.parametrize("method", ["nbest", "lattice"])
def test_the_first_passs_weights_change_nothing(method: str, lm: Path, tmp_path: Path) -> None:
    decoded = make(tmp_path / "decoded", networks=True)
    first = ("weights.graph=1", "weights.lm=0", "lattice.history=null", "lattice.beam=null", "lattice.most=null")
    found = rescore(lm, decoded, tmp_path / "out", *first, method=method)
    for before, after in zip(cuts_of(decoded), found, strict=True):
        old, new = said(before), said(after)
        assert new["text"] == old["text"] == new["custom"]["first_pass"]
        for was, now in zip(old["alignment"]["word"], new["alignment"]["word"], strict=True):
            assert now[:3] == pytest.approx(was[:3], abs=1e-3)
            assert 0 < now[3] <= 1  # the posterior
        assert new["custom"]["graph_score"] == pytest.approx(old["custom"]["graph_score"], abs=2e-2)
        assert "tracks" in after or after["duration"] == before["duration"]


@pytest.mark.parametrize("method", ["nbest", "lattice"])
def test_the_result_is_a_decode_folder(method: str, lm: Path, tmp_path: Path) -> None:
    decoded = make(tmp_path / "decoded", networks=True)
    found = rescore(lm, decoded, tmp_path / "out", method=method)
    assert any(said(cut)["text"] != said(cut)["custom"]["first_pass"] for cut in found)
    for read in DecodeFolder.open(tmp_path / "out", lattices=True, confusion=True):
        assert read.lattice is not None
        assert read.confusion is not None
        best, custom = read.lattice.best_path(), read.supervision["custom"]
        assert [TABLE[word] for word in best.words] == read.supervision["text"].split()
        if best.words:  # a lattice of one state has no arc that could bear the cost of the end
            assert -best.cost == pytest.approx(custom["score"], abs=2e-2)
        assert np.isfinite(custom["lm_score"])
        assert len(custom["posterior"]) == len(best.words)
        listed = custom.get("nbest", [])
        assert all(one["score"] >= two["score"] for one, two in pairwise(listed))
        shift = 1.5 if "tracks" in read.cut else 0.0
        starts = [round(start * FRAME_SHIFT - shift, 4) for start in best.starts]
        assert [item[1] for item in read.supervision["alignment"]["word"]] == pytest.approx(starts)
    for cut in found:
        said(cut)["custom"].pop("first_pass")
    write_cuts(found, tmp_path / "out" / "hypotheses.jsonl.gz")
    again = rescore(lm, tmp_path / "out", tmp_path / "again", "weights.graph=1", "weights.lm=0")
    assert texts(again) == texts(found)


@pytest.mark.parametrize("lists", [True, False])
def test_a_model_is_not_counted_twice(lists: bool, lm: Path, tmp_path: Path) -> None:
    decoded = make(tmp_path / "decoded", lists=lists)
    rescore(lm, decoded, tmp_path / "out")
    for attempt in (
        lambda: rescore(lm, tmp_path / "out", tmp_path / "again"),
        lambda: run_tune(Request(build(Rescore), lm, tmp_path / "out"), tmp_path / "again"),
    ):
        with pytest.raises(UserError, match="would count the language model twice") as told:
            attempt()
        assert told.value.message.startswith(f"{tmp_path / 'out'}: ")
        assert told.value.fix == f"give what decode left: {decoded}"
    mixed = cuts_of(decoded)
    mixed[-1] = cuts_of(tmp_path / "out")[-1]  # joined with what was rescored
    write_cuts(mixed, decoded / "hypotheses.jsonl.gz")
    with pytest.raises(UserError, match="would count the language model twice"):
        rescore(lm, decoded, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoded", "out"]


def test_lists_do_as_well_as_lattices(lm: Path, tmp_path: Path) -> None:
    lattices, lists = make(tmp_path / "lattices"), make(tmp_path / "lists", lists=True)
    one = rescore(lm, lattices, tmp_path / "one", "unknown_penalty=1", nbest=8)
    two = rescore(lm, lists, tmp_path / "two", "unknown_penalty=1", "batch=1", nbest=8)
    assert texts(one) == texts(two)
    for a, b in zip(map(said, one), map(said, two), strict=True):
        assert a["custom"]["lm_score"] == pytest.approx(b["custom"]["lm_score"], abs=1e-3)
        assert [item[:3] for item in a["alignment"]["word"]] == [item[:3] for item in b["alignment"]["word"]]
    assert not (tmp_path / "two" / "lattices").exists()


def test_parts_are_the_whole(lm: Path, tmp_path: Path) -> None:
    decoded = make(tmp_path / "decoded", networks=True)
    whole = rescore(lm, decoded, tmp_path / "whole")
    parts = [cut for n in (1, 2, 3) for cut in rescore(lm, decoded, tmp_path / "out", shard=f"{n}/3")]
    assert parts == whole
    assert rescore(lm, decoded, tmp_path / "out", merge=True) == whole
    pairs = [DecodeFolder.open(tmp_path / name, lattices=True, confusion=True) for name in ("whole", "out")]
    for one, two in zip(*pairs, strict=True):
        assert one.lattice is not None
        assert two.lattice is not None
        assert one.lattice.cost.tolist() == two.lattice.cost.tolist()
    score = [json.loads((tmp_path / name / "score.json").read_text()) for name in ("whole", "out")]
    assert score[0] == score[1]
    rescore(lm, decoded, tmp_path / "out2", shard="1/1")
    with pytest.raises(UserError, match="made with other settings"):
        rescore(lm, decoded, tmp_path / "out2", "weights.lm=0.9", merge=True)


def test_the_scores_are_those_of_the_texts(lm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoded = make(tmp_path / "decoded")
    found = [said(cut) for cut in rescore(lm, decoded, tmp_path / "out")]
    printed = capsys.readouterr().out.splitlines()
    scored = [cut for cut in found if "reference" in cut["custom"]]
    assert len(scored) == len(found) - 1
    old, new = (
        sum(errors(cut["custom"]["reference"].split(), text.split()).count for cut, text in some)
        for some in (
            [(cut, cut["custom"]["first_pass"]) for cut in scored],
            [(cut, cut["text"]) for cut in scored],
        )
    )
    before, after = (one for one in printed if one.startswith("%WER"))
    assert f"[ {old} /" in before
    assert before.endswith(str(decoded))
    assert f"[ {new} /" in after
    (relative,) = (one for one in printed if one.startswith("%RELATIVE"))
    assert float(relative.split()[1]) == pytest.approx(100 * (new / old - 1), abs=0.06)
    facts = json.loads((tmp_path / "out" / "score.json").read_text())
    assert facts["first_pass"]["wer"]["errors"] == old
    assert facts["relative"]["low"] <= facts["relative"]["change"] <= facts["relative"]["high"]
    assert {one.split()[0] for one in printed} >= {"%RTF", "%LATENCY", "%CACHED"}
    rescore(lm, decoded, tmp_path / "out")
    assert capsys.readouterr().out.splitlines() == printed


def test_tuned_weights_give_the_errors_that_are_told(
    lm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decoded = make(tmp_path / "decoded", cuts=30, seed=3)
    run_tune(Request(build(Rescore), lm, decoded), tmp_path / "tuned")
    captured = capsys.readouterr()
    told = captured.out.splitlines()
    assert [one.split()[0] for one in told] == ["%WER", "%WER"]
    assert captured.err.splitlines()[-1] == f"rescore with --config {tmp_path / 'tuned' / 'rescore.yaml'}"
    settings = build(Rescore, tmp_path / "tuned" / "rescore.yaml")
    assert (
        yaml.safe_load((tmp_path / "tuned" / "rescore.yaml").read_text())["weights"]["graph"] == settings.weights.graph
    )
    run(Request(settings, lm, decoded), tmp_path / "out", None, False)
    found = [one for one in capsys.readouterr().out.splitlines() if one.startswith("%WER")]
    assert [one.split(" ] ")[0] for one in found] == [one.split(" ] ")[0] for one in told]
    rows = (tmp_path / "tuned" / "tune.tsv").read_text().splitlines()[1:]
    assert min(int(row.split("\t")[4]) for row in rows) == int(told[1].split()[3])


def test_names_of_the_speaker_are_read(lm: Path, tmp_path: Path) -> None:
    decoded = make(tmp_path / "decoded")
    names = tmp_path / "names.tsv"
    names.write_text("contact\tcat\t1\ts1\ncontact\tdog\ncontact\tcall\t2\n")
    plain = rescore(lm, decoded, tmp_path / "plain")
    named = rescore(lm, decoded, tmp_path / "named", names=names)
    better = 0
    for one, two in zip(map(said, plain), map(said, named), strict=True):
        old = {entry["text"]: entry["lm_score"] for entry in one["custom"].get("nbest", [])}
        for entry in two["custom"].get("nbest", []):
            mine = {"dog", "call"} | ({"cat"} if two["speaker"] == "s1" else set())
            change_ = entry["lm_score"] - old[entry["text"]]
            better += change_ > 1e-3
            assert change_ == pytest.approx(0, abs=1e-3) or (change_ > 0 and mine & set(entry["text"].split()))
    assert better


def test_what_names_are_good_for_is_told(lm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoded, names = make(tmp_path / "decoded"), tmp_path / "names.tsv"
    rows = ["contact\tcat\t1\ts1", "contact\tdog", *(f"contact\tcat x{n}\t1\tu{n}" for n in range(7))]
    names.write_text("\n".join(rows))
    found = rescore(lm, decoded, tmp_path / "out", names=names)
    told = [one for one in capsys.readouterr().err.splitlines() if one.startswith(("names", "warning"))]
    heard = [read.lattice.nbest(50) for read in DecodeFolder.open(decoded, lattices=True) if read.lattice is not None]
    mine = [{"dog", "cat"} if said(cut)["speaker"] == "s1" else {"dog"} for cut in found]
    some = [any(own & {TABLE[w] for w in one.words} for one in lists) for own, lists in zip(mine, heard, strict=True)]
    assert 0 < sum(some) < 12
    assert told == [
        "names: phrases: 9, users with phrases of their own: 8",
        "warning: 7 of 9 phrases can never be recognised, as the recogniser does not know all their words: "
        "cat x0, cat x1, cat x2, cat x3, cat x4, ...",
        "warning: 7 of 8 users of names are no speakers of the cuts: u0, u1, u2, u3, u4, ...",
        f"names: some occur in the hypotheses of {sum(some)} of 12 utterances",
    ]
    for n in (1, 2):
        rescore(lm, decoded, tmp_path / "parts", names=names, shard=f"{n}/2")
    capsys.readouterr()
    rescore(lm, decoded, tmp_path / "parts", names=names, merge=True)
    assert told[-1] in capsys.readouterr().err.splitlines()
    names.write_text("contact\tcat x0\n")  # lists do not say which words there are
    rescore(lm, make(tmp_path / "lists", lists=True), tmp_path / "other", names=names)
    told = [one for one in capsys.readouterr().err.splitlines() if one.startswith(("names", "warning"))]
    assert told == [
        "names: phrases: 1, users with phrases of their own: 0",
        "names: some occur in the hypotheses of 0 of 12 utterances",
    ]


def test_words_that_are_read_as_a_name_are_marked(tmp_path: Path) -> None:
    eager = small_lm.model(classes=small_lm.CLASSES)
    with torch.no_grad():
        eager.output.bias[eager.vocabulary.class_id("contact")] += 30
    decoded, names = make(tmp_path / "decoded"), tmp_path / "names.tsv"
    names.write_text("contact\tcat\t1\ts1\ncontact\tdog\ncontact\tcall\t2\n")
    found = rescore(small_lm.save(eager, tmp_path / "eager"), decoded, tmp_path / "out", names=names)
    for one in map(said, found):
        mine = {"dog", "call"} | ({"cat"} if one["speaker"] == "s1" else set())
        read = [["contact", word] for word in one["text"].split() if word in mine]
        assert one["custom"].get("names", []) == read
    assert sum("names" in said(cut)["custom"] for cut in found) > 2
    with torch.no_grad():
        eager.output.bias[eager.vocabulary.class_id("contact")] -= 60
    found = rescore(small_lm.save(eager, tmp_path / "shy"), decoded, tmp_path / "none", names=names)
    assert not any("names" in said(cut)["custom"] for cut in found)


def test_another_word_table_is_told(lm: Path, tmp_path: Path) -> None:
    decoded = make(tmp_path / "decoded")
    table = [TABLE[0], *reversed(TABLE[1:])]
    (decoded / "words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(table)))
    for method in ("nbest", "lattice"):
        with pytest.raises(UserError, match=r"another word table") as told:
            rescore(lm, decoded, tmp_path / "out", method=method)
        assert str(decoded / "words.txt") in told.value.message
        assert str(decoded / "hypotheses.jsonl.gz") in told.value.message
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.partial"))


def test_a_model_of_other_words_is_told(lm: Path, tmp_path: Path) -> None:
    draw, words = np.random.default_rng(0), len(small_lm.WORDS)
    lattices = {f"c{n}": random_lattice(draw, 3) for n in range(4)}
    other = [TABLE[0], *(f"{word}x" for word in TABLE[1:])]
    decoded = write(tmp_path / "decoded", [line(n, one, None, "s") for n, one in lattices.items()], lattices)
    cuts = cuts_of(decoded)
    for cut in cuts:
        said(cut)["text"] = " ".join(f"{word}x" for word in said(cut)["text"].split())
    with gzip.open(decoded / "hypotheses.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(cut) + "\n" for cut in cuts)
    (decoded / "words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(other)))
    with pytest.raises(UserError, match="knows 0 of 12 recognised words") as told:
        rescore(lm, decoded, tmp_path / "out")
    assert str(decoded / "words.txt") in told.value.message
    assert str(lm) in told.value.message
    assert str(words + 4) in told.value.message
    with pytest.raises(UserError, match="knows 0 of 12"):
        run_tune(Request(build(Rescore), lm, decoded), tmp_path / "tuned")


def test_folders_that_cannot_be_rescored_are_told(lm: Path, tmp_path: Path) -> None:
    lists = make(tmp_path / "lists", lists=True)
    with pytest.raises(UserError, match="has no lattices"):
        rescore(lm, lists, tmp_path / "out", method="lattice")
    lines = cuts_of(lists)
    for cut in lines:
        said(cut)["custom"].pop("nbest")
    bare = write(tmp_path / "bare", lines, {})
    with pytest.raises(UserError, match="neither lattices nor lists"):
        rescore(lm, bare, tmp_path / "out")
    unscored = write(tmp_path / "unscored", [{**lines[0], "supervisions": [{"text": "call"}]}], {})
    with pytest.raises(UserError, match="no costs as decode writes them"):
        rescore(lm, unscored, tmp_path / "out")
    with pytest.raises(UserError, match="no such folder"):
        rescore(lm, tmp_path / "nowhere", tmp_path / "out")
    for cut in lines:
        said(cut)["custom"]["nbest"] = [
            {"text": "call", "acoustic_score": -1.0, "graph_score": 0.0, "starts": [0.0], "ends": [0.2]}
        ] * 2
        said(cut)["custom"].pop("reference", None)
    mute = write(tmp_path / "mute", lines, {})
    with pytest.raises(UserError, match="no references to tune on"):
        run_tune(Request(build(Rescore), lm, mute), tmp_path / "tuned")
    assert not (tmp_path / "out").exists()


def damaged(lists: Path, folder: Path, change_: Callable[[dict], object]) -> Path:
    """A folder of lists whose third cut's supervision is changed."""
    cuts = cuts_of(lists)
    change_(said(cuts[2]))
    return write(folder, cuts, {})


@pytest.mark.parametrize(
    ("change_", "what"),
    [
        (lambda one: one["custom"]["nbest"][1].pop("starts"), "hypothesis 2 of 'cut2' has not a start and an end"),
        (lambda one: one["custom"]["nbest"][1]["ends"].pop(), "hypothesis 2 of 'cut2' has not a start and an end"),
        (lambda one: one["custom"]["nbest"][0].update(starts=None), "hypothesis 1 of 'cut2' has not a start"),
        (lambda one: one["custom"]["nbest"][0]["ends"].__setitem__(0, "x"), "hypothesis 1 of 'cut2' has not a start"),
        (lambda one: (one["custom"].pop("nbest"), one["alignment"]["word"].pop()), "hypothesis 1 of 'cut2' has not"),
        (lambda one: one["custom"]["nbest"][1].update(acoustic_score=float("nan")), "'cut2' has no costs"),
        (lambda one: one["custom"]["nbest"][1].update(graph_score=10**400), "'cut2' has no costs"),
        (lambda one: one["custom"]["nbest"][1].update(text=None), "'cut2' has no costs"),
        (lambda one: one["custom"].update(reference=None), "'cut2' has a reference that is no text"),
    ],
)
def test_damaged_lists_are_told(
    change_: Callable[[dict], object], what: str, lm: Path, lists: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=what):
        rescore(lm, damaged(lists, tmp_path / "bad", change_), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad"]


def test_damage_that_is_found_late_leaves_nothing(lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxkit.commands.lm_nce.rescore.AT_ONCE", 4)
    decoded = make(tmp_path / "decoded")
    cuts = cuts_of(decoded)
    said(cuts[10])["text"] = "something else"
    write_cuts(cuts, decoded / "hypotheses.jsonl.gz")
    with pytest.raises(UserError, match="'cut10' is"):
        rescore(lm, decoded, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoded"]


def test_what_is_wrong_with_a_folder_is_told_at_the_start(lm: Path, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty", [], {})
    with pytest.raises(UserError, match="no cuts in it"):
        rescore(lm, empty, tmp_path / "out")
    decoded = make(tmp_path / "decoded")
    (decoded / "score.json").write_text('{"normaliser": "foo"}')
    with pytest.raises(UserError, match=r"score\.json: no text normaliser is called 'foo'"):
        Request(build(Rescore), lm, decoded).spec()
    assert rescore(lm, decoded, tmp_path / "out", "normaliser=none")


def test_other_inputs_are_another_result(lm: Path, tmp_path: Path) -> None:
    decoded, model = make(tmp_path / "decoded"), tmp_path / "lm"
    shutil.copytree(lm, model)
    rescore(model, decoded, tmp_path / "out")
    inputs = [decoded / "words.txt", decoded / "frame_shift", model / "bundle" / "assets" / "vocabulary.json"]
    for file in inputs:
        kept = file.read_bytes()
        file.write_bytes(kept + b"\n")
        with pytest.raises(UserError, match=rf"(?s)made with other settings.*{file.name}"):
            rescore(model, decoded, tmp_path / "out")
        file.write_bytes(kept)
    rescore(model, decoded, tmp_path / "out")
    shutil.copyfile(decoded / "lattices" / "1.npz", decoded / "lattices" / "2.npz")
    with pytest.raises(UserError, match=r"(?s)made with other settings.*lattices"):
        rescore(model, decoded, tmp_path / "out")


def test_tuning_for_lattices_says_that_it_takes_lists(
    lm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_tune(Request(build(Rescore, method="lattice"), lm, make(tmp_path / "decoded")), tmp_path / "tuned")
    assert "tuned on lists" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["weights.lm=1e308", "weights.graph=101", "weights.penalty=-101", "tune.lm=[1e308]"])
def test_weights_have_limits(value: str) -> None:
    with pytest.raises(UserError, match=value.split("=")[0].replace(".", r"\.")):
        build(Rescore, None, [value])


def test_the_interval_is_that_of_paired_draws() -> None:
    wrong = [0, 2, 4, 2, 0, 4, 4, 2] * 5  # words of each utterance
    before, after, shuffled = (
        Report([Scored(f"u{n}", "a b c d", " ".join("x" * count + "abcd"[count:])) for n, count in enumerate(some)])
        for some in (wrong, [n // 2 for n in wrong], [n // 2 for n in wrong[1:] + wrong[:1]])
    )
    found = change(before, after)
    assert found is not None
    assert (found.rate, found.low, found.high) == (-50.0, -50.0, -50.0)  # every utterance is better by half
    assert found.unit == "40 utterances"
    other = change(before, shuffled)  # as many errors, in other utterances
    assert other is not None
    assert other.rate == -50.0
    assert other.low < -55
    assert other.high > -45
    assert change(Report([Scored("u", "a", "a")]), Report([Scored("u", "a", "b")])) is None


def test_options_that_do_not_go_together_are_told(lm: Path, tmp_path: Path) -> None:
    argv = ["rescore", str(lm), str(make(tmp_path / "decoded")), "--out", str(tmp_path / "out")]
    for given in (argv, argv[:1]):
        shown = CliRunner().invoke(app, [*given, "--history", "2", "--print-config"])
        assert yaml.safe_load(shown.output)["lattice"]["history"] == 2
    for given in (argv[:1], argv[:2], argv[:3]):
        with pytest.raises(UserError, match="needs MODEL, DECODED and --out"):
            CliRunner().invoke(app, given, catch_exceptions=False)
    for more, what in (
        (["--tune", "--merge"], "--tune goes with neither"),
        (["--shard", "1/2", "--merge"], "--merge joins the parts"),
        (["--names", "names.tsv", "--method", "lattice"], "goes with lists"),
    ):
        with pytest.raises(UserError, match=what):
            CliRunner().invoke(app, [*argv, *more], catch_exceptions=False)


def test_the_command(lm: Path, tmp_path: Path) -> None:
    decoded = make(tmp_path / "decoded", cuts=3)
    argv = ["rescore", str(lm), str(decoded), "--out", str(tmp_path / "out"), "--nbest", "4"]
    result = CliRunner().invoke(app, argv, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stdout == (tmp_path / "out" / "scores.txt").read_text()
    assert max(len(said(cut)["custom"].get("nbest", [])) for cut in cuts_of(tmp_path / "out")) == 4

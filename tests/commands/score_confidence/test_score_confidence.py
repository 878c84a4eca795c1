"""`score-confidence` end to end on words that are tones."""

import gzip
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.commands.score_confidence.made_decodes import make, rewrite
from voxkit import bundle
from voxkit.commands.score_confidence import apply, score, train
from voxkit.commands.score_confidence.command import TrainConfidence
from voxkit.commands.score_confidence.material import normaliser_of, supervision_of
from voxkit.commands.score_confidence.trainer import identified
from voxkit.config import build
from voxkit.decode import lattice
from voxkit.decode.folder import DecodeFolder
from voxkit.errors import DataError, Interrupted, UserError
from voxkit.metrics.calibration import Judged
from voxkit.metrics.calibration_plots import det_curve, reliability_diagram

TINY = Path(__file__).parents[3] / "conf" / "score_confidence" / "tiny.yaml"


def tiny(train: Path, dev: Path | None = None, *sets: str) -> TrainConfidence:
    data = {"train": (str(train),), "dev": (str(dev),) if dev else ()}
    return build(TrainConfidence, TINY, ["features.sampling_rate=8000", *sets], data=data)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decodes of six speakers to learn from and of others to judge by, and a model with its ablation."""
    folder = tmp_path_factory.mktemp("confidence")
    make(folder / "train", utterances=60, seed=0)
    make(folder / "dev", utterances=40, seed=1)
    train.run(tiny(folder / "train", folder / "dev"), folder / "exp", ablate=True)
    apply.run(folder / "exp", folder / "dev", folder / "out", num_jobs=1)
    return folder


def cuts_of(folder: Path) -> list[dict]:
    return [json.loads(text) for text in gzip.open(folder / "hypotheses.jsonl.gz")]


def test_the_ablation_names_every_system(place: Path) -> None:
    head, *rows = (line.split("\t") for line in (place / "exp" / "ablation.tsv").read_text().splitlines())
    assert len(rows) == 5 * 2 * 3
    assert {row[0] for row in rows} == {"posterior", "decoder", "+acoustic", "+hypothesis", "+both"}
    cells = {(row[0], row[1], row[2]): dict(zip(head, row, strict=True)) for row in rows}
    assert float(cells["decoder", "logistic", "all"]["nce_change"]) == 0
    every = cells["+both", "network", "all"]
    assert float(every["eer_low"]) <= float(every["eer"]) <= float(every["eer_high"])
    wrong = [int(cells["+both", "logistic", part]["wrong"]) for part in ("all", "substitutions", "insertions")]
    assert wrong[0] == wrong[1] + wrong[2]
    for name in ("reliability.png", "det.png", "scores.txt"):
        assert (place / "exp" / name).stat().st_size > 100


def test_a_model_that_is_there_is_not_trained_again(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "_train", lambda *_: pytest.fail("trained again"))
    train.run(tiny(place / "train", place / "dev"), place / "exp", ablate=True)
    told = capsys.readouterr()
    assert "nothing to do" in told.err
    assert "%EER" in told.out
    with pytest.raises(UserError, match=r"folds: 2 -> 3"):
        train.run(tiny(place / "train", place / "dev", "folds=3"), place / "exp", ablate=True)


def test_parts_that_are_there_make_the_same_model_again(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "exp", tmp_path / "exp")
    shutil.rmtree(tmp_path / "exp" / "bundle")
    shutil.rmtree(tmp_path / "exp" / "hypothesis" / "2")
    train.run(tiny(place / "train", place / "dev"), tmp_path / "exp", ablate=False)
    both = [(folder / "exp" / "bundle" / "model.safetensors").read_bytes() for folder in (place, tmp_path)]
    assert both[0] == both[1]


def test_the_result_is_a_decode_folder_with_confidences(place: Path) -> None:
    folder = DecodeFolder.open(place / "out", lattices=True, confusion=True)
    found = list(folder)
    assert [some.id for some in found] == [some.id for some in DecodeFolder.open(place / "dev")]
    assert folder.frame_shift == 0.04
    silent = mixed = 0
    for some in found:
        supervision, _ = supervision_of(some.cut)
        custom, items = supervision["custom"], supervision["alignment"]["word"]
        assert len(custom["confidence"]) == len(items) == len(supervision["text"].split())
        assert [item[3] for item in items] == custom["confidence"]
        assert all(0 <= sure <= 1 for sure in [*custom["confidence"], custom["utterance_confidence"]])
        assert "reference" in custom
        silent += not items
        mixed += "tracks" in some.cut
    assert silent
    assert mixed


def test_confidences_know_something(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score.run([place / "out"], None, "confidence", None, 50)
    told = capsys.readouterr().out
    assert "errors in" in told
    assert "whole utterances" in told
    assert "deleted words have no confidence" in told
    content = json.loads((place / "out" / "score.json").read_text())
    assert content["all"]["nce"]["value"] > 10
    assert content["all"]["wrong"] == content["substitutions"]["wrong"] + content["insertions"]["wrong"]
    ablation = [line.split("\t") for line in (place / "exp" / "ablation.tsv").read_text().splitlines()]
    own = next(row for row in ablation if row[:3] == ["+both", "logistic", "all"])
    assert content["all"]["eer"]["value"] == pytest.approx(float(own[ablation[0].index("eer")]), abs=0.01)
    for name in ("reliability.png", "det.png"):
        assert (place / "out" / name).stat().st_size > 100


def test_confidences_stand_under_their_words(place: Path) -> None:
    text = (place / "out" / "alignment.txt").read_text()
    assert len(text.split("\n\n")) == 40
    first = next(block for block in text.split("\n\n") if block.startswith("dev-0 "))
    rows = {row.split()[0]: row for row in first.strip().split("\n")[1:]}
    cut = cuts_of(place / "out")[0]
    words = cut["supervisions"][0]["text"].split()
    assert rows["hyp"].replace("*", "").split()[1:] == words
    confidence = cut["supervisions"][0]["custom"]["confidence"]
    assert rows["conf"].split()[1:] == [f"{sure:.2f}" for sure in confidence]
    assert rows["hyp"].index(words[0]) == rows["conf"].index(f"{confidence[0]:.2f}")


def test_several_processes_say_the_same(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "AT_ONCE", 25)
    apply.run(place / "exp", place / "dev", tmp_path / "out", num_jobs=2)
    for one, other in zip(cuts_of(tmp_path / "out"), cuts_of(place / "out"), strict=True):
        values = [supervision_of(cut)[0]["custom"]["confidence"] for cut in (one, other)]
        assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_without_references_words_are_scored_all_the_same(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "dev", tmp_path / "dev")
    rewrite(tmp_path / "dev", lambda cut: supervision_of(cut)[0]["custom"].pop("reference"))
    apply.run(place / "exp", tmp_path / "dev", tmp_path / "out", num_jobs=1)
    text = (tmp_path / "out" / "alignment.txt").read_text()
    assert "ref" not in text
    assert "conf" in text
    with pytest.raises(UserError, match="no recognised words with a reference"):
        score.run([tmp_path / "out"], None, "confidence", None, 50)
    with pytest.raises(DataError, match="no reference: 40"):
        train.run(tiny(tmp_path / "dev"), tmp_path / "exp", ablate=False)


def test_the_bundle_holds_no_pickle(place: Path) -> None:
    loaded = bundle.load(place / "exp")
    assert loaded.system == "score_confidence"
    assert sorted(file.name for file in (place / "exp" / "bundle").rglob("*") if file.is_file()) == [
        "config.yaml",
        "model.safetensors",
        "vocabulary.json",
    ]
    assert bundle.load(place / "exp" / "acoustic" / "1").model.size == 4
    with pytest.raises(UserError, match="not a confidence model"):
        apply.run(place / "exp" / "acoustic" / "1", place / "dev", place / "nowhere", num_jobs=1)


def test_the_normaliser_is_that_of_the_folders(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "dev", tmp_path / "dev")
    assert normaliser_of(tmp_path / "dev") == "none"
    (tmp_path / "dev" / "score.json").write_text('{"normaliser": "asr_en"}')
    assert normaliser_of(tmp_path / "dev") == "asr_en"
    assert identified(tiny(tmp_path / "dev")).normaliser == "asr_en"
    assert identified(tiny(tmp_path / "dev", None, "normaliser=lower")).normaliser == "lower"
    assert normaliser_of(place / "out") == "none"


def test_a_signal_before_the_nets_is_an_interruption(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(train, "Trainer", interrupted)
    with pytest.raises(Interrupted, match="SIGTERM"):
        train.run(tiny(place / "train"), tmp_path / "exp", ablate=False)


def test_words_that_are_all_right_teach_nothing(tmp_path: Path) -> None:
    make(tmp_path / "easy", utterances=12, wrong=0.0)
    with pytest.raises(UserError, match="words are right") as told:
        train.run(tiny(tmp_path / "easy"), tmp_path / "exp", ablate=False)
    assert "add noise" in told.value.fix


def test_what_a_folder_must_have(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "dev", tmp_path / "dev")
    shutil.rmtree(tmp_path / "dev" / "confusion")
    with pytest.raises(UserError, match="no confusion networks"):
        apply.run(place / "exp", tmp_path / "dev", tmp_path / "out", num_jobs=1)
    assert not (tmp_path / "out").exists()


def test_another_word_table(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "dev", tmp_path / "dev")
    words = ["<eps>", "two", "three", "four", "five", "one"]
    (tmp_path / "dev" / "words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(words)))
    with pytest.raises(UserError, match=r"dev/words\.txt: another word table"):
        apply.run(place / "exp", tmp_path / "dev", tmp_path / "out", num_jobs=1)
    (tmp_path / "dev" / "words.txt").write_text("<eps> 0\none 1\n")
    with pytest.raises(UserError, match=r"words\.txt: 'dev-0' has word \d, the table only 2"):
        apply.run(place / "exp", tmp_path / "dev", tmp_path / "out", num_jobs=1)


def test_inputs_that_cannot_be_used_leave_no_folder(place: Path, tmp_path: Path) -> None:
    for name in ("train", "dev"):
        shutil.copytree(place / name, tmp_path / name)
    shutil.rmtree(tmp_path / "train" / "lattices")
    words = (tmp_path / "dev" / "words.txt").read_text()
    (tmp_path / "dev" / "words.txt").write_text("".join(f"Q{line}\n" for line in words.splitlines()))
    with pytest.raises(UserError, match=r"train: has no lattices\n.*dev/words\.txt: another word table"):
        train.run(tiny(tmp_path / "train", tmp_path / "dev"), tmp_path / "exp", ablate=False)
    with pytest.raises(UserError, match=r"absent\.txt: cannot be read"):
        train.run(tiny(place / "train", None, f"data.text={tmp_path}/absent.txt"), tmp_path / "exp", ablate=False)
    assert not (tmp_path / "exp").exists()


def test_an_alignment_of_other_words(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "dev", tmp_path / "dev")

    def change(cut: dict) -> None:
        for item in supervision_of(cut)[0]["alignment"]["word"]:
            item[0] = "Q"

    rewrite(tmp_path / "dev", change)
    with pytest.raises(DataError, match="other words: 36"):
        apply.run(place / "exp", tmp_path / "dev", tmp_path / "out", num_jobs=1)


def test_missing_audio_is_named(place: Path, tmp_path: Path) -> None:
    def lose(cut: dict) -> None:
        if cut["id"] == "dev-0":
            cut["recording"]["sources"][0]["source"] = str(tmp_path / "gone.wav")

    shutil.copytree(place / "dev", tmp_path / "dev")
    rewrite(tmp_path / "dev", lose)
    with pytest.raises(DataError, match=r"dev-0  no such file: .*gone\.wav"):
        apply.run(place / "exp", tmp_path / "dev", tmp_path / "out", num_jobs=1)


def test_costs_that_are_not_numbers(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "dev", tmp_path / "dev")
    shard = tmp_path / "dev" / "lattices" / "1.npz"
    lattices = lattice.load(shard)
    for some in lattices.values():
        some.graph[:1] = np.inf  # the networks were made before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lattice, "load", lambda _: lattices)
        with pytest.raises(DataError, match=r"not a finite number: .*graph"):
            apply.run(place / "exp", tmp_path / "dev", tmp_path / "out", num_jobs=1)


def test_confidences_must_be_probabilities_to_be_scored(place: Path, tmp_path: Path) -> None:
    def spoil(cut: dict) -> None:
        supervision, _ = supervision_of(cut)
        supervision["custom"]["confidence"] = [1.5] * len(supervision["custom"]["confidence"])

    shutil.copytree(place / "out", tmp_path / "out")
    rewrite(tmp_path / "out", spoil)
    with pytest.raises(DataError, match=r"not in \[0, 1\]"):
        score.run([tmp_path / "out"], None, "confidence", None, 50)
    with pytest.raises(DataError, match="no posterior"):
        score.run([place / "out"], tmp_path / "s", "posterior", None, 50)
    with pytest.raises(UserError, match="no such manifest"):
        score.run([tmp_path / "nothing"], None, "confidence", None, 50)


def test_several_results_in_one_picture(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "out", tmp_path / "again")
    score.run([place / "out", tmp_path / "again"], tmp_path / "both", "confidence", None, 20)
    content = json.loads((tmp_path / "both" / "score.json").read_text())
    assert set(content) == {str(place / "out"), str(tmp_path / "again")}


def test_pictures_of_little(tmp_path: Path) -> None:
    for number, words in enumerate((Judged.of([], []), Judged.of([1.0], [True]), Judged.of([0.2, 0.2], [True, False]))):
        reliability_diagram({"a": words}, tmp_path / f"r{number}.png")
        det_curve({"a": words}, tmp_path / f"d{number}.png")
    assert len(list(tmp_path.iterdir())) == 6

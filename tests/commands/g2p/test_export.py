"""`g2p export`: ONNX graphs that say what torch says."""

import builtins
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands.g2p import small_model
from voxkit import bundle
from voxkit.commands.doctor import checks
from voxkit.commands.g2p import export
from voxkit.commands.g2p.onnx_scorer import OnnxScorer
from voxkit.commands.g2p.pronounce import ONNX, Pronouncer
from voxkit.commands.g2p.tables import FILE
from voxkit.commands.g2p.torch_scorer import TorchScorer
from voxkit.errors import UserError

KINDS = ["lstm", "transformer"]


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained bundle, the most mixed of all, and its export."""
    folder = tmp_path_factory.mktemp(request.param)
    small_model.make(folder / "bundle", request.param, steps=0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        export.run(folder / "bundle", folder / "exported")
    assert not told
    return folder


def test_searches_find_the_same(place: Path) -> None:
    words = [(word, language) for language in ("one", "two", "", "zzz") for word in small_model.words("one", 20)]
    torch, onnx = (Pronouncer.load([place / name]).pronounce(words, 2) for name in ("bundle", "exported"))
    for one, other in zip(torch, onnx, strict=True):
        assert [found.probability for found in one] == pytest.approx([found.probability for found in other], rel=1e-3)
        assert one[0].phones == other[0].phones


def test_languages_are_guessed_alike(place: Path) -> None:
    words = small_model.words("two", 20)
    torch, onnx = (Pronouncer.load([place / name]).languages(words) for name in ("bundle", "exported"))
    for one, other in zip(torch, onnx, strict=True):
        assert dict(one) == pytest.approx(dict(other), rel=1e-4)


def test_the_folder_says_what_it_is(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scorer = OnnxScorer(place / "exported")
    facts = scorer.encoder.get_modelmeta().custom_metadata_map
    assert facts["languages"] == "one two"
    assert len(facts["model"]) == 64
    assert place.name.startswith(json.loads(facts["config"])["model"]["kind"])
    assert scorer.tables == TorchScorer.load(place / "bundle").tables
    export.run(place / "bundle", place / "exported")
    assert "nothing to do" in capsys.readouterr().err


def test_a_graph_that_says_other_things_is_not_written(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = OnnxScorer.step

    def wrong(self: OnnxScorer, *inputs: Any) -> Any:
        log_probs, state = honest(self, *inputs)
        return log_probs + np.float32(0.01), state

    monkeypatch.setattr(OnnxScorer, "step", wrong)
    with pytest.raises(UserError, match=r"differ from torch's by up to 0\.01"):
        export.run(place / "bundle", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damage_and_mixtures_are_told(place: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(place / "exported", tmp_path / "broken")
    (broken / ONNX[1]).write_bytes((broken / ONNX[1]).read_bytes()[:500])
    with pytest.raises(UserError, match=r"decoder\.onnx: onnxruntime cannot load it"):
        OnnxScorer(broken)
    (broken / FILE).unlink()
    with pytest.raises(UserError, match="tables cannot be read"):
        OnnxScorer(broken)
    small_model.make(tmp_path / "other", "lstm", steps=1)
    export.run(tmp_path / "other", tmp_path / "mixed")
    shutil.copy(place / "exported" / ONNX[0], tmp_path / "mixed")
    with pytest.raises(UserError, match="are of different exports"):
        OnnxScorer(tmp_path / "mixed")


def test_missing_packages_come_with_their_fix(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    normal = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == "onnxruntime":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return normal(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError) as error:
        OnnxScorer(place / "exported")
    assert error.value.fix == "pip install 'voxkit[export]'"
    with pytest.raises(UserError, match="needs onnx and onnxruntime"):
        export.run(place / "bundle", tmp_path / "out")


def test_only_models_of_g2p_are_exported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no trained model"):
        export.run(tmp_path, tmp_path / "out")


def test_the_doctor_tells_of_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.onnx().state == "ok"
    errors = {"onnx": "ModuleNotFoundError: No module named 'onnx'", "onnxruntime": ""}
    monkeypatch.setattr(checks, "_import_error", errors.get)
    assert (checks.onnx().state, checks.onnx().required) == ("missing", False)
    errors["onnxruntime"] = "ImportError: libc.so.6: version not found"
    assert checks.onnx().state == "broken"


def test_files_of_other_exports_are_refused(tmp_path: Path) -> None:
    made = [small_model.make(tmp_path / name, steps=0, languages=(name,)) for name in ("one", "two")]
    for model in made:
        export.run(model, tmp_path / f"{model.name}_onnx")
    mixed = tmp_path / "one_onnx"
    tables, decoder = ((mixed / name).read_bytes() for name in ("tables.json", "decoder.onnx"))
    (mixed / "tables.json").write_bytes((tmp_path / "two_onnx" / "tables.json").read_bytes())
    with pytest.raises(UserError, match="do not belong together"):
        Pronouncer.load([mixed])
    (mixed / "tables.json").write_bytes(tables)
    (mixed / "decoder.onnx").write_bytes((mixed / "encoder.onnx").read_bytes())
    with pytest.raises(UserError, match="do not belong together"):
        Pronouncer.load([mixed])
    (mixed / "decoder.onnx").write_bytes(decoder)
    assert Pronouncer.load([mixed]).pronounce([("bad", "one")])[0]


def test_a_bundle_with_a_graph_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"graph")
    bundle.save_onnx(tmp_path / "q", "g2p", {}, tmp_path / "m.onnx")
    with pytest.raises(UserError, match="is an ONNX graph already"):
        export.run(tmp_path / "q", tmp_path / "out")
    assert not (tmp_path / "out").exists()

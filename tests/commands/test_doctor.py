import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from voxkit.commands.doctor import checks
from voxkit.commands.doctor.checks import Finding
from voxkit.commands.doctor.command import doctor
from voxkit.commands.doctor.table import render, verdict
from voxkit.nn import k2_package


@pytest.fixture
def fake_k2(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Pretends that k2 is installed in some version, and that importing it fails or not."""
    state = SimpleNamespace(k2="1.24.4.dev20250714+cpu.torch2.11.0", torch="2.11.0", error="", cuda="")
    versions = metadata.version

    def version(name: str) -> str:
        if name == "k2":
            if state.k2 is None:
                raise metadata.PackageNotFoundError(name)
            return state.k2
        return state.torch if name == "torch" else versions(name)

    monkeypatch.setattr(checks.metadata, "version", version)
    monkeypatch.setattr(checks, "_fails", lambda arguments: state.error)
    monkeypatch.setattr(k2_package, "cuda_version", lambda: state.cuda)
    return state


def test_this_machine_has_what_is_required(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    code = "from voxkit.commands.doctor.command import doctor; doctor(as_json=True)"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["ok"] is True
    states = {finding["name"]: finding["state"] for finding in report["findings"]}
    for name in ("python", "torch", "torchaudio", "lhotse", "kaldifst", "kaldi-decoder", "kaldilm", "temporary folder"):
        assert states[name] == "ok", name
    assert {"k2", "espeak-ng", "Slurm", "GPU", "submitit", "$VOXKIT_DATA", "disk"} <= set(states)


def test_what_is_missing_comes_with_its_fix_and_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    required = Finding("lhotse", "missing", "manifests", "install it")
    optional = Finding("k2", "missing", "batched decoding", "see the page", required=False)
    monkeypatch.setattr(checks, "examine", lambda: [required, optional])
    with pytest.raises(typer.Exit) as stop:
        doctor()
    assert stop.value.exit_code == 2
    out = capsys.readouterr().out
    assert "REQUIRED; manifests" in out
    assert "fix: install it" in out
    assert "optional; batched decoding" in out
    assert "cannot work as it is: lhotse" in out
    monkeypatch.setattr(checks, "examine", lambda: [optional])
    doctor()
    assert "not available: k2" in capsys.readouterr().out


def test_lines_can_be_grepped() -> None:
    lines = render([Finding("a", "ok", "1.0"), Finding("long name", "low", "2 GB", required=False)]).splitlines()
    assert lines == ["ok       a          1.0", "low      long name  optional; 2 GB"]
    assert verdict([Finding("a", "ok", "1.0")]) == "all that is required works"


def test_k2_that_fits(fake_k2: SimpleNamespace) -> None:
    assert checks.k2().state == "ok"


def test_k2_for_another_torch_names_both_and_the_wheel(fake_k2: SimpleNamespace) -> None:
    fake_k2.k2 = "1.24.4.dev20250714+cpu.torch2.8.0"
    fake_k2.torch = "2.11.0+cu130"
    fake_k2.error = "ImportError: undefined symbol: _ZN2at"
    finding = checks.k2()
    assert (finding.state, finding.required) == ("broken", False)
    assert "torch 2.8.0" in finding.found
    assert "torch 2.11.0" in finding.found
    assert "undefined symbol" in finding.found
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert "pip install k2==VERSION+cpu.torch2.11.0 -f https://k2-fsa.github.io/k2/cpu.html" in finding.fix
    assert f"+cpu.torch2.11.0-{python}" in finding.fix
    fake_k2.cuda = "13.0"
    assert "k2==VERSION+cuda13.0.torch2.11.0 -f https://k2-fsa.github.io/k2/cuda.html" in checks.k2().fix


def test_k2_from_pypi_has_no_torch_in_its_name(fake_k2: SimpleNamespace) -> None:
    fake_k2.k2 = "1.23.4"
    assert checks.k2().state == "ok"
    fake_k2.error = "ImportError: libtorch_cuda.so"
    assert "an unnamed torch" in checks.k2().found


def test_k2_missing(fake_k2: SimpleNamespace) -> None:
    fake_k2.k2 = None
    finding = checks.k2()
    assert finding.state == "missing"
    assert "+cpu.torch2.11.0" in finding.fix


def test_probing_runs_in_a_fresh_process() -> None:
    assert checks._fails(["-c", "pass"]) == ""
    assert checks._fails(["-c", "raise ImportError('wrong torch')"]) == "ImportError: wrong torch"
    assert "-11" in checks._fails(["-c", "import os; os.kill(os.getpid(), 11)"])


def test_no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checks.slurm().state == "missing"
    for name in ("sbatch", "sinfo"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    assert checks.slurm().state == "broken"
    (tmp_path / "sinfo").write_text("#!/bin/sh\necho 'gpu* 4 idle'\n")
    assert "gpu*: 4 idle" in checks.slurm().found


def test_corpora(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VOXKIT_DATA", raising=False)
    assert checks.corpora().state == "missing"
    monkeypatch.setenv("VOXKIT_DATA", str(tmp_path / "nowhere"))
    assert checks.corpora().state == "broken"
    (tmp_path / "an4").mkdir()
    monkeypatch.setenv("VOXKIT_DATA", str(tmp_path))
    finding = checks.corpora()
    assert finding.state == "ok"
    assert "holds an4;" in finding.found


def test_low_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    assert (checks.disk().state, checks.disk().required) == ("low", False)


def test_a_temporary_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checks.tempfile, "TemporaryFile", refuse)
    finding = checks.temporary()
    assert (finding.state, finding.required) == ("broken", True)
    assert "TMPDIR" in finding.fix


def test_a_package_that_is_absent_and_one_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(checks.PACKAGES, "voxkit-no-such", ("voxkit_no_such", "nothing"))
    monkeypatch.setitem(checks.PACKAGES, "numpy", ("voxkit_no_such", "arrays"))
    assert checks.package("voxkit-no-such").state == "missing"
    broken = checks.package("numpy")
    assert broken.state == "broken"
    assert "voxkit_no_such" in broken.found


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.sys, "version_info", (3, 9, 1))
    assert checks.python().state == "broken"

"""What the machine has: each check looks at one thing, never raises, and knows the way to mend it."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from voxkit import __version__
from voxkit.nn.k2_package import how_to_install, torch_version

State = Literal["ok", "low", "missing", "broken"]

REINSTALL = "install voxkit again: pip install --upgrade voxkit"
K2_PURPOSE = "decode --set backend=k2 (many utterances at once, on GPU too) and train-am --loss k2_ctc; not on PyPI"
LOW_DISK = 5e9  # bytes; a small corpus with features and an experiment
PROBE_SECONDS = 120.0

PACKAGES = {  # distribution: (module, what it is for)
    "lhotse": ("lhotse", "manifests, cuts, augmentation"),
    "soundfile": ("soundfile", "reading and writing audio"),
    "kaldifst": ("kaldifst", "decoding graphs"),
    "kaldi-decoder": ("kaldi_decoder", "lattice decoding"),
    "kaldilm": ("kaldilm", "ARPA language models"),
    "kaldingram": ("kaldingram", "n-gram estimation"),
    "kaldialign": ("kaldialign", "error counts"),
    "sentencepiece": ("sentencepiece", "sub-word units"),
    "safetensors": ("safetensors", "weights on disk"),
    "matplotlib": ("matplotlib", "pictures"),
    "tensorboard": ("tensorboard", "training curves while they grow"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` says what is there, or what is not and what it would be for."""

    name: str
    state: State
    found: str
    fix: str = ""
    required: bool = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything; a few seconds, because torch and lhotse are really imported."""
    checks: list[Callable[[], Finding]] = [python, torch, torchaudio]
    checks += [lambda name=name: package(name) for name in PACKAGES]  # type: ignore[misc]
    checks += [gpu, k2, espeak, onnx, submitit, slurm, corpora, disk, temporary]
    return [check() for check in checks]


def python() -> Finding:
    found = f"{platform.python_version()} ({sys.executable}), voxkit {__version__}"
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        return Finding("python", "broken", found, "make the environment with Python 3.11, 3.12 or 3.13")
    return Finding("python", "ok", found)


def torch() -> Finding:
    error = _import_error("torch")
    if error:
        return _broken("torch", "models and features", error)
    import torch as module

    build = f"CUDA {module.version.cuda}" if module.version.cuda else "CPU build"
    return Finding("torch", "ok", f"{module.__version__} ({build}, {module.get_num_threads()} threads)")


def torchaudio() -> Finding:
    """Not only importable: its compiled operators must have been built for the installed torch."""
    failure = _import_error("torchaudio")
    if failure:
        return _broken("torchaudio", "Conformer, forced alignment", failure)
    import torch as torch_module
    import torchaudio as module

    wanted = torch_module.__version__.partition("+")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            log_probs = torch_module.zeros(1, 2, 3).log_softmax(-1)
            module.functional.forced_align(log_probs, torch_module.tensor([[1]]))
    except Exception as error:
        found = f"{module.__version__} does not work with torch {wanted}: {_first_line(error)}"
        return Finding("torchaudio", "broken", found, f"pip install torchaudio=={wanted}")
    return Finding("torchaudio", "ok", f"{module.__version__}, fits torch {wanted}")


def package(name: str) -> Finding:
    """A required package that says its version."""
    module, purpose = PACKAGES[name]
    error = _import_error(module)
    return _broken(name, purpose, error) if error else Finding(name, "ok", _version(name))


def gpu() -> Finding:
    if _import_error("torch"):
        return Finding("GPU", "missing", "cannot tell without torch", required=False)
    import torch as module

    if module.cuda.is_available():
        devices = [module.cuda.get_device_properties(index) for index in range(module.cuda.device_count())]
        found = ", ".join(f"{device.name} ({device.total_memory / 2**30:.0f} GiB)" for device in devices)
        return Finding("GPU", "ok", found, required=False)
    if shutil.which("nvidia-smi") and (_run(["nvidia-smi", "-L"]) or "").strip():
        why = "this torch has no CUDA" if module.version.cuda is None else "its driver is too old for this torch"
        fix = "choose the matching command at https://pytorch.org/get-started/locally/"
        return Finding("GPU", "broken", f"there is one, but torch cannot use it: {why}", fix, required=False)
    return Finding("GPU", "missing", "none was found; everything runs on the CPU, training more slowly", required=False)


def k2() -> Finding:
    """k2 is compiled against one torch release, which the version of its wheels names."""
    try:
        version = metadata.version("k2")
    except metadata.PackageNotFoundError:
        return Finding("k2", "missing", K2_PURPOSE, how_to_install(), required=False)
    ours, built = torch_version(), re.search(r"torch(\d+(?:\.\d+)*)", version)
    theirs = f"torch {built[1]}" if built else "an unnamed torch"
    error = _fails(["-c", "import k2"])
    if error or (built and built[1] != ours):
        found = f"{version} was built for {theirs}, but torch {ours} is installed" + (f": {error}" if error else "")
        return Finding("k2", "broken", found, how_to_install(), required=False)
    return Finding("k2", "ok", version, required=False)


def espeak() -> Finding:
    """In a process of its own, because the library is one global state."""
    purpose = "speaks the embedded corpus `mini`"
    fix = "pip install 'voxkit[demo]'"
    try:
        version = metadata.version("espeakng-loader")
    except metadata.PackageNotFoundError:
        return Finding("espeak-ng", "missing", purpose, fix, required=False)
    error = _fails(["-c", "from voxkit.data.corpora.espeak import Speaker; Speaker.get()"])
    if error:
        return Finding("espeak-ng", "broken", f"{version} cannot be loaded: {error}", fix, required=False)
    return Finding("espeak-ng", "ok", f"espeakng-loader {version}, speaks", required=False)


def onnx() -> Finding:
    """What exports models, and what runs them."""
    purpose, fix = "voxkit g2p export, and exported models", "pip install 'voxkit[export]'"
    errors = [(name, error) for name in ("onnxruntime", "onnx") if (error := _import_error(name))]
    if not errors:
        return Finding("onnxruntime", "ok", f"{_version('onnxruntime')}, onnx {_version('onnx')}", required=False)
    name, error = errors[0]
    if error.startswith("ModuleNotFoundError"):
        return Finding("onnxruntime", "missing", f"{purpose}; there is no {name}", fix, required=False)
    return Finding("onnxruntime", "broken", f"{name} cannot be imported ({purpose}): {error}", fix, required=False)


def submitit() -> Finding:
    if _import_error("submitit"):
        fix = "pip install 'voxkit[slurm]'"
        return Finding("submitit", "missing", "voxkit submit --backend slurm", fix, required=False)
    return Finding("submitit", "ok", _version("submitit"), required=False)


def slurm() -> Finding:
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        found = "voxkit submit --backend slurm; sbatch and sinfo are not on the PATH"
        return Finding("Slurm", "missing", found, "run on a login node of the cluster", required=False)
    answer = _run(["sinfo", "-h", "-o", "%P %D %T"])
    if answer is None:
        found = "sbatch is here, but the controller does not answer"
        return Finding("Slurm", "broken", found, "see `scontrol ping`, or ask the cluster's keepers", required=False)
    partitions = [line.split() for line in answer.splitlines()]
    shown = ", ".join(f"{p[0]}: {p[1]} {p[2]}" for p in partitions if len(p) == 3)
    version = (_run(["sinfo", "--version"]) or "").strip()
    if not shown:
        return Finding("Slurm", "broken", f"{version} has no partition", "ask the cluster's keepers", required=False)
    return Finding("Slurm", "ok", f"{version} ({shown})", required=False)


def corpora() -> Finding:
    """Which of the corpora that `voxkit prepare` knows lie in $VOXKIT_DATA."""
    from voxkit.data.corpora.registry import CORPORA, LEXICAL, TAGGED, TEXTS

    root = os.environ.get("VOXKIT_DATA")
    if not root:
        fix = "export VOXKIT_DATA=FOLDER, or give `voxkit prepare` --source FOLDER"
        return Finding("$VOXKIT_DATA", "missing", "not set; the folder of your corpora", fix, required=False)
    if not Path(root).is_dir():
        return Finding("$VOXKIT_DATA", "broken", f"{root} is not a folder", "mend the variable", required=False)
    known = [*CORPORA, *LEXICAL, *TAGGED, *TEXTS]
    here = [name for name in known if (Path(root) / name).is_dir()]
    absent = [name for name in known if name not in here]
    found = f"{root} holds {', '.join(here) or 'none of the known corpora'}"
    return Finding("$VOXKIT_DATA", "ok", found + (f"; not {', '.join(absent)}" if absent else ""), required=False)


def disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 1e9:.1f} GB free in {Path.cwd()}"
    if free < LOW_DISK:
        return Finding("disk", "low", found, f"{LOW_DISK / 1e9:.0f} GB hold a small corpus and a model", required=False)
    return Finding("disk", "ok", found, required=False)


def temporary() -> Finding:
    fix = "make it writable, or set TMPDIR to a folder that is"
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"voxkit")
            file.flush()
    except OSError as error:
        return Finding("temporary folder", "broken", _first_line(error), fix)
    return Finding("temporary folder", "ok", tempfile.gettempdir())


def _broken(name: str, purpose: str, error: str) -> Finding:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", purpose, REINSTALL)
    return Finding(name, "broken", f"{version} cannot be imported ({purpose}): {error}", REINSTALL)


def _import_error(module: str) -> str:
    """Why a module cannot be imported; empty if it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(module)
    except Exception as error:  # a broken compiled module raises what it likes
        return _first_line(error)
    return ""


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "of unknown version"


def _fails(arguments: list[str]) -> str:
    """The last line of what a fresh Python says when it cannot do this; empty if it can."""
    try:
        result = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=PROBE_SECONDS, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {PROBE_SECONDS:.0f} s"
    if result.returncode == 0:
        return ""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"died with code {result.returncode}"


def _run(argv: list[str]) -> str | None:
    try:
        result = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]

"""A trained model as a folder: `config.yaml`, `model.safetensors` and `assets/`. Load needs nothing else.

The weights may be quantized (`voxkit.packed`), or be `model.onnx`, which onnxruntime runs.
"""

from __future__ import annotations

import importlib
import os
import shutil
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from voxkit import __version__
from voxkit.config import Config, from_mapping, to_dict
from voxkit.errors import UserError
from voxkit.packed import Layout, Quantization, pack_state, parameters, unpack_state
from voxkit.rundir import CONFIG, read_config, sync_tree, write_atomic, writing

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS, ONNX, ASSETS, FORMAT = "model.safetensors", "model.onnx", "assets", 1


@dataclass(frozen=True)
class Bundle:
    """A loaded model: `model` is in eval mode, `config` is what its room's config was, `assets` a folder.

    `quantization` is how the weights were stored in few bits, if they were. The model of a bundle with `model.onnx` is
    a `voxkit.onnx_model.OnnxModel`: the forward pass of the room's model, and nothing else of it.
    """

    system: str
    config: dict[str, Any]
    model: nn.Module
    assets: Path
    path: Path
    quantization: Quantization | None = None


class Sizes(NamedTuple):
    """How large a bundle is [bytes]: its weights' file, and all its files together."""

    weights: int
    total: int


def save(
    path: Path,
    system: str,
    config: Config | Mapping[str, Any],
    state: Mapping[str, Tensor],
    assets: Mapping[str, Path] | None = None,
    quantization: Quantization | None = None,
    parameters: Mapping[str, str] | None = None,
) -> None:
    """Write a bundle; an older one at `path` is replaced only when the new one is complete.

    Args:
        system: the room that can build the model, for example "train_am".
        config: what its room's config was; or the plain `config` of a bundle that was loaded.
        state: the model's `state_dict()`.
        assets: small files or folders that the model needs, by the name they get in `assets/`.
        quantization: store the weights so; the state is that of the model with full weights.
        parameters: of the model, by `voxkit.packed.parameters`; needed with `quantization` only.

    Raises:
        OSError: it cannot be written, as on a full disk.
        UserError: the weights cannot be quantized (see `voxkit.packed`).
    """
    head = _head(system, config)
    if quantization is None:
        same = _same(state)
        kept = {name: tensor for name, tensor in state.items() if name not in same}
        # the copy: views of the same memory are refused by safetensors
        weights = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in kept.items()}
        if same:
            head["same"] = same
    else:
        if parameters is None:
            raise ValueError("which tensors are parameters is needed to quantize them")
        layout = Layout.of(state, parameters, quantization)
        weights, exact = pack_state(state, layout)
        head["quantization"] = to_dict(quantization)
        head["layout"] = {"digest": layout.digest, "exact": list(exact)}
    with _replacing(path, head, assets or {}) as folder:
        write_tensors(folder / WEIGHTS, weights)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file of safetensors that may be read by whom the umask lets; the library's own is its owner's only.

    Args:
        tensors: contiguous, on the CPU, no two of the same memory.

    Raises:
        OSError, SafetensorError: it cannot be written.
    """
    from safetensors.torch import save_file

    path.touch()  # which modes a file gets is the system's to say: the umask, or what its folder hands down
    mode = stat.S_IMODE(path.stat().st_mode)
    save_file(dict(tensors), path)
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _same(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Tensors of a size that matters which are what another one is, as tied weights are: by their names, the name of
    the one that is stored."""
    found: dict[str, str] = {}
    firsts: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for name, tensor in state.items():
        if tensor.ndim < 2:
            continue
        alike = firsts[tuple(tensor.shape), tensor.dtype]
        first = next((other for other in alike if tensor.equal(state[other])), None)
        if first is None:
            alike.append(name)
        else:
            found[name] = first
    return found


def save_onnx(
    path: Path,
    system: str,
    config: Config | Mapping[str, Any],
    graph: Path,
    assets: Mapping[str, Path] | None = None,
    quantization: Quantization | None = None,
) -> None:
    """Write a bundle that onnxruntime runs; see `save`.

    Args:
        graph: an .onnx file with the forward pass of the room's model.
        quantization: what was done to its weights.
    """
    head = _head(system, config)
    if quantization is not None:
        head["quantization"] = to_dict(quantization)
    with _replacing(path, head, assets or {}) as folder:
        shutil.copyfile(graph, folder / ONNX)


def _head(system: str, config: Config | Mapping[str, Any]) -> dict[str, Any]:
    plain = to_dict(config) if isinstance(config, Config) else dict(config)
    return {"format": FORMAT, "voxkit": __version__, "system": system, "config": plain}


@contextmanager
def _replacing(path: Path, head: Mapping[str, Any], assets: Mapping[str, Path]) -> Iterator[Path]:
    """A new bundle's folder, to put the weights in; it takes its place when the block has ended."""
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    with writing(path):
        (temporary / ASSETS).mkdir(parents=True)
        for name, source in assets.items():
            if source.is_dir():  # another bundle
                shutil.copytree(source, temporary / ASSETS / name, copy_function=shutil.copyfile)
            else:
                shutil.copyfile(source, temporary / ASSETS / name)
        yield temporary
        write_atomic(temporary / CONFIG, yaml.safe_dump(dict(head), sort_keys=False, allow_unicode=True))
        sync_tree(temporary)
    old = _old(path)
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path, old)
    os.replace(temporary, path)
    shutil.rmtree(old, ignore_errors=True)


def _old(path: Path) -> Path:
    """Where `save` keeps the older bundle while it renames the new one; left there only by a kill in that moment."""
    return path.with_name(f".{path.name}.old")


def locate(path: Path) -> Path:
    """The bundle's own folder, given that or an experiment folder that holds `bundle/`.

    Raises:
        UserError: there is none.
    """
    path = Path(path)
    for folder in (path / "bundle", _old(path / "bundle"), path, *([_old(path)] if path.name else [])):
        if (folder / CONFIG).exists() and ((folder / WEIGHTS).exists() or (folder / ONNX).exists()):
            return folder
    unfinished = (path / "checkpoints").is_dir()
    raise UserError(
        f"{path}: holds no trained model" + (" yet: its training has not ended" if unfinished else ""),
        fix="run the training command again to finish it" if unfinished else "give an experiment or bundle folder",
    )


def weights(path: Path) -> Path:
    """The file with the weights of a bundle, given as to `locate`: `model.safetensors` or `model.onnx`.

    Raises:
        UserError: there is no bundle.
    """
    folder = locate(path)
    return folder / WEIGHTS if (folder / WEIGHTS).exists() else folder / ONNX


def files(path: Path) -> list[Path]:
    """All files of a bundle, given as to `locate`, in the order of their names.

    Raises:
        UserError: there is no bundle.
    """
    return sorted(file for file in locate(path).rglob("*") if file.is_file())


def size(path: Path) -> Sizes:
    """How large a bundle is, given as to `locate`.

    Raises:
        UserError: there is no bundle.
    """
    return Sizes(weights(path).stat().st_size, sum(file.stat().st_size for file in files(path)))


def room(system: str, part: str) -> ModuleType:
    """A module of the room that a bundle belongs to: `voxkit.commands.<system>.<part>`.

    Raises:
        UserError: no such system, or it has no such part.
    """
    from voxkit.commands import COMMANDS

    name = f"voxkit.commands.{system}.{part}"
    if system.replace("_", "-") not in COMMANDS:
        raise UserError(f"{system!r} is no system of this version", fix="install the voxkit version that has it")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UserError(
            f"{system} has no {part}: this cannot be done for its models", fix="give another model"
        ) from None


def load(path: Path, device: str = "cpu") -> Bundle:
    """Load a bundle from its folder, or from an experiment folder that holds `bundle/`.

    The room named in the bundle builds the model (`voxkit.commands.<system>.model.from_bundle(config, assets)`) and
    the weights are put in strictly. A bundle with `model.onnx` runs on the CPU.

    Raises:
        UserError: no bundle there, an unknown system or format, or weights that do not fit.
    """
    from voxkit.commands import COMMANDS

    folder = locate(path)
    head = read_config(folder)
    system = str(head.get("system"))
    config = head.get("config")
    if head.get("format") != FORMAT or system.replace("_", "-") not in COMMANDS or not isinstance(config, dict):
        raise UserError(
            f"{folder}: made by voxkit {head.get('voxkit')} for {system!r} (format {head.get('format')}), "
            "which this version cannot load",
            fix="install the voxkit version that made it",
        )
    scheme = head.get("quantization")
    quantization = None if scheme is None else from_mapping(Quantization, scheme, f"{folder / CONFIG}: quantization")
    if not (folder / WEIGHTS).exists():
        from voxkit.onnx_model import OnnxModel

        return Bundle(system, config, OnnxModel(folder / ONNX).eval(), folder / ASSETS, folder, quantization)
    model = room(system, "model").from_bundle(config, folder / ASSETS)
    state = _read(folder, model, quantization, head)
    found = list(misfits(model.state_dict(), state))
    if found:
        raise UserError(f"{folder / WEIGHTS}: does not fit the model: {'; '.join(found)}", fix="train it again")
    model.load_state_dict(state, strict=True)
    return Bundle(system, config, model.to(device).eval(), folder / ASSETS, folder, quantization)


def _read(
    folder: Path, model: nn.Module, quantization: Quantization | None, head: Mapping[str, Any]
) -> dict[str, Tensor]:
    """The weights in a bundle's file, unpacked."""
    if quantization is None:
        return full_weights(folder)
    tensors = _tensors(folder)
    stored = head.get("layout")
    layout = Layout.of(model.state_dict(), parameters(model), quantization)
    if not isinstance(stored, dict) or stored.get("digest") != layout.digest:
        raise UserError(
            f"{folder / WEIGHTS}: does not fit the model: its quantized weights were laid out for another one",
            fix="quantize it again, or install the voxkit version that made it",
        )
    try:
        return unpack_state(tensors, layout, stored.get("exact") or ())
    except UserError as error:
        raise UserError(f"{folder / WEIGHTS}: {error.message}", fix=error.fix) from error


def full_weights(folder: Path) -> dict[str, Tensor]:
    """The weights of a bundle that is not quantized.

    Raises:
        UserError: their file is damaged.
    """
    tensors, same = _tensors(folder), read_config(folder).get("same")
    pairs = same.items() if isinstance(same, dict) else ()
    return {**tensors, **{name: tensors[first] for name, first in pairs if first in tensors}}


def _tensors(folder: Path) -> dict[str, Tensor]:
    """What is in a bundle's file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise UserError(f"{folder / WEIGHTS}: damaged: {error}", fix="copy or train it again") from error


def misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], shown: int = 3) -> Iterator[str]:
    """What is wrong with the weights that were found: one line a kind, with the first few names."""
    kinds = {
        "missing": [name for name in wanted if name not in found],
        "not the model's": [name for name in found if name not in wanted],
        "of another shape": [
            f"{name} {tuple(found[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    for kind, names in kinds.items():
        if names:
            yield f"{len(names)} {kind} ({', '.join(names[:shown])}{', ...' if len(names) > shown else ''})"

"""A trained model as a folder: `config.yaml`, `model.safetensors` and `assets/`. Load needs nothing else."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from voxkit import __version__
from voxkit.config import Config, to_dict
from voxkit.errors import UserError
from voxkit.rundir import CONFIG, read_config, sync_tree, write_atomic, writing

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS, ASSETS, FORMAT = "model.safetensors", "assets", 1


@dataclass(frozen=True)
class Bundle:
    """A loaded model: `model` is in eval mode, `config` is what its room's config was, `assets` a folder."""

    system: str
    config: dict[str, Any]
    model: nn.Module
    assets: Path
    path: Path


def save(
    path: Path,
    system: str,
    config: Config,
    state: Mapping[str, Tensor],
    assets: Mapping[str, Path] | None = None,
) -> None:
    """Write a bundle; an older one at `path` is replaced only when the new one is complete.

    Args:
        system: the room that can build the model, for example "train_am".
        state: the model's `state_dict()`.
        assets: small files that the model needs, by the name they get in `assets/`.

    Raises:
        OSError: it cannot be written, as on a full disk.
    """
    from safetensors.torch import save_file

    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    weights = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()}  # none shared
    head = {"format": FORMAT, "voxkit": __version__, "system": system, "config": to_dict(config)}
    with writing(path):
        (temporary / ASSETS).mkdir(parents=True)
        for name, source in (assets or {}).items():
            shutil.copyfile(source, temporary / ASSETS / name)
        save_file(weights, temporary / WEIGHTS)
        write_atomic(temporary / CONFIG, yaml.safe_dump(head, sort_keys=False, allow_unicode=True))
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
    for folder in (path / "bundle", _old(path / "bundle"), path, _old(path)):
        if (folder / CONFIG).exists() and (folder / WEIGHTS).exists():
            return folder
    unfinished = (path / "checkpoints").is_dir()
    raise UserError(
        f"{path}: holds no trained model" + (" yet: its training has not ended" if unfinished else ""),
        fix="run the training command again to finish it" if unfinished else "give an experiment or bundle folder",
    )


def load(path: Path, device: str = "cpu") -> Bundle:
    """Load a bundle from its folder, or from an experiment folder that holds `bundle/`.

    The room named in the bundle builds the model (`voxkit.commands.<system>.model.from_bundle(config, assets)`) and
    the weights are put in strictly.

    Raises:
        UserError: no bundle there, an unknown system or format, or weights that do not fit.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

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
    room = importlib.import_module(f"voxkit.commands.{system}.model")
    model = room.from_bundle(config, folder / ASSETS)
    try:
        weights = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise UserError(f"{folder / WEIGHTS}: damaged: {error}", fix="copy or train it again") from error
    misfits = list(_misfits(model.state_dict(), weights))
    if misfits:
        raise UserError(f"{folder / WEIGHTS}: does not fit the model: {'; '.join(misfits)}", fix="train it again")
    model.load_state_dict(weights, strict=True)
    return Bundle(system, config, model.to(device).eval(), folder / ASSETS, folder)


def _misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], shown: int = 3) -> Iterator[str]:
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

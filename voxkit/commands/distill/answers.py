"""A teacher's answers, kept on disk: one file for each view of the data, shared by runs with the same teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxkit.config import diff
from voxkit.errors import UserError
from voxkit.rundir import write_atomic, writing

SPEC = "answers.json"


class Answers:
    """Logits of the teacher for each example of each view.

    A view's answers are in memory while it is gone through (of a CTC model these are four bytes a frame and unit), and
    written when all of them are there; a run that stops before asks the teacher again. Under several processes each
    sees a part of the examples, so that they are kept in memory only. An utterance is padded as its batch is, so that a
    CTC teacher's answers from another run differ by rounding.

    Args:
        classes: how many values each of the answers has.
    """

    def __init__(self, folder: Path, classes: int) -> None:
        self.folder, self.classes = folder, classes
        self._views: dict[int, dict[str, Tensor]] = {}
        self._expected: dict[int, int] = {}

    @classmethod
    def open(cls, folder: Path, spec: Mapping[str, Any]) -> Answers:
        """A new folder, or one that was made for the same `spec`: what the answers depend on.

        Raises:
            UserError: it holds answers of another teacher or to other inputs, is no folder, or cannot be written.
        """
        wanted = json.loads(json.dumps(spec))
        classes = len(wanted["outputs"])
        file = folder / SPEC
        try:
            strange = folder.exists() and [path for path in folder.iterdir() if not path.name.startswith(f".{SPEC}.")]
        except OSError as error:
            raise UserError(f"{folder}: cannot be opened: {error.strerror}", fix="choose another --cache") from error
        if file.exists():  # after looking at the folder: a run beside this one may have just made it
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
                if not isinstance(found, dict):
                    raise ValueError("not a mapping")
                changed = diff(found, wanted)
            except (OSError, ValueError) as error:
                raise UserError(f"{file}: cannot be read: {error}", fix=f"remove {folder}") from error
            if changed:
                raise UserError(
                    f"{folder}: answers of another teacher, or to other inputs\n  " + "\n  ".join(changed),
                    fix="choose another --cache",
                )
            return cls(folder, classes)
        if strange:
            raise UserError(f"{folder}: holds other things than a teacher's answers", fix="choose another --cache")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{folder}: cannot be made: {error.strerror}", fix="choose another --cache") from error
        write_atomic(file, json.dumps(wanted, indent=1) + "\n")
        return cls(folder, classes)

    def expect(self, view: int, count: int) -> None:
        """How many examples the view has."""
        self._expected[view] = count

    def find(self, ids: Sequence[str], view: int | None) -> Tensor | None:
        """The answers to these examples, one after the other (N, C); None unless all are there."""
        if view is None:
            return None
        known = self._views[view] if view in self._views else self._read(view)
        if any(name not in known for name in ids):
            return None
        return torch.cat([known[name] for name in ids])

    def keep(self, ids: Sequence[str], view: int, answers: Sequence[Tensor]) -> None:
        """Take in the answers to these examples, (N_i, C) each; not if they are no numbers, which skips the step."""
        if not all(answer.isfinite().all() for answer in answers):
            return
        known = self._views.setdefault(view, {})
        known.update(zip(ids, (answer.detach().float().cpu().clone() for answer in answers), strict=True))
        if len(known) == self._expected.get(view) and not self._path(view).exists():
            self._write(view)

    def _path(self, view: int) -> Path:
        return self.folder / f"view-{view:04d}.safetensors"

    def _read(self, view: int) -> dict[str, Tensor]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self._path(view)
        self._views = {old: known for old, known in self._views.items() if not self._path(old).exists()}
        try:
            found = load_file(path) if path.exists() else {}
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: damaged: {error}", fix="remove it: the teacher will be asked again") from error
        for name, answer in found.items():
            if answer.ndim != 2 or answer.shape[1] != self.classes or not answer.isfinite().all():
                raise UserError(
                    f"{path}: damaged, or of another teacher: {tuple(answer.shape)} values for {name}, wanted "
                    f"(N, {self.classes}) finite ones",
                    fix="remove it: the teacher will be asked again",
                )
        self._views[view] = found
        return found

    def _write(self, view: int) -> None:
        from safetensors.torch import save

        path = self._path(view)
        with writing(path):
            write_atomic(path, save(self._views[view]))

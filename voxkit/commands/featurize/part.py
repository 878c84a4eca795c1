"""One part of the work: a few minutes of audio, from manifest lines to stored features. Runs in worker processes.

Free of torch and lhotse unless a cut needs them (mixing, transforms, resampling).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.featurize.command import Featurize
from voxkit.commands.featurize.storage import Store, open_store, stored_bytes
from voxkit.data import audio, checks
from voxkit.data.audio import AudioError, Samples
from voxkit.data.cmvn import GLOBAL, CmvnStats
from voxkit.data.frontend import FrontEnd
from voxkit.data.manifests import FEATURES, parse_line
from voxkit.data.parts import Part
from voxkit.errors import Problem
from voxkit.rundir import write_atomic

TYPES = {"fbank": "kaldi-fbank", "mfcc": "kaldi-mfcc", "log_stft": "kaldi-log-spectrogram"}  # lhotse's names for them


class Fault(Exception):
    """Why a cut gets no features: kind, what and fix."""


@dataclass(frozen=True)
class Record:
    """What became of a part: its cuts with features, and the problems of those without."""

    cuts: list[dict[str, Any]]
    problems: list[Problem]


@dataclass(frozen=True)
class Layout:
    """Where a job's files are: in `work` while it runs, in `final` once all is done."""

    work: Path
    final: Path

    def record(self, part: str) -> Path:
        """The file that says that a part is finished."""
        return self.work / "parts" / f"{part}.jsonl"

    def statistics(self, part: str) -> Path:
        return self.work / "parts" / f"{part}.safetensors"

    def store(self, part: str) -> Path:
        return self.work / FEATURES / part

    def final_store(self, part: str) -> Path:
        return self.final.absolute() / FEATURES / part

    def finished(self, part: Part) -> Record | None:
        """The record of a part, if an earlier run finished it on the same cuts and its features are all there."""
        try:
            head, *lines = map(json.loads, self.record(part.name).read_text(encoding="utf-8").splitlines())
        except (FileNotFoundError, ValueError):
            return None
        if head["digest"] != part.digest or head["bytes"] != stored_bytes(self.store(part.name)):
            return None
        problems = [Problem(**line["problem"]) for line in lines if "problem" in line]
        return Record([line["cut"] for line in lines if "cut" in line], problems)


class Worker:
    """Computes parts; each process has one."""

    def __init__(self, settings: Featurize, layout: Layout) -> None:
        self.settings, self.layout = settings, layout
        self.front_end = FrontEnd(settings.features)

    def compute(self, part: Part) -> list[Problem]:
        """Store a part's features. Its record is written last: a part is finished or will be done again."""
        stats = CmvnStats(self.front_end.dim)
        cuts: list[dict[str, Any]] = []
        problems: list[Problem] = []
        layout = self.layout
        with open_store(self.settings.storage, layout.store(part.name), layout.final_store(part.name)) as store:
            for where, text in part.lines:
                data = parse_line(where, text).data or {}
                try:
                    cuts.append(self._featurize(data, store, stats))
                except Fault as fault:
                    problems.append(_problem(where, data, fault))
        if self.settings.cmvn != "none":
            layout.statistics(part.name).parent.mkdir(exist_ok=True)
            stats.save(layout.statistics(part.name))
        head = {"digest": part.digest, "bytes": store.size}
        lines: Iterable[dict[str, Any]] = (
            head,
            *({"cut": cut} for cut in cuts),
            *({"problem": asdict(problem)} for problem in problems),
        )
        layout.record(part.name).parent.mkdir(exist_ok=True)
        write_atomic(layout.record(part.name), "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        return problems

    def inspect(self, part: Part) -> list[Problem]:
        """Only look for problems, when the job cannot succeed any more but all are to be reported."""
        problems: list[Problem] = []
        for where, text in part.lines:
            data = parse_line(where, text).data or {}
            try:
                _speaker(data, self.settings.cmvn)
                self._audio(data)
            except Fault as fault:
                problems.append(_problem(where, data, fault))
        return problems

    def _featurize(self, data: dict[str, Any], store: Store, stats: CmvnStats) -> dict[str, Any]:
        """Store one cut's features; returns the cut with them attached."""
        key = _speaker(data, self.settings.cmvn)
        samples, cut = self._audio(data)
        features = self.front_end(samples)
        if len(features) == 0:
            raise Fault("zero length", f"{len(samples)} samples are too few for one frame", checks.REMOVE)
        config = self.settings.features
        cut["features"] = {
            "type": TYPES[config.kind],
            "num_frames": features.shape[0],
            "num_features": features.shape[1],
            "frame_shift": config.frame_shift,
            "sampling_rate": config.sampling_rate,
            "start": cut["start"],
            "duration": cut["duration"],
            **store.write(features),
            "recording_id": cut["recording"]["id"] if "recording" in cut else cut["id"],
            "channels": cut["channel"],
        }
        if self.settings.cmvn != "none":
            stats.add(features, key)
        return cut

    def _audio(self, data: dict[str, Any]) -> tuple[Samples, dict[str, Any]]:
        """A cut's audio at the wanted sampling rate, and the cut as it is written (without features yet)."""
        wanted = self.settings.features.sampling_rate
        segment = audio.plain_segment(data)
        try:
            if segment is not None and segment.sampling_rate == wanted:
                samples, _ = segment.read()
                cut = {name: value for name, value in data.items() if name != "features"}
            else:
                samples, cut = _through_lhotse(data, wanted)
        except AudioError as error:
            raise Fault(error.kind, error.what, error.fix) from error
        fault = audio.judge(samples)
        if fault is not None:
            raise Fault(fault[0], f"{fault[1]}: {segment.path}" if segment else fault[1], fault[2])
        return _fit(samples, round(cut["duration"] * wanted)), cut


def _through_lhotse(data: dict[str, Any], sampling_rate: int) -> tuple[Samples, dict[str, Any]]:
    """Audio that lhotse makes (transforms, mixing, several channels); a mixed cut becomes a simple one."""
    cut = checks.to_cut(data)
    if cut.sampling_rate != sampling_rate:
        cut = cut.resample(sampling_rate)
    samples, _ = audio.load_cut(cut)
    if data["type"] in ("MonoCut", "MultiCut"):
        return samples, {name: value for name, value in cut.to_dict().items() if name != "features"}
    supervisions = [{**supervision.to_dict(), "recording_id": cut.id} for supervision in cut.supervisions]
    simple = {"id": cut.id, "start": 0, "duration": cut.duration, "channel": 0, "supervisions": supervisions}
    if getattr(cut, "custom", None):
        simple["custom"] = cut.to_dict()["custom"]
    return samples, {**simple, "type": "MonoCut"}


def _fit(samples: Samples, wanted: int) -> NDArray[np.float32]:
    """`samples` with the length that a cut's duration stands for, where rounding made it a little different."""
    if len(samples) == wanted or abs(len(samples) - wanted) > 2:
        return samples
    return np.pad(samples[:wanted], (0, max(0, wanted - len(samples))), mode="edge")


def _speaker(data: dict[str, Any], cmvn: str) -> str:
    """The key of a cut's statistics."""
    if cmvn != "speaker":
        return GLOBAL
    tracks = data["tracks"] if data["type"] == "MixedCut" else [{"cut": data}]
    speakers = {
        supervision.get("speaker") for track in tracks for supervision in track["cut"].get("supervisions") or ()
    }
    speakers.discard(None)
    if len(speakers) != 1:
        found = "no speaker" if not speakers else f"several speakers ({', '.join(sorted(map(str, speakers)))})"
        raise Fault("no speaker", f"the cut has {found}", "give each cut one speaker, or use --cmvn global")
    return str(speakers.pop())


def _problem(where: str, data: dict[str, Any], fault: Fault) -> Problem:
    kind, what, fix = fault.args
    return Problem(kind, where, str(data["id"]), what, fix)

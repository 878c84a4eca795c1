"""One part of the work: a few minutes of audio, from manifest lines to words and lattices. Runs in worker processes."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from voxkit.commands.decode.command import Decode
from voxkit.commands.decode.recognise import Cost, Recognised, Recogniser
from voxkit.commands.decode.results import reference_of, with_hypothesis
from voxkit.commands.decode.tune import Grid
from voxkit.data import audio
from voxkit.data.audio import AudioError, Samples
from voxkit.data.batching import plan
from voxkit.data.checks import to_cut
from voxkit.data.manifests import parse_line, relocate, snap
from voxkit.data.parts import Part
from voxkit.decode import confusion, lattice
from voxkit.decode.confusion import ConfusionNetwork
from voxkit.decode.folder import CONFUSION, LATTICES
from voxkit.decode.lattice import Lattice
from voxkit.errors import Problem
from voxkit.rundir import write_atomic

if TYPE_CHECKING:
    from lhotse.cut import Cut

EDGE = 0.01  # what a supervision may leave of its cut at either end and still span it [s]


@dataclass(frozen=True)
class Record:
    """What became of a part: its cuts with what was recognised, the problems of the others, and the cost.

    `frame_shift` is that of the network's output [s].
    """

    cuts: list[dict[str, Any]]
    problems: list[Problem]
    cost: Cost
    frame_shift: float = 0.0


class Shard(NamedTuple):
    """What a part has beside its record, by cut."""

    lattices: dict[str, Lattice]
    networks: dict[str, ConfusionNetwork]


@dataclass(frozen=True)
class Layout:
    """Where a job keeps its parts."""

    work: Path

    @property
    def parts(self) -> Path:
        return self.work / "parts"

    def record(self, part: Part) -> Path:
        """The file that says that a part is finished."""
        return self.parts / f"{part.name}.jsonl"

    def shards(self, part: Part) -> tuple[Path, Path]:
        """The files of a part's lattices and confusion networks; where it has none there is no file."""
        name = f"{part.index + 1}.npz"
        return self.work / LATTICES / name, self.work / CONFUSION / name

    def save(self, part: Part, record: Record, shard: Shard) -> None:
        """Write a part, its record last: a part is finished or will be done again."""
        files = self.shards(part)
        for path in (self.record(part), *files):
            path.parent.mkdir(exist_ok=True)
        for path, content in zip(files, shard, strict=True):
            if not content:
                path.unlink(missing_ok=True)
        if shard.lattices:
            lattice.save(files[0], shard.lattices)
        if shard.networks:
            confusion.save(files[1], shard.networks)
        lines = (
            {"digest": part.digest, "shards": list(map(bool, shard)), "cost": asdict(record.cost)}
            | {"frame_shift": record.frame_shift},
            *({"cut": cut} for cut in record.cuts),
            *({"problem": asdict(problem)} for problem in record.problems),
        )
        write_atomic(self.record(part), "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    def finished(self, part: Part) -> Record | None:
        """The record of a part, if it was finished on the same cuts."""
        try:
            head, *lines = map(json.loads, self.record(part).read_text(encoding="utf-8").splitlines())
        except (FileNotFoundError, ValueError):
            return None
        if head["digest"] != part.digest or head.get("shards") != [path.exists() for path in self.shards(part)]:
            return None
        problems = [Problem(**line["problem"]) for line in lines if "problem" in line]
        cuts = [line["cut"] for line in lines if "cut" in line]
        return Record(cuts, problems, Cost(**head["cost"]), head["frame_shift"])


class Worker:
    """Decodes parts; each process has one."""

    def __init__(self, exp: Path, graph: Path | None, config: Decode) -> None:
        self.config = config
        self.recogniser = Recogniser(exp, graph, config)

    def decode(self, part: Part) -> tuple[Record, Shard]:
        """Recognise the cuts of a part, and leave out the lines whose audio is bad."""
        listener = self.listener(part)
        found: dict[int, Recognised] = {}
        cost = Cost()
        for batch in listener:
            results, spent = self.recogniser(batch.cuts, batch.samples)
            found.update(zip(batch.indices, results, strict=True))
            spent.stages["features"] += batch.seconds
            cost.add(spent)
        bad = listener.problems()
        good = [(cut, found[i]) for i, (where, cut) in enumerate(listener.items) if where not in bad]
        cuts = [with_hypothesis(cut, item).to_dict() for cut, item in good]
        lattices = {item.id: item.lattice for _, item in good if item.lattice is not None}
        networks = {item.id: item.confusion for _, item in good if item.confusion is not None}
        record = Record(cuts, list(bad.values()), cost, self.recogniser.frame_shift)
        return record, Shard(lattices, networks)

    def sweep(self, part: Part) -> tuple[list[tuple[str, list[str]]], list[Problem]]:
        """Of each cut with a reference, the reference and the best text at every point of the grid."""
        points = Grid(self.config.tune).points
        listener = self.listener(part, only_referenced=True)
        found: dict[int, list[str]] = {}
        for batch in listener:
            log_probs, _ = self.recogniser.log_probs(batch.cuts, batch.samples)
            texts = [self.recogniser.texts(frames, points) for frames in log_probs]
            found.update(zip(batch.indices, texts, strict=True))
        bad = listener.problems()
        good = [(i, cut) for i, (where, cut) in enumerate(listener.items) if where not in bad]
        return [(reference_of(cut) or "", found[i]) for i, cut in good], list(bad.values())

    def inspect(self, part: Part) -> list[Problem]:
        """Only look for problems, when the job cannot succeed any more but all are to be reported."""
        listener = self.listener(part)
        for _ in listener:
            pass
        return list(listener.problems().values())

    def listener(self, part: Part, only_referenced: bool = False) -> Listener:
        rate = self.recogniser.extractor.config.sampling_rate
        return Listener(part, rate, self.config.batch_duration, only_referenced)


class Batch(NamedTuple):
    """Cuts of like durations with their audio; `indices` say which of the part's they are."""

    indices: list[int]
    cuts: list[Cut]
    samples: list[Samples]
    seconds: float  # of CPU time that reading took


class Listener:
    """The audio of a part, batch by batch; gathers what is wrong with it.

    A line of the manifest is bad if any of its audio cannot be used, or all of it is silent.
    """

    def __init__(self, part: Part, sampling_rate: int, batch_duration: float, only_referenced: bool = False) -> None:
        self.sampling_rate = sampling_rate
        self.batch_duration = batch_duration
        self.items: list[tuple[str, Cut]] = []
        self._ids: dict[str, str] = {}
        self._faults: dict[str, tuple[str, str, str]] = {}
        self._silent: Counter[str] = Counter()
        moved: dict[str, str] = {}
        for where, text in part.lines:
            folder = Path(where.rpartition(":")[0]).parent
            data = snap(relocate(parse_line(where, text).data or {}, folder, moved))
            self._ids[where] = str(data["id"])
            cuts = segments(data)
            self.items += [(where, cut) for cut in cuts if reference_of(cut) is not None or not only_referenced]

    def __iter__(self) -> Iterator[Batch]:
        for indices in _batches([cut.duration for _, cut in self.items], self.batch_duration):
            begun = time.process_time()
            heard = [(i, samples) for i in indices if (samples := self._read(*self.items[i])) is not None]
            if heard:
                chosen = [i for i, _ in heard]
                seconds = time.process_time() - begun
                yield Batch(chosen, [self.items[i][1] for i in chosen], [samples for _, samples in heard], seconds)

    def problems(self) -> dict[str, Problem]:
        """What is wrong with lines, by where they are; complete once all batches were heard."""
        counts = Counter(where for where, _ in self.items)
        faults = dict(self._faults)
        for where, count in self._silent.items():
            if count == counts[where]:
                faults.setdefault(
                    where, ("silent audio", "no signal at all", "record or export it again, or remove it")
                )
        return {where: Problem(kind, where, self._ids[where], what, fix) for where, (kind, what, fix) in faults.items()}

    def _read(self, where: str, cut: Cut) -> Samples | None:
        try:
            samples = audio.load(cut, self.sampling_rate)
        except AudioError as error:
            self._faults.setdefault(where, (error.kind, error.what, error.fix))
            return None
        self._silent[where] += audio.judge(samples) is not None
        return samples


def segments(data: Mapping[str, Any]) -> list[Cut]:
    """A line's cut as it is if one supervision spans it or it has none; otherwise one cut for each supervision."""
    cut = to_cut(data)
    if whole(data):
        return [cut]
    spanning = [s for s in cut.supervisions if _spans(s.start, s.end, cut.duration)]
    if not cut.supervisions or len(spanning) == len(cut.supervisions) == 1:
        return [cut]
    return list(cut.trim_to_supervisions(keep_overlapping=False))


def segment_ids(data: Mapping[str, Any]) -> list[str]:
    """The ids of `segments`."""
    return [str(data["id"])] if whole(data) else [cut.id for cut in segments(data)]


def whole(data: Mapping[str, Any]) -> bool:
    """Whether a line's cut is decoded as it is, where that shows without asking lhotse."""
    if data["type"] == "MixedCut":
        return False
    spans = [_spans(s["start"], s["start"] + s["duration"], data["duration"]) for s in data.get("supervisions") or ()]
    return not spans or spans == [True]


def _spans(start: float, end: float, duration: float) -> bool:
    return start <= EDGE and end >= duration - EDGE


def _batches(durations: Sequence[float], most: float) -> list[list[int]]:
    """Indices of like durations, `most` seconds of them with padding (or one longer cut alone)."""
    if not durations:
        return []
    return [list(map(int, batch)) for batch in plan(durations, max(most, *durations), shuffle=False)]

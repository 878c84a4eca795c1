"""The whole of `featurize`: check, divide into parts, compute those not done yet, join."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from voxkit.commands.featurize.command import Featurize
from voxkit.commands.featurize.part import Layout, Record, Worker
from voxkit.commands.featurize.storage import require_storage
from voxkit.config import to_dict
from voxkit.data.checks import Line, Requirements, check, duration_of
from voxkit.data.cmvn import CmvnStats
from voxkit.data.manifests import (
    CUTS,
    manifest_files,
    parse_line,
    parse_shard,
    read_lines,
    read_text,
    require_some,
    write_cuts,
)
from voxkit.data.parts import Part, divide
from voxkit.data.pool import WorkerDied, spread
from voxkit.data.sharding import PARTS, parts_like
from voxkit.errors import DataError, Interrupted, Problem, Problems, UserError
from voxkit.progress import Meter, say
from voxkit.rundir import digest, output, write_atomic
from voxkit.train.interrupt import listening

CMVN = "cmvn.safetensors"
REJECTED = "rejected.jsonl"


def run(settings: Featurize, cuts: Path, out: Path, shard: str | None, num_jobs: int, max_bad: float) -> Path:
    """Compute the features of `cuts` (or of a shard of them) into the folder `out`.

    Returns:
        The manifest of the cuts with their features.

    Raises:
        DataError: more than `max_bad` of the cuts are bad; nothing is left behind.
        Interrupted: SIGTERM or SIGUSR1 came; finished parts are kept for the same command.
    """
    require_storage(settings.storage)
    files = manifest_files(cuts)
    with output(out, "featurize", _spec(settings, files, shard=shard or "")) as place:
        if not place.done and not (place.work / CUTS).exists():
            _Job(settings, files, shard, Layout(place.work, out)).run(num_jobs, max_bad)
        shutil.rmtree(place.work / "parts", ignore_errors=True)
    return out / CUTS


def merge(settings: Featurize, cuts: Path, out: Path) -> Path:
    """Join the shards in `out`: one manifest over their features, their statistics added up.

    Raises:
        UserError: shards are missing, or were made with other settings.
        DataError: two shards hold a cut of the same id.
    """
    files, folders = manifest_files(cuts), parts_like(out, to_dict(settings))
    with output(out, "featurize", _spec(settings, files, merged=len(folders)), keep=PARTS) as place:
        if place.done:
            return out / CUTS
        manifests = [folder / CUTS for folder in folders]
        problems, _, total = check(read_lines(manifests), Requirements(audio=False))
        problems.settle(total)
        rejected = [path.read_bytes() for folder in folders if (path := folder / REJECTED).exists()]
        if rejected:
            write_atomic(place.work / REJECTED, b"".join(rejected))
        if settings.cmvn != "none":
            stats = (CmvnStats.load(folder / CMVN) for folder in folders)
            CmvnStats.merged(stats, settings.features.dim).save(place.work / CMVN)
        write_cuts((line.data for line in read_lines(manifests) if line.data), place.work / CUTS)
        say(f"{out}: {total} cuts of {len(folders)} shards")
    return out / CUTS


class _Job:
    """One run over a manifest's lines."""

    def __init__(self, settings: Featurize, files: Sequence[Path], shard: str | None, layout: Layout) -> None:
        self.settings, self.layout = settings, layout
        index, count = parse_shard(shard) if shard else (1, 1)
        every = [(f"{file}:{number}", text) for file in files for number, text in read_text(file)]
        require_some(len(every), ", ".join(map(str, files)))
        self.lines = every[index - 1 :: count]
        self.seconds: list[float] = []
        self.rates: Counter[int] = Counter()

    def run(self, num_jobs: int, max_bad: float) -> None:
        began = time.monotonic()
        found, bad, total = check(self._parsed(), Requirements())
        self._say_resampling()
        divided = list(divide(self.lines, self.seconds, bad, self.settings.part_seconds))
        problems, fresh = self._compute(divided, list(found), num_jobs, max_bad)
        place = {where: position for position, (where, _) in enumerate(self.lines)} if problems else {}
        ordered = Problems()
        for problem in sorted(problems, key=lambda problem: place[problem.where]):
            ordered.add(problem.kind, problem.where, problem.id, problem.what, problem.fix)
        try:
            left_out = ordered.settle(total, max_bad, self.layout.work / REJECTED)
        except DataError:
            for folder in ("feats", "parts"):
                shutil.rmtree(self.layout.work / folder, ignore_errors=True)
            raise
        if left_out:
            say(f"{len(left_out)} of {total} cuts left out; {self.layout.final / REJECTED} says why")
        written = self._join(divided)
        speed = fresh / max(time.monotonic() - began, 1e-9)
        audio = sum(part.seconds for part in divided)
        say(f"{self.layout.final}: {written} cuts, {audio / 3600:.2f} h of audio, {speed:.0f} s of audio per second")

    def _parsed(self) -> Iterator[Line]:
        """The lines; notes each one's duration and sampling rate on the way."""
        for where, text in self.lines:
            line = parse_line(where, text)
            self.seconds.append(duration_of(line.data or {}))
            recording = (line.data or {}).get("recording")
            if isinstance(recording, dict) and isinstance(recording.get("sampling_rate"), int):
                self.rates[recording["sampling_rate"]] += 1
            yield line

    def _say_resampling(self) -> None:
        wanted = self.settings.features.sampling_rate
        for rate, count in sorted(self.rates.items()):
            if rate != wanted:
                higher = "; nothing is added above their own half" if rate < wanted else ""
                say(f"notice: {count} cuts at {rate} Hz are resampled to {wanted} Hz{higher}")

    def _compute(
        self, divided: Sequence[Part], problems: list[Problem], num_jobs: int, max_bad: float
    ) -> tuple[list[Problem], float]:
        """Compute the parts that are not finished: all problems, and the seconds of audio computed.

        Once more than `max_bad` of the cuts are bad, the rest is only looked through for more problems.
        """
        records = {part.index: self.layout.finished(part) for part in divided}
        pending = [part for part in divided if records[part.index] is None]
        problems += chain.from_iterable(record.problems for record in records.values() if record)
        audio, todo = sum(part.seconds for part in divided), sum(part.seconds for part in pending)
        if len(pending) < len(divided):
            say(f"{self.layout.work}: going on after {len(divided) - len(pending)} of {len(divided)} parts")

        def hopeless() -> bool:
            return len({problem.id for problem in problems}) > max_bad * len(self.lines)

        tasks = ((part, hopeless()) for part in pending)
        worker = partial(Worker, self.settings, self.layout)
        jobs = min(num_jobs, len(pending))
        meter = Meter(audio, "features", "s of audio", done=audio - todo)
        with (
            listening() as signals,
            closing(spread(tasks, worker, _compute, jobs, lambda: bool(signals))) as results,
            meter,
        ):
            try:
                for (part, _), found in results:
                    problems += found
                    meter.advance(part.seconds)
            except WorkerDied as death:
                raise UserError(
                    f"a worker process died ({death}); what is finished is kept",
                    fix="run the same command again, with fewer --num-jobs if memory was short",
                ) from death
            if signals:
                raise Interrupted(f"{signals.received}; the same command goes on with {self.layout.work}")
        return problems, todo

    def _join(self, divided: Sequence[Part]) -> int:
        """Write the manifest last: with it, the work is complete."""
        if self.settings.cmvn != "none":
            stats = (CmvnStats.load(self.layout.statistics(part.name)) for part in divided)
            CmvnStats.merged(stats, self.settings.features.dim).save(self.layout.work / CMVN)
        return write_cuts(chain.from_iterable(map(self._cuts, divided)), self.layout.work / CUTS)

    def _cuts(self, part: Part) -> list[dict[str, Any]]:
        record: Record | None = self.layout.finished(part)
        if record is None:
            raise UserError(f"{self.layout.store(part.name)}: was changed while in use", fix="run the command again")
        return record.cuts


def _compute(worker: Worker, task: tuple[Part, bool]) -> list[Problem]:
    """Compute a part, or only inspect it."""
    part, hopeless = task
    return worker.inspect(part) if hopeless else worker.compute(part)


def _spec(settings: Featurize, files: Iterable[Path], **more: Any) -> dict[str, Any]:
    """What decides the content of the output folder."""
    return {"cuts": {str(file.resolve()): digest(file) for file in files}, **more, **to_dict(settings)}

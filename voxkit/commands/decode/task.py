"""What `voxkit decode` does: cuts in; hypotheses, lattices and scores out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import yaml

from voxkit import bundle
from voxkit.commands.decode import picture, results
from voxkit.commands.decode.command import Decode
from voxkit.commands.decode.material import Material, gather
from voxkit.commands.decode.part import Layout, Record, Worker
from voxkit.commands.decode.recognise import Cost
from voxkit.commands.decode.tune import Grid
from voxkit.config import to_dict
from voxkit.data.checks import to_cut
from voxkit.data.lang import Lang
from voxkit.data.manifests import manifest_files
from voxkit.data.parts import Part
from voxkit.data.pool import WorkerDied, spread
from voxkit.data.sharding import PARTS, parts_like
from voxkit.decode.folder import CONFUSION, HYPOTHESES, LATTICES, REJECTED
from voxkit.errors import DataError, Interrupted, Problem, Problems, UserError
from voxkit.progress import Meter, say
from voxkit.rundir import digest, output, read_config, write_atomic
from voxkit.train.interrupt import Signals, listening

T = TypeVar("T")
COST, SCORES = "cost.json", "scores.txt"


@dataclass(frozen=True)
class Job:
    """One call of `decode`."""

    config: Decode
    exp: Path
    inputs: tuple[Path, ...]
    graph: Path | None
    num_jobs: int
    max_bad: float

    @property
    def from_manifest(self) -> bool:
        return any(path.name.endswith((".jsonl", ".jsonl.gz")) or path.is_dir() for path in self.inputs)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The manifests, or the audio files."""
        return manifest_files(self.inputs) if self.from_manifest else tuple(dict.fromkeys(self.inputs))

    @property
    def sampling_rate(self) -> int:
        """What the model was trained with [Hz]."""
        return int(read_config(self.bundle())["config"]["features"]["sampling_rate"])

    def bundle(self) -> Path:
        return bundle.locate(self.exp)

    def lang(self) -> Lang:
        return Lang.load(self.graph if self.graph is not None else self.bundle() / "assets")

    @property
    def normaliser(self) -> str:
        return self.config.normaliser or self.lang().normaliser

    def worker(self) -> Callable[[], Worker]:
        return partial(Worker, self.exp, self.graph, self.config)

    def spec(self) -> dict[str, Any]:
        """What decides the result."""
        return {
            "settings": to_dict(self.config),
            "model": digest(bundle.weights(self.exp)),
            "graph": None if self.graph is None else digest(Lang.load(self.graph).graph),
            "inputs": {str(file.resolve()): digest(file) for file in self.files},
            "max_bad": self.max_bad,
        }


def run(job: Job, out: Path | None, shard: str | None, merge: bool, plot: Sequence[str], kaldi: bool = False) -> None:
    """Decode into `out`, or to stdout; print scores and the real-time factor.

    Args:
        plot: ids of cuts to draw.
        kaldi: whether to write the lattices as Kaldi's text too. Like pictures, they may be had of a finished `out`.

    Raises:
        DataError: more than `max_bad` of the cuts are bad; nothing is left behind.
        Interrupted: SIGTERM or SIGUSR1 came; finished parts are kept for the same command.
    """
    if out is None:
        _print(job)
        return
    folders = parts_like(out, job.spec()) if merge else []
    spec = {**job.spec(), "shard": shard, **({"merged": len(folders)} if merge else {})}
    with listening() as signals, output(out, "decode", spec, keep=None if shard else PARTS) as folder:
        if not folder.done and not (folder.work / SCORES).exists():
            if merge:
                results.merge(folders, folder.work)
                cost = _sum(_cost_of(part) for part in folders)
            else:
                cost = _decode(job, shard, Layout(folder.work), signals)
            write_atomic(folder.work / COST, json.dumps(asdict(cost)) + "\n")
            lines = results.report(folder.work, job.normaliser, out, picture=shard is None)
            write_atomic(folder.work / SCORES, "".join(f"{line}\n" for line in [*lines, cost.line(out)]))
        shutil.rmtree(Layout(folder.work).parts, ignore_errors=True)
    print((out / SCORES).read_text(encoding="utf-8"), end="")
    for cut_id in plot:
        say(f"picture: {picture.draw(out, cut_id, job.normaliser)}")
    if kaldi:
        say(f"lattices for Kaldi: {results.write_kaldi(out)}")
    say(f"hypotheses: {out / HYPOTHESES}")


def _decode(job: Job, shard: str | None, layout: Layout, signals: Signals) -> Cost:
    """Decode the parts that are not finished, and join all."""
    material = gather(job.files, job.sampling_rate if job.from_manifest else None, shard, job.config)
    finished = [(part, layout.finished(part)) for part in material.parts]
    pending = [part for part, record in finished if record is None]
    problems = [*material.problems, *chain.from_iterable(record.problems for _, record in finished if record)]
    if len(pending) < len(finished):
        say(f"{layout.work}: going on after {len(finished) - len(pending)} of {len(finished)} parts")
    later = f"the same command goes on with {layout.work}"
    del finished
    for _ in _over(job, material, pending, partial(_save, layout=layout), problems, signals, later):
        pass
    try:
        _settle(material, problems, job.max_bad, layout.work / REJECTED)
    except DataError:
        for folder in (layout.parts, layout.work / LATTICES, layout.work / CONFUSION):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    records = [replace(_record(layout, part), cuts=[]) for part in material.parts]
    frame_shift = max((record.frame_shift for record in records), default=0.0)
    results.write(layout.work, _cuts(layout, material.parts), job.lang().words, frame_shift)
    return _sum(record.cost for record in records)


def _print(job: Job) -> None:
    """Print `id: text` lines, and scores if there are references."""
    from voxkit.metrics.report import Report

    material = gather(job.files, job.sampling_rate if job.from_manifest else None, None, job.config)
    problems = list(material.problems)
    records: dict[int, Record] = {}
    with listening() as signals:
        for part, record in _over(job, material, material.parts, _tell, problems, signals):
            records[part.index] = record
    _settle(material, problems, job.max_bad, None)
    ordered = [records[part.index] for part in material.parts]
    cuts = [to_cut(data) for record in ordered for data in record.cuts]
    for cut in cuts:
        print(f"{cut.id}: {cut.supervisions[0].text}")
    references = list(results.scored(cuts)) if job.from_manifest else []
    if references:
        print(*Report(references, job.normaliser).lines(job.exp), sep="\n")
    say(_sum(record.cost for record in ordered).line(job.exp))


def run_tune(job: Job, out: Path) -> None:
    """Try the grid of scales on cuts with references and write the best pair to `out`/decode.yaml."""
    with listening() as signals, output(out, "decode", {**job.spec(), "tune": True}, resumable=False) as folder:
        if not folder.done:
            grid = _tune(job, folder.work, signals)
            best = grid.best()
            values = {"search": dict(zip(("acoustic_scale", "blank_penalty"), best, strict=True))}
            (folder.work / "decode.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
            (folder.work / "tune.tsv").write_text(grid.table(), encoding="utf-8")
            chosen = f"acoustic_scale {best[0]:g}, blank_penalty {best[1]:g}"
            line = grid.errors[best].line("WER", f"{out} ({chosen})")
            (folder.work / SCORES).write_text(line + "\n", encoding="utf-8")
            if edges := grid.at_edge(best):
                say(f"the best {edges} lies at the edge of the grid: widen it with -s tune.{edges}=[...]")
    print((out / SCORES).read_text(encoding="utf-8"), end="")
    say(f"settings for voxkit decode --config: {out / 'decode.yaml'}")


def _tune(job: Job, work: Path, signals: Signals) -> Grid:
    material = gather(job.files, job.sampling_rate if job.from_manifest else None, None, job.config)
    grid = Grid(job.config.tune)
    problems = list(material.problems)
    say(f"tuning over {len(grid.points)} points")
    for _, found in _over(job, material, material.parts, _sweep, problems, signals):
        for reference, texts in found:
            grid.add(reference, texts, job.normaliser)
    _settle(material, problems, job.max_bad, work / REJECTED)
    if not any(found.total for found in grid.errors.values()):
        raise UserError("no references to tune on", fix="give cuts with transcripts: a dev set, never the test set")
    return grid


def _over(
    job: Job,
    material: Material,
    pending: Sequence[Part],
    work: Callable[[Worker, tuple[Part, bool]], tuple[T, list[Problem]]],
    problems: list[Problem],
    signals: Signals,
    later: str = "the same command begins again",
) -> Iterator[tuple[Part, T]]:
    """Do `work` on parts, in the order of completion; `problems` grows by what they have.

    Once more than `max_bad` of the cuts are bad, the rest is only looked through for more problems.

    Raises:
        Interrupted: a signal came; what is under way is dropped.
        UserError: what the work raised, or a process that was killed.
    """

    def hopeless() -> bool:
        return len({problem.id for problem in problems}) > job.max_bad * material.total

    todo, every = (sum(part.seconds for part in some) for some in (pending, material.parts))
    tasks = ((part, hopeless()) for part in pending)
    num_jobs = min(job.num_jobs, len(pending))
    outcomes = spread(tasks, job.worker(), work, num_jobs, lambda: bool(signals))
    with closing(outcomes), Meter(every, "decoding", "s of audio", done=every - todo) as meter:
        try:
            for (part, _), (outcome, found) in outcomes:
                problems += found
                meter.advance(part.seconds)
                yield part, outcome
        except WorkerDied as death:
            fix = "run the same command again, with fewer --num-jobs: most often the memory is used up"
            raise UserError(f"a decoding process was killed ({death})", fix=fix) from death
    if signals:
        raise Interrupted(f"{signals.received}; {later}")


def _save(worker: Worker, task: tuple[Part, bool], layout: Layout) -> tuple[None, list[Problem]]:
    """Decode a part into its files; or, if the job is hopeless, only inspect it."""
    part, hopeless = task
    if hopeless:
        return None, worker.inspect(part)
    record, shard = worker.decode(part)
    layout.save(part, record, shard)
    return None, record.problems


def _tell(worker: Worker, task: tuple[Part, bool]) -> tuple[Record, list[Problem]]:
    """Decode a part and hand back what was recognised."""
    part, hopeless = task
    record = Record([], worker.inspect(part), Cost()) if hopeless else worker.decode(part)[0]
    return record, record.problems


def _sweep(worker: Worker, task: tuple[Part, bool]) -> tuple[list[tuple[str, list[str]]], list[Problem]]:
    part, hopeless = task
    return ([], worker.inspect(part)) if hopeless else worker.sweep(part)


def _settle(material: Material, problems: Sequence[Problem], max_bad: float, rejected: Path | None) -> None:
    """Report what is wrong, in the order of the manifest."""
    ordered = Problems()
    for problem in sorted(problems, key=lambda problem: material.place[problem.where]):
        ordered.add(problem.kind, problem.where, problem.id, problem.what, problem.fix)
    left_out = ordered.settle(material.total, max_bad, rejected)
    if left_out:
        say(f"{len(left_out)} of {material.total} cuts left out")


def _cuts(layout: Layout, divided: Sequence[Part]) -> Iterator[dict[str, Any]]:
    for part in divided:
        yield from _record(layout, part).cuts


def _record(layout: Layout, part: Part) -> Record:
    record = layout.finished(part)
    if record is None:
        raise UserError(f"{layout.record(part)}: was changed while in use", fix="run the command again")
    return record


def _cost_of(folder: Path) -> Cost:
    try:
        return Cost(**json.loads((folder / COST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{folder / COST}: cannot be read: {error}", fix="decode this part again") from error


def _sum(costs: Iterator[Cost]) -> Cost:
    total = Cost()
    for cost in costs:
        total.add(cost)
    return total

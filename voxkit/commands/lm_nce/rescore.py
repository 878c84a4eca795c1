"""`lm-nce rescore`: recognised cuts again, by the costs of a language model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from voxkit import bundle
from voxkit.commands.lm_nce.command import Rescore
from voxkit.commands.lm_nce.costs import Clock, Cost, Count, Heard, Rescorer, Scores, WordTable
from voxkit.commands.lm_nce.first_pass import Coverage, Hearing, chunks, in_batches, lattice_of, shard_range, times
from voxkit.commands.lm_nce.lattices import Expander, chained
from voxkit.commands.lm_nce.scorer import open_scorer
from voxkit.commands.lm_nce.second_pass import Timed, report, rewritten
from voxkit.commands.lm_nce.spans import Names
from voxkit.commands.lm_nce.tuning import Grid
from voxkit.config import to_dict
from voxkit.data.manifests import parse_shard, read_text, write_cuts
from voxkit.data.sharding import PARTS, parts_like, shard_out
from voxkit.data.text import normaliser as normaliser_called
from voxkit.decode import confusion as networks
from voxkit.decode import lattice as arcs
from voxkit.decode.confusion import confusion_network
from voxkit.decode.folder import CONFUSION, FRAME_SHIFT, HYPOTHESES, LATTICES, WORDS, Decoded, shard_files
from voxkit.decode.lattice import Lattice
from voxkit.errors import Interrupted, UserError
from voxkit.metrics.edit import Errors, errors
from voxkit.progress import Meter, say
from voxkit.rundir import digest, output, write_atomic
from voxkit.train.interrupt import Signals, listening

AT_ONCE = 200  # cuts
COMMAND, COST, SCORES, SETTINGS = "lm-nce rescore", "cost.json", "scores.txt", "rescore.yaml"


@dataclass(frozen=True)
class Request:
    """One call of `rescore`."""

    settings: Rescore
    exp: Path
    decoded: Path
    names: Path | None = None
    threads: int = 1

    @cached_property
    def hearing(self) -> Hearing:
        return Hearing(self.decoded, self.settings.method == "lattice")

    @property
    def normaliser(self) -> str:
        return self.settings.normaliser or self.hearing.normaliser

    def rescorer(self) -> Rescorer:
        """The model with the words of the folder."""
        scorer = open_scorer(self.exp, self.settings.normalised, self.threads)
        table = WordTable(scorer.vocabulary, self.hearing.words, self.settings.unknown_penalty)
        names = None if self.names is None else Names.read(self.names, scorer.vocabulary)
        if names is not None:
            spoken = {one for some in table.spoken for one in some}
            for line in names.told(spoken if self.hearing.has_lattices else None, self.hearing.speakers):
                say(line)
        return Rescorer(scorer, table, names, self.settings.readings)

    def spec(self) -> dict[str, Any]:
        """What decides the result."""
        home = bundle.locate(self.exp)
        tables = (HYPOTHESES, WORDS, FRAME_SHIFT) if self.hearing.has_lattices else (HYPOTHESES,)
        return {
            "settings": to_dict(self.settings),
            "normaliser": self.normaliser,
            "model": {str(file.relative_to(home)): digest(file) for file in bundle.files(self.exp)},
            "decoded": str(self.decoded.resolve()),
            **{name: digest(self.decoded / name) for name in tables},
            **{kind: _sizes(shard_files(self.decoded, kind)) for kind in (LATTICES, CONFUSION)},
            "names": None if self.names is None else digest(self.names),
        }


def _sizes(files: Sequence[Path]) -> str:
    """Files that are too many and too large to be read for a spec: by their names and sizes."""
    sizes = {file.name: file.stat().st_size for file in files}
    listing = sha256(json.dumps(sizes).encode()).hexdigest()
    return f"{len(sizes)} files of {sum(sizes.values())} bytes ({listing[:16]})"


@contextmanager
def _whole_or_nothing(work: Path) -> Iterator[None]:
    """Remove what was written into a folder if it does not get whole."""
    before = set(os.listdir(work))
    try:
        yield
    except BaseException:
        for name in set(os.listdir(work)) - before:
            if (work / name).is_dir():
                shutil.rmtree(work / name)
            else:
                (work / name).unlink()
        raise


def run(request: Request, out: Path, shard: str | None, merge: bool) -> None:
    """Rescore a decode folder into `out`, which can be read as one.

    Raises:
        UserError: not a decode folder or model, or ones that do not go together.
        Interrupted: SIGTERM or SIGUSR1 came; nothing is left behind.
    """
    folders = parts_like(out, request.spec()) if merge else []
    spec = {**request.spec(), "shard": shard, **({"merged": len(folders)} if merge else {})}
    target = shard_out(out, shard)
    with listening() as signals, output(target, COMMAND, spec, None if shard else PARTS, resumable=False) as place:
        if not place.done:
            with _whole_or_nothing(place.work):
                if merge:
                    cost, count = _join(folders, place.work)
                else:
                    cost, count = _Work(request, place.work, signals).all(parse_shard(shard) if shard else (1, 1))
                _conclude(request, place.work, target, cost, count)
    print((target / SCORES).read_text(encoding="utf-8"), end="")
    say(f"hypotheses: {target / HYPOTHESES}")


def _conclude(request: Request, work: Path, target: Path, cost: Cost, count: Count) -> None:
    """Score what was rescored, and write the lines that `target` will be shown with."""
    write_atomic(work / COST, json.dumps({"cost": asdict(cost), "count": asdict(count)}) + "\n")
    lines = report(work, work / HYPOTHESES, request.normaliser, request.decoded, target)
    if not lines:
        say("no references: nothing to score")
    if request.names is not None:
        say(f"names: some occur in the hypotheses of {count.named} of {cost.utterances} utterances")
    lines += cost.lines(target)
    if count.words:
        what = f"{count.words - count.prefixes} of {count.words} words of hypotheses"
        lines.append(f"%CACHED {100 * count.saved:.1f} [ {what} ] {target}")
    write_atomic(work / SCORES, "".join(f"{line}\n" for line in lines))


class _Work:
    """The rescoring of one part into a folder."""

    def __init__(self, request: Request, work: Path, signals: Signals) -> None:
        self.request, self.work, self.signals = request, work, signals
        self.settings, self.hearing = request.settings, request.hearing
        self.cost = Cost()
        self.rescorer = request.rescorer()
        self.table = self.rescorer.table
        self.coverage = Coverage(self.table, self.hearing.source, request.exp)
        self.frame_shift = self.hearing.folder.frame_shift if self.hearing.has_lattices else 0.0
        self.confusion = self.hearing.has_lattices and bool(shard_files(request.decoded, CONFUSION))
        self.expander = Expander(self.rescorer.scorer, self.table, self.settings.weights, self.settings.lattice)

    def all(self, shard: tuple[int, int]) -> tuple[Cost, Count]:
        """Rescore the cuts of part I of N."""
        write_cuts(self._lines(shard), self.work / HYPOTHESES)
        if self.hearing.has_lattices:
            for name in (WORDS, FRAME_SHIFT):
                shutil.copyfile(self.request.decoded / name, self.work / name)
        self.coverage.check(ended=True)
        say(str(self.coverage))
        return self.cost, Count() if self.settings.method == "lattice" else self.rescorer.count

    def _lines(self, shard: tuple[int, int]) -> Iterator[dict[str, Any]]:
        with Meter(len(shard_range(self.hearing, shard)), "rescoring", "cuts") as meter:
            for number, chunk in enumerate(chunks(self.hearing, shard, AT_ONCE), start=1):
                if self.signals:
                    raise Interrupted(f"{self.signals.received}; the same command begins again")
                for found in chunk:
                    self.coverage.add(found)
                    self.cost.audio += _duration(found)
                self.coverage.check(ended=False)
                yield from self._chunk(chunk, number)
                meter.advance(len(chunk))

    def _chunk(self, chunk: Sequence[Decoded], number: int) -> Iterator[dict[str, Any]]:
        """The lines of some cuts; their lattices and confusion networks go into files of that number."""
        self._alone(chunk)
        rescored = self._by_lattices(chunk) if self.settings.method == "lattice" else self._by_lists(chunk)
        lattices: dict[str, Lattice] = {}
        confusions: dict[str, networks.ConfusionNetwork] = {}
        for found, best, lattice in rescored:
            posteriors = None
            if lattice is not None:
                lattices[found.id] = lattice
            if lattice is not None and self.confusion:
                network = self._network(found, lattice, best[0])
                confusions[found.id] = network
                posteriors = [round(value, 6) for value in network.spoken()[0].tolist()]
            yield rewritten(found, best, posteriors)
        if lattices:
            (self.work / LATTICES).mkdir(exist_ok=True)
            arcs.save(self.work / LATTICES / f"{number}.npz", lattices)
        if confusions:
            (self.work / CONFUSION).mkdir(exist_ok=True)
            networks.save(self.work / CONFUSION / f"{number}.npz", confusions)

    def _network(self, found: Decoded, lattice: Lattice, best: Timed) -> networks.ConfusionNetwork:
        try:
            return confusion_network(lattice, False, words=[self.table.index[word] for word in best.words])
        except UserError as error:
            raise UserError(f"{found.id}: no confusion network: {error.message}", fix=error.fix) from error

    def _heard(self, found: Decoded) -> Heard:
        return Heard(found, self.hearing.hypotheses(found, self.settings.nbest, self.table))

    def _by_lists(self, chunk: Sequence[Decoded]) -> Iterator[tuple[Decoded, list[Timed], Lattice | None]]:
        """Rescore lists; lattices of these are made where there were lattices."""
        clock, count = Clock(), self.cost
        lists = [self._heard(found) for found in chunk]
        count.lists += clock()
        scored: list[tuple[Scores, NDArray[np.float64]]] = []
        for batch in in_batches(lists, self.settings.batch):
            scored += [(scores, scores.costs(self.settings.weights)) for scores in self.rescorer(batch)]
        count.model += clock()
        count.utterances += len(lists)
        for scores, costs in scored:
            found, hypotheses = scores.heard.found, scores.heard.hypotheses
            best = [self._timed(scores, number, costs[number]) for number in np.argsort(costs, kind="stable").tolist()]
            lattice = None
            if found.lattice is not None:
                more = costs - scores.parts[:, 0] - self.settings.weights.graph * scores.parts[:, 1]
                lattice = chained(found.lattice, hypotheses, self.settings.weights.graph, more)
            yield found, best, lattice

    def _by_lattices(self, chunk: Sequence[Decoded]) -> Iterator[tuple[Decoded, list[Timed], Lattice | None]]:
        """Rescore lattices; lists are taken out of the new ones."""
        clock, count = Clock(), self.cost
        expanded: list[Lattice] = []
        for some in _by_arcs([lattice_of(Heard(found, ())) for found in chunk], self.settings.batch):
            expanded += self.expander(some)
        count.model += clock()
        lists = [
            Heard(found, lattice.nbest(self.settings.nbest)) for found, lattice in zip(chunk, expanded, strict=True)
        ]
        count.lists += clock()
        scored = [scores for batch in in_batches(lists, self.settings.batch) for scores in self.rescorer(batch)]
        count.model += clock()
        count.utterances += len(chunk)
        for scores, lattice in zip(scored, expanded, strict=True):
            best = [self._timed(scores, number, one.cost) for number, one in enumerate(scores.heard.hypotheses)]
            yield scores.heard.found, best, lattice

    def _timed(self, scores: Scores, number: int, cost: float) -> Timed:
        """The hypothesis of a list that has that number, with its new cost."""
        one, lm = scores.heard.hypotheses[number], -float(scores.parts[number, 2])
        starts, ends = times(scores.heard.found, number, one, self.frame_shift)
        words = [self.table.words[word] for word in one.words]
        return Timed(words, starts, ends, one.acoustic, float(cost) - one.acoustic, lm, scores.names[number])

    def _alone(self, chunk: Sequence[Decoded]) -> None:
        """Rescore some utterances one at a time, only to see how long each takes."""
        wanted = self.settings.timed - len(self.cost.alone)
        count, self.rescorer.count = self.rescorer.count, Count()
        for found in chunk[:1] if wanted > 0 and not self.cost.alone else ():  # what is slow once only
            self._once(found)
        for found in chunk[: max(wanted, 0)]:
            clock = Clock()
            self._once(found)
            self.cost.alone.append(clock())
        self.rescorer.count = count

    def _once(self, found: Decoded) -> None:
        if self.settings.method == "lattice":
            self.expander([lattice_of(Heard(found, ()))])[0].best_path()
        else:
            self.rescorer([self._heard(found)])[0].costs(self.settings.weights).argmin()


def _by_arcs(lattices: Sequence[Lattice], most: int) -> Iterator[list[Lattice]]:
    """Lattices with so many arcs together, about."""
    batch: list[Lattice] = []
    for lattice in lattices:
        batch.append(lattice)
        if sum(one.num_arcs for one in batch) >= most:
            yield batch
            batch = []
    if batch:
        yield batch


def _duration(found: Decoded) -> float:
    """Length of a cut [s]; that of its supervision spans all of a mixed one."""
    return float(found.cut.get("duration") or found.supervision.get("duration") or 0.0)


def _join(folders: Sequence[Path], work: Path) -> tuple[Cost, Count]:
    """Join parts, which follow each other in the manifest."""
    lines = (json.loads(text) for folder in folders for _, text in read_text(folder / HYPOTHESES))
    write_cuts(lines, work / HYPOTHESES)
    cost, count = Cost(), Count()
    for kind in (LATTICES, CONFUSION):
        files = [file for folder in folders for file in shard_files(folder, kind)]
        if files:
            (work / kind).mkdir(exist_ok=True)
        for number, file in enumerate(files, start=1):
            shutil.copyfile(file, work / kind / f"{number}.npz")
    for folder in folders:
        for name in (WORDS, FRAME_SHIFT):
            if (folder / name).exists():
                shutil.copyfile(folder / name, work / name)
        try:
            told = json.loads((folder / COST).read_text(encoding="utf-8"))
            cost.add(Cost(**told["cost"]))
            count.add(Count(**told["count"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder / COST}: cannot be read: {error}", fix="rescore this part again") from error
    return cost, count


def run_tune(request: Request, out: Path) -> None:
    """Score the lists of a dev set once, try the grid of weights, and write the best to `out`/rescore.yaml.

    Raises:
        UserError: as `run`; or there are no references.
        Interrupted: SIGTERM or SIGUSR1 came; nothing is left behind.
    """
    spec = {**request.spec(), "tune": True}
    if request.settings.method == "lattice":
        say("notice: the weights are tuned on lists of hypotheses, also for --method lattice")
    with listening() as signals, output(out, COMMAND, spec, resumable=False) as place:
        if not place.done:
            grid, first = _swept(request, signals)
            best = grid.best
            weights = to_dict(grid.chosen(best))
            (place.work / SETTINGS).write_text(yaml.safe_dump({"weights": weights}), encoding="utf-8")
            (place.work / "tune.tsv").write_text(grid.table(), encoding="utf-8")
            chosen = ", ".join(f"{name} {value:g}" for name, value in weights.items())
            lines = [first.line("WER", request.decoded), grid.errors(best).line("WER", f"{out} ({chosen})")]
            (place.work / SCORES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            for line in grid.advice(best):
                say(line)
    print((out / SCORES).read_text(encoding="utf-8"), end="")
    say(f"rescore with --config {out / SETTINGS}")


def _swept(request: Request, signals: Signals) -> tuple[Grid, Errors]:
    """The grid with the errors of all cuts that have a reference, and the errors of the first pass."""
    hearing, rescorer = request.hearing, request.rescorer()
    coverage = Coverage(rescorer.table, hearing.source, request.exp)
    grid, first = Grid(request.settings.tune), Errors()
    clean = normaliser_called(request.normaliser)
    with Meter(len(hearing.folder), "tuning", "cuts") as meter:
        for chunk in chunks(hearing, (1, 1), AT_ONCE):
            if signals:
                raise Interrupted(f"{signals.received}; the same command begins again")
            lists = []
            for found in chunk:
                coverage.add(found)
                if "reference" in (found.supervision.get("custom") or {}):
                    hypotheses = hearing.hypotheses(found, request.settings.nbest, rescorer.table)
                    lists.append(Heard(found, hypotheses))
            coverage.check(ended=False)
            for batch in in_batches(lists, request.settings.batch):
                for scores in rescorer(batch):
                    supervision = scores.heard.found.supervision
                    said = clean(supervision["custom"]["reference"]).split()
                    texts = [
                        " ".join(rescorer.table.words[word] for word in hypothesis.words)
                        for hypothesis in scores.heard.hypotheses
                    ]
                    grid.add(scores.parts, [errors(said, clean(text).split()) for text in texts])
                    first += errors(said, clean(str(supervision.get("text") or "")).split())
            meter.advance(len(chunk))
    coverage.check(ended=True)
    if not first.total:
        raise UserError("no references to tune on", fix="decode cuts with transcripts: a dev set, never the test set")
    return grid, first

"""What `voxkit decode` does: cuts in; hypotheses, lattices and scores out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from voxkit import bundle
from voxkit.bundle import WEIGHTS
from voxkit.commands.decode import results
from voxkit.commands.decode.command import Decode
from voxkit.commands.decode.pool import over
from voxkit.commands.decode.recognise import Cost, Recognised, Recogniser
from voxkit.commands.decode.tune import Grid
from voxkit.commands.options import PARTS, parts
from voxkit.config import to_dict
from voxkit.data.batching import plan
from voxkit.data.lang import Lang
from voxkit.data.manifests import check_cuts, open_cuts, parse_shard
from voxkit.data.manifests import shard as take_part
from voxkit.errors import UserError
from voxkit.progress import say, track
from voxkit.rundir import output

if TYPE_CHECKING:
    from lhotse.cut import Cut


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

    def bundle(self) -> Path:
        return bundle.locate(self.exp)

    def lang(self) -> Lang:
        return Lang.load(self.graph if self.graph is not None else self.bundle() / "assets")

    @property
    def normaliser(self) -> str:
        return self.config.normaliser or self.lang().normaliser

    def spec(self) -> dict[str, Any]:
        """What decides the result."""
        graph = [] if self.graph is None else [_digest(Lang.load(self.graph).graph)]
        manifests = [_digest(path) if path.is_file() else str(path) for path in self.inputs]
        return {
            "settings": to_dict(self.config),
            "model": _digest(self.bundle() / WEIGHTS),
            "graph": graph,
            "inputs": manifests,
            "max_bad": self.max_bad,
        }


def run(job: Job, out: Path | None, shard: str | None, merge: bool, plot: Sequence[str]) -> None:
    """Decode into `out`, or to stdout; print scores and the real-time factor."""
    if out is None:
        found, cost, cuts = recognise(job, None, None)
        references = _print_texts(found, cuts, audio=not job.from_manifest)
        if references:
            from voxkit.metrics.report import Report

            print(*Report(references, job.normaliser).lines(job.exp), sep="\n")
        say(cost.line(job.exp))
        return
    spec = {**job.spec(), "shard": shard}
    with output(out, "decode", spec, keep=None if shard else PARTS) as folder:
        if not folder.done:
            lines = []
            if merge:
                results.merge(parts(out), folder.work)
            else:
                found, cost, cuts = recognise(job, shard, folder.work / "rejected.jsonl")
                results.write(folder.work, cuts, found, job.lang().words)
                lines.append(cost.line(out))
            lines = [*results.report(folder.work, job.normaliser, out, picture=shard is None), *lines]
            (folder.work / "scores.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print((out / "scores.txt").read_text(encoding="utf-8"), end="")
    for cut_id in plot:
        say(f"picture: {results.draw(out, cut_id, job.normaliser)}")
    say(f"hypotheses: {out / results.HYPOTHESES}")


def recognise(job: Job, shard: str | None, rejected: Path | None) -> tuple[list[Recognised], Cost, list[Cut]]:
    """Recognise the cuts of a job; results are in the order of the cuts."""
    cuts = load_cuts(job, shard, rejected)
    batches = _batches(cuts, job.config.batch_duration)
    found: dict[str, Recognised] = {}
    cost = Cost()
    done = over(batches, _recognise, job.num_jobs, job.exp, job.graph, job.config)
    total = sum(cut.duration for cut in cuts)
    for batch, spent in track(done, total, "decoding", "s of audio", amount=lambda item: item[1].audio):
        found.update((item.id, item) for item in batch)
        cost.add(spent)
    return [found[cut.id] for cut in cuts], cost, cuts


def run_tune(job: Job, out: Path) -> None:
    """Try the grid of scales on cuts with references and write the best pair to `out`/decode.yaml."""
    with output(out, "decode", {**job.spec(), "tune": True}) as folder:
        if not folder.done:
            cuts = load_cuts(job, None, folder.work / "rejected.jsonl")
            references = {cut.id: results.reference_of(cut) for cut in cuts}
            cuts = [cut for cut in cuts if references[cut.id] is not None]
            if not cuts:
                raise UserError(
                    "no references to tune on", fix="give cuts with transcripts: a dev set, never the test set"
                )
            grid = Grid(job.config.tune)
            batches = _batches(cuts, job.config.batch_duration)
            done = over(batches, _sweep, job.num_jobs, job.exp, job.graph, job.config)
            for batch in track(done, len(batches), f"tuning over {len(grid.points)} points", "batches"):
                for cut_id, texts in batch:
                    grid.add(references[cut_id] or "", texts, job.normaliser)
            best = grid.best()
            values = {"search": dict(zip(("acoustic_scale", "blank_penalty"), best, strict=True))}
            (folder.work / "decode.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
            (folder.work / "tune.tsv").write_text(grid.table(), encoding="utf-8")
            chosen = f"acoustic_scale {best[0]:g}, blank_penalty {best[1]:g}"
            line = grid.errors[best].line("WER", f"{out} ({chosen})")
            (folder.work / "scores.txt").write_text(line + "\n", encoding="utf-8")
            if edges := grid.at_edge(best):
                say(f"the best {edges} lies at the edge of the grid: widen it with -s tune.{edges}=[...]")
    print((out / "scores.txt").read_text(encoding="utf-8"), end="")
    say(f"settings for voxkit decode --config: {out / 'decode.yaml'}")


def load_cuts(job: Job, shard: str | None, rejected: Path | None) -> list[Cut]:
    """The cuts to decode, checked: those of a manifest, cut to their supervisions, or one for each audio file.

    Raises:
        DataError: bad cuts or audio.
    """
    if job.from_manifest:
        rate = _sampling_rate(job)
        good = check_cuts(
            open_cuts(job.inputs),
            job.inputs,
            sampling_rate=rate,
            full_audio=True,
            max_bad=job.max_bad,
            rejected=rejected,
        )
    else:
        good = check_cuts(_cuts_of_files(job.inputs), None, full_audio=True, max_bad=job.max_bad, rejected=rejected)
    if shard is not None:
        good = take_part(good, *parse_shard(shard))
    cuts = [segment for cut in good for segment in _segments(cut)]
    if not cuts:
        raise UserError("no cuts in this part", fix="use fewer shards than cuts")
    return cuts


def _segments(cut: Cut) -> list[Cut]:
    """A cut as it is if one supervision spans it or it has none; otherwise one cut for each supervision."""
    whole = [s for s in cut.supervisions if s.start <= 0.01 and s.end >= cut.duration - 0.01]
    if not cut.supervisions or len(whole) == len(cut.supervisions) == 1:
        return [cut]
    return list(cut.trim_to_supervisions(keep_overlapping=False))


def _cuts_of_files(paths: Sequence[Path]) -> Any:
    from lhotse import CutSet, Recording

    from voxkit.data import audio

    recordings = []
    for path in dict.fromkeys(paths):
        audio.info(path)  # tells missing and broken files better than lhotse
        recordings.append(Recording.from_file(path, recording_id=str(path)))
    return CutSet.from_cuts(recording.to_cut().with_id(recording.id) for recording in recordings)


def _sampling_rate(job: Job) -> int:
    from voxkit.rundir import read_config

    return int(read_config(job.bundle())["config"]["features"]["sampling_rate"])


def _batches(cuts: Sequence[Cut], duration: float) -> list[list[Cut]]:
    """Batches of like durations, the longest first, so that processes end together."""
    durations = [cut.duration for cut in cuts]
    order = plan(durations, max(duration, *durations), shuffle=False)
    return [[cuts[index] for index in batch] for batch in reversed(order)]


def _recognise(recogniser: Recogniser, cuts: Sequence[Any]) -> tuple[list[Recognised], Cost]:
    return recogniser(cuts)


def _sweep(recogniser: Recogniser, cuts: Sequence[Any]) -> list[tuple[str, list[str]]]:
    points = Grid(recogniser.config.tune).points
    log_probs, _ = recogniser.log_probs(cuts)
    return [(cut.id, recogniser.texts(frames, points)) for cut, frames in zip(cuts, log_probs, strict=True)]


def _print_texts(found: Sequence[Recognised], cuts: Sequence[Cut], audio: bool) -> list[Any]:
    """Print `file: text` lines; the utterances that have references come back."""
    from voxkit.commands.decode.results import scored, with_hypothesis

    for item in found:
        print(f"{item.id}: {item.hypotheses[0].text}")
    return [] if audio else list(scored(with_hypothesis(c, item) for c, item in zip(cuts, found, strict=True)))


def _digest(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return f"{path} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", fix="check the path") from error

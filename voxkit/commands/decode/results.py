"""Hypotheses as a manifest, and its scores, tables and pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxkit.commands.decode.oracle import oracle_errors
from voxkit.commands.decode.recognise import Recognised, Timed
from voxkit.data.manifests import open_cuts, read_lines, write_cuts
from voxkit.decode import kaldi_text, lattice
from voxkit.decode.folder import CONFUSION, FRAME_SHIFT, HYPOTHESES, LATTICES, REJECTED, WORDS, shard_files
from voxkit.errors import UserError
from voxkit.metrics.report import Report, Scored
from voxkit.progress import say
from voxkit.rundir import write_atomic

if TYPE_CHECKING:
    from lhotse import SupervisionSegment
    from lhotse.cut import Cut

SHARDED = (LATTICES, CONFUSION)
KALDI = "kaldi"


def with_hypothesis(cut: Cut, found: Recognised) -> Cut:
    """The cut with what was recognised as its only supervision.

    The supervision keeps what is known of the speaker; its `custom` gets `score` (log probability), `acoustic_score`,
    `graph_score`, `reference` where there was a text, `nbest` where more than one hypothesis was asked for, and
    `posterior`, one for each word, where there is a confusion network. Word times are in its alignment "word", in
    seconds from the beginning of the cut, like the supervision itself; their score is the posterior.
    """
    from lhotse import SupervisionSegment
    from lhotse.cut import MonoCut
    from lhotse.supervision import AlignmentItem

    best = found.hypotheses[0]
    known: SupervisionSegment | None = cut.supervisions[0] if cut.supervisions else None
    custom = dict(known.custom or {}) if known else {}
    reference = reference_of(cut)
    if reference is not None:
        custom["reference"] = reference
    custom |= {"score": -(best.acoustic + best.graph), "acoustic_score": -best.acoustic, "graph_score": -best.graph}
    if len(found.hypotheses) > 1:
        custom["nbest"] = [_plain(hypothesis) for hypothesis in found.hypotheses]
    if best.posteriors is not None:
        custom["posterior"] = best.posteriors
    known_posteriors: Sequence[float | None] = best.posteriors or [None] * len(best.words)
    items = [
        AlignmentItem(word, start, round(end - start, 4), score)
        for word, start, end, score in zip(best.words, best.starts, best.ends, known_posteriors, strict=True)
    ]
    supervision = SupervisionSegment(
        id=known.id if known else cut.id,
        recording_id=known.recording_id if known else cut.recording_id if isinstance(cut, MonoCut) else cut.id,
        start=0.0,
        duration=cut.duration,
        channel=known.channel if known else 0,
        text=best.text,
        language=known.language if known else None,
        speaker=known.speaker if known else None,
        gender=known.gender if known else None,
        custom=custom,
        alignment={"word": items},
    )
    return _with_only(cut, supervision)


def _with_only(cut: Cut, supervision: SupervisionSegment) -> Cut:
    """A copy of the cut with one supervision; a mixed cut carries it on the first track that has a recording."""
    from lhotse.cut import MixedCut
    from lhotse.utils import fastcopy

    if not isinstance(cut, MixedCut):
        return fastcopy(cut, supervisions=[supervision])
    tracks = list(cut.drop_supervisions().tracks)
    bearer = next(i for i, track in enumerate(cut.tracks) if track is cut.first_non_padding_track)
    shifted = supervision.with_offset(-tracks[bearer].offset)  # the mixed cut adds it again
    tracks[bearer] = fastcopy(tracks[bearer], cut=fastcopy(tracks[bearer].cut, supervisions=[shifted]))
    return fastcopy(cut, tracks=tracks)


def _plain(hypothesis: Timed) -> dict[str, Any]:
    return {
        "text": hypothesis.text,
        "acoustic_score": -hypothesis.acoustic,
        "graph_score": -hypothesis.graph,
        "starts": hypothesis.starts,
        "ends": hypothesis.ends,
    }


def reference_of(cut: Cut) -> str | None:
    """The transcript of a cut; None if it has none."""
    texts = [s.text for s in sorted(cut.supervisions, key=lambda s: s.start) if s.text and s.text.strip()]
    return " ".join(texts) if texts else None


def write(folder: Path, cuts: Iterable[Mapping[str, Any]], words: Sequence[str], frame_shift: float) -> None:
    """Write hypotheses; `words` is the table that the ids in lattices count in, where there are any."""
    write_cuts(cuts, folder / HYPOTHESES)
    for kind in SHARDED:
        if shard_files(folder, kind):
            for unfinished in (folder / kind).glob(".*.tmp"):  # of a process that was killed
                unfinished.unlink()
        else:
            shutil.rmtree(folder / kind, ignore_errors=True)
    if shard_files(folder, LATTICES):
        write_atomic(folder / WORDS, "".join(f"{word} {i}\n" for i, word in enumerate(words)))
        write_atomic(folder / FRAME_SHIFT, f"{frame_shift!r}\n")


def merge(folders: Sequence[Path], folder: Path) -> None:
    """Join the hypotheses, lattices, confusion networks and rejected cuts of parts.

    Raises:
        UserError: two parts hold a cut of the same id.
    """
    write_cuts(_all_cuts(folders), folder / HYPOTHESES)
    for kind in SHARDED:
        shards = [shard for part in folders for shard in shard_files(part, kind)]
        for number, shard in enumerate(shards, start=1):
            (folder / kind).mkdir(exist_ok=True)
            shutil.copyfile(shard, folder / kind / f"{number}.npz")
    for name in (WORDS, FRAME_SHIFT):
        for path in [part / name for part in folders if (part / name).exists()][:1]:
            shutil.copyfile(path, folder / name)
    rejected = [path.read_bytes() for part in folders if (path := part / REJECTED).exists()]
    if rejected:
        write_atomic(folder / REJECTED, b"".join(rejected))


def write_kaldi(folder: Path) -> Path:
    """Write the lattices of a finished folder as Kaldi's text too, a shard at a time; where they lie.

    Raises:
        UserError: a cut's id that Kaldi's archives cannot have.
    """
    (folder / KALDI).mkdir(exist_ok=True)
    for shard in shard_files(folder, LATTICES):
        kaldi_text.write(folder / KALDI / f"lat.{shard.stem}.gz", lattice.load(shard))
    return folder / KALDI


def _all_cuts(folders: Sequence[Path]) -> Iterator[dict[str, Any]]:
    seen: dict[str, Path] = {}
    for folder in folders:
        for line in read_lines([folder / HYPOTHESES]):
            if line.data is None:
                raise UserError(f"{line.where}: {line.error}", fix="decode this part again")
            if line.id in seen:
                what = f"{folder}: its cut {line.id!r} is also in {seen[line.id]}"
                raise UserError(what, fix="rename one of them in the manifest, and decode again")
            seen[line.id] = folder
            yield line.data


def scored(cuts: Iterable[Cut]) -> Iterator[Scored]:
    """The recognised cuts that have a reference."""
    for cut in cuts:
        for supervision in cut.supervisions:
            custom = supervision.custom or {}
            if "reference" in custom:
                groups = {"speaker": supervision.speaker, "dialect": custom.get("dialect")}
                known = {name: str(value) for name, value in groups.items() if value}
                yield Scored(cut.id, custom["reference"], supervision.text or "", known)


def report(folder: Path, normaliser: str, out: Path, picture: bool) -> list[str]:
    """Score the hypotheses of a folder, write the tables into it, and return the lines to print."""
    from voxkit.metrics.plots import confusion_table

    utterances = list(scored(open_cuts(folder / HYPOTHESES)))
    if not utterances:
        say("no references: nothing to score")
        return []
    best = oracle_errors(folder, normaliser) if shard_files(folder, LATTICES) else None
    found = Report(utterances, normaliser, best)
    found.write(folder)
    if picture:
        confusion_table(found, folder / "confusions.png")
    return found.lines(out)

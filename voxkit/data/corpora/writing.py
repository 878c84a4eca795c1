"""From what a corpus says to Lhotse manifests on disk, with the audio checked on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxkit.data.corpora.corpus import Prepared, Utterance
from voxkit.errors import Problems
from voxkit.rundir import write_atomic

if TYPE_CHECKING:
    from lhotse import CutSet, Recording
    from lhotse.cut import MonoCut

REJECTED = "rejected.jsonl"


def write(prepared: Prepared, folder: Path, problems: Problems, max_bad: float = 0.0) -> dict[str, tuple[int, float]]:
    """Write all manifests and files of a corpus to `folder`; nothing is written when too much of it is bad.

    Returns:
        Number of utterances and seconds of each split.

    Raises:
        DataError: more than `max_bad` of the utterances have problems, in the tables or in the audio.
    """
    from lhotse import CutSet

    from voxkit.data.manifests import check_cuts

    unique = _unique(prepared, problems)
    cuts = make_cuts(unique.values(), problems)
    rejected = folder / REJECTED
    bad = problems.settle(len(unique | dict.fromkeys(problems.bad_ids)), max_bad, rejected)
    listed = rejected.read_text(encoding="utf-8") if rejected.exists() else ""
    good = check_cuts(
        CutSet.from_cuts(cut for id, cut in cuts.items() if id not in bad),
        "the corpus",
        need_text=any(utterance.text is not None for utterance in unique.values()),
        max_bad=max_bad,
        rejected=rejected,
    )
    if listed:
        more = rejected.read_text(encoding="utf-8")
        write_atomic(rejected, listed if more == listed else listed + more)
    kept = {cut.id: cut for cut in good}
    sizes = {}
    for split, utterances in prepared.splits.items():
        chosen = [kept[utterance.id] for utterance in utterances if utterance.id in kept]
        write_split(CutSet.from_cuts(chosen), folder, split)
        sizes[split] = len(chosen), sum(cut.duration for cut in chosen)
    for name, content in prepared.files.items():
        write_atomic(folder / name, content)
    return sizes


def _unique(prepared: Prepared, problems: Problems) -> dict[str, Utterance]:
    """All utterances by id; the same id from two different lines is a problem."""
    unique: dict[str, Utterance] = {}
    for utterances in prepared.splits.values():
        for utterance in utterances:
            first = unique.setdefault(utterance.id, utterance)
            if first is not utterance:
                problems.add(
                    "duplicate id", utterance.where, utterance.id, f"the id is also at {first.where}", "rename one"
                )
    return unique


def make_cuts(utterances: Iterable[Utterance], problems: Problems) -> dict[str, MonoCut]:
    """One cut with one supervision for each utterance whose audio file has a readable header."""
    from lhotse import SupervisionSegment
    from lhotse.cut import MonoCut

    recordings: dict[Path, Recording | None] = {}
    cuts = {}
    for utterance in utterances:
        if utterance.path not in recordings:
            recordings[utterance.path] = _recording(utterance, problems)
        recording = recordings[utterance.path]
        if recording is None:
            if not any(problem.id == utterance.id for problem in problems):
                problems.add(
                    "unreadable audio", utterance.where, utterance.id, f"{utterance.path} cannot be read",
                    "restore the file or remove the line",
                )  # fmt: skip
            continue
        duration = recording.duration - utterance.start if utterance.duration is None else utterance.duration
        if utterance.start < 0 or duration <= 0 or utterance.start + duration > recording.duration + 0.01:
            problems.add(
                "outside its recording", utterance.where, utterance.id,
                f"{utterance.start} s to {utterance.start + duration:.6g} s of {recording.duration:.6g} s",
                "correct the times",
            )  # fmt: skip
            continue
        duration = round(min(duration, recording.duration - utterance.start), 8)
        supervision = SupervisionSegment(
            id=utterance.id,
            recording_id=recording.id,
            start=0.0,
            duration=duration,
            channel=0,
            text=utterance.text,
            language=utterance.language,
            speaker=utterance.speaker,
            gender=utterance.gender,
            custom=dict(utterance.custom) or None,
        )
        cuts[utterance.id] = MonoCut(
            id=utterance.id,
            start=utterance.start,
            duration=duration,
            channel=0,
            recording=recording,
            supervisions=[supervision],
        )
    return cuts


def _recording(utterance: Utterance, problems: Problems) -> Recording | None:
    """A Recording from the header of the file, or None and a Problem."""
    import soundfile
    from lhotse import Recording
    from lhotse.audio import AudioSource

    path = utterance.path
    if not path.is_file():
        problems.add("missing file", utterance.where, utterance.id, f"no file {path}", "restore it or remove the line")
        return None
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        problems.add(
            "unreadable audio", utterance.where, utterance.id, f"{path}: {error.error_string}",
            "convert the file to WAV or FLAC, or remove the line",
        )  # fmt: skip
        return None
    if info.frames == 0:
        problems.add("zero length", utterance.where, utterance.id, f"{path} has no samples", "remove the line")
        return None
    channels = list(range(info.channels))
    return Recording(
        id=utterance.recording_id or utterance.id,
        sources=[AudioSource(type="file", channels=channels, source=str(path.absolute()))],
        sampling_rate=info.samplerate,
        num_samples=info.frames,
        duration=info.frames / info.samplerate,
        channel_ids=channels,
    )


def write_split(cuts: CutSet, folder: Path, split: str) -> None:
    """`recordings_<split>`, `supervisions_<split>` and `cuts_<split>`, all `.jsonl.gz`.

    Supervisions in their own manifest count time from the start of the recording, those in cuts from the cut.
    """
    from lhotse import RecordingSet, SupervisionSet
    from lhotse.serialization import SequentialJsonlWriter

    recordings = {cut.recording.id: cut.recording for cut in cuts}
    supervisions = [supervision.with_offset(cut.start) for cut in cuts for supervision in cut.supervisions]
    manifests: Mapping[str, Sequence[object] | CutSet] = {
        "recordings": RecordingSet.from_recordings(recordings.values()),
        "supervisions": SupervisionSet.from_segments(supervisions),
        "cuts": cuts,
    }
    for kind, manifest in manifests.items():
        with SequentialJsonlWriter(folder / f"{kind}_{split}.jsonl.gz") as writer:
            for item in manifest:
                writer.write(item)

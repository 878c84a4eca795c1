"""From what a corpus says to Lhotse manifests on disk, with the audio checked on the way.

Manifests are written as the JSON that lhotse reads; lhotse itself takes seconds to import and is not needed for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from voxkit.data import audio, checks
from voxkit.data.audio import AudioError, AudioInfo
from voxkit.data.corpora.corpus import Prepared, Utterance
from voxkit.data.manifests import write_cuts
from voxkit.errors import Problems, UserError
from voxkit.rundir import write_atomic

REJECTED = "rejected.jsonl"
TOLERANCE = checks.TOLERANCE

Sizes = dict[str, tuple[int, float]]  # split -> utterances, seconds


def write(
    prepared: Prepared, folder: Path, problems: Problems, max_bad: float = 0.0, home: Path | None = None
) -> Sizes:
    """Write all manifests and files of a corpus to `folder`; nothing is written when too much of it is bad.

    Args:
        problems: what reading the corpus found.
        max_bad: the share of bad utterances to go on without; they are listed in `rejected.jsonl`.
        home: where `folder` is going to be; manifests name the audio inside `folder` by that.

    Raises:
        DataError: more than `max_bad` of the utterances have problems, in the tables or in the audio.
        UserError: there are no utterances.
    """
    utterances = _unique(prepared, problems)
    if not utterances and not problems:
        raise UserError("the corpus has no utterances", fix="check its folder")
    cuts = make_cuts(utterances.values(), problems)
    texts = any(utterance.text is not None for utterance in utterances.values())
    lines = (checks.Line(utterances[id].where, cut) for id, cut in cuts.items())
    found, _, _ = checks.check(lines, checks.Requirements(text=texts, decode=True), total=len(cuts))
    problems.extend(found)
    bad = problems.settle(len(utterances.keys() | problems.bad_ids), max_bad, folder / REJECTED)
    if home is not None:
        for cut in cuts.values():
            (source,) = cut["recording"]["sources"]
            source["source"] = str(home.absolute() / Path(source["source"]).relative_to(folder.absolute()))
    sizes: Sizes = {}
    for split, members in prepared.splits.items():
        chosen = [cuts[utterance.id] for utterance in members if utterance.id not in bad]
        write_split(chosen, folder, split)
        sizes[split] = len(chosen), sum(cut["duration"] for cut in chosen)
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
                problems.add("duplicate id", utterance.where, utterance.id, f"also at {first.where}", "rename one")
    return unique


def make_cuts(utterances: Iterable[Utterance], problems: Problems) -> dict[str, dict[str, Any]]:
    """One cut with one supervision for each utterance whose audio file has a readable header, as lhotse's JSON."""
    headers: dict[Path, AudioInfo | AudioError] = {}
    cuts = {}
    for utterance in utterances:
        if utterance.path not in headers:
            try:
                headers[utterance.path] = audio.info(utterance.path)
            except AudioError as error:
                headers[utterance.path] = error
        header = headers[utterance.path]
        if isinstance(header, AudioError):
            problems.add(header.kind, utterance.where, utterance.id, header.what, header.fix)
        else:
            if header.channels > 1:
                audio.notice_once(f"notice: {utterance.path} has {header.channels} channels; the cuts take the first")
            cuts[utterance.id] = _cut(utterance, header)
    return cuts


def _cut(utterance: Utterance, header: AudioInfo) -> dict[str, Any]:
    duration = header.duration - utterance.start if utterance.duration is None else utterance.duration
    if 0 < utterance.start + duration - header.duration <= TOLERANCE:  # times in tables are rounded
        duration = header.duration - utterance.start
    duration = round(duration, 8)
    recording_id = utterance.recording_id or utterance.id
    channels = list(range(header.channels))
    supervision = {
        "id": utterance.id,
        "recording_id": recording_id,
        "start": 0.0,
        "duration": duration,
        "channel": 0,
        "text": utterance.text,
        "language": utterance.language,
        "speaker": utterance.speaker,
        "gender": utterance.gender,
        "custom": dict(utterance.custom) or None,
        "alignment": {tier: [list(item) for item in items] for tier, items in utterance.alignment.items()} or None,
    }
    return {
        "id": utterance.id,
        "start": utterance.start,
        "duration": duration,
        "channel": 0,
        "supervisions": [{key: value for key, value in supervision.items() if value is not None}],
        "recording": {
            "id": recording_id,
            "sources": [{"type": "file", "channels": channels, "source": str(utterance.path.absolute())}],
            "sampling_rate": header.sampling_rate,
            "num_samples": header.num_samples,
            "duration": header.duration,
            "channel_ids": channels,
        },
        "type": "MonoCut",
    }


def write_split(cuts: Iterable[Mapping[str, Any]], folder: Path, split: str) -> None:
    """`recordings_<split>`, `supervisions_<split>` and `cuts_<split>`, all `.jsonl.gz`.

    Supervisions in their own manifest count time from the start of the recording, those in cuts from the cut.
    """
    recordings: dict[str, Any] = {}
    supervisions, lines = [], []
    for cut in cuts:
        recordings.setdefault(cut["recording"]["id"], cut["recording"])
        for supervision in cut["supervisions"]:
            supervisions.append({**supervision, "start": round(supervision["start"] + cut["start"], 8)})
        lines.append(cut)
    for kind, items in {"recordings": recordings.values(), "supervisions": supervisions, "cuts": lines}.items():
        write_cuts(items, folder / f"{kind}_{split}.jsonl.gz")

"""What a manifest's line must be before anything reads it as a cut: fields, their types, and nothing that runs.

lhotse takes what it is given: it fails far away from the line at fault, and runs commands that a manifest names. All
lines pass here first, so that everything after may rely on their fields.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from numbers import Integral, Real
from typing import Any, cast

Fault = tuple[str, str, str]  # kind, what, fix

LARGEST = 1e12  # of any number: beyond it, sums of times and samples lose their meaning
DEEPEST = 64  # nesting of a line's mappings and lists
FILES = (
    "lilcom_chunky", "numpy_files", "lilcom_files", "numpy_hdf5", "lilcom_hdf5", "chunked_lilcom_hdf5", "pillow_files",
)  # fmt: skip
MAKE_CUTS = "make cuts: lhotse cut simple -r recordings -s supervisions cuts.jsonl.gz"
MEND = "mend the line, or write the manifest again"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must be: a test and its description."""

    holds: Callable[[Any], bool]
    wanted: str


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_id(value: Any) -> bool:
    return _is_text(value) and value != ""


def _is_path(value: Any) -> bool:
    return isinstance(value, bytes | os.PathLike) or (isinstance(value, str) and "\0" not in value)


def _is_number(value: Any) -> bool:
    if type(value) is float:  # most are; asking an abstract class takes long
        return -LARGEST < value < LARGEST
    return isinstance(value, Real) and not isinstance(value, bool) and -LARGEST < cast(float, value) < LARGEST


def _is_whole(value: Any) -> bool:
    if type(value) is int:
        return -LARGEST < value < LARGEST
    return isinstance(value, Integral) and not isinstance(value, bool) and -LARGEST < cast(float, value) < LARGEST


def _is_channels(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_whole, value))


def _or_null(rule: Rule) -> Rule:
    return Rule(lambda value: value is None or rule.holds(value), f"{rule.wanted} or null")


ID = Rule(_is_id, "a string that is not empty")
KIND = Rule(_is_text, "a string without NUL")
TEXT = _or_null(KIND)
PATH = Rule(_is_path, "a path")
NUMBER = Rule(_is_number, "a finite number")
POSITIVE = Rule(lambda value: _is_number(value) and value > 0, "a positive number")
WHOLE = Rule(_is_whole, "a whole number")
RATE = Rule(lambda value: _is_whole(value) and value > 0, "a positive whole number")
CHANNEL = Rule(lambda value: _is_whole(value) and value >= 0, "a channel's number")
CHANNELS = Rule(_is_channels, "a list of whole numbers")
ANY_CHANNEL = Rule(lambda value: _is_whole(value) or _is_channels(value), "a channel's number or a list of them")
MAPPING = Rule(lambda value: isinstance(value, dict), "an object")
LIST = Rule(lambda value: isinstance(value, list | tuple), "a list")
WEIGHT = Rule(lambda value: _is_number(value) and value >= 0, "a number of at least 0")

CUT = {"id": ID, "start": NUMBER, "duration": NUMBER}
CUT_MORE = {"type": KIND, "supervisions": LIST, "recording": MAPPING, "features": MAPPING, "custom": _or_null(MAPPING)}
PADDING = {"id": ID, "duration": NUMBER, "sampling_rate": RATE, "feat_value": NUMBER}
SUPERVISION = {"id": ID, "recording_id": ID, "start": NUMBER, "duration": NUMBER}
SUPERVISION_MORE = {
    "channel": ANY_CHANNEL, "text": TEXT, "language": TEXT, "speaker": TEXT, "gender": TEXT,
    "custom": _or_null(MAPPING), "alignment": _or_null(MAPPING),
}  # fmt: skip
RECORDING = {"id": ID, "sources": LIST, "sampling_rate": RATE, "num_samples": WHOLE, "duration": NUMBER}
RECORDING_MORE = {"channel_ids": _or_null(CHANNELS), "transforms": LIST}
SOURCE = {"type": KIND, "channels": CHANNELS, "source": PATH}
FEATURES = {
    "type": KIND, "num_frames": WHOLE, "num_features": WHOLE, "frame_shift": POSITIVE, "sampling_rate": RATE,
    "start": NUMBER, "duration": NUMBER, "storage_type": KIND, "storage_path": _or_null(PATH), "storage_key": PATH,
}  # fmt: skip
FEATURES_MORE = {"recording_id": TEXT, "channels": _or_null(ANY_CHANNEL)}
# the names of all fields: a cut with others is for lhotse to judge
KNOWN_CUT = {*CUT, *CUT_MORE, "channel"}
KNOWN_SUPERVISION = {*SUPERVISION, *SUPERVISION_MORE}
KNOWN_RECORDING = {*RECORDING, *RECORDING_MORE}
KNOWN_FEATURES = {*FEATURES, *FEATURES_MORE}
TRACK = {"cut": MAPPING, "type": KIND}
TRACK_MORE = {"offset": NUMBER, "snr": _or_null(NUMBER)}


def fault(data: Mapping[str, Any]) -> Fault | None:
    """Why a line's mapping is no cut that can be used: kind, what and fix; None if it is one.

    A cut that is more than one recording and its supervisions is given to lhotse too, which then must accept it.
    """
    kind = data.get("type")
    if kind not in ("MonoCut", "MultiCut", "MixedCut", "PaddingCut"):
        is_recording, is_supervision = "sources" in data, "recording_id" in data
        what = "a recording" if is_recording else "a supervision" if is_supervision else f"of type {_shown(kind)}"
        return "not a cut", f"the line is {what}, not a cut", MAKE_CUTS
    found = refusal(data)
    if found is not None:
        return found
    reason = next(_faults_of_cut(data, ""), "")
    if reason:
        return "not a cut", reason, MEND
    return None if _is_plain(data) else _by_lhotse(data)


def refusal(data: Mapping[str, Any]) -> Fault | None:
    """What in a cut must not be opened: audio that is not in a file, features in pipes; wherever in it they are."""
    stack: list[tuple[int, Any]] = [(0, dict(data))]
    while stack:
        depth, value = stack.pop()
        if depth > DEEPEST:
            return "not a cut", f"it is nested more than {DEEPEST} levels deep", MEND
        found = _refused(value) if isinstance(value, dict) else None
        if found is not None:
            return found
        for inner in chain(value, value.values()) if isinstance(value, dict) else value:
            if isinstance(inner, str):
                if not inner.isascii() and not _is_unicode(inner):
                    return "not a cut", f"{_shown(inner)} holds half a character (a lone surrogate)", MEND
            elif isinstance(inner, dict | list | tuple):
                stack.append((depth + 1, inner))
    return None


def _refused(value: Mapping[str, Any]) -> Fault | None:
    """What is refused of a mapping that lhotse would take for a source of audio or stored features."""
    if "source" in value and "type" in value and "channels" in value:
        return _refused_source(value)
    return _refused_storage(value) if "storage_type" in value else None


def _refused_source(source: Mapping[str, Any]) -> Fault | None:
    kind = source["type"]
    if kind == "file" or (kind == "memory" and isinstance(source["source"], bytes)):
        return None
    if kind == "command":
        return "source not a file", "command source is not run", "write the audio to a file first"
    if kind == "url":
        return "source not a file", "url source is not fetched", "download it first"
    what = "memory source holds no bytes" if kind == "memory" else f"source of type {_shown(kind)} is not opened"
    return "source not a file", what, "write the audio to a file first"


def _refused_storage(storage: Mapping[str, Any]) -> Fault | None:
    kind, path = storage["storage_type"], str(storage.get("storage_path"))
    fix = "write the features to files first: voxkit featurize"
    if isinstance(storage.get("storage_key"), bytes):  # made in this process; no line of JSON holds bytes
        return None
    if kind not in FILES:
        return "source not a file", f"storage of type {_shown(kind)} is not opened", fix
    if path.startswith("pipe:"):
        return "source not a file", "storage in a pipe is not run", fix
    return ("source not a file", "storage at a url is not fetched", "download it first") if "://" in path else None


def _faults_of_cut(data: Mapping[str, Any], at: str) -> Iterator[str]:
    if data["type"] == "MixedCut":
        yield from _fields(data, at or "the cut", at, {"id": ID, "tracks": LIST}, {})
        if not data["tracks"]:
            yield "a mixed cut without tracks"
        for place, track in _items(data, "tracks", at):
            yield from _mapping(track, place)
            yield from _fields(track, place, f"{place}.", TRACK, TRACK_MORE)
            inner = {**track["cut"], "type": track["type"]}
            if inner["type"] not in ("MonoCut", "MultiCut", "MixedCut", "PaddingCut"):
                yield f"{place}.type is {_shown(inner['type'])}, not a type of cut"
            yield from _faults_of_cut(inner, f"{place}.cut.")
        return
    name = at.removesuffix(".") or "the cut"
    if data["type"] == "PaddingCut":
        yield from _fields(data, name, at, PADDING, {})
        return
    channel = {"channel": CHANNEL if data["type"] == "MonoCut" else ANY_CHANNEL}
    yield from _fields(data, name, at, CUT | channel, CUT_MORE)
    if "recording" not in data and "features" not in data:
        yield f"{name} lacks recording"
    if "recording" in data:
        yield from _faults_of_recording(data["recording"], f"{at}recording")
    if "features" in data:
        yield from _fields(data["features"], f"{at}features", f"{at}features.", FEATURES, FEATURES_MORE)
    for place, supervision in _items(data, "supervisions", at):
        yield from _mapping(supervision, place)
        yield from _fields(supervision, place, f"{place}.", SUPERVISION, SUPERVISION_MORE)
        yield from _fields(supervision.get("custom") or {}, place, f"{place}.custom.", {}, {"weight": WEIGHT})
        for tier, items in (supervision.get("alignment") or {}).items():
            if not LIST.holds(items) or not all(map(_is_aligned, items)):
                yield f"{place}.alignment.{tier} is not a list of [symbol, start, duration]"


def _faults_of_recording(recording: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _fields(recording, at, f"{at}.", RECORDING, RECORDING_MORE)
    for place, source in _items(recording, "sources", f"{at}."):
        yield from _mapping(source, place)
        yield from _fields(source, place, f"{place}.", SOURCE, {})


def _items(data: Mapping[str, Any], name: str, at: str) -> Iterator[tuple[str, Any]]:
    for number, item in enumerate(data.get(name, ())):
        yield f"{at}{name}[{number}]", item


def _mapping(value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is {_shown(value)}, not an object"


def _fields(
    data: Mapping[str, Any], name: str, at: str, required: Mapping[str, Rule], optional: Mapping[str, Rule]
) -> Iterator[str]:
    """What is missing, then what is not as its rule says."""
    missing = [key for key in required if key not in data]
    if missing:
        yield f"{name} lacks {', '.join(missing)}"
    for rules in (required, optional):
        for key, rule in rules.items():
            if key in data and not rule.holds(data[key]):
                yield f"{at}{key} is {_shown(data[key])}, not {rule.wanted}"


def _is_aligned(item: Any) -> bool:
    values = list(item.values()) if isinstance(item, dict) else item
    if not isinstance(values, list | tuple) or not 3 <= len(values) <= 4 or not isinstance(values[0], str):
        return False
    return all(map(_is_number, values[1:3])) and (len(values) == 3 or values[3] is None or _is_number(values[3]))


def _is_plain(data: Mapping[str, Any]) -> bool:
    """Whether a cut has the known fields alone, so that lhotse will accept it."""
    recording = data.get("recording", {})
    supervisions = data.get("supervisions", ())
    return (
        data["type"] == "MonoCut"
        and data.keys() <= KNOWN_CUT
        and recording.keys() <= KNOWN_RECORDING
        and not recording.get("transforms")
        and all(source.keys() <= SOURCE.keys() for source in recording.get("sources", ()))
        and data.get("features", {}).keys() <= KNOWN_FEATURES
        and all(supervision.keys() <= KNOWN_SUPERVISION for supervision in supervisions)
        and not any(_holds_manifest(item.get("custom")) for item in (data, *supervisions))
    )


def _holds_manifest(custom: Mapping[str, Any] | None) -> bool:
    """Whether there is an object among the custom fields, which lhotse may take for a recording or an array."""
    return any(isinstance(value, dict) for value in (custom or {}).values())


def _by_lhotse(data: Mapping[str, Any]) -> Fault | None:
    try:
        made(data)
    except Exception as error:  # lhotse meets unexpected content with many kinds of exceptions
        return "not a cut", f"lhotse does not accept it ({type(error).__name__}: {error})", MEND
    return None


def made(data: Mapping[str, Any]) -> Any:
    """The lhotse cut that a mapping without `fault` stands for."""
    import copy

    from lhotse.cut.set import deserialize_cut

    return deserialize_cut(_without_null_alignments(copy.deepcopy(dict(data))))  # lhotse takes the mapping apart


def _without_null_alignments(data: dict[str, Any]) -> dict[str, Any]:
    """lhotse knows null for all that may be absent, but not here."""
    for inner in [track["cut"] for track in data["tracks"]] if "tracks" in data else [data]:
        for supervision in inner.get("supervisions", ()):
            if supervision.get("alignment", ...) is None:
                del supervision["alignment"]
    return data


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    """A value as JSON has it, cut short."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= LARGEST:
        return "a huge number"
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:36]}..."

"""Recognised words with all that is known about them: features, spans, labels, speakers; many utterances as arrays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.score_confidence.features import OWN, UTTERANCE, Floats, Measured, assemble, measure
from voxkit.commands.score_confidence.vocabulary import Vocabulary, count_words
from voxkit.data.checks import duration_of
from voxkit.data.text import normaliser as normaliser_called
from voxkit.decode.folder import Decoded, DecodeFolder
from voxkit.errors import Problems, UserError
from voxkit.metrics.calibration import numbered
from voxkit.metrics.edit import align
from voxkit.metrics.report import Scored, alignment_text
from voxkit.progress import track
from voxkit.rundir import CONFIG, read_config

RIGHT, SUBSTITUTED, INSERTED, UNKNOWN = 0, 1, 2, -1
FEWEST_SPEAKERS = 5  # to draw speakers, and not recordings, in the bootstrap


@dataclass(frozen=True, eq=False)
class Utterance:
    """One recognised cut: its manifest line, its Q words with spans [s] (Q, 2), and what they are (Q,): RIGHT,
    SUBSTITUTED, INSERTED, or UNKNOWN where there is no reference or the normaliser leaves nothing of a word.

    Attributes:
        cut: the line of the manifest.
        rivals: (Q,) the strongest other word of each bin, None for "no word".
        rival_right: (Q,) whether that is what was said in its place; -1 where it is not known.
        whole: whether the whole utterance is right; None without a reference.
        speaker: or else the recording: what the bootstrap and held-out parts keep together.
        recording: that the words are from.
    """

    cut: Mapping[str, Any]
    words: Sequence[str]
    spans: NDArray[np.float64]
    kinds: NDArray[np.int8]
    rivals: Sequence[str | None]
    rival_right: NDArray[np.int8]
    whole: bool | None
    speaker: str
    recording: str

    @property
    def id(self) -> str:
        return str(self.cut["id"])


@dataclass(frozen=True, eq=False)
class Material:
    """U utterances with N words in all.

    Attributes:
        bounds: (U + 1,) the words of utterance u are `bounds[u]:bounds[u + 1]`.
        features: (N, len(NAMES)) decoder features, as measured.
        kind: (N,) see `Utterance.kinds`.
    """

    utterances: Sequence[Utterance]
    bounds: NDArray[np.int64]
    features: Floats
    utterance_features: Floats
    kind: NDArray[np.int8]

    def of_words(self, values: NDArray[Any]) -> NDArray[Any]:
        """(N, ...) for each word the value of its utterance (U, ...)."""
        return np.repeat(values, np.diff(self.bounds), axis=0)

    def places(self, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of the words of some utterances, in their order."""
        rows = [np.arange(self.bounds[index], self.bounds[index + 1]) for index in chosen]
        return np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) whether it is known that the word is right or wrong."""
        return self.kind != UNKNOWN


def normaliser_of(folder: Path) -> str:
    """The name of the normaliser that a decode folder was scored with, or that its confidences were made with."""
    try:
        told = json.loads((folder / "score.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = read_config(folder) if (folder / CONFIG).exists() else {}
    name = told.get("normaliser") if isinstance(told, dict) else None
    return name if isinstance(name, str) else "none"


def groups_of(material: Material) -> tuple[NDArray[np.int64], str]:
    """(U,) what the bootstrap draws, and how many of what there are: see `grouped`."""
    speakers, recordings = (
        [str(getattr(utterance, name)) for utterance in material.utterances] for name in ("speaker", "recording")
    )
    return grouped(speakers, recordings)


def grouped(speakers: Sequence[str], recordings: Sequence[str]) -> tuple[NDArray[np.int64], str]:
    """Numbers of the speakers, if there are five at least (the words of one are not independent), else of the
    recordings; and how many of what there are, in words."""
    by_speaker = len(set(speakers)) >= FEWEST_SPEAKERS
    group = numbered(speakers if by_speaker else recordings)
    return group, f"{group.max(initial=-1) + 1} {'speakers' if by_speaker else 'recordings'}"


def by_error(kind: NDArray[np.int8]) -> dict[str, NDArray[np.bool_]]:
    """(N,) which words to measure one kind of error by: it, and the right words."""
    return {"substitutions": kind != INSERTED, "insertions": kind != SUBSTITUTED}


def supervision_of(cut: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """The only supervision of a recognised cut, and where in the cut its times count from [s] (tracks have offsets)."""
    for layer in cut.get("tracks", ()):
        if layer["cut"].get("supervisions"):
            return layer["cut"]["supervisions"][0], float(layer.get("offset", 0.0))
    return (cut.get("supervisions") or [{}])[0], 0.0


def judge(
    reference: str, words: Sequence[str], rivals: Sequence[str | None], clean: Callable[[str], str]
) -> tuple[NDArray[np.int8], NDArray[np.int8], bool]:
    """What each word is (Q,), by Levenshtein alignment with a reference; whether its rival is what was said instead
    (Q,); and whether all of the utterance is right.

    Both sides are normalised; a word of which several come is right if all of them are.
    """
    pieces = [clean(word).split() for word in words]
    owner = [index for index, some in enumerate(pieces) for _ in some]
    pairs = align(clean(reference).split(), [piece for some in pieces for piece in some])
    kinds = np.array([RIGHT if some else UNKNOWN for some in pieces], dtype=np.int8)
    said: list[list[str]] = [[] for _ in pieces]
    worst = {"cor": RIGHT, "sub": SUBSTITUTED, "ins": INSERTED}
    for index, pair in zip(owner, (pair for pair in pairs if pair.op != "del"), strict=True):
        kinds[index] = max(kinds[index], worst[pair.op])
        said[index] += [pair.ref] if pair.ref else []
    right = [clean(rival or "").split() == some for rival, some in zip(rivals, said, strict=True)]
    rival_right = np.where(kinds == UNKNOWN, UNKNOWN, np.array(right, dtype=np.int8)).astype(np.int8)
    return kinds, rival_right, all(pair.op == "cor" for pair in pairs)


def read(paths: Sequence[Path], vocabulary: Vocabulary, normaliser: str, need_reference: bool) -> Material:
    """Read decode folders and measure all words.

    Args:
        normaliser: applied to references and words before they are compared.
        need_reference: whether a cut without a reference is a problem.

    Raises:
        UserError: a folder that lacks confusion networks or lattices, or is damaged.
        DataError: cuts without reference, or whose words, times and confusion network do not belong together.
    """
    problems = Problems()
    parts: list[Material] = []
    total = 0
    for path in paths:
        folder = DecodeFolder.open(path, lattices=True, confusion=True)
        shown = track(folder, len(folder), f"features of {path}", "cuts")
        parts.append(
            gather(shown, folder.words, folder.frame_shift, vocabulary, normaliser, need_reference, problems, str(path))
        )
        total += len(folder)
    if total == 0:
        raise UserError(f"{', '.join(map(str, paths))}: no recognised cuts", fix="decode some")
    problems.settle(total)
    return _joined(parts)


def gather(
    found: Iterable[Decoded],
    words: Sequence[str],
    frame_shift: float,
    vocabulary: Vocabulary,
    normaliser: str,
    need_reference: bool,
    problems: Problems,
    where: str = "decode",
) -> Material:
    """Measure the words of recognised cuts; those that have problems are left out.

    Args:
        words: the table of the ids in lattices and confusion networks.
        frame_shift: of these [s].
    """
    clean = normaliser_called(normaliser)
    utterances: list[Utterance] = []
    measured: list[Measured] = []
    for decoded in found:
        fault = _fault(decoded, words, need_reference)
        if fault is not None:
            problems.add(fault[0], where, decoded.id, *fault[1:])
            continue
        utterance, numbers = _measured(decoded, words, frame_shift, vocabulary, clean)
        if not (np.isfinite(numbers.own).all() and np.isfinite(numbers.utterance).all()):
            what = "a feature is not a finite number: " + ", ".join(_not_finite(numbers))
            problems.add("features not finite", where, utterance.id, what, "decode it again, or remove it")
            continue
        utterances.append(utterance)
        measured.append(numbers)
    bounds = np.r_[0, np.cumsum([len(utterance.words) for utterance in utterances])].astype(np.int64)
    own = np.concatenate([np.zeros((0, len(OWN)), np.float32), *[numbers.own for numbers in measured]])
    shared = np.array([numbers.utterance for numbers in measured], np.float32).reshape(-1, len(UTTERANCE))
    kind = np.concatenate([np.zeros(0, np.int8), *[utterance.kinds for utterance in utterances]])
    return Material(utterances, bounds, assemble(own, shared, bounds), shared, kind)


def words_of(paths: Sequence[Path]) -> Counter[str]:
    """How often each word was said, by references, or recognised where there is none."""

    def texts() -> Iterator[list[str]]:
        for path in paths:
            for decoded in DecodeFolder.open(path):
                supervision, _ = supervision_of(decoded.cut)
                custom = supervision.get("custom") or {}
                yield (custom.get("reference") or supervision.get("text") or "").split()

    return count_words(texts())


def _fault(decoded: Decoded, words: Sequence[str], need_reference: bool) -> tuple[str, str, str] | None:
    """What makes a cut unusable: kind, what, fix."""
    supervision, _ = supervision_of(decoded.cut)
    said = [item[0] for item in (supervision.get("alignment") or {}).get("word", [])]
    again = "decode it again with --confusion"
    if decoded.lattice is None or decoded.confusion is None:
        return "no confusion network", "has no lattice or confusion network", again
    ids = decoded.confusion.hypothesis
    if [words[index] for index in ids] != said:
        what = f"its confusion network is of {[words[index] for index in ids]}, its alignment of {said}"
        return "other words", what, again
    if need_reference and "reference" not in (supervision.get("custom") or {}):
        return "no reference", "has no reference", "decode cuts with transcripts"
    return None


def _measured(
    decoded: Decoded, table: Sequence[str], frame_shift: float, vocabulary: Vocabulary, clean: Callable[[str], str]
) -> tuple[Utterance, Measured]:
    supervision, offset = supervision_of(decoded.cut)
    items = (supervision.get("alignment") or {}).get("word", [])
    words = [item[0] for item in items]
    starts, lengths = (np.array([item[column] for item in items], dtype=np.float64) for column in (1, 2))
    spans = np.stack([starts + offset, starts + offset + lengths], axis=1)
    if decoded.lattice is None or decoded.confusion is None:
        raise ValueError("the folder was opened with both")
    duration = float(duration_of(decoded.cut))
    numbers = measure(decoded.lattice, decoded.confusion, words, spans, duration, frame_shift, vocabulary)
    rivals = [table[index] if index else None for index in numbers.rival]
    reference = (supervision.get("custom") or {}).get("reference")
    kinds = rival_right = np.full(len(words), UNKNOWN, np.int8)
    whole = None
    if reference is not None:
        kinds, rival_right, whole = judge(reference, words, rivals, clean)
    recording = str(supervision.get("recording_id") or decoded.id)
    speaker = str(supervision.get("speaker") or recording)
    return Utterance(decoded.cut, words, spans, kinds, rivals, rival_right, whole, speaker, recording), numbers


def _not_finite(numbers: Measured) -> list[str]:
    names, values = [*OWN, *UTTERANCE], [*numbers.own.T, *numbers.utterance]
    return [name for name, some in zip(names, values, strict=True) if not np.isfinite(some).all()]


def _joined(parts: Sequence[Material]) -> Material:
    """Several materials as one."""
    sizes = np.concatenate([np.diff(part.bounds) for part in parts])
    return Material(
        [utterance for part in parts for utterance in part.utterances],
        np.r_[0, np.cumsum(sizes)].astype(np.int64),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.utterance_features for part in parts]),
        np.concatenate([part.kind for part in parts]),
    )


def alignment(cut: Mapping[str, Any], normaliser: str) -> str:
    """A recognised cut with the confidence under every word, and above it the reference where there is one."""
    clean = normaliser_called(normaliser)
    supervision, _ = supervision_of(cut)
    custom = supervision.get("custom") or {}
    words = [item[0] for item in (supervision.get("alignment") or {}).get("word", [])]
    pieces = [
        (piece, sure) for word, sure in zip(words, custom["confidence"], strict=True) for piece in clean(word).split()
    ]
    said = " ".join(piece for piece, _ in pieces)
    reference = clean(custom["reference"]) if "reference" in custom else said
    notes = [f"{sure:.2f}" for _, sure in pieces]
    head, *rows = alignment_text(Scored(str(cut["id"]), reference, said), "conf", notes).rstrip("\n").split("\n")
    if "reference" not in custom:
        head, rows = str(cut["id"]), [rows[1], rows[3]]
    return "\n".join([f"{head}  whole {custom['utterance_confidence']:.2f}", *rows]) + "\n"

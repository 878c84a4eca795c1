"""Reading what is to be chosen from, and what the recogniser was trained on; nothing of a cut is kept but numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.select_data.bins import Bins, Gatherer, Ints
from voxkit.commands.select_data.sounds import Sounds
from voxkit.data.checks import duration_of, leaves
from voxkit.data.lang import Lang
from voxkit.data.manifests import check_cuts, manifest_files, open_cuts, parse_line, read_text, relocate, snap
from voxkit.data.text import normaliser
from voxkit.decode.confusion import ConfusionNetwork, around
from voxkit.decode.folder import Decoded, DecodeFolder, open_all
from voxkit.errors import Problems, UserError
from voxkit.metrics.edit import align
from voxkit.progress import track

Doubles = NDArray[np.float64]

REFERENCE = "reference"


@dataclass(frozen=True, eq=False)
class Pool:
    """The U utterances of a pool that were recognised as something.

    Attributes:
        ids: of the cuts.
        places: (U,) the cut's number among all of the pool, those without words counted too.
        durations: (U,) [s].
        words: (U,) words of the hypothesis.
        confidence, least: (U,) mean and lowest confidence of its words; NaN where none is known.
        voices: (U + L,) number of the speaker; of the labelled utterances at the end, the last one first.
        bins: of all confusion networks, and of the L labelled utterances as -1 ... -L; None if they were not asked for.
        vocabulary: the word table that `bins` counts in.
        sounds: of these words.
        silent: how many cuts were recognised as nothing.
        silent_seconds: their duration.
    """

    ids: list[str]
    places: Ints
    durations: Doubles
    words: Ints
    confidence: Doubles
    least: Doubles
    voices: Ints
    bins: Bins | None
    vocabulary: list[str]
    sounds: Sounds | None
    silent: int
    silent_seconds: float


def supervision_of(cut: Mapping[str, Any]) -> dict[str, Any]:
    """The one supervision of a recognised cut; empty if it has none."""
    return next((one for _, supervisions in leaves(cut) for one in supervisions), {})


def words_of(cut: Mapping[str, Any]) -> list[str]:
    return str(supervision_of(cut).get("text") or "").split()


def confidence_of(cut: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """(Q,) how sure each word is: what score-confidence says, else the posterior; None if there is neither."""
    custom = supervision_of(cut).get("custom") or {}
    found = custom.get("confidence", custom.get("posterior"))
    if not isinstance(found, list) or len(found) != len(words_of(cut)):
        return None
    return np.array(found, dtype=np.float32)


def labelled_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The labelled cuts, as they are in their manifest."""
    moved: dict[str, str] = {}
    for file in manifest_files(path):
        for number, text in read_text(file):
            yield snap(relocate(parse_line(f"{file}:{number}", text).data or {}, file.parent, moved))


def decoded(folders: Sequence[Path]) -> Iterator[tuple[int, dict[str, Any]]]:
    """All cuts of the pool, numbered as in `Pool.places`."""
    for place, (_, item) in enumerate(_items(map(DecodeFolder.open, folders))):
        yield place, item.cut


def read(
    folders: Sequence[Path],
    labelled: Path,
    lang: Lang | None,
    labelled_decode: Path | None,
    networks: bool,
    ceiling: float,
) -> Pool:
    """Read the pool's manifests and, if asked for, its confusion networks, one shard in memory at a time.

    Raises:
        UserError: a folder that is no decode, is not complete or lacks networks; pools of different word tables.
        DataError: ids twice, labelled cuts in the pool, cuts without duration, bad labelled cuts.
    """
    check_cuts(open_cuts(labelled), labelled, need_text=True, need_audio=False)
    own = [labelled_decode] if labelled_decode and networks else []
    opened = open_all([*folders, *own], confusion=networks)
    told = opened.pop() if own else None
    vocabulary = _same_words([*opened, *([told] if told else [])]) if networks else []
    sounds = Sounds(vocabulary, lang) if networks else None
    reader = _Reader(Gatherer(sounds, ceiling) if sounds else None)
    reader.take_labelled(labelled, lang, told, vocabulary)
    for folder, item in track(_items(opened), sum(map(len, opened)), "reading the pool", "cuts"):
        reader.take(folder.path, item)
    return reader.pool(vocabulary, sounds, folders)


class _Reader:
    """Takes in cut after cut; keeps numbers, ids and what is wrong."""

    def __init__(self, gatherer: Gatherer | None) -> None:
        self.gatherer = gatherer
        self.problems = Problems()
        self.ids: list[str] = []
        self.columns = array("d")  # place, duration, words, mean and lowest confidence, speaker: of each utterance
        self.taught: dict[str, int] = {}  # speakers of the labelled cuts
        self.speakers: dict[str, int] = {}
        self.seen: dict[str, Path] = {}
        self.silent, self.silent_seconds = 0, 0.0

    def take_labelled(
        self, path: Path, lang: Lang | None, told: DecodeFolder | None, vocabulary: Sequence[str]
    ) -> None:
        """Take labelled cuts in: with their own decode where there is one, else by their transcripts."""
        clean = lang.normalise if lang else normaliser("none")
        number = {word: index for index, word in enumerate(vocabulary)}
        heard = {item.id: item for item in told} if told else {}
        for place, cut in enumerate(labelled_lines(path), start=1):
            self.taught[str(cut["id"])] = self._voice(cut)
            if self.gatherer is None:
                continue
            words = clean(" ".join(str(one.get("text") or "") for _, many in leaves(cut) for one in many)).split()
            item = heard.get(str(cut["id"]))
            if item is not None and item.confusion is not None:
                truth = _truth(words, words_of(item.cut), item.confusion, number)
                self.gatherer.add(-place, item.confusion, labels=truth)
            else:
                self.gatherer.say(-place, np.array([number[word] for word in words if word in number], dtype=np.int32))

    def take(self, folder: Path, item: Decoded) -> None:
        """Take a cut of the pool in."""
        place, seconds, spoken = len(self.seen), duration_of(item.cut), words_of(item.cut)
        self._check(folder, item.id, seconds)
        if not spoken:
            self.silent, self.silent_seconds = self.silent + 1, self.silent_seconds + seconds
            return
        confidence = confidence_of(item.cut)
        mean, least = (float(confidence.mean()), float(confidence.min())) if confidence is not None else (np.nan,) * 2
        self.columns.extend((place, seconds, len(spoken), mean, least, self._voice(item.cut)))
        if self.gatherer is not None and item.confusion is not None:
            better = "confidence" in (supervision_of(item.cut).get("custom") or {})
            self.gatherer.add(len(self.ids), item.confusion, confidence=confidence if better else None)
        self.ids.append(item.id)

    def _check(self, folder: Path, name: str, seconds: float) -> None:
        if name in self.taught:
            fix = "decode the others only"
            self.problems.add("labelled cut in the pool", str(folder), name, "it is in --labelled", fix)
        elif name in self.seen:
            fix = "rename one of them, or give the pool once"
            self.problems.add("duplicate id", str(folder), name, f"also in {self.seen[name]}", fix)
        elif seconds <= 0:
            self.problems.add("no duration", str(folder), name, "its duration is not known", "decode it again")
        self.seen.setdefault(name, folder)

    def _voice(self, cut: Mapping[str, Any]) -> int:
        """The number of a cut's speaker; a new one where that is not known."""
        speaker = supervision_of(cut).get("speaker")
        return self.speakers.setdefault(f"speaker {speaker}" if speaker else f"cut {cut['id']}", len(self.speakers))

    def pool(self, vocabulary: list[str], sounds: Sounds | None, folders: Sequence[Path]) -> Pool:
        """All that was taken in.

        Raises:
            UserError, DataError: it cannot be used.
        """
        self.problems.settle(len(self.seen))
        if not self.ids:
            raise UserError(f"{', '.join(map(str, folders))}: no words were recognised", fix="look at the decode")
        table = np.array(self.columns).reshape(len(self.ids), -1)
        return Pool(
            ids=self.ids,
            places=table[:, 0].astype(np.int32),
            durations=table[:, 1],
            words=table[:, 2].astype(np.int32),
            confidence=table[:, 3],
            least=table[:, 4],
            voices=np.append(table[:, 5], list(self.taught.values())[::-1]).astype(np.int32),
            bins=self.gatherer.bins() if self.gatherer else None,
            vocabulary=vocabulary,
            sounds=sounds,
            silent=self.silent,
            silent_seconds=self.silent_seconds,
        )


def _items(opened: Iterable[DecodeFolder]) -> Iterator[tuple[DecodeFolder, Decoded]]:
    for folder in opened:
        for item in folder:
            yield folder, item


def _same_words(opened: Sequence[DecodeFolder]) -> list[str]:
    """The one word table of all decodes."""
    words = opened[0].words
    for folder in opened:
        if folder.words != words:
            ours, theirs = next((a, b) for a, b in zip([*words, None], [*folder.words, None], strict=False) if a != b)
            what = f"{folder.path}: its word table is not that of {opened[0].path} ({theirs!r} for {ours!r})"
            raise UserError(what, fix="decode all with the same --graph")
    return words


def _truth(
    said: Sequence[str], heard: Sequence[str], network: ConfusionNetwork, number: Mapping[str, int]
) -> NDArray[np.int32]:
    """(2Q + 1,) the word that is right in each bin of a network around `heard`; words not in the table are 0."""
    labels = around(network.hypothesis)
    position = -1  # of the last word of the hypothesis that was passed
    for pair in align(said, heard):
        if pair.op == "del":
            labels[2 * position + 2] = number.get(pair.ref, 0)
            continue
        position += 1
        if pair.op != "cor":
            labels[2 * position + 1] = number.get(pair.ref, 0)
    return labels

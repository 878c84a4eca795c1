"""Noise to add to cuts: made white, pink or babble noise in files of its own, or recorded noise where it is."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxkit.commands.cuts.divide import chance
from voxkit.commands.cuts.lines import Cut
from voxkit.data import audio
from voxkit.data.audio import Samples
from voxkit.data.noise import BABBLE_TALKERS, make_noise
from voxkit.errors import UserError

SECONDS = 120.0  # length of a made noise; longer cuts get several pieces of it
BABBLES = 4  # recordings of babble, of speakers of their own
UTTERANCES = 16  # of each speaker that babble is made of, at most
BLOCK = 0.01  # pieces of noise begin at multiples of this [s]
AUDIBLE = 1e-4  # least power of a piece, relative to all of the noise
SHORTEST = 0.2  # noise [s]


@dataclass
class Noise:
    """A noise that pieces are taken from.

    Attributes:
        name: what a supervision's `noise` says.
        cut: all of it, as in a manifest's line.
        speakers: who is in it, and is not to have it added.
        samples: its audio, if that is at hand.
    """

    name: str
    cut: Cut
    speakers: frozenset[str] = frozenset()
    samples: Samples | None = None

    @property
    def longest(self) -> float:
        """The longest piece that can be taken [s]."""
        return float(self.cut["duration"]) - 2 * BLOCK

    @cached_property
    def energy(self) -> NDArray[np.float64]:
        """The energy up to each block: (N + 1,) for N blocks of `BLOCK` seconds.

        Raises:
            AudioError: the noise cannot be read.
        """
        rate = int(self.cut["recording"]["sampling_rate"])
        samples = audio.load(self.cut) if self.samples is None else self.samples
        blocks = math.floor(len(samples) / rate / BLOCK)
        edges = np.round(np.arange(blocks + 1) * BLOCK * rate).astype(int)
        sums = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
        self.samples = None
        return sums[edges]

    def start(self, seconds: float, draw: np.random.Generator) -> float:
        """Where in the noise a piece of so many seconds begins: at random, but not where it is silent.

        Raises:
            UserError: it is silent everywhere.
        """
        size = min(math.ceil(seconds / BLOCK), len(self.energy) - 1)
        power = (self.energy[size:] - self.energy[:-size]) / size
        latest = math.floor((self.longest - seconds) / BLOCK) + 1
        power = power[: max(latest, 0) + 1]
        if power.max() <= 0:
            raise UserError(f"noise {self.cut['id']}: silent", fix="remove it from --noise")
        usable = np.flatnonzero(power >= min(AUDIBLE * self.energy[-1] / len(self.energy), power.max()))
        return float(usable[draw.integers(len(usable))]) * BLOCK


class Babblers:
    """Utterances that babble is made of, a few of each speaker, whatever the order in which they come."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._heaps: defaultdict[str, list[tuple[float, str, Cut]]] = defaultdict(list)

    def add(self, speaker: str, cut: Cut) -> None:
        heap, item = self._heaps[speaker], (-chance(self.seed, cut["id"]), cut["id"], cut)
        if len(heap) < UTTERANCES:
            heapq.heappush(heap, item)
        elif item > heap[0]:
            heapq.heapreplace(heap, item)

    @property
    def speakers(self) -> list[str]:
        """In random order."""
        return sorted(self._heaps, key=lambda speaker: chance(self.seed, f"speaker {speaker}"))

    def groups(self) -> list[list[str]]:
        """The speakers of each babble."""
        speakers = self.speakers
        count = min(BABBLES, len(speakers))
        return [speakers[number::count] for number in range(count)]

    def streams(self, speakers: Sequence[str], rate: int, length: int) -> list[Samples]:
        """`BABBLE_TALKERS` streams (<= length,) of equal power at `rate` Hz, each of some of the speakers."""
        return [self._stream(speakers, talker, rate, length) for talker in range(BABBLE_TALKERS)]

    def _stream(self, speakers: Sequence[str], talker: int, rate: int, length: int) -> Samples:
        mine = speakers[talker::BABBLE_TALKERS] or [speakers[talker % len(speakers)]]
        listed = [cut for speaker in mine for _, _, cut in self._heaps[speaker]]
        listed.sort(key=lambda cut: chance(self.seed, f"talker {talker} {cut['id']}"))
        parts: list[Samples] = []
        missing = length
        for cut in listed:
            if missing <= 0:
                break
            parts.append(audio.load(cut, rate)[:missing])
            missing -= len(parts[-1])
        stream = np.concatenate(parts)
        return np.asarray(stream / max(float(np.sqrt(np.mean(stream**2))), 1e-9), dtype=np.float32)


def made(kinds: Sequence[str], rate: int, seed: int, babblers: Babblers, work: Path, home: Path) -> list[Noise]:
    """Make noises of `SECONDS` at `rate` Hz into the folder `work`, which will be at `home`."""
    work.mkdir(exist_ok=True)
    noises = []
    for kind in kinds:
        for number, speakers in enumerate(babblers.groups() if kind == "babble" else [[]], start=1):
            name = f"{kind}{number if kind == 'babble' else ''}-{rate}"
            length = round(SECONDS * rate)
            draw = np.random.default_rng([seed, *name.encode()])
            samples = make_noise(kind, length, draw, babblers.streams(speakers, rate, length) if speakers else [])
            samples *= 0.5 / np.abs(samples).max()
            audio.write(work / f"{name}.flac", samples, rate)
            cut = _whole(name, home / f"{name}.flac", length, rate)
            noises.append(Noise(kind, cut, frozenset(speakers), samples.astype(np.float32)))
    return noises


def _whole(name: str, path: Path, length: int, rate: int) -> Cut:
    """The cut of all of a file."""
    recording = {
        "id": name,
        "sources": [{"type": "file", "channels": [0], "source": str(path.absolute())}],
        "sampling_rate": rate,
        "num_samples": length,
        "duration": length / rate,
        "channel_ids": [0],
    }
    cut = {"id": name, "start": 0.0, "duration": length / rate, "channel": 0, "supervisions": []}
    return {**cut, "recording": recording, "type": "MonoCut"}


def resampled(recording: Mapping[str, Any], rate: int) -> dict[str, Any]:
    """The recording at another rate, which lhotse brings it to when it is read."""
    if recording["sampling_rate"] == rate:
        return dict(recording)
    from lhotse import Recording

    return dict(Recording.from_dict(dict(recording)).resample(rate).to_dict())

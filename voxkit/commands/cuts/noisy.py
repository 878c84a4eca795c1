"""`cuts add-noise`: cuts and noise as lhotse's mixed cuts, so that no speech is written again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from voxkit.commands.cuts.lines import Cut, checked, cuts_of, digests, supervisions_of
from voxkit.commands.cuts.noises import SHORTEST, Babblers, Noise, made, resampled
from voxkit.data.checks import Requirements, check
from voxkit.data.manifests import CUTS, manifest_files, parse_shard, read_lines, require_some, write_cuts
from voxkit.data.noise import KINDS
from voxkit.errors import Problems, UserError
from voxkit.progress import say
from voxkit.rundir import output

NOISE = "noise"  # the folder beside the manifest that made noise goes to
CLEAN = "clean"
MOST_SNR = 200  # either way [dB]

Noises = dict[str, list[Noise]]  # by name


@dataclass(frozen=True)
class Choice:
    """Which noise is added how."""

    snrs: tuple[float, ...]
    kinds: tuple[str, ...]
    noise: Path | None
    clean: bool
    seed: int

    @classmethod
    def of(cls, snrs: Sequence[float], kinds: str | None, noise: Path | None, clean: bool, seed: int) -> Choice:
        """Raises UserError, which names all that is wrong with what was asked for."""
        listed = tuple(dict.fromkeys(kind.strip() for kind in (kinds or "").split(",") if kind.strip()))
        wrong = [f"--kinds {kind}: there are {', '.join(KINDS)}" for kind in listed if kind not in KINDS]
        wrong += [f"--snr {snr:g}: not from -{MOST_SNR} to {MOST_SNR} dB" for snr in snrs if not abs(snr) <= MOST_SNR]
        names = [name_of(snr) for snr in snrs]
        wrong += [f"--snr {snr:g}: given twice" for place, snr in enumerate(snrs) if names[place] in names[:place]]
        if bool(listed) == (noise is not None):
            wrong.append("either --kinds or --noise says what noise to add")
        if wrong:
            raise UserError("\n".join(wrong), fix="see voxkit cuts add-noise --help")
        return cls(tuple(snrs), tuple(sorted(listed, key=KINDS.index)), noise, clean, seed)


def name_of(snr: float) -> str:
    return f"snr{snr:g}"


def add_noise(cuts: Path, out: Path, choice: Choice, shard: str | None = None) -> Path:
    """Write the manifest (of a shard of the cuts), and the noise if it is to be made.

    Raises:
        DataError: cuts with problems, mixed cuts, cuts without speaker (for babble), missing audio.
        UserError: babble of one speaker alone; noises that are silent or too short.
    """
    files = manifest_files(cuts)
    noise_files = manifest_files(choice.noise) if choice.noise else ()
    index, count = parse_shard(shard) if shard else (1, 1)
    spec = {
        "cuts": digests(files),
        "noise": digests(noise_files) or list(choice.kinds),
        "snr": list(choice.snrs),
        "clean": choice.clean,
        "seed": choice.seed,
        "shard": shard or "",
    }
    with output(out, "cuts add-noise", spec, resumable=False) as place:
        if not place.done:
            total, rates, babblers = _survey(files, choice)
            _require_speakers(babblers, cuts, choice)
            if noise_files:
                noises = dict.fromkeys(rates, by_name(_given(noise_files)))
            else:
                folders = place.work / NOISE, place.out / NOISE
                noises = {r: by_name(made(choice.kinds, r, choice.seed, babblers, *folders)) for r in sorted(rates)}
            chosen = islice(cuts_of(files, "mixing"), index - 1, None, count)
            written = write_cuts((copy for cut in chosen for copy in copies(cut, choice, noises)), place.work / CUTS)
            require_some(written, f"{cuts}, part {shard}")
            say(f"{out}: {written} cuts of {total}")
    return out / CUTS


def _survey(files: Sequence[Path], choice: Choice) -> tuple[int, set[int], Babblers]:
    """How many cuts there are, their sampling rates, and utterances for babble."""
    found, _, total = check(read_lines(files), Requirements())
    problems = Problems()
    rates = set[int]()
    babblers = Babblers(choice.seed)
    for where, cut in checked(files, Problems()):
        if cut["type"] != "MonoCut" or "recording" not in cut:
            fix = "give cuts of one recording and channel"
            problems.add("not plain", where, cut["id"], f"is a {cut['type']}, or has no recording", fix)
            continue
        rates.add(cut["recording"]["sampling_rate"])
        if "babble" in choice.kinds:
            speakers = speakers_of(cut)
            if not speakers:
                fix = "add the speaker: babble is to be that of others"
                problems.add("no speaker", where, cut["id"], "no supervision names one", fix)
            elif len(speakers) == 1:
                babblers.add(next(iter(speakers)), cut)
    found.extend(problems)
    found.settle(total)
    return total, rates, babblers


def _require_speakers(babblers: Babblers, cuts: Path, choice: Choice) -> None:
    if "babble" in choice.kinds and len(babblers.groups()) < 2:
        what = f"{cuts}: babble is made of other speakers, and there are none"
        raise UserError(what, fix="give cuts of two speakers or more, or leave babble out")


def _given(files: Sequence[Path]) -> Iterator[Noise]:
    """Recorded noises, checked."""
    found, _, total = check(read_lines(files), Requirements())
    problems = Problems()
    cuts = list(checked(files, Problems(), "reading noise"))
    for where, cut in cuts:
        if cut["type"] != "MonoCut" or "recording" not in cut:
            fix = "give noises of one recording and channel"
            problems.add("not plain", where, cut["id"], f"is a {cut['type']}, or has no recording", fix)
        elif cut["duration"] < SHORTEST:
            what = f"lasts {cut['duration']:g} s"
            problems.add("too short", where, cut["id"], what, f"give noises of at least {SHORTEST:g} s")
    found.extend(problems)
    found.settle(total)
    for _, cut in cuts:
        yield Noise(cut["id"], {**cut, "supervisions": []})


def by_name(noises: Iterable[Noise]) -> Noises:
    found: Noises = {}
    for noise in noises:
        found.setdefault(noise.name, []).append(noise)
    return dict(sorted(found.items()))


def copies(cut: Cut, choice: Choice, noises: Mapping[int, Noises]) -> Iterator[Cut]:
    """The copies of a cut: clean, if asked for, and at each ratio with the same noise.

    Args:
        noises: to choose from, for each sampling rate of cuts.
    """
    cut = {key: value for key, value in cut.items() if key != "features"}  # they are those of the clean audio
    if choice.clean:
        yield _renamed(cut, CLEAN, {"snr": None, "noise": "none"})
    rate = cut["recording"]["sampling_rate"]
    draw = np.random.default_rng([choice.seed, *cut["id"].encode()])
    kind, pieces = drawn(cut, noises[rate], draw)
    for snr in choice.snrs:
        speech = _renamed(cut, name_of(snr), {"snr": snr, "noise": kind})
        tracks = [{"cut": piece, "type": "MonoCut", "offset": offset, "snr": snr} for offset, piece in pieces]
        yield {
            "id": speech["id"],
            "tracks": [{"cut": speech, "type": "MonoCut", "offset": 0.0}, *tracks],
            "type": "MixedCut",
        }


def drawn(cut: Cut, noises: Noises, draw: np.random.Generator) -> tuple[str, list[tuple[float, Cut]]]:
    """A noise for a cut, and its pieces, each with its offset: one, or several where the noise is shorter.

    A piece's power is brought to the ratio by itself, so pieces are of like length.
    """
    speakers = speakers_of(cut)
    kind = list(noises)[int(draw.integers(len(noises)))]
    usable = [noise for noise in noises[kind] if not noise.speakers & speakers]
    if not usable:
        raise UserError(f"{cut['id']}: its speakers are in every babble", fix="cut it into its supervisions")
    noise = usable[int(draw.integers(len(usable)))]
    rate, duration = cut["recording"]["sampling_rate"], cut["duration"]
    recording = resampled(noise.cut["recording"], rate)
    count = math.ceil(duration / noise.longest)
    edges = [round(duration * rate * number / count) / rate for number in range(count)]
    pieces = []
    for number, (begin, end) in enumerate(zip(edges, [*edges[1:], duration], strict=True), start=1):
        start = noise.cut["start"] + noise.start(end - begin, draw)
        times = {"start": round(start, 8), "duration": round(end - begin, 8)}
        piece = {**noise.cut, "id": f"{cut['id']}-noise{number}", **times, "recording": recording}
        pieces.append((round(begin, 8), piece))
    return kind, pieces


def speakers_of(cut: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(str(s["speaker"]) for s in supervisions_of(cut) if s.get("speaker"))


def _renamed(cut: Cut, suffix: str, custom: Mapping[str, Any]) -> Cut:
    """The cut, and its supervisions, with another name; the supervisions with more custom fields."""
    supervisions = [
        {**one, "id": f"{one['id']}-{suffix}", "custom": {**(one.get("custom") or {}), **custom}}
        for one in cut.get("supervisions") or ()
    ]
    return {**cut, "id": f"{cut['id']}-{suffix}", "supervisions": supervisions}

"""Decode folders made by hand: words are tones, and a recogniser that errs at random and half knows it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import yaml

from voxkit.data.manifests import write_cuts
from voxkit.decode import confusion, lattice
from voxkit.decode.confusion import confusion_network
from voxkit.decode.lattice import Lattice

WORDS = ["<eps>", "one", "two", "three", "four", "five"]
RATE = 8000
FRAME_SHIFT = 0.04
FRAMES = 6  # of the lattice in a word


def sausage(slots: Sequence[Sequence[tuple[int, float]]], frames: int = FRAMES) -> Lattice:
    """A lattice of slots of so many frames; each slot has words (0: none) with probabilities."""
    arcs = [
        (place, place + 1, word, frames * place, frames * (place + 1), -float(np.log(share)))
        for place, slot in enumerate(slots)
        for word, share in slot
    ]
    columns = list(zip(*arcs, strict=True)) if arcs else [[]] * 6
    graph = [0.25] * len(arcs)
    acoustic = np.array(columns[5]) - 0.25
    return Lattice.build(len(slots) + 1, frames * max(len(slots), 1), *columns[:5], acoustic, graph)


def line(
    name: str, lattice_: Lattice, reference: str | None, recording: dict, speaker: str | None, mixed: bool = False
) -> dict:
    """The manifest line of a recognised cut, as decode writes it."""
    best = lattice_.best_path()
    words = [WORDS[word] for word in best.words]
    times = [[round(t * FRAME_SHIFT, 4) for t in some] for some in (best.starts, best.ends)]
    supervision = {
        "id": name,
        "recording_id": recording["id"],
        "start": 0.0,
        "duration": recording["duration"],
        "channel": 0,
        "text": " ".join(words),
        "custom": {"score": -best.cost} | ({} if reference is None else {"reference": reference}),
        "alignment": {
            "word": [[word, start, round(end - start, 4), 0.5] for word, start, end in zip(words, *times, strict=True)]
        },
    }
    if speaker is not None:
        supervision["speaker"] = speaker
    cut = {
        "id": name,
        "start": 0.0,
        "duration": recording["duration"],
        "channel": 0,
        "supervisions": [supervision],
        "recording": recording,
        "type": "MonoCut",
    }
    if not mixed:
        return cut
    noise = {**cut, "id": f"{name}-noise", "supervisions": []}
    tracks = [{"type": "MonoCut", "cut": cut, "offset": 0.0}]
    tracks += [{"type": "MonoCut", "cut": noise, "offset": 0.0, "snr": 20.0}]
    return {"id": name, "tracks": tracks, "type": "MixedCut"}


def record(path: Path, words: Sequence[int], draw: np.random.Generator) -> dict:
    """A recording that says the words, each a tone of 0.24 s."""
    seconds = FRAMES * FRAME_SHIFT
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [0.3 * np.sin(2 * np.pi * 350 * 1.5**word * time) if word else 0 * time for word in words]
    samples = np.concatenate(tones or [0 * time]) + 0.01 * draw.normal(size=max(len(words), 1) * len(time))
    soundfile.write(path, samples.astype(np.float32), RATE)
    return {
        "id": path.stem,
        "sources": [{"type": "file", "channels": [0], "source": str(path)}],
        "sampling_rate": RATE,
        "num_samples": len(samples),
        "duration": len(samples) / RATE,
        "channel_ids": [0],
    }


def write(folder: Path, cuts: Sequence[dict], lattices: dict[str, Lattice]) -> Path:
    """A folder as decode --confusion leaves it."""
    for kind in ("lattices", "confusion"):
        (folder / kind).mkdir(parents=True)
    write_cuts(cuts, folder / "hypotheses.jsonl.gz")
    lattice.save(folder / "lattices" / "1.npz", lattices)
    networks = {name: confusion_network(some, mbr=False) for name, some in lattices.items()}
    confusion.save(folder / "confusion" / "1.npz", networks)
    (folder / "words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(WORDS)))
    (folder / "frame_shift").write_text(f"{FRAME_SHIFT}\n")
    (folder / "config.yaml").write_text(yaml.safe_dump({"command": "decode"}))
    return folder


def make(folder: Path, utterances: int = 60, seed: int = 0, wrong: float = 0.3, speakers: int = 6) -> Path:
    """A decode folder with audio: every tenth utterance is empty, every seventh a mixed cut."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    (folder / "audio").mkdir()
    cuts, lattices = [], {}
    for number in range(utterances):
        name = f"{folder.name}-{number}"
        heard = [] if number % 10 == 9 else [int(word) for word in draw.integers(1, 6, size=draw.integers(1, 5))]
        said, slots = [], []
        for word in heard:
            errs = draw.random() < wrong
            share = draw.uniform(0.51, 0.8) if errs else draw.uniform(0.6, 0.99)
            other = int(word % 5 + 1)
            slots.append([(word, share), (other, 1 - share)])
            if not errs:
                said.append(word)
            elif draw.random() < 0.7:
                said.append(other)
            else:
                said.append(0)  # nothing was said: an insertion
        found = sausage(slots)
        recording = record(folder / "audio" / f"{name}.wav", said, draw)
        reference = " ".join(WORDS[word] for word in said if word)
        lattices[name] = found
        cuts.append(line(name, found, reference, recording, f"s{number % speakers}", mixed=number % 7 == 3))
    return write(folder, cuts, lattices)


def rewrite(folder: Path, change) -> None:
    """Change the manifest's lines in place: `change(cut)` for each."""
    import gzip

    file = folder / "hypotheses.jsonl.gz"
    cuts = [json.loads(text) for text in gzip.open(file)]
    for cut in cuts:
        change(cut)
    write_cuts(cuts, file)

"""Decode folders of phrases with rivals for each word, for tests of rescoring."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.commands.lm_nce.small_lm import WORDS
from voxkit.data.manifests import write_cuts
from voxkit.decode import confusion, lattice
from voxkit.decode.confusion import confusion_network
from voxkit.decode.lattice import Lattice

TABLE = ["<eps>", *WORDS, "zoe", "quux"]  # a model of small_lm does not know the last two
FRAME_SHIFT = 0.04
FRAMES = 6


def sausage(slots: list[list[tuple[int, float, float]]]) -> Lattice:
    """A lattice of slots; each has words with acoustic and graph costs."""
    arcs = [
        (place, place + 1, word, FRAMES * place, FRAMES * (place + 1), acoustic, graph)
        for place, slot in enumerate(slots)
        for word, acoustic, graph in slot
    ]
    columns: list[Any] = list(zip(*arcs, strict=True)) if arcs else [[]] * 7
    return Lattice.build(len(slots) + 1, FRAMES * max(len(slots), 1), *columns)


def random_lattice(draw: np.random.Generator, slots: int, rivals: int = 3) -> Lattice:
    """Some words in each slot, with costs at random."""
    return sausage(
        [
            [
                (int(word), float(draw.uniform(0, 4)), float(draw.uniform(0, 4)))
                for word in draw.choice(np.arange(1, len(WORDS) + 1), rivals, replace=False)
            ]
            for _ in range(slots)
        ]
    )


def line(name: str, found: Lattice, reference: str | None, speaker: str, most: int = 1, mixed: bool = False) -> dict:
    """The manifest line of a recognised cut, as decode writes it."""
    listed = [
        {
            "text": " ".join(TABLE[word] for word in one.words),
            "acoustic_score": -one.acoustic,
            "graph_score": -one.graph,
            "starts": [round(t * FRAME_SHIFT, 4) for t in one.starts],
            "ends": [round(t * FRAME_SHIFT, 4) for t in one.ends],
        }
        for one in found.nbest(most)
    ]
    best, shift = listed[0], 1.5 if mixed else 0.0  # of the track that bears the supervision
    custom = {"acoustic_score": best["acoustic_score"], "graph_score": best["graph_score"]}
    custom |= {} if reference is None else {"reference": reference}
    custom |= {"nbest": listed} if most > 1 else {}
    items = [
        [word, round(start - shift, 4), round(end - start, 4), None]
        for word, start, end in zip(best["text"].split(), best["starts"], best["ends"], strict=True)
    ]
    seconds = round(found.num_frames * FRAME_SHIFT, 4)
    supervision = {
        "id": name,
        "recording_id": name,
        "start": -shift,
        "duration": seconds,
        "channel": 0,
        "text": best["text"],
        "speaker": speaker,
        "custom": custom,
        "alignment": {"word": items},
    }
    cut = {"id": name, "start": 0.0, "duration": seconds, "channel": 0, "supervisions": [supervision]}
    cut |= {"type": "MonoCut"}
    if not mixed:
        return cut
    padding = {"type": "PaddingCut", "cut": {"id": "pad", "duration": shift, "type": "PaddingCut"}, "offset": 0.0}
    return {"id": name, "tracks": [padding, {"type": "MonoCut", "cut": cut, "offset": shift}], "type": "MixedCut"}


def write(
    folder: Path, cuts: list[dict], lattices: dict[str, Lattice], networks: bool = False, table: list[str] = TABLE
) -> Path:
    """A folder as decode leaves it; with confusion networks, or without lattices, if wanted."""
    folder.mkdir(parents=True)
    write_cuts(cuts, folder / "hypotheses.jsonl.gz")
    (folder / "config.yaml").write_text(yaml.safe_dump({"command": "decode", "settings": {"method": "lattice"}}))
    if not lattices:
        return folder
    (folder / "lattices").mkdir()
    lattice.save(folder / "lattices" / "1.npz", lattices)
    if networks:
        (folder / "confusion").mkdir()
        found = {name: confusion_network(some, mbr=False) for name, some in lattices.items()}
        confusion.save(folder / "confusion" / "1.npz", found)
    (folder / "words.txt").write_text("".join(f"{word} {number}\n" for number, word in enumerate(table)))
    (folder / "frame_shift").write_text(f"{FRAME_SHIFT}\n")
    return folder


def make(folder: Path, cuts: int = 12, networks: bool = False, lists: bool = False, seed: int = 0) -> Path:
    """A folder of random lattices, or of lists only; one cut is empty, one mixed, one without reference."""
    draw = np.random.default_rng(seed)
    lines, lattices = [], {}
    for number in range(cuts):
        found = sausage([]) if number == 3 else random_lattice(draw, int(draw.integers(1, 5)))
        said = [TABLE[word] for word in found.nbest(5)[-1].words]
        name = f"cut{number}"
        lattices[name] = found
        reference = None if number == 5 else " ".join(said)
        lines.append(line(name, found, reference, f"s{number % 6}", 8 if lists else 1, mixed=number == 4))
    return write(folder, lines, {} if lists else lattices, networks)

"""A small model of three labels, which finds nearly all entities of made-up sentences after a few seconds."""

from pathlib import Path

import torch

from voxkit import bundle
from voxkit.commands.ner.command import Ner
from voxkit.commands.ner.task import NerTask
from voxkit.config import from_mapping
from voxkit.data.tagging import Sentence

CITIES = ("Berlin", "New York", "Baden-Baden", "Rome", "Cape Town", "Oslo")
ARTISTS = ("The Beatles", "Nina Simone", "Queen", "Miles Davis", "ABBA")
TRACKS = ("Yesterday", "Feeling Good", "Radio Ga Ga", "So What", "Waterloo")
LABELS = ("city", "artist", "track")
EPOCHS = 12


def tagged(*parts: str | tuple[str, str], id: str = "s") -> Sentence:
    """Of words, and of (words, label) pairs."""
    words: list[str] = []
    tags: list[str] = []
    for part in parts:
        found = (part if isinstance(part, str) else part[0]).split()
        words += found
        tags += ["O"] * len(found) if isinstance(part, str) else [f"B-{part[1]}", *[f"I-{part[1]}"] * (len(found) - 1)]
    return Sentence.of(id, words, tags)


def sentences() -> list[Sentence]:
    """All that can be said of these cities, artists and tracks."""
    made = [tagged("play", (track, "track"), "by", (artist, "artist")) for track in TRACKS for artist in ARTISTS]
    made += [tagged("will it rain in", (city, "city"), day) for city in CITIES for day in ("today ?", "tomorrow ?")]
    made += [tagged("the weather of", (city, "city"), ", please") for city in CITIES]
    made += [tagged("put on something of", (artist, "artist")) for artist in ARTISTS]
    made += [tagged("turn the volume up"), tagged("thank you !")]
    return [Sentence.of(f"s{number}", one.words, one.tags) for number, one in enumerate(made)]


def columns(path: Path, *some: Sentence) -> Path:
    """Write sentences as CoNLL columns."""
    blocks = ("".join(f"{word}\t{tag}\n" for word, tag in zip(one.words, one.tags or (), strict=True)) for one in some)
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


def make(path: Path, epochs: int = EPOCHS, asr: bool = False, units: tuple[str, ...] = ("words", "chars")) -> Path:
    """Save a bundle; with few epochs it says anything."""
    folder = path.parent / f"{path.name}_made"
    folder.mkdir(parents=True)
    shape = {"words": {"width": 24}, "subwords": {"width": 12, "cells": 12}, "model": {"cells": 24, "dropout": 0.1}}
    data = {"train": [str(columns(folder / "train.conll", *sentences()))]}
    config = from_mapping(Ner, {**shape, "data": data, "units": list(units), "text": {"asr": asr}}, "test")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait for each other longer than this takes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        task = NerTask(config, folder)
        model = task.model()
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
        for epoch in range(epochs):
            batches = task.batches("train", epoch)
            for place in range(len(batches)):
                loss = task.loss(model, batches[place])
                optimiser.zero_grad()
                (loss.total / loss.weight).backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
    torch.set_num_threads(threads)
    bundle.save(path, "ner", config, model.state_dict(), task.assets)
    return path

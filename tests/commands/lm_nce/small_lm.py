"""Tiny language models with random weights, as bundles."""

from pathlib import Path
from typing import Any

import torch

from voxkit import bundle
from voxkit.commands.lm_nce.command import LmNce
from voxkit.commands.lm_nce.model import LmModel
from voxkit.commands.lm_nce.vocabulary import Vocabulary
from voxkit.config import from_mapping

WORDS = "call alice bob and the a in on at it is was to of you me my your cat dog".split()
CLASSES = ("contact",)


def model(kind: str = "lstm", seed: int = 0, classes: tuple[str, ...] = (), **shape: Any) -> LmModel:
    """A model in eval mode whose scores are far from uniform."""
    settings = {"model": {"kind": kind, "width": 8, "heads": 2, "layers": 2, **shape}}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = LmModel(from_mapping(LmNce, settings, "test"), Vocabulary.of(WORDS, classes))
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
    return made.eval()


def save(made: LmModel, path: Path, kind: str = "lstm", objective: str = "nce", **shape: Any) -> Path:
    """The bundle of a model of `model` with the same shape."""
    settings = {"model": {"kind": kind, "width": 8, "heads": 2, "layers": 2, **shape}, "objective": {"kind": objective}}
    path.mkdir(parents=True, exist_ok=True)
    assets = made.vocabulary.save(path)
    config = from_mapping(LmNce, settings, "test")
    bundle.save(path / "bundle", "lm_nce", config, made.state_dict(), assets)
    return path

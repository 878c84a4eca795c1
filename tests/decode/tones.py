"""Three tones as sounds to tell, and a classifier of them that needs no training."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxkit.data.clip_config import ClipConfig
from voxkit.data.feature_config import FeatureConfig
from voxkit.decode.classifier import Classifier

RATE = 8000
SECONDS = 0.5
TONES = {"high": 2500.0, "low": 300.0, "mid": 1000.0}
QUIET = "quiet"
Samples = NDArray[np.float32]


def tone(name: str, seconds: float = SECONDS, rate: int = RATE, seed: int = 0) -> Samples:
    """A tone in faint noise; of `QUIET` the noise alone."""
    noise = 0.002 * np.random.default_rng(seed).standard_normal(round(seconds * rate))
    if name == QUIET:
        return noise.astype(np.float32)
    return (0.3 * np.sin(2 * np.pi * TONES[name] * np.arange(len(noise)) / rate) + noise).astype(np.float32)


class Nearest(nn.Module):
    """Logits by how near the mean features are to those of each class."""

    def __init__(self, templates: Tensor) -> None:
        super().__init__()
        self.register_buffer("templates", templates)

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, F) -> (B, C)."""
        return -(features.mean(1, keepdim=True) - self.templates).square().mean(2)


def classifier(head: str = "single", quiet: bool = True) -> Classifier:
    """A classifier of the tones, and of quiet."""
    features = FeatureConfig(sampling_rate=RATE, num_mels=16)
    names = sorted([*TONES, *([QUIET] if quiet else [])])
    made = Classifier(nn.Identity(), "single", names, ClipConfig(seconds=SECONDS), features)
    templates = torch.stack([made.extractor(tone(name, seed=1)).mean(0) for name in names])
    made.head = "multi" if head == "multi" else "single"
    made.model = Nearest(templates)
    if head == "multi":
        made.model = nn.Sequential(made.model, _Offset())
    return made


class _Offset(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits + 3


def write(folder: Path, count: int, rate: int = RATE, seconds: float = SECONDS) -> Path:
    """A folder with a sub-folder of so many files for each tone."""
    for name in TONES:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            soundfile.write(folder / name / f"{number}.wav", tone(name, seconds, rate, number), rate)
    return folder


def scene(*parts: tuple[str, float]) -> Samples:
    """Sounds one after the other, each with its length [s]."""
    return np.concatenate([tone(name, seconds, seed=number) for number, (name, seconds) in enumerate(parts)])

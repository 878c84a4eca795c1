"""A trained model of three tones, made in a few seconds."""

from pathlib import Path

from tests.decode import tones
from voxkit.commands.audio_event.command import train

CONF = Path(__file__).parents[3] / "conf" / "audio_event" / "tiny.yaml"
SETS = [
    f"features.sampling_rate={tones.RATE}",
    f"clip.seconds={tones.SECONDS}",
    "model.channels=[8,16]",
    "train.epochs=8",
    "train.lr=0.01",
    "train.score_every=8",
    "batch=6",
    "augment.mix=0",
    "augment.shift=0.1",
]


def make(data: Path, out: Path, *sets: str) -> Path:
    """Train on a folder of tones."""
    train(train=data, out=out, seed=1, config=CONF, set_=[*SETS, *sets])
    return out

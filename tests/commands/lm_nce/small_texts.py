"""Sentences of a few words that are easily learnt, and the perplexity that nobody can be below."""

import math
import random
from pathlib import Path

VERBS, OWNERS = ("play", "stop", "call", "open"), ("the", "a", "my", "your")
THINGS = ("song", "door", "friend", "light", "music", "kitchen", "window")
LEAST = math.exp((math.log(4) + math.log(4) + math.log(7) + math.log(2)) / 4.5)  # of `talk`: 3.5 words and the end


def talk(path: Path, count: int = 200, seed: int = 0) -> Path:
    """What one says at home."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        words = [draw.choice(some) for some in (VERBS, OWNERS, THINGS)]
        lines.append(" ".join([*words, "please"] if draw.random() < 0.5 else words))
    return _written(path, lines)


def books(path: Path, count: int = 200, seed: int = 0) -> Path:
    """What one reads."""
    draw = random.Random(seed)
    return _written(path, [f"it was the {draw.choice(THINGS)} of a {draw.choice(THINGS)} or so" for _ in range(count)])


def _written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path

"""Pools that are made up: words, confusion networks, and the folder that decode would have left of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from voxkit.data.manifests import write_cuts
from voxkit.decode import confusion
from voxkit.decode.confusion import ConfusionNetwork

WORDS = ["<eps>", "bee", "dee", "see", "tea", "two", "too", "ten", "net"]
Bin = Mapping[int, float]  # posteriors by word id, the likeliest first


def network(bins: Sequence[Bin], hypothesis: Sequence[int]) -> ConfusionNetwork:
    """A network of bins, each ten frames long."""
    word = [w for entries in bins for w in entries]
    posterior = [p for entries in bins for p in entries.values()]
    counts = [len(entries) for entries in bins]
    start = np.repeat(np.arange(len(bins), dtype=np.float32) * 10, counts)
    return ConfusionNetwork(
        num_frames=10 * len(bins),
        hypothesis=np.array(hypothesis, np.int32),
        first=np.append(0, np.cumsum(counts)).astype(np.int32),
        word=np.array(word, np.int32),
        posterior=np.array(posterior, np.float32),
        start=start,
        end=start + 8,
    )


def said(*bins: Bin) -> ConfusionNetwork:
    """A network of these words' bins with nothing between them; the hypothesis is the likeliest word of each."""
    spread: list[Bin] = [{0: 1.0}]
    for entries in bins:
        spread += [entries, {0: 1.0}]
    return network(spread, [next(iter(entries)) for entries in bins])


def cut(name: str, text: str, duration: float = 2.0, speaker: str | None = None, **custom: Any) -> dict[str, Any]:
    """A manifest line."""
    samples = int(16000 * duration)
    source = {"type": "file", "channels": [0], "source": f"{name}.wav"}
    recording = {"id": name, "sources": [source], "sampling_rate": 16000, "num_samples": samples, "duration": duration}
    supervision = {
        "id": name, "recording_id": name, "start": 0.0, "duration": duration, "channel": 0, "text": text,
        "speaker": speaker, "custom": custom,
    }  # fmt: skip
    return {
        "id": name, "start": 0.0, "duration": duration, "channel": 0, "supervisions": [supervision],
        "recording": recording, "type": "MonoCut",
    }  # fmt: skip


def decoded(
    folder: Path,
    networks: Mapping[str, ConfusionNetwork],
    references: Mapping[str, str] | None = None,
    words: Sequence[str] = WORDS,
    **fields: Any,
) -> Path:
    """What decode --confusion would have left."""
    folder.mkdir(parents=True)
    lines = []
    for number, (name, found) in enumerate(networks.items()):
        text = " ".join(words[word] for word in found.hypothesis)
        custom: dict[str, Any] = {"posterior": [round(float(p), 4) for p in found.spoken()[0]]}
        if references is not None:
            custom["reference"] = references[name]
        lines.append(cut(name, text, **({"speaker": f"s{number % 3}"} | fields), **custom))
    write_cuts(lines, folder / "hypotheses.jsonl.gz")
    (folder / "words.txt").write_text("".join(f"{word} {i}\n" for i, word in enumerate(words)))
    (folder / "config.yaml").write_text(yaml.safe_dump({"command": "decode"}))
    (folder / "confusion").mkdir()
    confusion.save(folder / "confusion" / "1.npz", networks)
    return folder

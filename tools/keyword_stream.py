"""Material and scores of keyword spotting in a stream, for recipes.

pieces CUTS OUT            cuts of --seconds each, whose keyword is `background`
record CLIPS SPEECH OUT    OUT/long.wav: the clips in random order between stretches of speech and pauses, in faint
                           noise; OUT/reference.tsv: when each keyword was said
score OUT FOLDER ...       of folders with reference.tsv, and with heard.tsv, the lines of `spoken-term apply
                           --stream`: `%FRR` at the false alarms an hour that there were
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from voxkit.data.audio import load
from voxkit.data.clips import open_clips
from voxkit.data.events import Detection, Event
from voxkit.data.manifests import open_cuts, write_cuts
from voxkit.metrics.events import SpottedRecording, operating_point

RATE = 16000
BACKGROUND = "background"
PAUSE = (0.3, 1.5)  # before and after each clip [s]
NOISE = 0.0003  # standard deviation, full scale is 1


def pieces(args: argparse.Namespace) -> None:
    write_cuts(_pieces(args.cuts, args.seconds), args.out)


def _pieces(path: Path, seconds: float) -> Iterator[Mapping[str, Any]]:
    for cut in open_cuts(path):
        data = cut.to_dict()
        for number in range(int(cut.duration // seconds)):
            name, start = f"{cut.id}-{number}", cut.start + number * seconds
            said = {
                "id": name, "recording_id": cut.recording_id, "start": 0.0, "duration": seconds, "channel": cut.channel,
                "custom": {"keyword": BACKGROUND},
            }  # fmt: skip
            yield {**data, "id": name, "start": start, "duration": seconds, "supervisions": [said]}


def record(args: argparse.Namespace) -> None:
    draw = np.random.default_rng(0)
    clips = open_clips(args.clips, "keyword", "single", 0.1)
    speech = [load(cut, RATE) for cut in open_cuts(args.speech)]
    order = draw.permutation(len(clips))
    # all of the speech, spread evenly between the clips
    before = np.sort(draw.integers(len(clips), size=len(speech)))
    parts: list[np.ndarray[Any, Any]] = []
    lines, time = [], 0

    def add(samples: np.ndarray[Any, Any]) -> None:
        nonlocal time
        parts.append(samples)
        time += len(samples)

    for place, number in enumerate(order.tolist()):
        for stretch in np.flatnonzero(before == place).tolist():
            add(speech[stretch])
            add(np.zeros(int(draw.uniform(*PAUSE) * RATE), np.float32))
        clip = clips[number]
        start = time
        add(load(clip.cut, RATE))
        lines.append(f"{start / RATE:.3f}\t{time / RATE:.3f}\t{clip.labels[0]}\n")
        add(np.zeros(int(draw.uniform(*PAUSE) * RATE), np.float32))
    samples = np.concatenate(parts)
    args.out.mkdir(parents=True, exist_ok=True)
    soundfile.write(args.out / "long.wav", samples + NOISE * draw.standard_normal(len(samples)), RATE)
    (args.out / "reference.tsv").write_text("".join(lines), encoding="utf-8")


def score(args: argparse.Namespace) -> None:
    recordings = [_spotted(folder) for folder in args.folders]
    point = operating_point(recordings, args.threshold, slack=1.0)
    args.out.write_text(f"{point.line(args.what)}\n", encoding="utf-8")


def _spotted(folder: Path) -> SpottedRecording:
    reference = [Event(label, float(start), float(end)) for start, end, label in _rows(folder / "reference.tsv")]
    heard = [Detection(label, float(time), float(score)) for time, label, score in _rows(folder / "heard.tsv")]
    found = [one for one in heard if one.label != BACKGROUND]
    return SpottedRecording(soundfile.info(folder / "long.wav").duration, reference, found)


def _rows(path: Path) -> Iterator[list[str]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield line.split("\t")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    one = actions.add_parser("pieces")
    one.add_argument("cuts", type=Path)
    one.add_argument("out", type=Path)
    one.add_argument("--seconds", type=float, default=2.0)
    one.set_defaults(do=pieces)
    one = actions.add_parser("record")
    one.add_argument("clips", type=Path)
    one.add_argument("speech", type=Path)
    one.add_argument("out", type=Path)
    one.set_defaults(do=record)
    one = actions.add_parser("score")
    one.add_argument("out", type=Path)
    one.add_argument("folders", type=Path, nargs="+")
    one.add_argument("--threshold", type=float, required=True)
    one.add_argument("--what", required=True)
    one.set_defaults(do=score)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()

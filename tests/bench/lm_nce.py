"""Noise contrastive estimation beside the full softmax, at a vocabulary of 50 000 words, on one core.

    python tests/bench/lm_nce.py TRAIN DEV --out FOLDER [--words FILE ...] [--size N] [--config FILE]
        [--rescore MODEL DECODED]

Both models learn from the same sentences with the same settings but for the objective. The vocabulary is the words of
TRAIN, filled up from --words (a list, or a dictionary with a word at the start of each line) to --size. Prints how many
times as fast training is and what that costs in (normalised) perplexity on DEV, and how many times as fast the scores
of DEV's words are when they are taken as they are, without the sum over the vocabulary. --rescore also rescores the
50-best lists of a decode folder and compares the CPU time with that of the decoding.

Every process runs alone on one core with one thread. Training speed is the median of the records in metrics.jsonl, so
scoring and saving do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from voxkit.data.sentences import sentences
from voxkit.data.text import normaliser
from voxkit.rundir import write_atomic

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
NORMALISER = "asr_en"
NBEST = 50


def main() -> None:
    options = arguments()
    os.sched_setaffinity(0, {options.core})  # the processes it starts have that from it
    options.out.mkdir(parents=True, exist_ok=True)
    words = options.out / "words.txt"
    write_atomic(words, "".join(f"{word}\n" for word in vocabulary(options.train, options.words, options.size)))
    length = words_of(options.train)
    ppl, speed = {}, {}
    for kind in ("nce", "softmax"):
        folder = options.out / kind
        voxkit(
            *("lm-nce", "train", "--corpus", f"text={options.train}", "--dev", options.dev, "--words", words),
            *("--objective", kind, "--set", f"data.normaliser={NORMALISER}", "--out", folder),
            *(("--config", options.config) if options.config else ()),
        )
        speed[kind] = length * training_speed(folder)
        ppl[kind] = json.loads((folder / "summary.json").read_text())["best_score"]
        print(f"%TPS {speed[kind]:.0f} [ words/s of training ] {kind}")
        print(f"%PPL {ppl[kind]:.2f} [ normalised, on dev ] {kind}")
    print(f"%SPEED-RATIO {speed['nce'] / speed['softmax']:.1f} [ training ] nce against softmax")
    print(f"%PPL-RATIO {ppl['nce'] / ppl['softmax']:.3f} [ normalised ] nce against softmax")
    told = voxkit("lm-nce", "score", options.out / "nce", options.dev)
    fast, slow = (rate(told, f"{kind}normalised") for kind in ("self-", ""))
    print(f"%TPS {slow:.0f} [ words/s scored, normalised ] nce")
    print(f"%TPS {fast:.0f} [ words/s scored, self-normalised ] nce")
    print(f"%SPEED-RATIO {fast / slow:.1f} [ scoring, self-normalised against normalised ] nce")
    if options.rescore:
        model, decoded = options.rescore
        told = voxkit("lm-nce", "rescore", model, decoded, "--nbest", NBEST, "--out", options.out / "rescored")
        print("\n".join(line for line in told.splitlines() if line.startswith("%RTF")))
        decoding = metric(Path(decoded) / "scores.txt", "RTF")
        print(
            f"%SHARE {100 * metric(options.out / 'rescored' / 'scores.txt', 'RTF') / decoding:.1f} "
            f"[ per cent of the time of decoding, {NBEST}-best lists ] {decoded}"
        )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the models")
    parser.add_argument("--words", type=Path, nargs="*", default=[], help="lists to fill the vocabulary up from")
    parser.add_argument("--size", type=int, default=50_000, help="of the vocabulary [words]")
    parser.add_argument("--config", type=Path, help="settings of both trainings")
    parser.add_argument("--rescore", nargs=2, metavar=("MODEL", "DECODED"), help="a model, and a decode folder")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="that everything runs on")
    return parser.parse_args()


def vocabulary(train: Path, lists: Iterable[Path], size: int) -> list[str]:
    """The words of the text, the most frequent first, then those of the lists, `size` in all."""
    normalise = normaliser(NORMALISER)
    counts = Counter(word for words in sentences(train, normalise) for word in words)
    found = dict.fromkeys(word for word, _ in counts.most_common())
    for path in lists:
        for words in sentences(path, str):
            found.update(dict.fromkeys(normalise(re.sub(r"\(\d+\)$", "", words[0])).split()))
    if len(found) < size:
        sys.exit(f"{len(found)} words are fewer than {size}: give more --words")
    return list(found)[:size]


def voxkit(*options: object) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "voxkit", *map(str, options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **THREADS})
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}")
    return done.stdout


def words_of(train: Path) -> float:
    """Mean number of words of a sentence; its end is one."""
    return statistics.fmean(len(words) + 1 for words in sentences(train, normaliser(NORMALISER)))


def training_speed(folder: Path) -> float:
    """Sentences per second."""
    records = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return statistics.median(record["examples_per_second"] for record in records if record["kind"] == "train")


def rate(told: str, how: str) -> float:
    """Words per second that `lm-nce score` has told."""
    (line,) = (line for line in told.splitlines() if line.startswith("%TPS ") and f"[ {how}," in line)
    return float(line.split()[1])


def metric(path: Path, name: str) -> float:
    """The value of a metric line."""
    (line,) = (line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(f"%{name} "))
    return float(line.split()[1])


if __name__ == "__main__":
    main()

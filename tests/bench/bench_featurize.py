"""Seconds of audio per second, start-up included: `voxkit featurize` beside `lhotse feat extract-cuts`, one job each.

    VOXKIT_DATA=... python tests/bench/bench_featurize.py [--repeats 3] [--data .../an4]

Both compute 80-channel filter banks of AN4's 948 training cuts, in turns. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VOXKIT_DATA", ".")) / "an4")
    options = parser.parse_args()
    if not (options.data / "train.tsv").exists():
        sys.exit(f"{options.data / 'train.tsv'} is not there: set VOXKIT_DATA, or give --data")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = write_cuts(options.data, folder / "cuts.jsonl.gz")
        lhotse = ["-c", "from lhotse.bin.lhotse import cli; cli()", "feat", "extract-cuts", "--num-jobs", "1"]
        commands = {
            "lhotse": [*lhotse, "cuts.jsonl.gz", "out/cuts.jsonl.gz", "out/feats"],
            "voxkit": ["-m", "voxkit", "featurize", "--num-jobs", "1", "cuts.jsonl.gz", "--out", "out"],
        }
        walls: dict[str, list[float]] = {tool: [] for tool in commands}
        cpus: dict[str, list[float]] = {tool: [] for tool in commands}
        for turn in range(options.repeats + 1):
            print("warm-up" if turn == 0 else f"turn {turn} of {options.repeats}, load {os.getloadavg()[0]:.1f}")
            for tool, command in commands.items():
                wall, cpu = run(command, folder)
                size = sum(file.stat().st_size for file in (folder / "out").rglob("*") if file.is_file())
                shutil.rmtree(folder / "out")
                if turn > 0:
                    walls[tool].append(wall)
                    cpus[tool].append(cpu)
                    speed = f"{seconds / wall:.0f} s of audio per second"
                    print(f"  {tool}: {speed}, {wall:.2f} s, {cpu:.2f} s of processor, {size / 1e6:.1f} MB")
    for name, times in (("%RATIO", walls), ("%CPU-RATIO", cpus)):
        ratios = [theirs / ours for ours, theirs in zip(times["voxkit"], times["lhotse"], strict=True)]
        listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{name} {statistics.median(ratios):.2f} [ {listed} ] speed of voxkit / lhotse, {seconds:.0f} s of audio")


def write_cuts(data: Path, path: Path) -> float:
    """Write a CutSet of the training utterances, read all their audio once, and return how long it is [s]."""
    from lhotse import CutSet, Recording, SupervisionSegment

    cuts = []
    with open(data / "train.tsv", encoding="utf-8") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            name = row["utt_id"]
            cut = Recording.from_file(data / row["path"], recording_id=name).to_cut().with_id(name)
            cut.supervisions = [
                SupervisionSegment(name, name, 0, cut.duration, text=row["text"], speaker=row["speaker"])
            ]
            cuts.append(cut)
            (data / row["path"]).read_bytes()  # so that the first turn reads from memory as the others do
    CutSet.from_cuts(cuts).to_file(path)
    return sum(cut.duration for cut in cuts)


def run(command: list[str], folder: Path) -> tuple[float, float]:
    """Run python with arguments in `folder`; returns wall and processor time [s]."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as where the packages are installed for good
    before, began = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    wall, after = time.perf_counter() - began, os.times()
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu


if __name__ == "__main__":
    main()

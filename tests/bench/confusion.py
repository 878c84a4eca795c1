"""How many times faster than real time lattices become confusion networks, on one core.

    python tests/bench/confusion.py egs/an4/asr/exp/seed0/decode [--repeats 5]

Takes the lattices of a folder that `voxkit decode --out` left. Reading them is not part of the time. Prints the sizes
of lattices and confusion networks on disk, too. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from voxkit.decode import confusion, lattice
from voxkit.decode.alignment import oracle
from voxkit.decode.confusion import confusion_network
from voxkit.decode.folder import DecodeFolder
from voxkit.decode.lattice import Lattice

WORK: dict[str, Callable[[Lattice], object]] = {
    "around the best path": lambda lattice: confusion_network(lattice, mbr=False),
    "minimum Bayes risk": confusion_network,
    "posteriors alone": Lattice.posteriors,
    "oracle path": lambda lattice: oracle(lattice, lattice.best_path().words),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    found = list(DecodeFolder.open(options.folder, lattices=True))
    lattices = [one.lattice for one in found if one.lattice is not None]
    seconds = sum(float(one.cut["duration"]) for one in found)
    arcs = sum(one.num_arcs for one in lattices)
    print(f"{len(found)} lattices, {seconds:.0f} s of audio, {arcs} arcs, {arcs / seconds:.0f} a second")
    for kind, work in WORK.items():
        spent = []
        for _ in range(options.repeats):
            fresh = [replace(one) for one in lattices]  # nothing computed before
            begun = time.process_time()
            for one in fresh:
                work(one)
            spent.append(time.process_time() - begun)
        ratios = sorted(seconds / one for one in spent)
        listed = ", ".join(f"{ratio:.0f}" for ratio in ratios)
        median = statistics.median(ratios)
        print(f"%SPEED {median:.0f} [ {listed} ] times faster than real time, RTF {1 / median:.5f}: {kind}")
    sizes(dict(zip((one.id for one in found), lattices, strict=True)), seconds / 3600)


def sizes(lattices: dict[str, Lattice], hours: float) -> None:
    """Print what an hour takes on disk, in shards of 300 s as `decode` writes them."""
    networks = {name: confusion_network(one, mbr=False) for name, one in lattices.items()}
    per_shard = max(1, round(len(lattices) / max(hours * 12, 1)))
    names = list(lattices)
    with tempfile.TemporaryDirectory() as folder:
        for kind, total in (("lattices", 0), ("confusion networks", 0)):
            for number in range(0, len(names), per_shard):
                path, chosen = Path(folder) / "shard.npz", names[number : number + per_shard]
                if kind == "lattices":
                    lattice.save(path, {name: lattices[name] for name in chosen})
                else:
                    confusion.save(path, {name: networks[name] for name in chosen})
                total += path.stat().st_size
            print(f"%SIZE {total / hours / 1e6:.3f} MB of {kind} an hour")


if __name__ == "__main__":
    main()

"""Time and memory of `voxkit select-data` against the size of the pool: synthetic confusion networks of 8 words.

    python tests/bench/select_data.py [--sizes 10000 100000 1000000] [--method entropy]

Every size runs in a process of its own. "taking in" is the way from networks to arrays, "scoring and choosing" all
that follows: a tenth of the pool is chosen in the default number of blocks. Making the networks is not part of either.
"""

from __future__ import annotations

import argparse
import math
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from voxkit.commands.select_data.bins import Gatherer
from voxkit.commands.select_data.choose import Method, choose
from voxkit.commands.select_data.command import SelectData
from voxkit.commands.select_data.entropy import EntropyReduction
from voxkit.commands.select_data.germ import Germ, entropies
from voxkit.commands.select_data.sounds import Sounds
from voxkit.decode.confusion import ConfusionNetwork

VOCABULARY, WORDS, SHARD = 20_000, 8, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**4, 10**5, 10**6])
    parser.add_argument("--method", choices=["entropy", "germ"], default="entropy")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.one, options.method)
        return
    totals = []
    for size in options.sizes:
        command = [sys.executable, __file__, "--one", str(size), "--method", options.method]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout, end="", flush=True)
        totals.append(float(done.stdout.split("total=")[1].split()[0]))
    if len(totals) > 1:
        slope = np.polyfit(np.log(options.sizes), np.log(totals), 1)[0]
        print(f"%EXPONENT {slope:.2f} [ time ~ utterances^{slope:.2f}, {options.method} ]")


def measure(size: int, method: str) -> None:
    """Print what one pool takes."""
    config = SelectData()
    names = ["<eps>", *(f"{number:x}" for number in np.random.default_rng(1).permutation(10**6)[: VOCABULARY - 1])]
    sounds = Sounds(names)
    gatherer = Gatherer(sounds, config.entropy.ceiling)
    taking = 0.0
    for begin in range(0, size, SHARD):
        networks = list(shard(begin, min(SHARD, size - begin)))
        started = time.perf_counter()
        for number, network in enumerate(networks, start=begin):
            gatherer.add(number, network)
        taking += time.perf_counter() - started
    started = time.perf_counter()
    bins = gatherer.bins()
    taking += time.perf_counter() - started
    gatherer.parts.clear()
    draw = np.random.default_rng(2)
    durations = draw.uniform(1.0, 5.0, size)
    started = time.perf_counter()
    if method == "entropy":
        words = np.full(size, WORDS, np.int32)
        voices = np.arange(size, dtype=np.int32) // 20
        scorer: Method = EntropyReduction(bins, durations, words, voices, sounds, names, config.entropy)
    else:
        scorer = Germ(bins, durations, entropies(bins, size), VOCABULARY, 0, config.germ)
    choice = choose(scorer, durations, np.ones(size, bool), durations.sum() / 10, config.blocks)
    choosing = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"utterances={size} bins={len(bins)} chosen={len(choice.order)} taking_in={taking:.1f}s "
        f"scoring_and_choosing={choosing:.1f}s total={taking + choosing:.2f} s memory={memory:.0f}MB "
        f"memory_per_bin={2**20 * memory / len(bins):.0f}B log10={math.log10(size):g}"
    )


def shard(seed: int, count: int) -> Iterator[ConfusionNetwork]:
    """Networks whose words follow Zipf's law; each word has a few rivals, which most bins doubt it with."""
    draw = np.random.default_rng([3, seed])
    bins = 2 * WORDS + 1
    hypothesis = 1 + (np.exp(draw.uniform(0, math.log(VOCABULARY - 1), (count, WORDS))) - 1).astype(np.int32)
    rival = 1 + (hypothesis * 7 + draw.integers(0, 4, hypothesis.shape)) % (VOCABULARY - 1)
    entries = np.ones((count, bins), np.int32)
    entries[:, 1::2] += draw.random((count, WORDS)) < 0.7
    entries[:, 0::2] += draw.random((count, WORDS + 1)) < 0.15
    doubt = 0.5 * draw.random((count, bins), np.float32) ** 3
    for row in range(count):
        first = np.append(0, np.cumsum(entries[row])).astype(np.int32)
        word, posterior = np.zeros(first[-1], np.int32), np.ones(first[-1], np.float32)
        word[first[1:-1:2]] = hypothesis[row]
        two = np.flatnonzero(entries[row] == 2)
        word[first[two] + 1] = np.where(two % 2, rival[row, np.minimum(two // 2, WORDS - 1)], 1 + two % 50)
        posterior[first[two]], posterior[first[two] + 1] = 1 - doubt[row, two], doubt[row, two]
        start = np.repeat(np.arange(bins, dtype=np.float32) * 5, entries[row])
        yield ConfusionNetwork(bins * 5, hypothesis[row], first, word, posterior, start, start + 10)


if __name__ == "__main__":
    main()

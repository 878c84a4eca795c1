"""How long a computation takes and how much memory a process needs, measured."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

# In a process of its own: Linux counts what a process was before its `exec` to its peak, so a child of a large process
# seems as large. This one is small, and tells only of its child.
_WATCH = (
    "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode; "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code and 1)"
)


class Latency(NamedTuple):
    """Seconds of one call: the median and the 10th and 90th percentiles."""

    median: float
    p10: float
    p90: float


def latency(run: Callable[[], object], repeats: int = 50, warmup: int = 5) -> Latency:
    """Time a call, with one thread of torch; an onnxruntime session has those that it was opened with.

    Args:
        repeats: how many calls are timed.
        warmup: how many come before, in which memory is got and kernels are chosen.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(warmup):
            run()
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return Latency(*map(float, np.percentile(taken, [50, 10, 90])))


def peak_memory(command: Sequence[str]) -> int:
    """The largest resident set [bytes] of a command's process; what it prints is thrown away.

    Args:
        command: a program and its arguments, as `[sys.executable, "-m", module, ...]`.

    Raises:
        RuntimeError: the command failed; with the end of what it wrote to its standard error.
    """
    watched = subprocess.run([sys.executable, "-c", _WATCH, *command], capture_output=True, text=True)
    if watched.returncode:
        raise RuntimeError(f"{' '.join(command)}: failed: {watched.stderr.strip()[-500:]}")
    return int(watched.stdout) * (1 if sys.platform == "darwin" else 1024)  # macOS counts bytes, Linux KiB

"""Time and memory of computations."""

import sys
import time

import numpy as np
import pytest
import torch

from voxkit.nn.footprint import latency, peak_memory


def test_latency_is_of_one_call() -> None:
    calls: list[int] = []
    before = torch.get_num_threads()

    def run() -> None:
        calls.append(torch.get_num_threads())
        time.sleep(0.01)

    found = latency(run, repeats=5, warmup=2)
    assert calls == [1] * 7
    assert torch.get_num_threads() == before
    assert 0.01 <= found.p10 <= found.median <= found.p90 < 1


def test_threads_come_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        latency(lambda: 1 // 0)
    assert torch.get_num_threads() == before


def test_peak_memory_is_that_of_the_command_and_not_of_this_process() -> None:
    ballast = np.ones(40_000_000)  # 320 MB that no child has
    small, large = (
        peak_memory([sys.executable, "-c", f"print(len(b'1' * {size}))"]) for size in (1_000_000, 101_000_000)
    )
    assert 90e6 < large - small < 110e6
    assert small < 100e6 < ballast.nbytes


def test_a_command_that_fails_is_told() -> None:
    with pytest.raises(RuntimeError, match="no such flag"):
        peak_memory([sys.executable, "-c", "raise SystemExit('no such flag')"])

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Tests start processes by forking, which a GPU does not survive, and compare with what a CPU computes. Those of a GPU
# (tests/test_gpu.py and others that say so when they skip) run with VOXKIT_TEST_GPU=1, by themselves.
if not os.environ.get("VOXKIT_TEST_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

# Tests judge what is computed, not how fast: the first example of a test may import and compile for seconds, which
# hypothesis would call a failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# What a shell starts in the background ignores Ctrl-C; the tests of Ctrl-C are not to depend on that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a disk takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

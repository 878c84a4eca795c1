"""k2, where it is installed: its one door, and which build of it fits the installed torch.

k2 (differentiable finite-state automata, on GPU too) is compiled against one release of torch, and its wheels lie on
pages of its own instead of PyPI. So it is no dependency: it is found at run time.
"""

from __future__ import annotations

import sys
import warnings
from importlib import metadata
from typing import Any

from voxkit.errors import UserError

SITE = "https://k2-fsa.github.io/k2/"


def load_k2(cuda: bool = False) -> Any:
    """The module k2.

    Args:
        cuda: whether it must be able to use GPUs.

    Raises:
        UserError: it is not installed, or was built for another torch, or without CUDA; with the wheel to take.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import k2
    except ImportError as error:  # its compiled part too: undefined symbols, another torch, another CUDA
        absent = isinstance(error, ModuleNotFoundError) and error.name == "k2"
        what = "k2 is not installed" if absent else f"k2 does not work here: {str(error).splitlines()[0]}"
        raise UserError(what, fix=f"{how_to_install()}; voxkit doctor looks whether it fits") from error
    if cuda and not k2.with_cuda:
        raise UserError("this k2 was built without CUDA", fix=f"{how_to_install()}; or use the CPU")
    return k2


def how_to_install() -> str:
    """The command, up to the date in the version, which only the page of wheels tells."""
    page, build = wheel()
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return (
        f"pip install k2==VERSION{build} -f {page} (the page lists the versions; the name needs {build}-{python}; "
        f"where there is none: {SITE}installation/from_source.html)"
    )


def wheel() -> tuple[str, str]:
    """The page that lists wheels, and the end of the version that fits, as in 1.24.4.dev20250714+cpu.torch2.8.0."""
    cuda = cuda_version()
    kind = f"cuda{cuda}" if cuda else "cpu"
    return f"{SITE}{'cuda' if cuda else 'cpu'}.html", f"+{kind}.torch{torch_version()}"


def torch_version() -> str:
    """The release of the installed torch, without its build."""
    try:
        return metadata.version("torch").partition("+")[0]
    except metadata.PackageNotFoundError:
        return "?"


def cuda_version() -> str:
    """The CUDA version of the installed torch; empty where it cannot use a GPU, so that the CPU wheel is right."""
    try:
        import torch
    except ImportError:
        return ""
    return str(torch.version.cuda or "") if torch.cuda.is_available() else ""

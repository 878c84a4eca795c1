"""Load a model and run it once: the process whose memory `quantize --int8 --report` measures.

    python -m voxkit.commands.quantize.once MODEL INPUTS

MODEL is an .onnx file, run without torch, or a bundle's folder; INPUTS an .npz with arr_0, arr_1 ...
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def run(model: Path, inputs: Path) -> None:
    """Load and run."""
    with np.load(inputs) as file:
        arrays = [file[f"arr_{number}"] for number in range(len(file.files))]
    if model.suffix == ".onnx":
        from voxkit.onnx_session import facts_of, open_session

        session = open_session(model)
        used = [one.name for one in session.get_inputs()]
        names = facts_of(session).get("inputs", " ".join(used)).split()
        session.run(None, {name: array for name, array in zip(names, arrays, strict=True) if name in used})
    else:
        import torch

        from voxkit import bundle

        torch.set_num_threads(1)
        with torch.inference_mode():
            bundle.load(model).model(*map(torch.from_numpy, arrays))


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))

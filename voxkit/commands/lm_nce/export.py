"""`lm-nce export`: a model as an ONNX graph in a bundle, one step of hypotheses, which says what torch says."""

from __future__ import annotations

import json
from pathlib import Path

from voxkit import bundle
from voxkit.commands.lm_nce.model import LmModel, graph
from voxkit.commands.lm_nce.scorer import facts_of, scorer_of
from voxkit.decode import onnx_bundle
from voxkit.errors import UserError
from voxkit.nn import onnx_graph
from voxkit.rundir import digest, output


def run(model: Path, out: Path) -> None:
    """Write a bundle whose model is a graph into a folder that is complete or absent.

    Raises:
        UserError: no model of `lm-nce train` there, no onnx or onnxruntime, or a graph that says other things than
            torch.
    """
    onnx_graph.require("lm-nce export")
    loaded = bundle.load(model)
    if not isinstance(loaded.model, LmModel):
        what = "an ONNX graph already" if loaded.system == "lm_nce" else f"a model of {loaded.system}"
        raise UserError(f"{model}: {what}", fix="give a folder of lm-nce train")
    scorer_of(loaded, path=model)  # weights that are no numbers are told
    weights = digest(bundle.weights(loaded.path))
    with output(out, "lm-nce export", {"model": weights}, resumable=False) as place:
        if not place.done:
            facts = {"system": loaded.system, "model": weights, "config": json.dumps(loaded.config)}
            facts |= facts_of(loaded.assets)
            file = onnx_bundle.write(loaded, graph(loaded.model), facts, place.work, None)
            onnx_bundle.save(place.work / "bundle", loaded, file, None)
            file.unlink()
    print(out)

"""`ner export`: a model as an ONNX graph in a bundle, which says what torch says."""

from __future__ import annotations

import json
from pathlib import Path

from voxkit import bundle
from voxkit.commands.ner.model import NerModel, graph
from voxkit.commands.ner.tables import FILE, Tables
from voxkit.decode import onnx_bundle
from voxkit.errors import UserError
from voxkit.nn import onnx_graph
from voxkit.rundir import digest, output


def run(model: Path, out: Path) -> None:
    """Write a bundle whose model is a graph into a folder that is complete or absent.

    Raises:
        UserError: no model of `ner train` there, no onnx or onnxruntime, or a graph that says other things than torch.
    """
    onnx_graph.require("ner export")
    loaded = bundle.load(model)
    if not isinstance(loaded.model, NerModel):
        what = "an ONNX graph already" if loaded.system == "ner" else f"a model of {loaded.system}"
        raise UserError(f"{model}: {what}", fix="give a folder of ner train")
    weights = digest(bundle.weights(loaded.path))
    with output(out, "ner export", {"model": weights}, resumable=False) as place:
        if not place.done:
            tables = Tables.load(loaded.assets / FILE)
            facts = {
                "system": "ner",
                "model": weights,
                **tables.facts(),
                "config": json.dumps(loaded.config),
            }
            file = onnx_bundle.write(loaded, graph(loaded.model), facts, place.work, None)
            onnx_bundle.save(place.work / "bundle", loaded, file, None)
            file.unlink()
    print(out)

"""Quantization after training: the weights as they are, rounded and packed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from voxkit import bundle
from voxkit.bundle import Bundle
from voxkit.commands.quantize.command import Quantize
from voxkit.commands.quantize.layers import counts_of, each_alone, layout_of, rows
from voxkit.commands.quantize.report import Report, sizes_line
from voxkit.commands.quantize.source import Data, assets, identity, scored, scoring_task
from voxkit.config import to_dict
from voxkit.packed import parameters
from voxkit.rundir import output
from voxkit.train.loop import BUNDLE


def run(loaded: Bundle, settings: Quantize, data: Data, out: Path, report: bool) -> None:
    """Write the quantized bundle, and a report if asked for, into a folder that is complete or absent.

    Raises:
        UserError, DataError: weights that are not finite, patterns without a match, data that cannot be scored.
    """
    scheme = settings.quantization
    spec = {"model": identity(loaded), "quantization": to_dict(scheme), "report": report, "data": data.spec()}
    with output(out, "quantize", spec, resumable=False) as place:
        if not place.done:
            state, names = loaded.model.state_dict(), parameters(loaded.model)
            layout = layout_of(loaded.model, scheme)
            bundle.save(place.work / BUNDLE, loaded.system, loaded.config, state, assets(loaded), scheme, names)
            if report:
                quantized = bundle.load(place.work / BUNDLE)
                found, scores = rows(state, layout), {}
                if data.dev is not None:
                    with TemporaryDirectory() as folder:
                        task = scoring_task(loaded, data, Path(folder))
                        scores = {"float": scored(task, loaded.model), "quantized": scored(task, quantized.model)}
                        found = each_alone(loaded.model, layout, found, partial(scored, task))
                sizes, counts = (bundle.size(loaded.path), bundle.size(place.work)), counts_of(loaded)
                Report(str(loaded.path), scheme, *sizes, found, scores, counts=counts).write(place.work)
    print(sizes_line(bundle.size(loaded.path), bundle.size(out), out))
    if report:
        print(f"report: {out / 'report.txt'}")
    print(out / BUNDLE)

"""ONNX graphs in onnxruntime, on the CPU. Free of torch, so that exported models start without it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxkit.errors import UserError

INSTALL = "pip install 'voxkit[export]'"
ERRORS = 3  # the severity of what onnxruntime may print; its warnings are about how it optimises


def open_session(path: Path, threads: int = 1) -> Any:
    """An `onnxruntime.InferenceSession` of a graph.

    Args:
        threads: how many work on one operation.

    Raises:
        UserError: no onnxruntime, or no graph that it can load.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path}: an exported model needs onnxruntime: {error}", fix=INSTALL) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = ERRORS
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has a dozen kinds of its own
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: onnxruntime cannot load it: {reason}", fix="export the model again") from error


def facts_of(session: Any) -> Mapping[str, str]:
    """What the export wrote into the graph about itself, by name."""
    return dict(session.get_modelmeta().custom_metadata_map)

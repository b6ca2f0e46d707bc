"""Models computed by another runtime than torch: exported once to the cache, then run from there."""

from __future__ import annotations

import hashlib
import logging
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scenograph.devices import Runtime
from scenograph.errors import MALFORMED, NOTE, UserError, missing_extra, reason
from scenograph.files import cache_folder, in_turn, make_folder, read_json
from scenograph.models.base import Model, state_digest
from scenograph.models.exporting import ComputesGraphs, Exports
from scenograph.models.onnx_files import DESCRIPTION, OPSET, export_onnx
from scenograph.scenes.batch import SceneBatch
from scenograph.version import __version__

log = logging.getLogger(__name__)


def use_runtime(model: Model, runtime: Runtime) -> None:
    """Have a model computed by a runtime from now on; one that has no other stays with torch, with a note.

    ONNX Runtime gives the same boxes and pictures but for the last bits of numbers: some pixels are one level apart.

    Args:
        model: On a CPU, as it was loaded.
        runtime: ``torch``, or ``onnx``, ONNX Runtime, for which the model is exported once, to the cache.

    Raises:
        UserError: The extra ``onnx`` is missing, the model is not on a CPU, or the cache cannot be written.
    """
    if not isinstance(model, Exports) or not model.has_runtimes:
        if runtime != "torch":
            _say_once(f"{model.called} is computed by torch: --runtime {runtime} is for mise-layout and mise-layers")
    elif runtime == "torch":
        model.graphs = None
    elif model.graphs is None:
        if model.device.type != "cpu":
            raise UserError(
                f"--runtime {runtime}: computes on CPUs, and {model.called} is on {model.device}; add --device cpu"
            )
        model.graphs = _onnx_graphs(model)


@cache
def _say_once(what: str) -> None:
    log.warning("%s", what)


def _onnx_graphs(model: Model) -> ComputesGraphs:
    """The graphs of a model in the cache, where they are exported first if they are missing."""
    if find_spec("onnxruntime") is None:
        raise missing_extra("onnxruntime", "onnx")
    settings = model.config.model_dump_json()
    weights = state_digest(model.state_dict())
    key = hashlib.sha256(f"{__version__} {torch.__version__} {OPSET} {settings} {weights}".encode()).hexdigest()[:16]
    parent = make_folder(cache_folder("onnx"))
    folder = parent / f"{model.name}-{key}"
    with in_turn(parent, f".{folder.name}.lock"):
        if not _is_whole(folder):
            _remove(folder)
            log.log(NOTE, "exporting %s to %s, once; this takes a minute or two", model.called, folder)
            export_onnx(model, folder)
    return OnnxGraphs(folder)


def _is_whole(folder: Path) -> bool:
    """Whether a folder holds a description, and every graph of it in the length that it tells."""
    try:
        graphs = read_json(folder / DESCRIPTION)["graphs"].values()
        return all((folder / graph["file"]).stat().st_size == graph["bytes"] for graph in graphs)
    except (OSError, *MALFORMED):
        return False


def _remove(folder: Path) -> None:
    """Remove what is damaged. Raises ``UserError`` if that cannot be."""
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
        else:
            folder.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder} is damaged, and cannot be removed: {reason(error)}; delete it") from error


class OnnxGraphs:
    """The graphs in a folder, in ONNX Runtime, with as many threads as torch has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sessions: dict[str, Any] = {}

    def __call__(self, graph: str, batch: SceneBatch, **others: Tensor) -> list[Tensor]:
        """As :class:`~scenograph.models.exporting.ComputesGraphs` says."""
        session = self._session(graph)
        given = {}
        for port in session.get_inputs():
            value = others.get(port.name)
            if value is None:
                value = torch.arange(batch.num_images) if port.name == "pictures" else getattr(batch, port.name)
            given[port.name] = value.contiguous().numpy()
        return [torch.from_numpy(made) for made in session.run(None, given)]

    def _session(self, graph: str) -> Any:
        if graph not in self._sessions:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            options.log_severity_level = 3  # of 4: its remarks on how it optimizes say nothing to users
            path = self._folder / f"{graph}.onnx"
            try:
                self._sessions[graph] = onnxruntime.InferenceSession(str(path), options)
            except Exception as error:  # of classes of its own, which share no other
                said = f"cannot read {path}: {reason(error)}; delete {self._folder}, and the model is exported again"
                raise UserError(said) from error
        return self._sessions[graph]

"""Models as ONNX graphs in a folder, with a ``model.json`` that says all that is needed to run them."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from scenograph.errors import UserError, missing_extra, reason
from scenograph.files import make_folder, write_atomically
from scenograph.models.base import Model
from scenograph.models.exporting import Axis, Exports, Graph, Plan, Port, Recorded
from scenograph.version import __version__

OPSET = 18
"""The version of ONNX's operators: one that ONNX Runtime 1.14 and its build for browsers know."""
DESCRIPTION = "model.json"
SEED = (
    "Graphs sample nothing: noise is an input, of standard normal numbers. scenograph draws them in float32 by "
    "torch.Generator().manual_seed(zlib.crc32(text)). The text is 'object NUMBER SEED' for the latent of an object and "
    "'background SEED' for that of a picture (numbers beyond the truncation are drawn again), 'layout SEED' for noise "
    "of placing and 'picture SEED' for noise of rendering, in the order of the inputs. Other numbers give other "
    "results, which are as good."
)


def export_onnx(model: Model, folder: Path, written: Callable[[Path], object] = lambda path: None) -> list[Path]:
    """Write a model as ONNX graphs.

    Args:
        model: From :meth:`scenograph.models.registry.AutoModel.from_pretrained`.
        folder: Must not exist; it is there only when it is complete.
        written: Called with each graph's file, in a temporary folder.

    Returns:
        The files: one per graph, and ``model.json``.

    Raises:
        UserError: The folder exists or cannot be made, the extra ``onnx`` is missing, or the model cannot be exported;
            the message gives the reason.
    """
    for package in ("onnx", "onnxscript"):
        if find_spec(package) is None:
            raise missing_extra(package, "onnx")
    if folder.exists():
        raise UserError(f"{folder} exists; choose another --out")
    plan = plan_of(model)
    make_folder(folder.absolute().parent)
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", dir=folder.absolute().parent))
    except OSError as error:
        raise UserError(f"cannot make folder {folder}: {reason(error)}; choose another place") from error
    try:
        part.chmod(0o755)
        for graph in plan.graphs:
            path = part / f"{graph.name}.onnx"
            _write_graph(graph, model, path)
            written(path)
        text = json.dumps(_description(model, plan, part), indent=1, ensure_ascii=False) + "\n"
        write_atomically(part / DESCRIPTION, text.encode())
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return [*(folder / f"{graph.name}.onnx" for graph in plan.graphs), folder / DESCRIPTION]


def plan_of(model: Model) -> Plan:
    """The graphs of a model as it infers fastest. Raises ``UserError``, with the reason, if it has none."""
    ready = model.for_inference()
    if not isinstance(ready, Exports):
        raise UserError(f"{model.called} cannot be exported: {model.not_exported}")
    return ready.exported()


def _write_graph(graph: Graph, model: Model, path: Path) -> None:
    from onnx_ir.passes.common import DeduplicateInitializersPass  # an extra

    module = Recorded(graph).eval()
    examples = tuple(port.example() for port in graph.inputs)
    shapes = {"tensors": tuple(_free(port.shape) for port in graph.inputs)}
    names = [port.name for port in graph.inputs], [port.name for port in graph.outputs]
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                module,
                examples,
                dynamo=True,
                dynamic_shapes=shapes,
                input_names=names[0],
                output_names=names[1],
                opset_version=OPSET,
                verbose=False,
            )
            assert program is not None
            # The steps of a flow within a graph each bring the same weights; by default only small ones are compared.
            DeduplicateInitializersPass(size_limit=2**40)(program.model)
            program.save(path, external_data=False)
    except torch.onnx.errors.OnnxExporterError as error:
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        raise UserError(
            f"{model.called} cannot be exported: of its graph {graph.name!r} torch says: {reason(cause)}"
        ) from error


def _free(shape: tuple[Axis, ...]) -> dict[int, str]:
    """The names of the axes that are free, by number."""
    return {number: axis for number, axis in enumerate(shape) if isinstance(axis, str)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the remarks that torch prints and logs while it exports."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _description(model: Model, plan: Plan, folder: Path) -> dict[str, Any]:
    """What ``model.json`` says."""
    settings = model.config.model_dump(mode="json")
    vocabulary = settings.pop("vocabulary")
    graphs = {
        graph.name: {
            "file": f"{graph.name}.onnx",
            "bytes": (folder / f"{graph.name}.onnx").stat().st_size,
            "purpose": graph.purpose,
            "inputs": [_described(port) for port in graph.inputs],
            "outputs": [_described(port) for port in graph.outputs],
        }
        for graph in plan.graphs
    }
    return {
        "format": "scenograph-onnx-1",
        "scenograph": __version__,
        "opset": OPSET,
        "model": model.name,
        "shipped_as": model.shipped_as or None,
        "digest": model.digest or None,
        "roles": list(model.roles),
        "how": list(plan.how),
        "flow": None if plan.flow is None else asdict(plan.flow),
        "numbers": plan.numbers,
        "seed": SEED,
        "graphs": graphs,
        "settings": settings,
        "vocabulary": vocabulary,
    }


def _described(port: Port) -> dict[str, Any]:
    kind = str(port.dtype).removeprefix("torch.")
    return {"name": port.name, "type": kind, "shape": list(port.shape), "meaning": port.meaning}

"""Models as ONNX graphs: what they declare, what the dense forms compute, and what ONNX Runtime computes."""

from __future__ import annotations

import json
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers import generators, tiny
from scenograph.errors import UserError
from scenograph.models.base import LayoutModel, Model, noise
from scenograph.models.exporting import FREE, Exports, Flow, Graph
from scenograph.models.mise_layers import MiseLayers
from scenograph.models.onnx_files import export_onnx, plan_of
from scenograph.models.registry import MODELS, AutoModel
from scenograph.nn.spectral import SpectralLayer
from scenograph.scenes.batch import SceneBatch

EXPORTED = [name for name, kind in MODELS.items() if issubclass(kind, Exports)]
VARIANTS: list[tuple[str, dict[str, object]]] = [
    *((name, {}) for name in EXPORTED),
    ("attspade", {"overlaps": "smaller", "coordinates": True}),
    ("lama", {"image_object": True}),
    ("lostgan", {"version": 2, "image_size": 128, "channels": 2, "image_object": True}),
    ("object-classifier", {"input": "sketch"}),
    ("sg2im", {"mask_size": 0, "layout_noise_dim": 0}),
    ("spade", {"latent_size": 0, "edges": False}),
    ("wsgc", {"image_object": True}),
]
COUNTS = ((5, 2, 3), (1, 1, 1), (9, 3, 12), (3, 1, 0))
"""Objects, pictures and relations."""


def ready(name: str, **settings: object) -> Model:
    """A tiny model, all of whose layers say something."""
    torch.manual_seed(0)
    model = tiny(name, **settings).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    for layer in model.modules():
        if isinstance(layer, SpectralLayer):
            for _ in range(8):
                layer.iterate()
    return model


def inputs_of(graph: Graph, model: Model, objects: int, pictures: int, relations: int) -> list[Tensor]:
    """Random scenes and noise."""
    g = torch.Generator().manual_seed(objects)
    lengths = {"objects": objects, "pictures": pictures, "relations": relations, "rows": objects + pictures}
    lengths |= {"height": 64, "width": 96}
    # The first object of each picture comes first.
    first = torch.cat([torch.arange(pictures), torch.randint(0, pictures, (objects - pictures,), generator=g)])
    owner = first.sort().values

    def boxes(count: int) -> Tensor:
        low = 0.6 * torch.rand((count, 2), generator=g)
        return torch.cat([low, low + 0.1 + 0.3 * torch.rand((count, 2), generator=g)], dim=1)

    def value(name: str, shape: list[int], dtype: torch.dtype) -> Tensor:
        if name == "pictures":
            return torch.arange(pictures)
        if name in ("object_to_image", "row_to_image"):
            return owner if name[0] == "o" else torch.cat([owner, torch.arange(pictures)]).sort().values
        if name in ("triples", "triple_to_image"):
            again = torch.Generator().manual_seed(1)
            subject = torch.randint(0, objects, (relations,), generator=again).sort().values
            target = torch.arange(objects)[owner == 0][:1].expand(relations) if pictures == 1 else subject
            predicate = torch.randint(0, 3, (relations,), generator=again)
            return owner[subject] if shape[1:] == [] else torch.stack([subject, predicate, target], dim=1)
        if name in ("boxes", "row_boxes"):
            made = boxes(shape[0])
            if isinstance(model, LayoutModel) and name == "boxes" and model.name != "wsgc":
                made[1::2] = float("nan")
            return made
        if name == "time":
            return torch.full(shape, 0.3)
        if dtype == torch.bool:
            return torch.rand(shape, generator=g) > 0.5
        if dtype == torch.int64:
            return torch.randint(0, 2, shape, generator=g)
        if name in ("masks", "row_masks"):
            return torch.rand(shape, generator=g)
        return torch.randn(shape, generator=g)

    shapes = [[lengths[axis] if isinstance(axis, str) else axis for axis in port.shape] for port in graph.inputs]
    return [value(port.name, shape, port.dtype) for port, shape in zip(graph.inputs, shapes, strict=True)]


def outputs_of(graph: Graph, inputs: list[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        made = graph.compute(*inputs)
    return [made] if isinstance(made, Tensor) else list(made)


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_graphs_give_what_they_declare_and_dense_forms_compute_the_same(name, settings, monkeypatch):
    model = ready(name, **settings)
    plan = plan_of(model)
    assert len({graph.name for graph in plan.graphs}) == len(plan.graphs) and plan.how
    for graph in plan.graphs:
        ports = [*graph.inputs, *graph.outputs]
        assert len({port.name for port in ports}) == len(ports), "a graph of ONNX has one name per tensor"
        assert all(axis in FREE for port in ports for axis in port.shape if isinstance(axis, str))
        inputs = inputs_of(graph, model, *COUNTS[0])
        made = outputs_of(graph, inputs)
        lengths = {axis: length for port, x in zip(graph.inputs, inputs, strict=True) for axis, length in zip(port.shape, x.shape, strict=True)}  # fmt: skip
        for port, value in zip(graph.outputs, made, strict=True):
            assert value.dtype == port.dtype
            assert [lengths.get(axis, n) for axis, n in zip(port.shape, value.shape, strict=True)] == list(value.shape)
        with monkeypatch.context() as recording:
            for module in [one for key, one in sys.modules.items() if key.startswith("scenograph.")]:
                if hasattr(module, "is_compiling"):
                    recording.setattr(module, "is_compiling", lambda: True)
            for counts in COUNTS:
                other = inputs_of(graph, model, *counts)
                dense = outputs_of(graph, other)
                recording.undo()
                for one, plain in zip(dense, outputs_of(graph, other), strict=True):
                    torch.testing.assert_close(one, plain, atol=1e-4, rtol=1e-4, equal_nan=True)
                break


def follow(flow: Flow, slope, x: Tensor) -> Tensor:
    """What ``model.json`` says of the flow."""
    times = [number / flow.steps for number in range(flow.steps + 1)]
    for now, later in pairwise(times):
        first = slope(x, now)
        if flow.solver == "heun" and later < 1:
            first = (first + slope(x + (later - now) * first, later)) / 2
        x = x + (later - now) * first
    return x

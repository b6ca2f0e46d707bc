"""Models as ONNX graphs: what they declare, what the dense forms compute, and what ONNX Runtime computes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers import generators, tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError
from scenograph.models import onnx_files
from scenograph.models.base import LayoutModel, Model, noise, noise_per_object
from scenograph.models.exporting import Exports, Flow, Graph
from scenograph.models.onnx_files import export_onnx, plan_of
from scenograph.models.registry import MODELS
from scenograph.nn.spectral import SpectralLayer
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import to_edges
from scenograph.scenes.text import scene_from_text

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
    choosers = [
        one for key, one in sys.modules.items() if key.startswith("scenograph.") and hasattr(one, "is_compiling")
    ]
    for graph in plan.graphs:
        ports = [*graph.inputs, *graph.outputs]
        assert len({port.name for port in ports}) == len(ports), "a graph of ONNX has one name per tensor"
        inputs = inputs_of(graph, model, *COUNTS[2])
        made = outputs_of(graph, inputs)
        lengths: dict[str, int] = {}
        for port, value in [*zip(graph.inputs, inputs, strict=True), *zip(graph.outputs, made, strict=True)]:
            assert value.dtype == port.dtype and len(value.shape) == len(port.shape)
            for axis, length in zip(port.shape, value.shape, strict=True):
                assert length == (axis if isinstance(axis, int) else lengths.setdefault(axis, length))
        with monkeypatch.context() as recording:
            for module in choosers:
                recording.setattr(module, "is_compiling", lambda: True)
            dense = outputs_of(graph, inputs)
        for one, plain in zip(dense, made, strict=True):
            torch.testing.assert_close(one, plain, atol=1e-5, rtol=1e-4, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_onnx_runtime_computes_the_same(name, settings, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = ready(name, **settings)
    files = export_onnx(model, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "model.json").read_text())
    assert {path.name for path in files} == {path.name for path in (tmp_path / "out").iterdir()}
    assert not [path for path in tmp_path.iterdir() if path.name != "out"]
    for graph in plan_of(model).graphs:
        session = onnxruntime.InferenceSession(str(tmp_path / "out" / f"{graph.name}.onnx"))
        assert [one.name for one in session.get_inputs()] == [port.name for port in graph.inputs]
        assert [one["name"] for one in told["graphs"][graph.name]["outputs"]] == [
            one.name for one in session.get_outputs()
        ]
        for counts in COUNTS:
            inputs = inputs_of(graph, model, *counts)
            named = {port.name: value.numpy() for port, value in zip(graph.inputs, inputs, strict=True)}
            # sg2im cuts its pictures to 256 levels: where a rounding error decides, they are one level apart.
            level = 2 / 255 if (name, graph.name) == ("sg2im", "picture") else 0
            for one, true in zip(session.run(None, named), outputs_of(graph, inputs), strict=True):
                np.testing.assert_allclose(one, true.numpy(), atol=1e-4 + level, rtol=1e-4)


@pytest.mark.slow
def test_the_example_of_the_page_renders_by_a_model_with_attributes(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    export_onnx(ready("attspade"), tmp_path / "exports" / "mine")
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    example = page.split("```python\n")[1].split("```")[0].replace("sky-other", "cube").replace("sheep", "sphere")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(example, found)
    assert found["images"].shape[:2] == (1, 3) and "attributes" in found["wanted"]


def follow(flow: Flow, slope: Callable[[Tensor, float], Tensor], x: Tensor) -> Tensor:
    """What ``model.json`` says of the flow."""
    times = [number / flow.steps for number in range(flow.steps + 1)]
    for now, later in pairwise(times):
        first = slope(x, now)
        if flow.solver == "heun" and later < 1:
            first = (first + slope(x + (later - now) * first, later)) / 2
        x = x + (later - now) * first
    return x


class Runner:
    """Runs the graphs of a model on a batch."""

    def __init__(self, model: Model, batch: SceneBatch) -> None:
        self.plan, self.batch = plan_of(model), batch
        self.graphs = {graph.name: graph for graph in self.plan.graphs}
        self.known: dict[str, Tensor] = {"pictures": torch.arange(batch.num_images)}

    def run(self, name: str, **others: Tensor) -> Tensor:
        """The first output of a graph, given the batch, the outputs of those before, and others."""
        self.known |= others
        graph = self.graphs[name]
        values = [self.known.get(port.name, getattr(self.batch, port.name, None)) for port in graph.inputs]
        made = outputs_of(graph, values)
        self.known |= {port.name: value for port, value in zip(graph.outputs, made, strict=True)}
        return made[0]

    def followed(self, x: Tensor, times: int) -> Tensor:
        """The result of the plan's flow; its graph takes so many times."""
        flow = self.plan.flow
        assert flow is not None
        return follow(flow, lambda y, now: self.run(flow.graph, **{flow.state: y}, time=torch.full((times,), now)), x)


def two_scenes(model: Model, boxes: bool) -> SceneBatch:
    asked = [
        scene_from_text("large red metal cube left of small blue rubber sphere; a cylinder", VOCABULARY),
        scene_from_text("small gray metal cylinder behind large cube", VOCABULARY),
    ]
    batch = SceneBatch.from_scenes(asked, model.vocabulary, model.config.mask_side)
    if not boxes:
        return batch
    low = torch.tensor([[0.1, 0.2], [0.4, 0.5], [0.3, 0.1], [0.0, 0.0], [0.5, 0.4]])
    masks = torch.rand(batch.masks.shape, generator=generators(0)[0])
    known = torch.tensor([True, False, False, False, False])
    return replace(batch, boxes=torch.cat([low, low + 0.4], dim=1), masks=masks, known_masks=known)


def test_what_is_followed_as_described_is_what_the_models_give():
    for name in ("attspade", "lama", "lostgan", "mise", "pastegan", "sg2im", "spade"):
        model = ready(name)
        config: Any = model.config
        batch = two_scenes(model, boxes=True)
        runner, own, count = Runner(model, batch), generators(3, 4), batch.num_images

        def normal(*shape: int, own: list[torch.Generator] = own, count: int = count) -> Tensor:
            return noise(shape, count, own, torch.device("cpu"))

        if name in ("lama", "lostgan"):
            latents = {"object_latents": noise_per_object(config.latent_size, batch, own)}
            latents["picture_latents"] = normal(config.latent_size)
            maps = [port for port in runner.graphs["picture"].inputs if port.name.startswith("noise_")]
            runner.run("picture", **latents, **{port.name: normal(*port.shape[1:]) for port in maps})
        elif name == "mise":
            runner.run("condition")
            runner.known["images"] = runner.followed(normal(3, *config.image_size), count).clamp(-1, 1)
        elif name == "sg2im":
            runner.run("layout")
            runner.run("picture", layout_noise=normal(config.layout_noise_dim, *config.image_size))
        elif name == "spade":
            runner.run("labels")
            runner.run("picture", latents=normal(config.latent_size))
        else:
            side = config.crop_side or 1
            runner.run("picture", crops=torch.full((len(batch.objects), 4, side, side), -1.0))
        with torch.no_grad():
            images = model(batch, generators(3, 4)).images
        torch.testing.assert_close(runner.known["images"], images, atol=1e-4, rtol=0, msg=name)


def test_layouts_followed_as_described_are_what_the_models_place():
    for name in ("mise-layout", "pastegan", "sg2im", "wsgc"):
        model = ready(name)
        batch = two_scenes(model, boxes=False)
        batch.boxes[1] = torch.tensor([0.2, 0.3, 0.5, 0.6])
        runner, own = Runner(model, batch), generators(3, 4)
        if name == "mise-layout":
            start = runner.run("start", noise=noise_per_object(4, batch, own))
            placed = runner.run("boxes", noisy=runner.followed(start, 1))
        elif name == "wsgc":
            graph = model.canonicalize(batch, own)
            shape, device = (model.config.mask_noise_dim,), torch.device("cpu")
            mask_noise = noise(shape, batch.num_images, own, device)
            placed = runner.run("layout", triples=graph.triples, implied=graph.implied, mask_noise=mask_noise)
            placed = torch.where(batch.known_boxes[:, None], batch.boxes, placed)
        else:
            side = model.config.crop_side or 1
            crops = torch.full((len(batch.objects), 4, side, side), -1.0)
            placed = runner.run("layout" if name == "sg2im" else "picture", crops=crops)
        with torch.no_grad():
            boxes = model.place(batch, generators(3, 4)).boxes
        torch.testing.assert_close(placed, boxes, atol=1e-5, rtol=1e-4, msg=name)


def test_layers_followed_as_described_are_those_of_the_model():
    model = ready("mise-layers")
    torch.nn.init.zeros_(model.light[-1].weight)
    torch.nn.init.constant_(model.light[-1].bias, 0.1)  # bright enough for the first ground
    batch = two_scenes(model, boxes=True)
    with torch.no_grad():
        model.kind[-1].bias -= model.kind_logits(batch).median()  # things and regions
    runner, own = Runner(model, batch), generators(3, 4)
    latents = noise_per_object(model.latent_size, batch, own)
    shared = noise((model.latent_size,), batch.num_images, own, torch.device("cpu"))
    is_layer = runner.run("kinds") > 0
    assert is_layer.any() and not is_layer.all()
    rows = is_layer.nonzero()[:, 0]
    things = {"objects": batch.objects, "attributes": batch.attributes, "boxes": batch.boxes}
    things |= {"object_to_image": batch.object_to_image, "object_latents": latents}
    layers = runner.run("layers", **{key: value[rows] for key, value in things.items()}, picture_latents=shared)
    with torch.no_grad():
        given = generators(3, 4)
        condition = model.condition(batch, given).condition
        ground = model.render_layers(condition, given)
    order = (batch.boxes[rows] == condition.boxes[:, None]).all(dim=2).int().argmax(dim=1)
    torch.testing.assert_close(layers[order], condition.pixels, atol=1e-5, rtol=0)
    masks, edges = batch.masks.clone(), [to_edges(tuple(box)) for box in batch.boxes.tolist()]
    masks[rows] = runner.known["silhouettes"]
    kept = (is_layer | batch.known_masks)[:, None]
    seen = {"boxes": torch.where(kept, batch.boxes, torch.tensor(edges)), "masks": masks}
    seen |= {"known_masks": batch.known_masks | is_layer, "is_layer": is_layer}
    seen |= {key: value for key, value in things.items() if key not in seen}
    noise_in = noise((model.latent_size,), batch.num_images, own, torch.device("cpu"))
    made = (runner.run("ground", **seen, ground_noise=noise_in) + 1) / 2
    true = torch.stack([torch.from_numpy(one[0].pixels[..., :3]).permute(2, 0, 1) for one in ground])
    torch.testing.assert_close(made, true, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("detector", {}, "detector cannot be exported: what it finds is decided after its network"),
        ("scene-designer", {}, "scene-designer cannot be exported: which of its encoders an object needs"),
        ("wsgc", {"per_pair": True}, "wsgc with per_pair=true cannot be exported: it merges the relations"),
    ],
)
def test_what_cannot_be_exported_says_why(name, settings, reason):
    with pytest.raises(UserError, match=f"^{reason}"):
        plan_of(tiny(name, **settings))


def test_every_model_that_places_or_renders_can_be_exported():
    assert {*MODELS} - {*EXPORTED} == {"detector", "scene-designer"}


def test_a_missing_extra_an_existing_folder_and_what_is_no_network_are_one_line(scenograph, tmp_path, monkeypatch):
    asked = ["export", "onnx", "mise-layout-rendered", "--out"]
    code, _, errors = scenograph(*asked, str(tmp_path))
    assert code == 2 and len(errors.splitlines()) == 1 and "exists; choose another --out" in errors
    code, _, errors = scenograph("export", "onnx", "mise-layout-renderd")
    assert code == 2 and "did you mean 'mise-layout-rendered'" in errors
    code, _, errors = scenograph("export", "onnx", "collage")
    assert code == 2 and "there is no network to export" in errors
    monkeypatch.setattr(onnx_files, "find_spec", lambda name: None)
    code, _, errors = scenograph(*asked, str(tmp_path / "new"))
    assert code == 2 and "scenograph[onnx]" in errors and not (tmp_path / "new").exists()


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(onnx_files, "find_spec", lambda name: object())
    monkeypatch.setattr(onnx_files, "_write_graph", fail)
    with pytest.raises(OSError, match="No space left"):
        export_onnx(tiny("scene-encoder"), tmp_path / "out")
    assert not list(tmp_path.iterdir())

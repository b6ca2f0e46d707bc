"""Models computed by other runtimes: what they ask of their graphs, and that ONNX Runtime gives the same."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers import TEXT, generators, tiny
from scenograph.errors import UserError
from scenograph.models import runtimes
from scenograph.models.base import ImageModel, LayoutModel, Model
from scenograph.models.onnx_files import plan_of
from scenograph.models.registry import MODELS
from scenograph.models.runtimes import use_runtime
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.placing import batch_for
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.text import scene_from_text

WITH_RUNTIMES = [name for name, kind in MODELS.items() if getattr(kind, "has_runtimes", False)]


class InTorch:
    """The declared graphs of a model, computed by torch; ``asked`` counts them by name."""

    def __init__(self, model: Model) -> None:
        self.graphs = {graph.name: graph for graph in plan_of(model).graphs}
        self.asked: dict[str, int] = {}

    def __call__(self, graph: str, batch: SceneBatch, **others: Tensor) -> list[Tensor]:
        self.asked[graph] = self.asked.get(graph, 0) + 1
        known = {"pictures": torch.arange(batch.num_images), **others}
        values = [known.get(p.name, getattr(batch, p.name, None)) for p in self.graphs[graph].inputs]
        made = self.graphs[graph].compute(*values)
        return [made] if isinstance(made, Tensor) else list(made)


def ready(name: str) -> Model:
    torch.manual_seed(0)
    model = tiny(name).eval()
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def results(model: Model) -> list[Tensor]:
    """Boxes, or pictures, of two scenes."""
    scenes = [scene_from_text(words, model.vocabulary) for words in (TEXT, "a cylinder")]
    with torch.no_grad():
        if isinstance(model, LayoutModel):
            batch = batch_for(model, scenes)
            drafts = model.candidates(batch, 3, generators(1, 2))
            return [model.place(batch, generators(1, 2)).boxes, *(draft.boxes for draft in drafts)]
        assert isinstance(model, ImageModel)
        placed = [
            replace(
                one,
                objects=tuple(replace(o, box=(0.1 * n, 0.2, 0.5 + 0.1 * n, 0.9)) for n, o in enumerate(one.objects)),
            )
            for one in scenes
        ]
        condition = model.condition(batch_for(model, placed), generators(3, 4)).condition
        return [model.render(condition, generators(5, 6)), model.render(condition, generators(5, 6), steps=1)]


@pytest.mark.parametrize("name", WITH_RUNTIMES)
def test_another_runtime_is_asked_and_gives_the_same(name):
    model = ready(name)
    plain = results(model)
    model.graphs = graphs = InTorch(model)
    for one, other in zip(plain, results(model), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert graphs.asked
    use_runtime(model, "torch")
    assert model.graphs is None


def test_dark_grounds_are_sampled_again_by_another_runtime(monkeypatch):
    model = ready("mise-layers")
    monkeypatch.setattr("scenograph.models.mise_layers.DARK", float("inf"))
    plain = results(model)
    model.graphs = graphs = InTorch(model)
    for one, other in zip(plain, results(model), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert graphs.asked["ground"] == 3, "as often as there are tries; one step is not what the graph has"


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_RUNTIMES)
def test_onnx_runtime_is_exported_to_once(name, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain = results(ready(name))
    model = ready(name)
    use_runtime(model, "onnx")
    for one, other in zip(plain, results(model), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    for path in tmp_path.rglob("*.onnx"):
        weights = [one.raw_data for one in onnx.load(path).graph.initializer if len(one.raw_data) > 4096]
        assert len(weights) == len(set(weights)), "the steps of a flow share their weights"
    monkeypatch.setattr(runtimes, "export_onnx", lambda *_: pytest.fail("exported again"))
    use_runtime(again := ready(name), "onnx")
    assert again.graphs is not None and len(list((tmp_path / "scenograph" / "onnx").glob("mise*"))) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "place.onnx").write_bytes(b"ab"),
        lambda folder: (folder / "place.onnx").unlink(),
        lambda folder: (folder / "model.json").unlink(),
        lambda folder: (folder / "model.json").write_text("[]"),
        lambda folder: (shutil.rmtree(folder), folder.write_text("")),
    ],
)
def test_a_damaged_export_in_the_cache_is_made_again(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(runtimes, "find_spec", lambda name: True)
    made = []

    def export(model: Model, folder: Path) -> None:
        assert not folder.exists()
        folder.mkdir()
        (folder / "place.onnx").write_bytes(b"abc")
        (folder / "model.json").write_text('{"graphs": {"place": {"file": "place.onnx", "bytes": 3}}}')
        made.append(folder)

    monkeypatch.setattr(runtimes, "export_onnx", export)
    use_runtime(ready("mise-layout"), "onnx")
    use_runtime(ready("mise-layout"), "onnx")
    assert len(made) == 1
    damage(made[0])
    use_runtime(ready("mise-layout"), "onnx")
    assert len(made) == 2


def test_a_graph_that_cannot_be_read_is_said_with_the_remedy(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "place.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"cannot read .*place.onnx: .*; delete .*, and the model is exported again"):
        runtimes.OnnxGraphs(tmp_path)._session("place")


def test_options_at_odds_are_refused_before_anything_is_exported(monkeypatch):
    monkeypatch.setattr(runtimes, "export_onnx", lambda *_: pytest.fail("exported"))
    pipe = Pipeline(ready("mise-layers"), ready("mise-layout"))
    with pytest.raises(UserError, match=r"^runtime onnx: computes in float32; leave precision bf16 out$"):
        pipe(TEXT, runtime="onnx", precision="bf16")


def test_other_weights_are_exported_to_another_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(runtimes, "find_spec", lambda name: True)
    exported: list[Path] = []
    monkeypatch.setattr(runtimes, "export_onnx", lambda model, folder: exported.append(folder))
    for change in (0.0, 0.0, 1.0):
        model = ready("mise-layers")
        model.digest = "that of the files it was loaded from"
        weight = model.code_flow.given.weight
        with torch.no_grad():
            weight[weight.shape[0] // 2, weight.shape[1] // 2] += change  # where no printed form would show it
        use_runtime(model, "onnx")
    assert exported[0] == exported[1] != exported[2]


def test_models_without_another_runtime_stay_with_torch(caplog):
    pipe = Pipeline(ready("lostgan"), ready("sg2im"))
    runtimes._say_once.cache_clear()
    pictures = [pipe(TEXT, runtime=runtime).images[0].tobytes() for runtime in ("onnx", "torch", "onnx")]
    assert len(set(pictures)) == 1
    notes = [record.message for record in caplog.records if "--runtime" in record.message]
    assert notes == [
        f"{name} is computed by torch: --runtime onnx is for mise-layout and mise-layers"
        for name in ("sg2im", "lostgan")
    ]


def test_what_onnx_runtime_cannot_do_is_refused(monkeypatch):
    layers = ready("mise-layers")
    with pytest.raises(UserError, match=r"runtime: .*'torch' or 'onnx'"):
        Pipeline(layers)(TEXT, runtime="tensorrt")
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package onnxruntime: .*scenograph\[onnx\]"):
        use_runtime(layers, "onnx")
    monkeypatch.setattr(type(layers), "device", torch.device("meta"))
    with pytest.raises(
        UserError, match=r"--runtime onnx: computes on CPUs, and mise-layers is on meta; add --device cpu"
    ):
        use_runtime(layers, "onnx")

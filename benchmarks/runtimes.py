"""Torch, ONNX Runtime and OpenVINO on the same layout and the same picture of shipped models, on one thread.

    python benchmarks/runtimes.py [--repeats 5] [--int8]

The models are exported first (``scenograph export onnx``). Then each runtime does the same from the same noise: boxes
of a scene of eight objects, and a whole picture of it, composing included. Repetitions take turns, so that other work
on the machine strikes all alike; the medians of the times of the processor are compared, and the results. OpenVINO is
left out where it is not installed. ``--int8`` adds ONNX Runtime with weights in int8 and activations quantized while it
runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from scenograph.models.base import noise, noise_per_object
from scenograph.models.mise_layers import DARK, Layers, MiseLayers
from scenograph.models.mise_layout import MiseLayout
from scenograph.models.onnx_files import export_onnx
from scenograph.models.registry import AutoModel
from scenograph.pipelines.latents import seeded_generators
from scenograph.pipelines.placing import batch_for
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.openraster import merged
from scenograph.scenes.scene import Scene

LAYOUT, IMAGE = "mise-layout-picture-book", "mise-layers-picture-book-128"
SCENE = {
    "objects": ["sky-other", "grass", "tree", "sheep", "cow", "house", "dog", "kite"],
    "relationships": [
        [0, "above", 1],
        [2, "behind", 3],
        [3, "standing on", 1],
        [4, "right of", 3],
        [5, "left of", 2],
        [6, "right of", 4],
        [7, "above", 5],
    ],
}
Arrays = dict[str, np.ndarray]
Session = Callable[[Arrays], list[np.ndarray]]
"""The outputs of a graph, in order, for its inputs among those given."""
Runtime = dict[str, Session]


def main() -> None:
    """Print a line for each runtime and task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--int8", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        layout = cast(MiseLayout, AutoModel.from_pretrained(LAYOUT).for_inference())
        scene = Scene.from_dict(SCENE)
        batch = batch_for(layout, [scene])
        export_onnx(layout, folder / "layout")
        report(LAYOUT, placings(layout, batch, folder / "layout", options.int8), options.repeats)
        image = cast(MiseLayers, AutoModel.from_pretrained(IMAGE).for_inference())
        boxes = layout.place(batch, seeded_generators([0], "layout")).boxes
        export_onnx(image, folder / "image")
        placed = replace(batch_for(image, [scene]), boxes=boxes)
        report(IMAGE, pictures(image, placed, folder / "image", options.int8), options.repeats)


def report(title: str, tasks: dict[str, Callable[[], Tensor]], repeats: int) -> None:
    """Time tasks in turns, and compare their results with those of the first."""
    results = {name: task() for name, task in tasks.items()}  # the first run of each is not timed
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            times[name].append(time.process_time() - start)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"\n{title}\n| runtime | ms | times as fast | largest difference | mean difference |\n|---|---|---|---|---|")
    for name, median in medians.items():
        apart = (results[name] - results["torch"]).abs()
        ratio = medians["torch"] / median
        print(f"| {name} | {1000 * median:.0f} | {ratio:.2f} | {apart.max():.1e} | {apart.mean():.1e} |", flush=True)


def runtimes(folder: Path, int8: bool) -> dict[str, Runtime]:
    """Every runtime that is here, on the graphs of a folder."""
    files = {path.stem: path for path in sorted(folder.glob("*.onnx"))}
    found = {"ONNX Runtime": {name: onnx_session(path) for name, path in files.items()}}
    if int8:
        from onnxruntime.quantization import quantize_dynamic

        small = {name: path.with_suffix(".int8") for name, path in files.items()}
        for name, path in files.items():
            quantize_dynamic(path, small[name], op_types_to_quantize=["MatMul", "Gemm"])
        found["ONNX Runtime, int8"] = {name: onnx_session(path) for name, path in small.items()}
    if find_spec("openvino") is not None:
        found["OpenVINO"] = {name: openvino_session(path) for name, path in files.items()}
    return found


def onnx_session(path: Path) -> Session:
    """A graph in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    names = [one.name for one in session.get_inputs()]
    return lambda given: session.run(None, {name: given[name] for name in names})


def openvino_session(path: Path) -> Session:
    """A graph in OpenVINO."""
    import openvino

    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    names = [one.any_name for one in compiled.inputs]
    return lambda given: list(compiled({name: given[name] for name in names}).values())


def placings(model: MiseLayout, batch: SceneBatch, folder: Path, int8: bool) -> dict[str, Callable[[], Tensor]]:
    """How each runtime places the objects of a batch."""
    flow = json.loads((folder / "model.json").read_text())["flow"]
    own = arrays(batch) | {"noise": noise_per_object(4, batch, seeded_generators([0], "layout")).numpy()}
    tasks: dict[str, Callable[[], Tensor]] = {
        "torch": lambda: model.place(batch, seeded_generators([0], "layout")).boxes
    }
    for name, graphs in runtimes(folder, int8).items():
        tasks[name] = partial(followed, graphs, own, flow["steps"])
    return tasks


def followed(graphs: Runtime, own: Arrays, steps: int) -> Tensor:
    """Boxes by Heun's steps."""

    def slope(x: np.ndarray, now: float) -> np.ndarray:
        return graphs["velocity"](own | {"noisy": x, "time": np.array([now], dtype=np.float32)})[0]

    (x,) = graphs["start"](own)
    for now, later in pairwise(number / steps for number in range(steps + 1)):
        first = slope(x, now)
        if later < 1:
            first = (first + slope(x + np.float32(later - now) * first, later)) / 2
        x = x + np.float32(later - now) * first
    return torch.from_numpy(graphs["boxes"](own | {"noisy": x})[0])


def pictures(model: MiseLayers, batch: SceneBatch, folder: Path, int8: bool) -> dict[str, Callable[[], Tensor]]:
    """How each runtime makes a picture of a batch."""

    def by_torch() -> Tensor:
        generators = seeded_generators([0], "picture")
        return model.render(model.condition(batch, generators).condition, generators)

    generators = seeded_generators([0], "picture")
    size, own = (model.latent_size,), arrays(batch)
    latents = noise_per_object(model.latent_size, batch, generators).numpy()
    own["picture_latents"] = noise(size, 1, generators, batch.boxes.device).numpy()
    own["ground_noise"] = noise(size, 1, generators, batch.boxes.device).numpy()
    # What is a thing, and which is nearer, is asked once: it takes hardly any time.
    layers = model.condition(batch, seeded_generators([0], "picture")).condition
    same = (layers.boxes[:, None] == batch.boxes).all(dim=2) & (layers.categories[:, None] == batch.objects)
    rows = same.int().argmax(dim=1).numpy()
    spread = model.regions_to_edges(batch, torch.from_numpy(rows)).boxes.numpy()
    tasks: dict[str, Callable[[], Tensor]] = {"torch": by_torch}
    for name, graphs in runtimes(folder, int8).items():
        tasks[name] = partial(painted, graphs, model, layers, own, latents, rows, spread)
    return tasks


def painted(
    graphs: Runtime,
    model: MiseLayers,
    layers: Layers,
    own: Arrays,
    latents: np.ndarray,
    rows: np.ndarray,
    spread: np.ndarray,
) -> Tensor:
    """A picture (1, 3, H, W) in [-1, 1] as ``model.json`` says; ``rows`` are things, the farthest first."""
    graphs["kinds"](own)
    things = {key: own[key][rows] for key in ("objects", "attributes", "object_to_image", "boxes")}
    pixels, silhouettes = graphs["layers"](own | things | {"object_latents": latents[rows]})
    is_layer = np.isin(np.arange(len(own["objects"])), rows)
    masks = own["masks"].copy()
    masks[rows] = silhouettes
    seen = {"boxes": spread, "masks": masks, "known_masks": own["known_masks"] | is_layer, "is_layer": is_layer}
    ground, light = graphs["ground"](own | seen)
    if light.mean() < DARK:
        raise SystemExit(f"seed 0 gives a night ({light.mean():.2f}); take another scene")
    drawn = model.composed(replace(layers, pixels=torch.from_numpy(pixels)), *map(torch.from_numpy, (ground, light)))
    return torch.from_numpy(np.stack([merged(one) for one in drawn])).permute(0, 3, 1, 2) * 2 - 1


def arrays(batch: SceneBatch) -> Arrays:
    """The fields of a batch by name, with the numbers of its pictures."""
    fields: dict[str, Any] = {name: value for name, value in vars(batch).items() if isinstance(value, Tensor)}
    return {name: value.numpy() for name, value in fields.items()} | {"pictures": np.arange(batch.num_images)}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()

"""Canonical Sg2Im at its published sizes: seconds for layouts, pictures and a training step, ours and the original's.

    python benchmarks/canonical.py [--threads 1] [--device cuda] [--original CHECKOUT_OF_CANONICALSG2IM]

Both systems get the same random scenes of COCO-Stuff's 184 categories in the same run, and the ratio is what counts:
layouts of 20 objects, from completed graphs and from bare ones, which the original completes in its loader, and the
completion alone; from bare ones completed exactly by ours, as published by the original; both with one triple per
two objects, too; the same of a batch as Visual Genome's, of scenes of 3 to 30 objects, all of which the original pads
to the largest; pictures of 128 px from 8 boxes; a training step of the picture half, discriminators included, without
VGG's features. The original runs as it is but for its CUDA calls, which do nothing on a CPU. On other devices it still
completes graphs on the CPU, as its loader does.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from side_by_side import Run, batch_of, compare, training_step

from scenograph.models.attspade import AttSpade, AttSpadeConfig
from scenograph.models.wsgc import CanonicalGraph, Wsgc, WsgcConfig
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.canonical import location_relations
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.spade import AttSpadeObjective, AttSpadeObjectiveConfig

CATEGORIES, SIDE = 184, 128
PREDICATES = ("__padding__", "__in_image__", "below", "above", "left of", "right of", "inside", "surrounding")
VOCABULARY = Vocabulary(("__image__", *(f"category {i}" for i in range(1, CATEGORIES))), PREDICATES)
ROWS = [
    "completion of graphs, batch 4",
    "completion of graphs, batch 32",
    "layouts of completed graphs, batch 4",
    "layouts of bare graphs, batch 4",
    "layouts of bare graphs per pair, batch 4",
    "layouts of exact graphs, batch 4",
    "layouts of exact graphs per pair, batch 4",
    "layouts of bare graphs of 3 to 30 objects, batch 16",
    "layouts of bare graphs per pair of 3 to 30 objects, batch 16",
    "layouts of exact graphs of 3 to 30 objects, batch 16",
    "layouts of exact graphs per pair of 3 to 30 objects, batch 16",
    "layouts of completed graphs, batch 32",
    "layouts of bare graphs, batch 32",
    "pictures, batch 1",
    "pictures, batch 4",
    "training step, batch 4",
]


def scenes(count: int, fewest: int, most: int | None = None) -> SceneBatch:
    """Random boxes, categories and pictures, with the minimal location graph; of evenly spread numbers of objects."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for objects in torch.linspace(fewest, most or fewest, count).round().int().tolist():
        low = torch.rand(objects, 2, generator=generator) * 0.6
        boxes = torch.cat([low, low + 0.1 + 0.3 * torch.rand(objects, 2, generator=generator)], dim=1).tolist()
        names = torch.randint(1, CATEGORIES, (objects,), generator=generator).tolist()
        centres = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes]
        relations: list[Relation] = location_relations([tuple(box) for box in boxes], centres)
        things = (SceneObject(f"category {n}", box=tuple(box)) for n, box in zip(names, boxes, strict=True))
        made.append(Scene(tuple(things), tuple(relations)))
    batch = SceneBatch.from_scenes(made, VOCABULARY)
    images = torch.rand(count, 3, SIDE, SIDE, generator=generator) * 2 - 1
    return SceneBatch(**{**vars(batch), "images": images})


def whole_graph(batch: SceneBatch) -> Any:
    """The graph with every converse and all that follows: what an untrained WSGC with random converses makes of it."""
    torch.manual_seed(0)
    return Wsgc(WsgcConfig(vocabulary=VOCABULARY.to_dict())).canonicalize(batch)


def our_completion(batch: SceneBatch, device: torch.device) -> Run:
    """What the bare graphs of a batch imply, all pictures at once."""
    model, batch = Wsgc(WsgcConfig(vocabulary=VOCABULARY.to_dict())).eval().to(device), batch.to(device)
    return lambda: model.canonicalize(batch)


def layout_scenes(row: str) -> SceneBatch:
    """What a row about layouts or completion is about."""
    return scenes(batch_of(row), 3, 30) if "3 to 30" in row else scenes(batch_of(row), 20)


def our_layouts(row: str, device: torch.device) -> Run:
    """Boxes, from completed, bare or exact graphs."""
    batch = layout_scenes(row)
    bare, whole = "completed" not in row, whole_graph(batch)
    config = WsgcConfig(vocabulary=VOCABULARY.to_dict(), exact="exact" in row, per_pair="per pair" in row)
    model, batch = Wsgc(config).eval().to(device), batch.to(device)
    whole = CanonicalGraph(*(part.to(device) for part in vars(whole).values()))
    noise = torch.zeros(batch.num_images, config.mask_noise_dim, device=device)

    def run() -> object:
        with torch.inference_mode():
            return model.layout(batch, model.canonicalize(batch) if bare else whole, noise)

    return run


def our_pictures(count: int, device: torch.device) -> Run:
    """From boxes to pictures."""
    model = AttSpade(AttSpadeConfig(vocabulary=VOCABULARY.to_dict(), image_size=SIDE)).for_inference().to(device)
    batch = scenes(count, 8).to(device)

    def run() -> object:
        with torch.inference_mode():
            return model(batch).images

    return run


def our_training_step(count: int, device: torch.device) -> Run:
    """Generator, discriminator of pictures, discriminator of objects: three Adam steps."""
    model = AttSpade(AttSpadeConfig(vocabulary=VOCABULARY.to_dict(), image_size=SIDE)).train()
    objective = AttSpadeObjective(AttSpadeObjectiveConfig(feature_weight=0.0), model)
    return training_step(objective, scenes(count, 8).to(device), 1e-4)


def original_modules(checkout: str, device: torch.device) -> tuple[Any, Any, Any]:
    """Its options, both halves of its generator, and its losses with their discriminators."""
    sys.path.insert(0, checkout)
    vision, tensor = types.ModuleType("torchvision"), types.ModuleType("torch.tensor")
    tensor.Tensor = torch.Tensor  # type: ignore[attr-defined]
    sys.modules |= {
        "torchvision": vision,
        "torchvision.models": vision,
        "torchvision.utils": vision,
        "torch.tensor": tensor,
    }
    if device.type == "cpu":
        torch.nn.Module.type = lambda self, kind: self  # type: ignore[method-assign, assignment]
        torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    data = types.ModuleType("sg2im.data")
    data.__path__ = [str(Path(checkout) / "sg2im" / "data")]  # without its __init__, which needs libraries for pictures
    sys.modules |= {"sg2im.data": data, "sg2im.vis": types.ModuleType("sg2im.vis")}
    from scripts.args import parser
    from sg2im.meta_models import MetaDiscriminatorModel, MetaGeneratorModel
    from sg2im.pix2pix_model import Pix2PixModel

    names = {name: number for number, name in enumerate(VOCABULARY.categories)}
    options = parser.parse_args([])
    options.vocab = {
        "attributes": {"objects": names},
        "object_name_to_idx": names,
        "pred_idx_to_name": list(PREDICATES),
        "pred_name_to_idx": {name: number for number, name in enumerate(PREDICATES)},
    }
    settings = {"image_size": (SIDE, SIDE), "no_vgg_loss": True, "mask_size": 0, "semantic_nc": options.embedding_dim}
    where = {"gpu_ids": [], "use_cuda": False} if device.type == "cpu" else {"gpu_ids": [0], "use_cuda": True}
    vars(options).update({**settings, **where})
    model = MetaGeneratorModel(options, device)
    return options, model, lambda: Pix2PixModel(options, MetaDiscriminatorModel(options))


def original_completion(options: Any) -> Callable[[Any], tuple[torch.Tensor, torch.Tensor]]:
    """What its loader makes of one graph (T, 3): the completed one, and the kinds of its edges."""
    from sg2im.data.base_dataset import BaseDataset

    loader = BaseDataset()
    loader.vocab, loader.learned_converse, loader.learned_transitivity = options.vocab, 1, 1
    loader.converse_candidates_weights = torch.rand(len(PREDICATES), len(PREDICATES)).numpy()

    def complete(triples: Any) -> tuple[torch.Tensor, torch.Tensor]:
        rows, _, kinds = loader.add_learnt_triplets(triples, 20)
        return torch.from_numpy(rows.astype("int64")), torch.tensor(kinds)

    return complete


def padded(batch: SceneBatch, graph: Any = None) -> tuple[torch.Tensor, ...]:
    """Objects (N, O, 1), boxes x, y, w, h, triples and their kinds as the original has them."""
    objects, _ = batch.padded(batch.objects[:, None])
    boxes, _ = batch.padded(torch.cat([batch.boxes[:, :2], batch.boxes[:, 2:] - batch.boxes[:, :2]], dim=1))
    triples, implied = (batch.triples, None) if graph is None else (graph.triples, graph.implied)
    owner = batch.object_to_image[triples[:, 0]]
    first = torch.searchsorted(batch.object_to_image, torch.arange(batch.num_images))
    rows = [triples[owner == i] - torch.tensor([1, 0, 1]) * start for i, start in enumerate(first)]
    kinds = [torch.zeros(len(r), dtype=torch.int64) if implied is None else implied[owner == i].long()
             for i, r in enumerate(rows)]  # fmt: skip
    return objects, boxes, pad(rows), pad(kinds)


def pad(rows: list[torch.Tensor]) -> torch.Tensor:
    """Rows of different lengths side by side; 0 is padding."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def original(row: str, count: int, checkout: str, device: torch.device) -> Run:
    """As ours."""
    options, model, losses = original_modules(checkout, device)
    if row.startswith("layouts of completed"):
        batch = layout_scenes(row)
        objects, boxes, triples, kinds = (part.to(device) for part in padded(batch, whole_graph(batch)))
        network = model.sg_to_layout.eval()
        return without_gradients(lambda: network(objects, triples, kinds, None))
    if row.startswith(("layouts of bare", "layouts of exact", "completion")):
        batch = layout_scenes(row)
        objects, _, triples, _ = padded(batch)
        network, complete = model.sg_to_layout.eval(), original_completion(options)
        objects = objects.to(device)

        def complete_all() -> list[tuple[torch.Tensor, torch.Tensor]]:
            return [complete(rows[rows[:, 1] > 0].numpy()) for rows in triples]

        if row.startswith("completion"):
            return complete_all

        def run_bare() -> object:
            graphs = complete_all()
            rows, edges = (pad(list(parts)).to(device) for parts in zip(*graphs, strict=True))
            return network(objects, rows, edges, None)

        return without_gradients(run_bare)
    batch = scenes(count, 8)
    objects, boxes, triples, kinds, images = (part.to(device) for part in (*padded(batch), batch.images))
    if row.startswith("pictures"):
        network = model.layout_to_image_model
        network.train()(objects, boxes, None, test_mode=False)  # so that its spectral norms are not those of the start
        network.eval()
        return without_gradients(lambda: network(objects, boxes, None, test_mode=True))
    options.skip_graph_model = 1
    model.args["skip_graph_model"] = 1
    step, adam = losses(), torch.optim.Adam(model.layout_to_image_model.parameters(), lr=1e-4)
    data = (images, objects, boxes, triples, None, kinds, None, None)

    def run() -> object:
        made = model.train()(objects, triples, kinds, boxes_gt=boxes)
        found = step(data, made, mode="compute_generator_loss")
        adam.zero_grad()
        found["total_loss"].backward()
        adam.step()
        found = step(data, made, mode="compute_discriminator_loss")
        for kind in ("img", "obj"):
            optimizer = getattr(step.discriminator, f"optimizer_d_{kind}")
            optimizer.zero_grad()
            found[f"total_{kind}_loss"].backward()
            optimizer.step()
        return found

    return run


def without_gradients(call: Run) -> Run:
    """The call under ``no_grad``."""

    def run() -> object:
        with torch.no_grad():
            return call()

    return run


def start(system: str, row: str, options: argparse.Namespace) -> Run:
    """What a row names, of either system."""
    count, device = batch_of(row), torch.device(options.device)
    if system == "original":
        return original(row, count, options.original, device)
    if row.startswith("completion"):
        return our_completion(layout_scenes(row), device)
    if row.startswith("layouts"):
        return our_layouts(row, device)
    return our_pictures(count, device) if row.startswith("pictures") else our_training_step(count, device)


if __name__ == "__main__":
    compare(
        argparse.ArgumentParser(description=__doc__),
        "roeiherz/CanonicalSg2Im",
        lambda options: "Canonical Sg2Im",
        ROWS,
        start,
    )

"""Layouts of graphs much larger than those trained on: WSGC beside sg2im's layout network (Herzig, Bar et al. 2020).

    python benchmarks/graphs.py packs/graphs/8 packs/graphs/16 ... --train packs/rendered-64 --out bench-graphs

Graphs hold only the relations that no others imply, or all of them with some wrong. All networks are WSGC's recipe:
without its beliefs and converses, which leaves sg2im's network; with them, as published; exact, as the recipe has
it; and exact with one triple per two objects. They learn from the same scenes for the same steps. Figures are over all
relations of the scenes, the implied ones included. The same command goes on where it was interrupted. With --image
MODEL that model draws some scenes of each pack: in the true layout, then in each network's.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scenograph.data.loader import PackLoader
from scenograph.evaluation.page import line_plot
from scenograph.evaluation.robustness import equivalent, noisy
from scenograph.files import write_atomically
from scenograph.models.base import Model
from scenograph.models.registry import AutoModel
from scenograph.pipelines import Pipeline
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.drawing import contact_sheet
from scenograph.scenes.scene import Scene
from scenograph.scenes.scoring import layout_figures_of_scenes
from scenograph.training.recipe import load_recipe
from scenograph.training.trainer import Trainer

PUBLISHED = ["model.exact=false"]
PLAIN = [*PUBLISHED, "model.learned_transitivity=false", "model.learned_converse=false"]
NETWORKS = {"sg2im's layout": PLAIN, "WSGC": PUBLISHED, "exact WSGC": [], "exact per pair": ["model.per_pair=true"]}
FORMS = {
    "as they are": ("minimal", lambda scene, vocabulary, rng: scene),
    "in other words": ("minimal", equivalent),
    "with wrong relations": ("minimal", noisy),
    "all said, some wrong": ("stored", noisy),
}


def trained(name: str, overrides: list[str], arguments: argparse.Namespace) -> Model:
    """The network, trained in its folder once."""
    folder = arguments.out / name.replace(" ", "-").replace("'", "")
    settings = [f"data.pack={arguments.train}", "data.relations=minimal", f"training.steps={arguments.steps}"]
    recipe = load_recipe("wsgc-rendered", [*settings, "training.validate_every=1000000", *arguments.set, *overrides])
    trainer = Trainer(recipe, folder, torch.device(arguments.device))
    return AutoModel.from_pretrained(trainer.run())


@torch.no_grad()
def placed(model: Model, scene: Scene) -> Scene:
    """The scene with the model's one layout."""
    batch = SceneBatch.from_scenes([scene], model.vocabulary)
    boxes = model.place(batch.with_layout(torch.full_like(batch.boxes, float("nan")))).boxes
    assert boxes is not None
    things = (replace(thing, box=tuple(box)) for thing, box in zip(scene.objects, boxes.tolist(), strict=True))
    return replace(scene, objects=tuple(things))


def measured(model: Model, pack: Path, form: str) -> tuple[float, float, int]:
    """The share of all relations that hold, the overlap with the true boxes, and the number of objects of a scene."""
    relations, change = FORMS[form]
    whole, told = (PackLoader(pack, "train", (64, 64), 16, kind) for kind in ("stored", relations))
    sums = np.zeros((2, 2))
    for number, (scene, asked) in enumerate(zip(whole.scenes(0, len(whole)), told.scenes(0, len(told)), strict=True)):
        said = change(asked, whole.vocabulary, np.random.default_rng([17, number]))
        torch.manual_seed(number)
        figures = layout_figures_of_scenes([placed(model, said)], [scene], model.vocabulary)
        sums += [[float(part.sum()) for part in figures[name]] for name in ("relations", "box_iou")]
    held, overlap = sums[:, 0] / sums[:, 1]
    return float(held), float(overlap), len(scene.objects)


def drawn(models: dict[str, Model], packs: list[Path], image: str, count: int) -> Image.Image:
    """A sheet with a column per scene: its picture in the true layout, and below it in each model's."""
    pipe, columns = Pipeline(AutoModel.from_pretrained(image)), []
    for pack in packs:
        true, asked = (PackLoader(pack, "train", (64, 64), 16, kind).scenes(0, count) for kind in ("stored", "minimal"))
        for number, (scene, graph) in enumerate(zip(true, asked, strict=True)):
            torch.manual_seed(number)
            layouts = [without_masks(scene), *(placed(model, without_masks(graph)) for model in models.values())]
            columns.append(pipe(layouts, seeds=[0]).images)
    rows = zip(*columns, strict=True)
    return contact_sheet([picture for row in rows for picture in row], columns=len(columns))


def without_masks(scene: Scene) -> Scene:
    """The scene with its boxes alone."""
    return replace(scene, objects=tuple(replace(thing, mask=None) for thing in scene.objects))


def main() -> None:
    """Train, measure, write table and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", type=Path, nargs="+", help="Packs of scenes with as many objects each.")
    parser.add_argument("--train", type=Path, required=True, help="Pack of small scenes.")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="Of the recipe, for all networks.")
    parser.add_argument("--image", help="An image model that draws the layouts.")
    parser.add_argument("--pictures", type=int, default=3, help="Scenes of each pack that it draws.")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("bench-graphs"))
    arguments = parser.parse_args()
    models = {name: trained(name, overrides, arguments) for name, overrides in NETWORKS.items()}
    lines = ["| objects | graphs | " + " | ".join(f"{name}: relations, IoU" for name in models) + " |"]
    lines.append("|---" * (2 + len(models)) + "|")
    curves: dict[str, list[tuple[float, float]]] = {}
    for pack in arguments.tests:
        for form in FORMS:
            cells = []
            for name, model in models.items():
                relations, overlap, objects = measured(model, pack, form)
                cells.append(f"{relations:.1%}, {overlap:.3f}")
                curves.setdefault(f"{name}, {form}", []).append((objects, relations))
            lines.append(f"| {objects} | {form} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    write_atomically(arguments.out / "graphs.md", ("\n".join(lines) + "\n").encode())
    plot = line_plot(curves, colours=len(models), axes=("objects", "share of relations that hold"))
    write_atomically(arguments.out / "graphs.svg", plot.encode())
    if arguments.image:
        sheet = drawn(models, arguments.tests, arguments.image, arguments.pictures)
        write_atomically(arguments.out / "graphs.png", lambda stream: sheet.save(stream, "PNG"))
    print(f"wrote {arguments.out / 'graphs.md'} and {arguments.out / 'graphs.svg'}")


if __name__ == "__main__":
    main()

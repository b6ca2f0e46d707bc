"""Relations that hold, and objects half hidden, before and after refining layouts, by the number of objects.

    python benchmarks/refine.py [--scenes 20]
    python benchmarks/refine.py PACK ... [--layout MODEL]

Each scene's relations, two per object, are those of one random layout; the boxes to refine are another one's. Or a
model places the objects of packs' scenes, told the relations that no others imply; then their overlap with the true
boxes is shown, too.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from scenograph.data.loader import PackLoader
from scenograph.pipelines import DEFAULT_LAYOUT, load_layout_model, place_objects
from scenograph.scenes.geometry import CONVERSES, box_iou, relation_holds
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.scoring import coverage
from scenograph.scenes.solver import refine, relations_shown

COUNTS = (3, 5, 10, 20, 50)
NESTED = ("inside", "surrounding")


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Sides of 8 to 25 % of the canvas, anywhere on it."""
    low = rng.uniform(0, 0.75, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.08, 0.25, (count, 2))], axis=1)


def random_scene(rng: np.random.Generator, count: int) -> Scene:
    """Boxes that know nothing of the relations."""
    true, relations = random_boxes(rng, count), []
    while len(relations) < 2 * count:
        i, j = (int(n) for n in rng.choice(count, 2, replace=False))
        predicate = str(rng.choice(list(CONVERSES)))
        if relation_holds(predicate, true[i], true[j]):
            relations.append(Relation(i, predicate, j))
    return Scene(tuple(SceneObject("cube", box=tuple(b)) for b in random_boxes(rng, count).tolist()), tuple(relations))


def share_shown(scenes: list[Scene]) -> float:
    """The share of all relations that the boxes show."""
    held, asked = np.sum([relations_shown(scene) for scene in scenes], axis=0)
    return float(held / asked)


def share_hidden(scenes: list[Scene]) -> float:
    """The share of all objects of which another covers more than half, but for those that are to be inside it."""
    hidden = []
    for scene in scenes:
        boxes = boxes_of([scene])
        inside = {r.subject if r.predicate == "inside" else r.object for r in scene.relations if r.predicate in NESTED}
        shares = coverage(boxes, np.zeros(len(boxes), dtype=int))
        hidden += [share > 0.501 for number, share in enumerate(shares) if number not in inside]
    return float(np.mean(hidden))


def boxes_of(scenes: list[Scene]) -> np.ndarray:
    """Of all objects (O, 4)."""
    return np.array([thing.box for scene in scenes for thing in scene.objects])


def model_scenes(pack: Path, layout: str, count: int) -> tuple[list[Scene], list[Scene]]:
    """Scenes of a pack as a model places their objects, and as they are."""
    model = load_layout_model(layout, torch.device("cpu"), "no")
    true = PackLoader(pack, "train", (64, 64), 16, "minimal").scenes(0, count)
    bare = [replace(s, objects=tuple(replace(thing, box=None, mask=None) for thing in s.objects)) for s in true]
    return place_objects(model, bare, range(len(bare))), true


def main() -> None:
    """Print a row per number of objects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packs", type=Path, nargs="*", help="Packs of scenes with as many objects each.")
    parser.add_argument("--layout", default=DEFAULT_LAYOUT, help="A model that places the objects of the packs.")
    parser.add_argument("--scenes", type=int, default=20)
    arguments = parser.parse_args()
    header = f"{'objects':>7}{'before':>9}{'after':>9}{'hidden':>9}{'after':>9}{'moved':>9}{'ms':>8}"
    print(header + "  overlap, after" * bool(arguments.packs))
    for place in arguments.packs or COUNTS:
        if isinstance(place, Path):
            scenes, true = model_scenes(place, arguments.layout, arguments.scenes)
        else:
            rng = np.random.default_rng(place)
            scenes, true = [random_scene(rng, place) for _ in range(arguments.scenes)], []
        began = time.perf_counter()
        refined = [refine(scene) for scene in scenes]
        seconds = (time.perf_counter() - began) / len(scenes)
        boxes = [boxes_of(part) for part in (scenes, refined)]
        moved = float(np.abs(boxes[0] - boxes[1]).mean())
        shares = (share(part) for share in (share_shown, share_hidden) for part in (scenes, refined))
        figures = "".join(f"{share:>9.1%}" for share in shares)
        row = f"{len(scenes[0].objects):>7}{figures}{moved:>9.3f}{1000 * seconds:>8.0f}"
        print(row + "".join(f"{box_iou(part, boxes_of(true)).mean():>8.3f}" for part in boxes if true), flush=True)


if __name__ == "__main__":
    main()

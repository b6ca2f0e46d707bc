"""Does a picture show the crops that it was given? Retrieval of each among a hundred, and how the layout is obeyed.

python benchmarks/given_crops.py --pack packs/picture-book
python benchmarks/given_crops.py --pack packs/picture-book --image runs/pastegan-picture-book-64/model

Every thing of a split's scenes, in its true box, is given a crop of the same category from another scene, without its
attributes. A classifier of crops, with which no renderer was trained, compares its features of the part of the picture
in the box with those of crops on grey paper.

found: things whose own crop is the nearest of 100; the 99 others are of any category, or of the same one, as far as
there are so many.
drawing: things whose nearest crop of the 100 shows the same drawing as their own.
recognised: things in which the classifier sees the asked category.
shape: intersection over union of the silhouettes of the thing's layer and of the crop stretched to its box.
box: the same of the layer's extent and the box.

Models that need no crops are measured from names alone, too.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scenograph import Pipeline
from scenograph.data.pack import Pack, row_to_scene
from scenograph.errors import UserError
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.nn.crops import crop_boxes
from scenograph.pipelines.defaults import COLLAGE, DRAWINGS
from scenograph.retrieval.encoder import CropEncoder
from scenograph.scenes.batch import picture_to_pixels, pixels_to_tensor
from scenograph.scenes.fields import Box
from scenograph.scenes.openraster import Layer, window
from scenograph.scenes.origin import Origin
from scenograph.scenes.png import scaled
from scenograph.scenes.scene import Scene, SceneObject

AMONG = 100
"""Crops among which one is looked for."""
SMALLEST = 1 / 8
"""Longer side, as a fraction of the picture, that a thing must exceed to be counted."""
BATCH = 16
SIDE = 128
"""Of the pictures."""
CLASSIFIER = "object-classifier-picture-book"


@dataclass(frozen=True)
class PackCrop:
    """A thing's own pixels in a pack."""

    scene: int
    """Number of its scene; -1 if it is of another split."""
    category: str
    pixels: np.ndarray
    origin: Origin


@dataclass(frozen=True)
class Query:
    """A thing that was given a crop, and is counted."""

    scene: int
    number: int
    crop: int
    """Its number in the pool."""


def main() -> None:
    """Measure each renderer and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--more", default="train", help="split whose crops make up a hundred of a category")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--image", nargs="+", default=[COLLAGE, "mise-layers-picture-book-128"])
    options = parser.parse_args()
    true = read_scenes(Pack(options.pack, options.split), options.scenes)
    pool = own_crops(true)
    given, queries = with_other_crops(true, pool)
    filling = own_crops(read_scenes(Pack(options.pack, options.more), 10 * options.scenes))
    pool += [replace(one, scene=-1) for one in filling]
    encoder = CropEncoder([CLASSIFIER])
    assert encoder.classifier is not None
    looks = encoder.appearance_vectors([one.pixels for one in pool])
    print(f"{len(queries)} things of {len(true)} scenes; {len(pool)} crops")
    print("| drawn by | found, any | found, same | drawing, any | drawing, same | recognised | shape | box |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.image:
        pipe = Pipeline.from_pretrained(image=name, memory=DRAWINGS if name == COLLAGE else None)
        for what, scenes in ((name, given), (f"{name}, names alone", without_crops(given))):
            if scenes is given or not needs_crops(pipe):
                figures = measure(pipe, scenes, queries, pool, looks, encoder.classifier)
                print(f"| {what} | {' | '.join(f'{100 * figure:.1f} %' for figure in figures)} |", flush=True)


def read_scenes(pack: Pack, count: int) -> list[Scene]:
    """The first scenes of a split, without relations."""
    rows = pack.rows(range(min(count, len(pack))), without=("image", "sketches"))
    return [replace(row_to_scene(row), relations=()) for row in rows]


def own_crops(scenes: Sequence[Scene]) -> list[PackCrop]:
    """The pixels of all things."""
    return [
        PackCrop(row, thing.category, thing.crop, Origin.parse(thing.origin))
        for row, scene in enumerate(scenes)
        for thing in scene.objects
        if thing.crop is not None
    ]


def with_other_crops(scenes: Sequence[Scene], pool: Sequence[PackCrop]) -> tuple[list[Scene], list[Query]]:
    """The scenes with a crop of another scene for each thing, and the things that are counted."""
    rng, result, queries = np.random.default_rng(0), [], []
    for row, scene in enumerate(scenes):
        objects = list(scene.objects)
        for number, thing in enumerate(objects):
            others = [at for at, one in enumerate(pool) if one.category == thing.category and one.scene != row]
            if thing.crop is None or not others:
                objects[number] = replace(thing, crop=None, origin=None)
                continue
            chosen = int(rng.choice(others))
            crop, origin = pool[chosen].pixels, pool[chosen].origin.text
            objects[number] = SceneObject(thing.category, box=thing.box, crop=crop, origin=origin)
            if longer_side(box_of(thing)) > SMALLEST:
                queries.append(Query(row, number, chosen))
        result.append(replace(scene, objects=tuple(objects)))
    return result, queries


def without_crops(scenes: Sequence[Scene]) -> list[Scene]:
    """The same scenes, to be drawn from names."""
    return [
        replace(scene, objects=tuple(replace(thing, crop=None, origin=None) for thing in scene.objects))
        for scene in scenes
    ]


def needs_crops(pipe: Pipeline) -> bool:
    """Whether nothing is drawn from names alone."""
    return pipe.renderer.name == COLLAGE or pipe.renderer.needs_crops


def measure(
    pipe: Pipeline,
    scenes: Sequence[Scene],
    queries: Sequence[Query],
    pool: Sequence[PackCrop],
    looks: np.ndarray,
    classifier: ObjectClassifier,
) -> list[float]:
    """All figures of a renderer."""
    pictures, layers = drawn(pipe, scenes)
    boxes = [box_of(scenes[query.scene].objects[query.number]) for query in queries]
    features = looks_of(pictures, [query.scene for query in queries], boxes, classifier)
    asked = [classifier.vocabulary.category_index[pool[query.crop].category] for query in queries]
    with torch.inference_mode():
        seen = classifier.heads[0](torch.from_numpy(features)).argmax(dim=1)
    hits = [found(query.crop, one, pool, looks) for query, one in zip(queries, features, strict=True)]
    obeyed = [
        outline(layers[query.scene], pool[query.crop], box) if layers else (np.nan, np.nan)
        for query, box in zip(queries, boxes, strict=True)
    ]
    return [*np.mean(hits, axis=0), float((seen == torch.tensor(asked)).float().mean()), *np.mean(obeyed, axis=0)]


def drawn(pipe: Pipeline, scenes: Sequence[Scene]) -> tuple[list[Image.Image], list[list[Layer]]]:
    """Pictures, and the layers of each; none of renderers without layers."""
    pictures: list[Image.Image] = []
    layers: list[list[Layer]] = []
    for start in range(0, len(scenes), BATCH):
        part = scenes[start : start + BATCH]
        conditioned = pipe.encode_pairs(part, range(start, start + len(part)), size=SIDE)
        pictures += pipe.render(conditioned)
        with contextlib.suppress(UserError):
            layers += pipe.layers(conditioned)
    return pictures, layers


def looks_of(
    pictures: Sequence[Image.Image], rows: Sequence[int], boxes: Sequence[Box], classifier: ObjectClassifier
) -> np.ndarray:
    """The classifier's features (Q, D) of the parts of pictures in boxes, with its margin."""
    size, margin = classifier.config.crop_size, classifier.config.margin
    pixels = pixels_to_tensor(np.stack([picture_to_pixels(picture, SIDE, SIDE) for picture in pictures]))
    corners = torch.tensor(boxes)
    grow = (corners[:, 2:] - corners[:, :2]) * margin
    grown = torch.cat([corners[:, :2] - grow, corners[:, 2:] + grow], dim=1)
    with torch.inference_mode():
        parts = crop_boxes(pixels, grown, torch.tensor(rows), size, size)
        return torch.cat([classifier.picture_features(part) for part in parts.split(256)]).numpy()


def found(crop: int, features: np.ndarray, pool: Sequence[PackCrop], looks: np.ndarray) -> list[bool]:
    """Whether the nearest of a hundred crops of any category, and of the same one, is a crop, or of its drawing."""
    rng, own = np.random.default_rng(crop), pool[crop]
    same = [at for at, one in enumerate(pool) if one.category == own.category and at != crop]
    nearest = []
    for others in ([at for at in range(len(pool)) if at != crop], same):
        among = np.array([crop, *rng.permutation(others)[: AMONG - 1]])
        nearest.append(int(among[np.square(looks[among] - features).sum(axis=1).argmin()]))
    return [at == crop for at in nearest] + [pool[at].origin.source == own.origin.source for at in nearest]


def outline(layers: Sequence[Layer], crop: PackCrop, box: Box) -> tuple[float, float]:
    """Intersections over union: of the silhouettes of layer and crop in the box, and of the layer's extent and the box.

    The layer is the one of the crop's category that covers most of the box.
    """
    x0, y0, x1, y1 = (round(value * SIDE) for value in box)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
    shapes = [silhouette(layer) for layer in layers if layer.name == crop.category]
    if not shapes:
        return 0.0, 0.0
    shape = max(shapes, key=lambda one: overlap(one, inside))
    height, width = max(y1 - y0, 1), max(x1 - x0, 1)
    wanted = np.zeros((SIDE, SIDE), bool)
    wanted[y0 : y0 + height, x0 : x0 + width] = np.asarray(scaled(crop.pixels, height, width))[..., 3] > 127
    extent = np.zeros((SIDE, SIDE), bool)
    rows, columns = shape.any(axis=1).nonzero()[0], shape.any(axis=0).nonzero()[0]
    if len(rows):
        extent[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return overlap(shape, wanted), overlap(extent, inside)


def silhouette(layer: Layer) -> np.ndarray:
    """What a layer covers of the picture, (SIDE, SIDE) bool."""
    canvas = np.zeros((SIDE, SIDE), bool)
    rows, columns, own_rows, own_columns = window(layer.top, layer.left, *layer.pixels.shape[:2], SIDE, SIDE)
    canvas[rows, columns] = layer.pixels[own_rows, own_columns, 3] > 0.5
    return canvas


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))


def longer_side(box: Box) -> float:
    """In fractions of the picture."""
    return max(box[2] - box[0], box[3] - box[1])


def box_of(thing: SceneObject) -> Box:
    """An object's box, which every object of a pack has."""
    assert thing.box is not None
    return thing.box


if __name__ == "__main__":
    main()

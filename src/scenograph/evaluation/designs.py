"""What Scene Designer makes of sketched scenes: layouts, pictures of these, and how well it knows what is drawn.

The experiments of its code: the same scenes from sketches, from crops of photographs, from sketches that face the other
way, from half of each, and with the true layout, side by side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.data.pack import read_record
from scenograph.errors import UserError, with_article
from scenograph.evaluation.figure import Figure, mean_figure
from scenograph.evaluation.ranking import FIRST, retrieval_figures
from scenograph.evaluation.scene_search import (
    CHUNK,
    Gallery,
    Learned,
    Progress,
    queries_of,
    read_scenes,
    sketched_objects,
)
from scenograph.evaluation.search_protocols import SearchProtocol
from scenograph.evaluation.vector_maps import object_map
from scenograph.files import make_folder, safe_names, write_atomically
from scenograph.models.scene_designer import SceneDesigner
from scenograph.pipelines.pipeline import Pipeline
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.drawing import contact_sheet, draw_sketches
from scenograph.scenes.labels import NOTHING
from scenograph.scenes.png import encode_png
from scenograph.scenes.scene import Scene, SceneObject

WAYS = {
    "sketches": ("from sketches", "sketch"),
    "crops": ("from crops", "image"),
    "mirrored": ("sketches turned", "flipped"),
    "mixed": ("half of each", "mixed_domains"),
    "true": ("true layout", "gt"),
}
"""What layouts come from, with the captions and the names of folders; ``true`` are the data's own."""
MAPPED = ("sketches", "crops", "true")
"""Those whose label maps are written."""
OBJECTS, CELL = 16, 96
"""Objects on the sheet of masks, as in the original, and the side of their pictures."""
ON_SHEET, SIDE = 12, 160
"""Scenes on the sheet of pictures, and their side where nothing renders them."""
LABEL_SIDE = 256
"""Of label and instance maps, in pixels."""


@dataclass(frozen=True, eq=False)
class Designs:
    """What a model made of scenes."""

    scenes: dict[str, list[Scene]]
    """By :data:`WAYS`: whole scenes, whose sketched objects have the masks that the model gave them."""
    masks: dict[str, list[np.ndarray]]
    """Of sketched objects, (M, M) in [0, 1] each: ``true``, and by ``sketches`` and ``crops``."""
    vectors: dict[str, np.ndarray]
    """Of sketched objects, unit vectors (O, D) by ``sketches`` and ``crops``."""
    figures: list[Figure]


def design_scenes(designer: Learned, gallery: Gallery, protocol: SearchProtocol, progress: Progress) -> Designs:
    """Make layouts of all scenes of a gallery in every way, tell categories of sketches and crops, and find crops.

    Args:
        designer: A scene-designer.
        gallery: The scenes.
        protocol: By which the gallery was opened.
        progress: Called with what is done, how many scenes so far, and of how many.

    Raises:
        UserError: The model is not a scene-designer, which alone makes layouts.
    """
    model = designer.model
    if not isinstance(model, SceneDesigner):
        raise UserError(
            f"--layout {designer.name}: is {with_article(model.name)}; only a scene-designer makes layouts of sketches"
        )
    whole = [scene for _, scene in read_scenes(gallery.pack, gallery.rows)]
    queries = {
        way: queries_of(gallery, protocol.model_copy(update={"queries": way})) for way in ("sketches", "mirrored")
    }
    scenes: dict[str, list[Scene]] = {way: [] for way in WAYS}
    masks: dict[str, list[np.ndarray]] = {"true": [], "sketches": [], "crops": []}
    right: dict[str, list[float]] = {"sketches": [], "crops": []}
    vectors: dict[str, list[np.ndarray]] = {"sketches": [], "crops": []}
    for start in range(0, len(gallery), CHUNK):
        places = range(start, min(start + CHUNK, len(gallery)))
        pixels = gallery.pictures(places, model.config.picture_sides)
        drawn = [queries["sketches"][place] for place in places]
        batches = {
            "sketches": designer.sketched(drawn, pixels, "sketches"),
            "crops": designer.photographed(drawn, pixels),
            "mirrored": designer.sketched([queries["mirrored"][place] for place in places], pixels, "sketches"),
            "mixed": designer.sketched(drawn, pixels, "mixed"),
        }
        with torch.inference_mode():
            for way, batch in batches.items():
                placed = model.complete(batch)
                assert placed.masks is not None
                made = placed.masks.float().cpu().numpy()
                if way in masks:
                    masks[way] += list(made)
                    encoded = model.encode(batch)
                    right[way] += _recognised(model, encoded, batch, way)
                    vectors[way].append(model.represent(encoded).float().cpu().numpy())
                scenes[way] += _with_masks([whole[place] for place in places], placed.boxes, made)
        masks["true"] += list(batches["crops"].masks.cpu().numpy())
        scenes["true"] += [whole[place] for place in places]
        progress("making layouts", places.stop, len(gallery))
    joined = {way: np.concatenate(parts) for way, parts in vectors.items()}
    return Designs(scenes, masks, joined, [*_figures(masks, right), *_found(joined["sketches"], joined["crops"])])


def _recognised(model: SceneDesigner, encoded: Tensor, batch: SceneBatch, way: str) -> list[float]:
    """Whether the classifier of a domain names each object."""
    encoder = model.sketch_encoder if way == "sketches" else model.photo_encoder
    found = encoder.category(encoded).argmax(dim=1) == batch.objects
    return found.float().cpu().tolist()


def _with_masks(scenes: Sequence[Scene], boxes: Tensor, masks: np.ndarray) -> list[Scene]:
    """Scenes whose sketched objects have these boxes (O, 4) and masks (O, M, M); of empty masks the box counts."""
    rows, found = zip(boxes.cpu().tolist(), masks > 0.5, strict=True), []
    for scene in scenes:
        objects = list(scene.objects)
        for number in sketched_objects(scene):
            box, mask = next(rows)
            objects[number] = replace(objects[number], box=tuple(box), mask=mask if mask.any() else None)
        found.append(Scene(tuple(objects), scene.relations))
    return found


def _figures(masks: dict[str, list[np.ndarray]], right: dict[str, list[float]]) -> list[Figure]:
    figures = []
    for way, what in (("sketches", "sketch"), ("crops", "crop")):
        figures.append(mean_figure(f"{what}_category", right[way], f"objects whose {what} is recognised"))
        pairs = [(one > 0.5, true > 0.5) for one, true in zip(masks[way], masks["true"], strict=True)]
        overlaps = [float((a & b).sum() / max((a | b).sum(), 1)) for a, b in pairs]
        figures.append(mean_figure(f"{what}_mask_iou", overlaps, f"overlap of true masks and those made of a {what}"))
    return figures


def _found(sketches: np.ndarray, crops: np.ndarray) -> list[Figure]:
    """How well sketches of single objects find their own crops, by unit vectors (O, D) of each."""
    meanings = {"average_precision": "mAP of sketched objects among the crops of all"}
    meanings |= {f"top_{k}": f"sketched objects whose crop is in the first {k}" for k in FIRST}
    found = retrieval_figures(sketches, crops)
    return [mean_figure(f"object_{name}", values, meanings[name]) for name, values in found.items()]


def write_designs(folder: Path, gallery: Gallery, designs: Designs, pipe: Pipeline | None, maps: bool) -> list[Path]:
    """Write ``results.json``, three sheets of pictures, and pictures and label maps if they are wanted.

    ``masks.png`` and ``pictures.png`` show what was made, ``objects.png`` is a map of the objects' vectors.

    Args:
        folder: Made if it is missing; files in it are replaced.
        gallery: The scenes.
        designs: What was made of them.
        pipe: Renders the layouts into folders ``generated_from_WAY``; without it, ``pictures.png`` shows maps.
        maps: Whether to write folders ``SPLIT_WAY_label`` and ``SPLIT_WAY_inst``, as SPADE's tools read them.
    """
    make_folder(folder)
    report = {"scenes": len(gallery), "figures": [asdict(figure) for figure in designs.figures]}
    written = [write_atomically(folder / "results.json", (json.dumps(report, indent=1) + "\n").encode())]
    drawn = {way: _rendered(scenes, pipe) for way, scenes in designs.scenes.items()}
    categories = [thing.category for scene in gallery.scenes for thing in scene.objects]
    sheets = {
        "masks": mask_sheet(gallery, designs),
        "pictures": picture_sheet(gallery, drawn),
        "objects": object_map(designs.vectors["sketches"], designs.vectors["crops"], categories),
    }
    for name, sheet in sheets.items():
        written.append(write_atomically(folder / f"{name}.png", encode_png(np.asarray(sheet))))
    if pipe is not None:
        for way, pictures in drawn.items():
            written.append(make_folder(folder / f"generated_from_{WAYS[way][1]}"))
            for file, picture in zip(_files(gallery), pictures, strict=True):
                write_atomically(written[-1] / f"{file}.png", encode_png(np.asarray(picture)))
    if maps:
        written += write_label_maps(folder, gallery, designs)
    return written


def mask_sheet(gallery: Gallery, designs: Designs) -> Image.Image:
    """Random objects in rows: the sketch, the crop of the picture, the true mask, and those from crop and sketch."""
    owners = [(place, n) for place, scene in enumerate(gallery.scenes) for n in range(len(scene.objects))]
    chosen = np.sort(np.random.default_rng(0).permutation(len(owners))[:OBJECTS])
    cells: list[Image.Image] = []
    for row in chosen:
        place, number = owners[row]
        thing = gallery.scenes[place].objects[number]
        (pixels,) = gallery.pictures([place], (SIDE, SIDE))
        x0, y0, x1, y1 = np.clip(np.array(thing.box) * SIDE, 0, SIDE).tolist()
        crop = Image.fromarray(pixels).resize((CELL, CELL), box=(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))
        cells += [draw_sketches(Scene((replace(thing, box=(0.0, 0.0, 1.0, 1.0)),)), CELL, CELL), crop]
        cells += [_gray(designs.masks[way][row]) for way in ("true", "crops", "sketches")]
    names = ("sketch", "crop", "true mask", "from crop", "from sketch")
    return contact_sheet(cells, len(names), gap=4, captions=names * len(chosen))


def _gray(mask: np.ndarray) -> Image.Image:
    return Image.fromarray((mask * 255).round().astype(np.uint8)).resize((CELL, CELL), Image.Resampling.NEAREST)


def _rendered(scenes: Sequence[Scene], pipe: Pipeline | None) -> list[Image.Image]:
    """Pictures of all scenes; without a pipeline, maps of the objects of the first ones."""
    if pipe is None:
        return [_coloured(scene, SIDE) for scene in scenes[:ON_SHEET]]
    return [one for start in range(0, len(scenes), CHUNK) for one in pipe(scenes[start : start + CHUNK]).images]


def picture_sheet(gallery: Gallery, drawn: dict[str, list[Image.Image]]) -> Image.Image:
    """The first scenes in rows: the picture, the sketch, and what was ``drawn`` of the layout of each way."""
    count = min(ON_SHEET, len(gallery))
    columns = [drawn[way][:count] for way in WAYS]
    size = columns[0][0].size
    real = [Image.fromarray(one) for one in gallery.pictures(range(count), size[::-1])]
    sketches = [draw_sketches(scene, *size) for scene in gallery.scenes[:count]]
    cells = [one for row in zip(real, sketches, *columns, strict=True) for one in row]
    names = ("picture", "sketch", *(caption for caption, _ in WAYS.values()))
    return contact_sheet(cells, len(names), gap=4, captions=names * count)


def _coloured(scene: Scene, side: int) -> Image.Image:
    """A label map in colours that differ from object to object."""
    numbers = paint_objects(scene, [n + 1 for n in range(len(scene.objects))], (side, side), 0)
    palette = np.random.default_rng(3).integers(40, 230, (256, 3), dtype=np.uint8)
    palette[0] = 255
    return Image.fromarray(palette[numbers % 256])


def write_label_maps(folder: Path, gallery: Gallery, designs: Designs) -> list[Path]:
    """Label and instance maps of every way, PNG with one number per pixel; returns their folders.

    Labels are the publishers' category ids less 1, as GauGAN has COCO's, or else positions in the pack's categories,
    which ``classes.json`` names; 255 is nothing. Objects count from 1 in instance maps; the backdrop is 0.

    Raises:
        UserError: There are more labels than a byte holds.
    """
    names = gallery.pack.vocabulary.categories
    published = read_record(gallery.pack.folder)["published_ids"]
    numbers = {name: published[name] - 1 if name in published else n for n, name in enumerate(names)}
    if max(numbers.values()) >= NOTHING:
        raise UserError(f"{gallery.pack.folder}: label {max(numbers.values())} is no byte; 255 is nothing")
    classes = {number: name for name, number in numbers.items()}
    listed = [classes.get(number, "NONE") for number in range(max(classes) + 1)]
    write_atomically(folder / "classes.json", (json.dumps(listed, indent=1) + "\n").encode())
    folders = []
    for way in MAPPED:
        for kind in ("label", "inst"):
            folders.append(make_folder(folder / f"{gallery.pack.split}_{WAYS[way][1]}_{kind}"))
            for scene, file in zip(designs.scenes[way], _files(gallery), strict=True):
                drawn = set(sketched_objects(scene))
                values, nothing = [numbers[thing.category] for thing in scene.objects], NOTHING
                if kind == "inst":
                    values, nothing = [n + 1 if n in drawn else 0 for n in range(len(scene.objects))], 0
                content = encode_png(paint_objects(scene, values, (LABEL_SIDE, LABEL_SIDE), nothing).astype(np.uint8))
                write_atomically(folders[-1] / f"{file}.png", content)
    return folders


def _files(gallery: Gallery) -> list[str]:
    """Names for the files of scenes: their ids."""
    return safe_names(gallery.pack.ids[row] for row in gallery.rows)


def paint_objects(scene: Scene, numbers: Sequence[int], sides: tuple[int, int], nothing: int) -> np.ndarray:
    """A map (H, W) of the number of the object at each pixel, small ones over large ones; ``nothing`` where none is."""
    painted = np.full(sides, nothing, dtype=np.int64)
    planes = [
        (plane, number)
        for thing, number in zip(scene.objects, numbers, strict=True)
        if (plane := _plane(thing, sides)) is not None
    ]
    for plane, number in sorted(planes, key=lambda one: -int(one[0].sum())):
        painted[plane] = number
    return painted


def _plane(thing: SceneObject, sides: tuple[int, int]) -> np.ndarray | None:
    """Where an object is on a canvas of these sides (H, W) bool; None without a box."""
    if thing.box is None:
        return None
    (height, width), (x0, y0, x1, y1) = sides, thing.box
    plane = np.zeros(sides, bool)
    rows, columns = (np.arange(side) + 0.5 for side in sides)
    down, across = (rows / height - y0) / max(y1 - y0, 1e-6), (columns / width - x0) / max(x1 - x0, 1e-6)
    inside = (down >= 0) & (down < 1), (across >= 0) & (across < 1)
    mask = np.ones((1, 1), bool) if thing.mask is None else thing.mask
    at = [
        (where[kept] * count).astype(int) for where, kept, count in zip((down, across), inside, mask.shape, strict=True)
    ]
    plane[np.ix_(*inside)] = mask[np.ix_(*at)]
    return plane

"""The front desk: load models once, scene in, pictures out.

>>> pipe = Pipeline.from_pretrained()
>>> pipe("large red metal cube left of small blue sphere", seeds=[0, 1]).images
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from scenograph.devices import Precision, half_precision, keep_freed_memory, pick_device, warn_of_imitation
from scenograph.errors import UserError, for_all
from scenograph.models.base import Model
from scenograph.models.registry import AutoModel
from scenograph.scenes.batch import SceneBatch, images_to_uint8
from scenograph.scenes.canonical import agreed
from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.scene import BOX_DECIMALS, CANVAS, ObjectSeed, Scene, cut, with_places
from scenograph.scenes.scoring import layout_costs
from scenograph.scenes.text import scene_from_text
from scenograph.scenes.vocabulary import Vocabulary

DEFAULT_LAYOUT = "mise-layout-rendered"
DEFAULT_IMAGE = "mise-rendered-64"
DEFAULT_CLASSIFIER = "object-classifier-rendered"
LAYOUT_CANDIDATES = 8
"""Layouts drawn per picture by models that draw lots, of which the one that obeys its scene best is kept."""

SMALLEST = 1 / 128
"""Side of the smallest box kept, in fractions of the canvas."""

TRUNCATION = 2.0
"""Latents farther from 0 than this are drawn again, as LostGAN and LAMA do: fewer odd pictures, less variety."""

log = logging.getLogger(__name__)

SceneLike = Scene | dict | str  # type: ignore[type-arg]


@dataclass(frozen=True)
class Encoding:
    """Scenes ready to be rendered, one per picture: complete, and painted into the image model's layout."""

    scenes: list[Scene]
    """With every attribute and box decided; what the pictures show."""
    seeds: list[int]
    layout: Any
    """What :meth:`Pipeline.render` draws, in the image model's own form."""


@dataclass(frozen=True)
class Generation:
    """Pictures, scene by scene and seed by seed, with the completed scenes they show."""

    images: list[Image.Image]
    scenes: list[Scene]
    seeds: list[int]


class Pipeline:
    """A layout model, where the image model does not place objects itself, and an image model.

    What a picture shows depends on its scene and seed alone, not on the batch it is drawn in. ``precision`` is that of
    drawing; objects are placed in float32, so that half precision puts none elsewhere.
    """

    def __init__(self, image: Model, layout: Model | None = None, precision: Precision = "no") -> None:
        if "image" not in image.roles:
            raise UserError(f"{image.name} draws no pictures; give an image model as --image")
        if layout is not None and "layout" not in layout.roles:
            raise UserError(f"{layout.name} places no objects; give a layout model as --layout")
        self.image, self.layout = image.for_inference(), None if layout is None else layout.for_inference()
        half_precision(image.device, precision)  # a wrong name is said before anything is drawn
        warn_of_imitation(image.device, precision)
        keep_freed_memory(image.device)
        self.precision: Precision = precision

    @staticmethod
    def from_pretrained(
        model: str | Path | None = None,
        *,
        layout: str | Path | None = None,
        image: str | Path | None = None,
        device: str | torch.device = "auto",
        precision: Precision = "no",
    ) -> Pipeline:
        """Load models by shipped name, folder or hub id.

        Without arguments, the pair in the package. ``model`` is one that does both, such as sg2im; ``layout``
        and ``image`` replace one half each.
        """
        where = pick_device(str(device))
        if model is not None:
            if image is not None:
                raise UserError(f"give either a model ({model}) or an image model ({image}), not both")
            drawer = AutoModel.from_pretrained(model)
            placer = AutoModel.from_pretrained(layout) if layout is not None else None
            if placer is None and "layout" not in drawer.roles:
                placer = AutoModel.from_pretrained(DEFAULT_LAYOUT)
        else:
            drawer = AutoModel.from_pretrained(image or DEFAULT_IMAGE)
            placer = AutoModel.from_pretrained(layout or DEFAULT_LAYOUT)
        return Pipeline(drawer.to(where), None if placer is None else placer.to(where), precision)

    @property
    def vocabulary(self) -> Vocabulary:
        """The names a scene may use."""
        return self.image.vocabulary

    def __call__(
        self,
        scenes: SceneLike | Sequence[SceneLike],
        seeds: Sequence[int] = (0,),
        size: int | None = None,
        steps: int | None = None,
        truncation: float = TRUNCATION,
        refine: bool = False,
        style: Image.Image | None = None,
    ) -> Generation:
        """One picture per scene and seed; scenes as Scene, dictionary or one-line text.

        ``size`` is the picture's side in pixels, ``steps`` the number of sampling steps of models that have them,
        ``truncation`` the largest latent of models whose objects have latents. ``refine`` moves placed boxes so
        that every relation holds (:func:`scenograph.scenes.solver.refine`). ``style`` is a picture to draw in the
        style of, for models that read one (:class:`scenograph.models.spade.Spade`).
        """
        encoding = self.encode(scenes, seeds, size, truncation, refine, style)
        return Generation(self.render(encoding, steps), encoding.scenes, encoding.seeds)

    def encode(
        self,
        scenes: SceneLike | Sequence[SceneLike],
        seeds: Sequence[int] = (0,),
        size: int | None = None,
        truncation: float = TRUNCATION,
        refine: bool = False,
        style: Image.Image | None = None,
    ) -> Encoding:
        """Complete scenes (attributes left open, boxes not given) and encode them for the image model."""
        pairs = [(scene, seed) for scene in self.read(scenes, refine) for seed in seeds]
        asked, wanted = [scene for scene, _ in pairs], [seed for _, seed in pairs]
        return self.encode_pairs(asked, wanted, size, truncation, refine, style)

    def encode_pairs(
        self,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        size: int | None = None,
        truncation: float = TRUNCATION,
        refine: bool = False,
        style: Image.Image | None = None,
        candidates: int = LAYOUT_CANDIDATES,
    ) -> Encoding:
        """As :meth:`encode`, one seed per scene, and the best of so many layouts."""
        if not scenes:
            raise UserError("nothing to draw: give at least one scene and one seed")
        if truncation < 0.1:
            raise UserError(f"truncation {truncation}: must be at least 0.1, below which few latents are found")
        complete = [complete_attributes(s, self.vocabulary, seed) for s, seed in zip(scenes, seeds, strict=True)]
        with torch.inference_mode():
            if self.layout is not None:
                complete = place_objects(self.layout, complete, seeds, refine, candidates)
            elif refine:
                complete = place_objects(self.image, complete, seeds, refine, candidates)
            known = [_without_unknown_spatial(s, self.vocabulary) for s in complete] if refine else complete
            batch = _batch(self.image, known)
            if self.image.latent_size:
                batch = _with_latents(batch, complete, seeds, self.image.latent_size, truncation)
            if style is not None:
                batch = replace(batch, picture_latents=self.image.style_latents(style, _generators(seeds, "picture")))
            output = self.image.encode(batch, _generators(seeds, "layout"), size)
        assert output.boxes is not None and output.layout is not None
        return Encoding(with_layout(complete, output.boxes, output.masks), list(seeds), output.layout)

    def render(self, encoding: Encoding, steps: int | None = None) -> list[Image.Image]:
        """Draw encoded scenes."""
        return images_to_uint8(self.pixels(encoding, steps))

    def pixels(self, encoding: Encoding, steps: int | None = None) -> Tensor:
        """As :meth:`render`, before numbers become bytes: (N, 3, H, W), about [-1, 1]."""
        with torch.inference_mode(), half_precision(self.image.device, self.precision):
            return self.image.render(encoding.layout, _generators(encoding.seeds, "picture"), steps).float()

    def read(self, scenes: SceneLike | Sequence[SceneLike], refine: bool = False) -> list[Scene]:
        """Scenes from whatever form they are in. Raises ``UserError`` for names no model here knows.

        Boxes are cut to the canvas, and relations that contradict others left out, with a warning. These are kept for
        ``refine``, which has an error for them, and which needs no model that knows the spatial predicates.
        """
        items = [scenes] if isinstance(scenes, Scene | dict | str) else list(scenes)
        result = []
        for item in items:
            if isinstance(item, str):
                result.append(scene_from_text(item, self.vocabulary))
            else:
                result.append(item if isinstance(item, Scene) else Scene.from_dict(item))
        check_names(result, self.image, self.layout, refine)
        result = [cut_to_canvas(scene, where) for scene, where in with_places(result)]
        if refine:
            check_contradictions(result)
        else:
            result = agreed(result)
        warn_of_crowds(self.image, result)
        if self.layout is not None:
            warn_of_crowds(self.layout, [scene for scene in result if _is_open(scene)])
        if not self.image.latent_size and any(thing.seed is not None for s in result for thing in s.objects):
            log.warning("%s gives objects no looks of their own: their seeds change nothing", self.image.name)
        if self.layout is None and "layout" not in self.image.roles and any(map(_is_open, result)):
            raise UserError(f"{self.image.name} needs a box for every object; give boxes, or a layout model")
        return result


def check_contradictions(scenes: Sequence[Scene]) -> None:
    """Raise ``UserError`` naming every scene whose relations no boxes can show, so that it cannot be refined."""
    from scenograph.scenes.solver import check_relations  # its solver takes a while to import

    for_all(lambda each: check_relations(*each), with_places(scenes))


def check_names(
    scenes: Sequence[Scene],
    image: Model | None,
    layout: Model | None,
    refine: bool = False,
    remedy: str = "give every object a box, or name a layout model that knows it with --layout",
) -> None:
    """Raise ``UserError`` at the first name that a model does not know.

    The layout model's names matter where boxes are missing, and attributes it does not know never do; the ``remedy``
    ends messages about them. ``refine`` sees to spatial predicates, so that models need not know them.
    """
    if image is not None:
        check_model_names("image", image, scenes, refine)
    if layout is not None:
        asked = [_without_unknown_attributes(scene, layout.vocabulary) for scene in scenes if _is_open(scene)]
        check_model_names("layout", layout, asked, refine, f"; {remedy}")


def warn_of_crowds(model: Model, scenes: Sequence[Scene]) -> None:
    """Say so if a scene has more objects than those that a model learnt from."""
    most, found = model.config.max_objects, max((len(scene.objects) for scene in scenes), default=0)
    if most is not None and found > most:
        done = "drawn" if "image" in model.roles else "placed"
        log.warning("a scene has %d objects, %s saw at most %d in training: all are %s", found, model.name, most, done)


def check_model_names(half: str, model: Model, scenes: Sequence[Scene], refine: bool, remedy: str = "") -> None:
    """:func:`check_names` for one model, which is called the image or the layout model."""
    try:
        model.vocabulary.check([_without_unknown_spatial(s, model.vocabulary) for s in scenes] if refine else scenes)
    except UserError as error:
        raise UserError(f"the {half} model ({model.name}): {error}{remedy}") from error


def _is_open(scene: Scene) -> bool:
    """Whether boxes are missing."""
    return any(thing.box is None for thing in scene.objects)


def load_layout_model(name: str | Path, device: torch.device, precision: Precision) -> Model:
    """A model that places objects, ready for inference in a precision. Raises ``UserError`` for one that does not."""
    model = AutoModel.from_pretrained(name)
    if "layout" not in model.roles:
        raise UserError(f"--layout {name}: is a {model.name}, which places no objects")
    warn_of_imitation(device, precision)
    keep_freed_memory(device)
    return model.for_inference().to(device)


def place_objects(
    model: Model,
    scenes: Sequence[Scene],
    seeds: Sequence[int],
    refine: bool = False,
    candidates: int = LAYOUT_CANDIDATES,
    precision: Precision = "no",
) -> list[Scene]:
    """Boxes, and masks where the model has them, for objects without one: the best of so many layouts each.

    ``refine`` then moves these boxes, and only these, so that every relation holds. ``precision`` is the network's.
    """
    if all(thing.box is not None for scene in scenes for thing in scene.objects):
        return list(scenes)
    known = [_without_unknown_attributes(scene, model.vocabulary) for scene in scenes]
    if refine:
        known = [_without_unknown_spatial(scene, model.vocabulary) for scene in known]
    batch = _batch(model, known)
    with torch.inference_mode(), half_precision(model.device, precision):
        outputs = model.candidates(batch, candidates, _generators(seeds, "layout"))
    boxes = torch.stack([output.boxes for output in outputs if output.boxes is not None])
    costs = np.stack([layout_costs(candidate, batch, model.vocabulary) for candidate in boxes])
    best = torch.from_numpy(costs.argmin(axis=0)).to(batch.object_to_image)[batch.object_to_image]
    rows = torch.arange(len(best), device=best.device)
    masks = [output.masks.float() for output in outputs if output.masks is not None]
    placed = with_layout(scenes, boxes[best, rows], torch.stack(masks)[best, rows] if masks else None)
    if not refine:
        return placed
    from scenograph.scenes.solver import refine as refine_boxes  # its solver takes a while to import

    movable = [[thing.box is None for thing in scene.objects] for scene in scenes]
    return [refine_boxes(scene, free) for scene, free in zip(placed, movable, strict=True)]


def complete_attributes(scene: Scene, vocabulary: Vocabulary, seed: int) -> Scene:
    """Choose at random, by the seed, what a scene leaves open: one name per attribute group."""
    rng = np.random.default_rng([seed, zlib.crc32(b"attributes")])
    objects = []
    for thing in scene.objects:
        chosen = {vocabulary.attribute_index[name][0]: name for name in thing.attributes}
        picks = [str(rng.choice(names)) for names in vocabulary.attributes.values()]
        objects.append(replace(thing, attributes=tuple(chosen.get(i, pick) for i, pick in enumerate(picks))))
    return replace(scene, objects=tuple(objects))


def with_layout(scenes: Sequence[Scene], boxes: Tensor, masks: Tensor | None) -> list[Scene]:
    """Scenes with the boxes (O, 4), cut to the canvas, and masks (O, M, M) where objects have none."""
    rows = boxes.float().cpu().numpy()
    low = np.clip(rows[:, :2], 0.0, 1.0 - SMALLEST)
    corners = np.concatenate([low, np.clip(rows[:, 2:], low + SMALLEST, 1.0)], axis=1).astype(float).round(BOX_DECIMALS)
    shapes = None if masks is None else (masks > 0.5).cpu().numpy()
    result, row = [], 0
    for scene in scenes:
        objects = []
        for thing in scene.objects:
            x0, y0, x1, y1 = corners[row].tolist()
            mask = thing.mask
            if mask is None and shapes is not None and shapes[row].any():
                mask = shapes[row]
            objects.append(replace(thing, box=thing.box or (x0, y0, x1, y1), mask=mask))
            row += 1
        result.append(replace(scene, objects=tuple(objects)))
    return result


def cut_to_canvas(scene: Scene, where: str = "") -> Scene:
    """The scene with boxes that reach beyond the canvas cut to it, and their masks with them; says which."""
    objects = []
    for number, thing in enumerate(scene.objects):
        if thing.box is None or (min(thing.box) >= 0.0 and max(thing.box) <= 1.0):
            objects.append(thing)
            continue
        shown = "[{:g}, {:g}, {:g}, {:g}]".format(*thing.box)
        log.warning("%sobjects[%d].box: %s reaches beyond the canvas and is cut to it", where, number, shown)
        seen = cut(thing, CANVAS) or cut(replace(thing, mask=None), CANVAS)  # nothing of its mask may be left
        if seen is None:
            raise UserError(f"{where}objects[{number}].box: {shown} lies outside the canvas")
        objects.append(seen)
    return replace(scene, objects=tuple(objects))


def _without_unknown_attributes(scene: Scene, vocabulary: Vocabulary) -> Scene:
    """A layout model may know fewer attributes than the image model it works for."""
    known = vocabulary.attribute_index
    objects = (
        replace(thing, attributes=tuple(name for name in thing.attributes if name in known)) for thing in scene.objects
    )
    return replace(scene, objects=tuple(objects))


def _without_unknown_spatial(scene: Scene, vocabulary: Vocabulary) -> Scene:
    """The scene without spatial relations that a model does not know."""
    known = vocabulary.predicate_index
    return replace(
        scene, relations=tuple(r for r in scene.relations if r.predicate in known or r.predicate not in CONVERSES)
    )


def _batch(model: Model, scenes: Sequence[Scene]) -> SceneBatch:
    mask_size = getattr(model.config, "mask_size", 0) or 16
    return SceneBatch.from_scenes(scenes, model.vocabulary, mask_size).to(model.device)


def _generators(seeds: Sequence[int], purpose: str) -> list[torch.Generator]:
    """Independent streams per purpose: moving a box does not change the noise of the picture.

    The seed goes through a checksum because torch's CPU generator looks at 32 bits only.
    """
    return [torch.Generator().manual_seed(zlib.crc32(f"{purpose} {seed}".encode())) for seed in seeds]


def _with_latents(
    batch: SceneBatch, scenes: Sequence[Scene], seeds: Sequence[int], size: int, truncation: float
) -> SceneBatch:
    """The batch with latents: an object's by its own seed if it has one, else by the picture's and its place.

    So an object that is moved keeps its looks, and so do all others.
    """
    rows = [
        _object_latent(thing.seed, f"object {place} {seed}", size, truncation)
        for scene, seed in zip(scenes, seeds, strict=True)
        for place, thing in enumerate(scene.objects)
    ]
    pictures = [_latent(f"background {seed}", size, truncation) for seed in seeds]
    device = batch.objects.device
    return replace(batch, object_latents=torch.stack(rows).to(device), picture_latents=torch.stack(pictures).to(device))


def _object_latent(seed: ObjectSeed | None, purpose: str, size: int, truncation: float) -> Tensor:
    if seed is None:
        return _latent(purpose, size, truncation)
    if isinstance(seed, int):
        return _latent(f"looks {seed}", size, truncation)
    first, second = (_latent(f"looks {one}", size, truncation) for one in seed[:2])
    # Along the great circle: in many dimensions the straight way leads through vectors shorter than any drawn one.
    angle = torch.arccos(F.cosine_similarity(first, second, dim=0).clamp(-1, 1))
    if angle < 1e-4:
        return first
    return (torch.sin((1 - seed[2]) * angle) * first + torch.sin(seed[2] * angle) * second) / torch.sin(angle)


def _latent(purpose: str, size: int, truncation: float) -> Tensor:
    """Normal numbers of at most ``truncation`` in size: others are drawn again."""
    generator = torch.Generator().manual_seed(zlib.crc32(purpose.encode()))
    values = torch.randn(size, generator=generator)
    while bool((outside := values.abs() > truncation).any()):
        values = torch.where(outside, torch.randn(size, generator=generator), values)
    return values

"""The pipeline: load models once; a scene goes in, pictures come out.

>>> pipe = Pipeline.from_pretrained()
>>> pipe("large red metal cube left of small blue sphere", seeds=[0, 1]).images
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from scenograph.data.pictures import read_rgb
from scenograph.devices import Precision, half_precision, keep_freed_memory, pick_device, warn_of_imitation
from scenograph.errors import UserError
from scenograph.files import digest, make_folder, write_atomically
from scenograph.models.base import NO_STYLE, ImageModel, LayoutModel, Model, ObjectLatents, PictureStyles
from scenograph.models.registry import AutoModel
from scenograph.pipelines.checks import check_names, warn_of_crowds, without_contradictions
from scenograph.pipelines.latents import seeded_generators, with_latents
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.placing import batch_for, place_objects
from scenograph.pipelines.provenance import MODELS, PlannedPicture, RecordedImage, Request, plan_pictures, png_bytes
from scenograph.scenes.batch import images_to_uint8
from scenograph.scenes.completion import (
    complete_attributes,
    cut_to_canvas,
    is_open,
    with_layout,
    without_unknown_spatial,
)
from scenograph.scenes.scene import Scene, with_places
from scenograph.scenes.text import scene_from_text
from scenograph.scenes.vocabulary import Vocabulary

DEFAULT_LAYOUT = "mise-layout-rendered"
DEFAULT_IMAGE = "mise-rendered-64"
DEFAULT_CLASSIFIER = "object-classifier-rendered"

log = logging.getLogger(__name__)

SceneLike = Scene | dict | str  # type: ignore[type-arg]


@dataclass(frozen=True)
class Encoding:
    """Scenes ready to be rendered, one per picture: complete, and painted into the image model's condition."""

    scenes: list[Scene]
    """With every attribute and box decided: what the pictures show."""
    seeds: list[int]
    condition: Any
    """What :meth:`Pipeline.render` reads, in the image model's own form."""
    options: GenerateOptions


@dataclass(frozen=True)
class Generation:
    """Pictures, scene by scene and seed by seed, with the completed scenes that they show.

    PNG files of the pictures, however they are saved, hold the record that makes them again.
    """

    images: list[RecordedImage]
    scenes: list[Scene]
    seeds: list[int]
    request: Request

    def save(self, folder: str | Path, stem: str = "picture", overwrite: bool = False) -> list[Path]:
        """Write all pictures as ``scenograph generate`` names and records them.

        Args:
            folder: Made if it is missing.
            stem: How the names begin: ``<stem>-seed<seed>.png``, or ``<stem>-<scene>-seed<seed>.png`` of many scenes.
            overwrite: Replace other files of these names.

        Returns:
            The paths of the pictures.

        Raises:
            UserError: If a file would be replaced, or cannot be written.
        """
        planned = plan_pictures(replace(self.request, stem=stem), make_folder(Path(folder)), overwrite)
        for one, image in zip(planned, self.images, strict=True):
            if not one.exists:
                write_atomically(one.path, png_bytes(image, one.record))
        return [one.path for one in planned]


class Pipeline:
    """An image model, and a layout model unless the image model places objects itself.

    What a picture shows depends on its scene and seed alone, not on its batch. Every call takes the options of
    :class:`~scenograph.pipelines.options.GenerateOptions` by name. ``precision`` is that of rendering; objects are
    placed in float32, so that half precision moves none.
    """

    def __init__(
        self,
        image: Model,
        layout: Model | None = None,
        precision: Precision = "no",
        names: Mapping[str, str | None] | None = None,
    ) -> None:
        if not isinstance(image, ImageModel):
            raise UserError(f"{image.name} draws no pictures; give an image model as --image")
        if layout is not None and not isinstance(layout, LayoutModel):
            raise UserError(f"{layout.name} places no objects; give a layout model as --layout")
        self.image: ImageModel[Any] = image.for_inference()
        self.layout: LayoutModel | None = None if layout is None else layout.for_inference()
        self.options = GenerateOptions().changed(precision=None if precision == "no" else precision)
        self.names: dict[str, str | None] = {**dict.fromkeys(MODELS), **(names or {})}
        """How its models were named when they were loaded; None for the default ones."""
        warn_of_imitation(image.device, precision)
        keep_freed_memory(image.device)

    @property
    def precision(self) -> Precision:
        """Of rendering, unless a call has another."""
        return self.options.precision

    def digests(
        self, style: Path | Image.Image | None = None, recorded: Mapping[str, str] | None = None, where: str = ""
    ) -> dict[str, str]:
        """Checksums of what makes pictures: the models, and the file of a style.

        A warning names each that is not the one ``recorded`` in the picture ``where``.
        """
        found = {"image model": self.image.digest}
        if self.layout is not None:
            found["layout model"] = self.layout.digest
        if isinstance(style, Path) and style.is_file():
            found["style"] = digest(style)
        for what, known in (recorded or {}).items():
            if found.get(what) != known:
                log.warning("the %s is not the one that made %s: the picture will differ", what, where)
        return found

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
            if placer is None and not isinstance(drawer, LayoutModel):
                placer = AutoModel.from_pretrained(DEFAULT_LAYOUT)
        else:
            drawer = AutoModel.from_pretrained(image or DEFAULT_IMAGE)
            placer = AutoModel.from_pretrained(layout or DEFAULT_LAYOUT)
        names = {"model": model, "layout": layout, "image": image}
        return Pipeline(
            drawer.to(where),
            None if placer is None else placer.to(where),
            precision,
            {role: None if name is None else str(name) for role, name in names.items()},
        )

    @property
    def vocabulary(self) -> Vocabulary:
        """The names a scene may use."""
        return self.image.vocabulary

    def __call__(
        self, scenes: SceneLike | Sequence[SceneLike], seeds: Sequence[int] = (0,), **options: Any
    ) -> Generation:
        """Render one picture per scene and seed.

        Args:
            scenes: One or several, each as a Scene, a dictionary or one line of text.
            seeds: One picture of every scene for each.
            **options: Of :class:`~scenograph.pipelines.options.GenerateOptions`, for example ``size=128``,
                ``steps=4``, ``refine=True``, ``style=picture``.

        Returns:
            The pictures, and the scenes that they show.

        Raises:
            UserError: For names that no model knows, contradictions that cannot be refined, and wrong options.
        """
        chosen = self.options.changed(**options)
        read, wanted = self.read(scenes, chosen.refine), list(seeds)
        request = Request(read, wanted, self.names, chosen, digests=self.digests(chosen.style))
        asked = [(scene, seed) for scene in read for seed in wanted]
        encoding = self.encode_pairs([scene for scene, _ in asked], [seed for _, seed in asked], **options)
        images = [
            RecordedImage.of(image, request.record(*pair))
            for image, pair in zip(self.render(encoding), asked, strict=True)
        ]
        return Generation(images, encoding.scenes, encoding.seeds, request)

    def encode(self, scenes: SceneLike | Sequence[SceneLike], seeds: Sequence[int] = (0,), **options: Any) -> Encoding:
        """Complete scenes (attributes left open, boxes not given) and encode them for the image model."""
        pairs = [(scene, seed) for scene in self.read(scenes, bool(options.get("refine"))) for seed in seeds]
        return self.encode_pairs([scene for scene, _ in pairs], [seed for _, seed in pairs], **options)

    def encode_pairs(self, scenes: Sequence[Scene], seeds: Sequence[int], **options: Any) -> Encoding:
        """As :meth:`encode`, with one seed per scene."""
        if not scenes:
            raise UserError("nothing to draw: give at least one scene and one seed")
        chosen = self.options.changed(**options)
        refine, candidates = chosen.refine, chosen.candidates
        complete = [complete_attributes(s, self.vocabulary, seed) for s, seed in zip(scenes, seeds, strict=True)]
        with torch.inference_mode():
            placer = self.layout or (self.image if refine and isinstance(self.image, LayoutModel) else None)
            if placer is not None:
                complete = place_objects(placer, complete, seeds, refine, candidates)
            known = [without_unknown_spatial(s, self.vocabulary) for s in complete] if refine else complete
            batch = batch_for(self.image, known)
            if isinstance(self.image, ObjectLatents):
                batch = with_latents(batch, complete, seeds, self.image.latent_size, chosen.truncation)
            if chosen.style is not None:
                if not isinstance(self.image, PictureStyles):
                    raise UserError(f"{self.image.name}: {NO_STYLE}")
                picture = read_rgb(chosen.style) if isinstance(chosen.style, Path) else chosen.style
                latents = self.image.style_latents(picture, seeded_generators(seeds, "picture"))
                batch = replace(batch, picture_latents=latents)
            made = self.image.condition(batch, seeded_generators(seeds, "layout"), chosen.size)
        return Encoding(with_layout(complete, made.boxes, made.masks), list(seeds), made.condition, chosen)

    def render(self, encoding: Encoding, steps: int | None = None) -> list[Image.Image]:
        """Pictures of encoded scenes."""
        return images_to_uint8(self.pixels(encoding, steps))

    def pixels(self, encoding: Encoding, steps: int | None = None) -> Tensor:
        """As :meth:`render`, before numbers become bytes: (N, 3, H, W), about [-1, 1]."""
        options = encoding.options.changed(steps=steps)
        with torch.inference_mode(), half_precision(self.image.device, options.precision):
            return self.image.render(
                encoding.condition, seeded_generators(encoding.seeds, "picture"), options.steps
            ).float()

    def render_planned(self, pictures: Sequence[PlannedPicture], **options: Any) -> list[Scene]:
        """Render those of a batch of pictures that do not exist, and write them; returns what all of them show.

        Writing batch by batch keeps the loss small when the work is interrupted.
        """
        encoding = self.encode_pairs([one.scene for one in pictures], [one.seed for one in pictures], **options)
        if not all(one.exists for one in pictures):
            make_folder(pictures[0].path.parent)
            for one, picture in zip(pictures, self.render(encoding), strict=True):
                if not one.exists:
                    write_atomically(one.path, png_bytes(picture, one.record))
        return encoding.scenes

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
        result = without_contradictions(result, refine)
        warn_of_crowds(self.image, result)
        if self.layout is not None:
            warn_of_crowds(self.layout, [scene for scene in result if is_open(scene)])
        if not isinstance(self.image, ObjectLatents) and any(
            thing.seed is not None for s in result for thing in s.objects
        ):
            log.warning("%s gives objects no looks of their own: their seeds change nothing", self.image.name)
        if self.layout is None and not isinstance(self.image, LayoutModel) and any(map(is_open, result)):
            raise UserError(f"{self.image.name} needs a box for every object; give boxes, or a layout model")
        return result

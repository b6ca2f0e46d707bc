"""The pipeline: load models once; a scene goes in, pictures come out.

>>> pipe = Pipeline.from_pretrained()
>>> pipe("large red metal cube left of small blue sphere", seeds=[0, 1]).images
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from scenograph.devices import RenderPrecision, keep_freed_memory, pick_device, warn_if_bf16_emulated
from scenograph.errors import UserError, counted
from scenograph.files import is_file, make_folder, write_atomically
from scenograph.models.base import DrawsFromCrops, ImageModel, LayoutModel, Model, ShapesObjects
from scenograph.models.registry import AutoModel
from scenograph.models.runtimes import use_runtime
from scenograph.pipelines.checks import check_crops, check_names, warn_about_crowds, without_contradictions
from scenograph.pipelines.defaults import CLASSIFIERS, COLLAGE, DEFAULT, DIFFUSERS, naming_who_knows
from scenograph.pipelines.given import SceneLike, given_scenes, given_seeds
from scenograph.pipelines.given_crops import with_given_crops
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.outputs import pictures_sheet
from scenograph.pipelines.placing import load_layout_models, load_placers, place_objects
from scenograph.pipelines.provenance import (
    MEMORY,
    MODELS,
    PlannedPicture,
    RecordedImage,
    Request,
    picture_digest,
    plan_pictures,
    png_bytes,
)
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.pipelines.renderers.crops import (
    CropPasting,
    CropSource,
    GivenCrop,
    SourceCrops,
    crop_source,
    pasting,
)
from scenograph.pipelines.renderers.network import NetworkRenderer
from scenograph.pipelines.shaping import say_shapes, with_shapes
from scenograph.scenes.batch import images_to_uint8
from scenograph.scenes.completion import (
    complete_attributes,
    cut_to_canvas,
    is_open,
)
from scenograph.scenes.html import html_table
from scenograph.scenes.openraster import Layer
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene, with_places
from scenograph.scenes.selection import GivesCrops
from scenograph.scenes.synonyms import with_known_names
from scenograph.scenes.text import scene_from_text, scene_to_text
from scenograph.scenes.vocabulary import Vocabulary

DEFAULT_LAYOUT, DEFAULT_IMAGE = DEFAULT.layout, DEFAULT.image
DEFAULT_CLASSIFIER = CLASSIFIERS[0]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Generation:
    """Pictures, scene by scene and seed by seed, with the completed scenes that they show.

    PNG files of the pictures, however they are saved, hold the record that makes them again.
    """

    images: list[RecordedImage]
    scenes: list[Scene]
    seeds: list[int]
    request: Request

    def __repr__(self) -> str:
        width, height = self.images[0].size
        scenes = counted(len(self.request.scenes), "scene")
        return f"<Generation: {counted(len(self.images), 'picture')} of {scenes}, {width} x {height} pixels>"

    def __str__(self) -> str:
        """A line per picture, with what it shows."""
        shown = zip(self.seeds, self.scenes, strict=True)
        return "\n".join([repr(self)[1:-1], *(f"  seed {seed}: {scene_to_text(scene)}" for seed, scene in shown)])

    def sheet(self) -> Image.Image:
        """The first ``ON_SHEET`` pictures on one, with their seeds."""
        return pictures_sheet(self.images, self.request)

    def _repr_png_(self) -> bytes:
        """The sheet, as notebooks show it."""
        return png_bytes(self.sheet(), self.request.sheet_record())

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
                write_atomically(one.path, png_bytes(image, one.record, image.shown))
        return [one.path for one in planned]


class Pipeline:
    """A renderer, such as an image model, and a layout model unless the renderer places objects itself.

    What a picture shows depends on its scene and seed alone, not on its batch. Every call takes the options of
    :class:`~scenograph.pipelines.options.GenerateOptions` by name. :meth:`from_pretrained` loads one by names.

    Args:
        image: What renders: an image model, or any renderer.
        layout: What places objects that have no box.
        precision: Of rendering; objects are placed in float32, so that half precision moves none.
        names: How its models were named when they were loaded, for the record in pictures.
        crops: Where crops come from that scenes lack, for models that draw from them.
        shapes: What predicts masks of objects that are sketches; by default what their outlines enclose.

    Raises:
        UserError: The image model draws no pictures, or the layout model places no objects.
    """

    def __init__(
        self,
        image: Model | Renderer,
        layout: Model | None = None,
        precision: RenderPrecision = "no",
        names: Mapping[str, str | None] | None = None,
        crops: GivesCrops | None = None,
        shapes: ShapesObjects | None = None,
    ) -> None:
        if not isinstance(image, Renderer | ImageModel):
            raise UserError(f"{image.called} draws no pictures; give an image model as --image")
        if layout is not None and not isinstance(layout, LayoutModel):
            raise UserError(f"{layout.called} places no objects; give a layout model as --layout")
        self.renderer = image if isinstance(image, Renderer) else NetworkRenderer(image)
        self.layout: LayoutModel | None = None if layout is None else layout.for_inference()
        self.options = GenerateOptions().changed(precision=None if precision == "no" else precision)
        self.names: dict[str, str | None] = {**dict.fromkeys(MODELS), **(names or {})}
        """How its models were named when they were loaded; None for the default ones."""
        self.crops = crops
        """Where crops come from that scenes lack, for models that draw from them."""
        self.shapes = shapes
        """What predicts masks of objects that are sketches; without it, what their outlines enclose are the masks."""
        warn_if_bf16_emulated(self.renderer.device, precision)
        keep_freed_memory(self.renderer.device)

    def __repr__(self) -> str:
        return f"<Pipeline: {', '.join(f'{role} {name}' for role, name in self._models().items())}>"

    def _repr_html_(self) -> str:
        """Its models, the names that they know, and its options, as notebooks show them."""
        names = self.renderer.vocabulary or (None if self.layout is None else self.layout.vocabulary)
        options = ", ".join(f"{name}={value}" for name, value in self.options.recorded().items())
        rows = {**self._models(), "device": str(self.renderer.device), "options": options}
        if names is not None:
            groups = (f"{group}: {', '.join(members)}" for group, members in names.attributes.items())
            rows["categories"], rows["attributes"] = ", ".join(names.categories), "; ".join(groups)
            rows["predicates"] = ", ".join(names.predicates)
        return html_table(rows)

    def _models(self) -> dict[str, str]:
        """By role, as they were named when they were loaded, or else as they call themselves."""
        found = {"image": self.names["model"] or self.names["image"] or self.renderer.name}
        return found if self.layout is None else found | {"layout": self.names["layout"] or self.layout.called}

    @property
    def precision(self) -> RenderPrecision:
        """Of rendering, unless a call has another."""
        return self.options.precision

    def digests(
        self, options: GenerateOptions | None = None, recorded: Mapping[str, str] | None = None, where: str = ""
    ) -> dict[str, str]:
        """Checksums of what makes pictures: the models, and what ``options`` name, such as the file of a style.

        A warning names what is not as it is recorded.

        Args:
            options: Those of generation.
            recorded: The checksums in the record of a picture.
            where: The name of that picture.

        Returns:
            SHA-256 by what it is of, such as ``image model``.
        """
        collage = isinstance(self.renderer, CropPasting)
        found = {"memory of crops" if collage else "image model": self.renderer.digest}
        if self.layout is not None:
            found["layout model"] = self.layout.digest
        if isinstance(self.shapes, Model):
            found["mask model"] = self.shapes.digest
        if self.crops is not None:
            found["source of crops"] = self.crops.digest
        if options is not None:
            found |= self.renderer.digests(options)
            if isinstance(options.style, Image.Image) or (options.style is not None and is_file(options.style)):
                found["style"] = picture_digest(options.style)
        if others := [what for what, known in (recorded or {}).items() if found.get(what) != known]:
            verb = "is not the one" if len(others) == 1 else "are not those"
            log.warning("the %s %s that made %s: the picture will differ", " and the ".join(others), verb, where)
        return found

    @staticmethod
    def from_pretrained(
        model: str | Path | None = None,
        *,
        layout: str | Path | None = None,
        image: str | Path | None = None,
        memory: str | Path | None = None,
        device: str | torch.device = "auto",
        precision: RenderPrecision = "no",
        crops: GivesCrops | None = None,
    ) -> Pipeline:
        """Load models by shipped name, folder or hub id.

        Without a name, every call chooses the shipped models that know the names in its scenes, as the command line
        does (:class:`~scenograph.pipelines.by_names.ByNames`).

        Args:
            model: One that places objects and renders them, such as sg2im, or an image model.
            layout: The model that places objects, instead of the ``model``'s own half. By default, an image model alone
                gets the one that knows most of its names, and so does a ``layout`` that predicts masks of sketches,
                such as scene-designer, beside it.
            image: The image model, if no ``model`` is given. ``collage`` composes pictures from crops.
                ``diffusers:ID``, a folder or a hub id, knows any names and has no layout model unless one is named.
            memory: Where ``collage``, and models that draw from crops, take these from: a folder that ``scenograph
                memory`` made, or ``drawings``, those that ship.
            device: ``auto`` (the machine's accelerator if it has one), ``cpu``, ``cuda:1``, ``mps``, or torch's.
            precision: ``no`` computes in float32; ``bf16`` and ``fp16`` are faster on processors that compute in them.
            crops: Where else to find crops that a scene lacks, for image models that draw from them.

        Returns:
            The pipeline, with its models on the device.

        Raises:
            UserError: A model or the device is not there, files are damaged, the two models share no names, or
                arguments exclude each other.
        """
        where = pick_device(str(device))
        if all(one is None for one in (model, layout, image, memory, crops)):
            from scenograph.pipelines.by_names import ByNames  # it is a Pipeline itself

            return ByNames(where, precision)
        for name in (model, layout):
            if name == COLLAGE or str(name).startswith(DIFFUSERS):
                raise UserError(f"{name} renders layouts and places nothing; give it as the image model (--image)")
        if model is not None:
            if image is not None:
                raise UserError(f"give either a model ({model}) or an image model ({image}), not both")
            drawer = AutoModel.from_pretrained(model)
            placer, shapes = None, None
            if layout is not None or not isinstance(drawer, LayoutModel):
                placer, shapes = load_placers(layout, drawer.vocabulary, where)
        elif image == COLLAGE:
            from scenograph.pipelines.renderers.collage import CollageRenderer, CropCollage  # reads its drawings

            collage = CollageRenderer() if memory is None else CropCollage(crop_source(memory))
            placer, shapes = load_placers(layout, collage.vocabulary, where)
            roles = {"layout": _text(layout), "image": COLLAGE, MEMORY: _text(memory)}
            return Pipeline(collage, placer, names=roles, shapes=shapes)
        elif str(image).startswith(DIFFUSERS):
            if memory is not None:
                raise UserError(f"{image} takes no crops of a memory; add --image {COLLAGE}")
            from scenograph.pipelines.renderers.diffusers import DiffusersRenderer  # an extra

            renderer = DiffusersRenderer(str(image).removeprefix(DIFFUSERS), where)
            placer, shapes = (None, None) if layout is None else load_layout_models(layout, where, "no")
            return Pipeline(renderer, placer, precision, {"layout": _text(layout), "image": str(image)}, shapes=shapes)
        else:
            drawer = AutoModel.from_pretrained(image or DEFAULT_IMAGE, others=(COLLAGE,))
            placer, shapes = load_placers(layout, drawer.vocabulary, where)
        if memory is not None:
            if not isinstance(drawer, DrawsFromCrops):
                raise UserError(f"{model or image or DEFAULT_IMAGE} takes no crops of a memory; add --image {COLLAGE}")
            crops = SourceCrops(crop_source(memory), needed=drawer.needs_crops)
        names = {"model": model, "layout": layout, "image": image, MEMORY: memory}
        return Pipeline(
            drawer.to(where), placer, precision, {role: _text(name) for role, name in names.items()}, crops, shapes
        )

    def choose(self, scenes: SceneLike | Iterable[SceneLike]) -> Pipeline:
        """The pipeline that renders scenes: this one, unless it chooses its models by the names in each call."""
        return self

    @property
    def vocabulary(self) -> Vocabulary:
        """The names a scene may use: the renderer's, or, if it takes any, the layout model's."""
        names = self.renderer.vocabulary or (None if self.layout is None else self.layout.vocabulary)
        if names is None:
            raise UserError(f"{self.renderer.name} has no names of its own: give a scene file, or a layout model")
        return names

    def __call__(
        self, scenes: SceneLike | Iterable[SceneLike], seeds: int | Iterable[int] = (0,), **options: Any
    ) -> Generation:
        """Render one picture per scene and seed.

        Args:
            scenes: One or several, each as a Scene, a dictionary, one line of text, or the path of a scene file or of a
                generated picture.
            seeds: One picture of every scene for each. A number is how many, up to 10,000: 3 stands for the seeds 0, 1
                and 2.
            **options: Of :class:`~scenograph.pipelines.options.GenerateOptions`, for example ``size=128``,
                ``steps=4``, ``refine=True``, ``style=picture``.

        Returns:
            The pictures, and the scenes that they show.

        Raises:
            UserError: For names that no model knows, contradictions that cannot be refined, and wrong options.
        """
        chosen = self.options.changed(**options)
        read, wanted = self.read(scenes, chosen.refine, chosen.keep_contradictions), given_seeds(seeds)
        request = Request(read, wanted, self.names, chosen, digests=self.digests(chosen))
        pairs = [(number, seed) for number in range(len(read)) for seed in wanted]
        encoding = self.encode_pairs([read[number] for number, _ in pairs], [seed for _, seed in pairs], **options)
        images = [
            RecordedImage.of(image, request.record(*pair), shown)
            for image, pair, shown in zip(self.render(encoding), pairs, encoding.scenes, strict=True)
        ]
        return Generation(images, encoding.scenes, encoding.seeds, request)

    def encode(
        self, scenes: SceneLike | Iterable[SceneLike], seeds: int | Iterable[int] = (0,), **options: Any
    ) -> ConditionedScenes:
        """Complete scenes (attributes left open, boxes not given) and condition the renderer on them.

        An editor keeps the result, and renders it again without placing anything anew.

        Args:
            scenes: As for a call.
            seeds: As for a call.
            **options: As for a call.

        Returns:
            What :meth:`render` takes, and the completed scenes.

        Raises:
            UserError: As a call does.
        """
        chosen = self.options.changed(**options)
        read, wanted = self.read(scenes, chosen.refine, chosen.keep_contradictions), given_seeds(seeds)
        pairs = [(scene, seed) for scene in read for seed in wanted]
        return self.encode_pairs([scene for scene, _ in pairs], [seed for _, seed in pairs], **options)

    def encode_pairs(self, scenes: Sequence[Scene], seeds: Sequence[int], **options: Any) -> ConditionedScenes:
        """As :meth:`encode`, with one seed per scene."""
        if not scenes:
            raise UserError("nothing to draw: give at least one scene and one seed")
        chosen = self.options.changed(**options)
        complete = self.complete(scenes, seeds, **options)
        if self.crops is not None and self.renderer.crop_side:
            complete = self._with_chosen_crops(self.crops, complete, seeds, chosen)
        return replace(self.renderer.condition(complete, seeds, chosen), renderer=self.renderer)

    def complete(self, scenes: Sequence[Scene], seeds: Sequence[int], **options: Any) -> list[Scene]:
        """Decide what is open: attributes, boxes, and masks of sketches. This is what the renderer is asked for.

        A complete scene gives the same picture as the scene that it was made from, with the same seed.

        Args:
            scenes: As :meth:`read` returns them.
            seeds: One per scene.
            **options: Of generation, such as ``refine`` and ``candidates``.

        Returns:
            The complete scenes. Boxes stay open where the renderer itself places objects.
        """
        chosen = self.options.changed(**options)
        self.renderer.check_options(chosen)
        complete, names = list(scenes), self.renderer.vocabulary
        if names is not None and self.renderer.completes_attributes:
            complete = [complete_attributes(s, names, seed) for s, seed in zip(scenes, seeds, strict=True)]
        if self.layout is not None:
            use_runtime(self.layout, chosen.runtime)
            movable = [[thing.box is None for thing in scene.objects] for scene in complete]
            complete = place_objects(self.layout, complete, seeds, chosen.refine, chosen.candidates)
            complete = self.renderer.settle(complete, seeds, movable)
        return with_shapes(complete, self.shapes)

    def _with_chosen_crops(
        self, source: GivesCrops, scenes: Sequence[Scene], seeds: Sequence[int], options: GenerateOptions
    ) -> list[Scene]:
        """The scenes with a crop for each object that has none and for which the renderer wants one."""
        selector = source.under(options) if isinstance(source, SourceCrops) else source
        result = []
        for scene, seed, wanted in zip(scenes, seeds, self.renderer.wants_crops(scenes), strict=True):
            filled = selector.select(scene, seed, None if options.own_picture else scene.picture).objects
            objects = (new if want else old for old, new, want in zip(scene.objects, filled, wanted, strict=True))
            result.append(replace(scene, objects=tuple(objects)))
        return result

    def render(self, conditioned: ConditionedScenes, steps: int | None = None) -> list[Image.Image]:
        """Pictures of conditioned scenes.

        Args:
            conditioned: From :meth:`encode`.
            steps: Sampling steps, of models that have them; by default those of the options.

        Returns:
            A picture for each scene and seed.
        """
        return images_to_uint8(self.pixels(conditioned, steps))

    def pixels(self, conditioned: ConditionedScenes, steps: int | None = None) -> Tensor:
        """As :meth:`render`, before numbers become bytes: (N, 3, H, W), about [-1, 1]."""
        changed = replace(conditioned, options=conditioned.options.changed(steps=steps))
        return self._renderer_of(conditioned).render(changed)

    def layers(self, conditioned: ConditionedScenes) -> list[list[Layer]]:
        """The layers of each picture of conditioned scenes, the farthest first, from renderers that work in layers.

        :func:`~scenograph.scenes.openraster.openraster` makes a file of them.
        """
        return self._renderer_of(conditioned).layers(conditioned)

    def crops_shown(self, conditioned: ConditionedScenes) -> list[list[GivenCrop | None]]:
        """What shows each object of conditioned scenes, from renderers that compose or draw pictures from crops."""
        renderer = self._renderer_of(conditioned)
        if renderer.crop_side is None:
            return pasting(renderer).crops(conditioned)
        return [
            [None if t.crop is None else GivenCrop(t.crop, Origin.parse(t.origin)) for t in scene.objects]
            for scene in conditioned.scenes
        ]

    def _renderer_of(self, conditioned: ConditionedScenes) -> Renderer:
        return conditioned.renderer or self.renderer

    def with_given_crops(
        self, scenes: Sequence[Scene], files: Sequence[str] = (), pins: Sequence[str] = ()
    ) -> list[Scene]:
        """Give objects crops, which show them whatever else is chosen.

        Args:
            scenes: Each gets them.
            files: ``OBJECT=FILE`` such as ``2=robot.png``.
            pins: ``OBJECT=CROP`` such as ``2=train_000012/4``: a crop of the memory by its id.

        Returns:
            The scenes with these crops.

        Raises:
            UserError: There is no such object, file or crop, or no memory.
        """
        if self.renderer.crop_side is None:
            source: CropSource | None = pasting(self.renderer).source
        else:
            source = self.crops.source if isinstance(self.crops, SourceCrops) else None
        return with_given_crops(scenes, files, pins, source)

    def render_planned(self, pictures: Sequence[PlannedPicture], **options: Any) -> list[Scene]:
        """Render those of a batch of pictures that do not exist, and write them.

        Writing batch by batch keeps the loss small when the work is interrupted.

        Args:
            pictures: At least one, all of one folder.
            **options: Of generation.

        Returns:
            What each picture shows, of those that exist, too.
        """
        encoding = self.encode_pairs([one.scene for one in pictures], [one.seed for one in pictures], **options)
        if not all(one.exists for one in pictures):
            make_folder(pictures[0].path.parent)
            for one, picture, shown in zip(pictures, self.render(encoding), encoding.scenes, strict=True):
                if not one.exists:
                    write_atomically(one.path, png_bytes(picture, one.record, shown))
        return encoding.scenes

    def read(
        self, scenes: SceneLike | Iterable[SceneLike], refine: bool = False, keep_contradictions: bool = False
    ) -> list[Scene]:
        """Scenes from whatever form they are in. Boxes are cut to the canvas.

        Args:
            scenes: One or several: scenes, dictionaries as in scene files, or lines of text.
            refine: Whether boxes will be moved until relations hold, which has an error for contradictions of its own,
                and needs no model that knows the spatial predicates.
            keep_contradictions: Keep relations that contradict others, which are left out with a warning otherwise.

        Returns:
            The scenes, in the names that the models know.

        Raises:
            UserError: No model here knows a name, or an object has no box and no layout model is there to place it.
        """
        given = given_scenes(scenes)
        with naming_who_knows():
            result = [scene_from_text(one, self.vocabulary) if isinstance(one, str) else one for one in given]
            names = self.renderer.vocabulary or (self.layout.vocabulary if self.layout else None)
            if names is not None:
                result = with_known_names(result, names)
            check_names(result, self.renderer, self.layout, refine)
        result = [cut_to_canvas(scene, where) for scene, where in with_places(result)]
        result = without_contradictions(result, refine, keep_contradictions)
        self.renderer.check(result)
        say_shapes(result, self.shapes)
        if self.crops is None and self.renderer.needs_crops:
            check_crops(result, self.renderer.name)
        if self.layout is not None:
            warn_about_crowds(self.layout, [scene for scene in result if is_open(scene)])
        if self.layout is None and not self.renderer.places and any(map(is_open, result)):
            raise UserError(f"{self.renderer.name} needs a box for every object; give boxes, or a layout model")
        return result


def _text(name: str | Path | None) -> str | None:
    return None if name is None else str(name)

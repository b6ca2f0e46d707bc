"""What the service offers: models and memories by id, chosen at its start. No request names a path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from scenograph.devices import pick_device
from scenograph.errors import UserError, suggest
from scenograph.models.base import LayeredModel, LayoutModel, Model
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import (
    MODELS,
    AutoModel,
    find_model,
    model_vocabulary,
    read_config,
    shipped_models,
    summary_of,
)
from scenograph.models.spade import Spade
from scenograph.pipelines.defaults import COLLAGE, DRAWINGS, PAIRS, choose_pair, layout_for, with_room
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.renderers.base import Renderer
from scenograph.pipelines.renderers.collage import CollageRenderer, CropCollage
from scenograph.pipelines.renderers.crops import CropSource, DrawnCrops, MemoryCrops, SourceCrops
from scenograph.pipelines.renderers.network import NetworkRenderer
from scenograph.pipelines.sketched import CLASSIFIER
from scenograph.retrieval.scene_search import SceneIndex
from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.lexicon import CATEGORIES, spoken
from scenograph.scenes.scene import Scene
from scenograph.scenes.synonyms import synonyms
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.studio.server.problems import ServiceError
from scenograph.studio.server.schemas import (
    ImageEntry,
    LayoutEntry,
    MemoryEntry,
    ModelsReply,
    SearchEntry,
    VocabularyReply,
)

FIRST = PAIRS[1]
"""The pair that the page begins with."""
COMPOSES = "pictures composed from drawings that ship, or from crops of a memory"
COLLAGE_SIZES = [128, 256, 512]
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Chosen(NamedTuple):
    """The models of a request, by id."""

    layout: str | None
    """None where the image model places objects itself."""
    image: str
    memory: str | None


@dataclass(frozen=True)
class Given:
    """What is offered beside what ships: folders by id."""

    layouts: Mapping[str, Path] = field(default_factory=dict)
    images: Mapping[str, Path] = field(default_factory=dict)
    memories: Mapping[str, Path] = field(default_factory=dict)
    searches: Mapping[str, Path] = field(default_factory=dict)


def named_folders(options: Iterable[str], option: str, taken: Collection[str] = ()) -> dict[str, Path]:
    """``NAME=FOLDER`` options as folders by name.

    Raises ``UserError`` for another form, a name that is taken, and a folder that is none.
    """
    found: dict[str, Path] = {}
    for text in options:
        name, _, folder = text.partition("=")
        if not ID.fullmatch(name) or not folder:
            raise UserError(f"{option} {text!r}: expected NAME=FOLDER, the name of letters, digits, '.', '_' and '-'")
        if name in found or name in taken:
            raise UserError(f"{option} {text!r}: there is a {name!r} already; choose another name")
        if not Path(folder).is_dir():
            raise UserError(f"{option} {text!r}: {folder} is no folder")
        found[name] = Path(folder)
    return found


class Offer:
    """Models and memories by id. Raises ``UserError`` for a folder that is not what it is given as.

    What loads or runs a model (:meth:`pipeline`, :meth:`spade`) is for the model thread alone.
    """

    def __init__(self, given: Given = Given()) -> None:  # it is frozen
        self._device = pick_device()
        shipped = {name: name for name in shipped_models()}
        self._layouts = _of_role("layout", {**shipped}, given.layouts)
        self._images = _of_role("image", {**shipped}, given.images)
        self._collage = CollageRenderer()
        self.memories: dict[str, CropSource] = {DRAWINGS: DrawnCrops(self._collage.atlas)}
        self.memories |= {name: MemoryCrops(folder) for name, folder in given.memories.items()}
        self.searches = {name: SceneIndex.open(folder) for name, folder in given.searches.items()}
        self._vocabularies = {name: model_vocabulary(path) for name, path in {**self._layouts, **self._images}.items()}
        self._models: dict[str, Model] = {}
        self._renderers: dict[tuple[str, str | None], Renderer] = {}
        self._pipelines: dict[Chosen, Pipeline] = {}
        for name in given.layouts.keys() & given.images.keys():
            if given.layouts[name] != given.images[name]:
                raise UserError(f"--layout and --image both call a model {name!r}; give one of them another name")
        kinds = given.layouts, given.images, given.memories, given.searches  # of two kinds, a name may be the same
        self.paths = {str(path): name for folders in kinds for name, path in folders.items()}
        """Names of folders, for messages."""
        for name in (*given.layouts, *given.images):  # which a user waits for, and wants to know of if they are damaged
            self._model(name)

    def load_first(self) -> None:
        """Load what the page begins with."""
        for pair in PAIRS:
            self.pipeline(Chosen(pair.layout, pair.image, None))

    def choose(
        self, words: str | Scene, layout: str | None = None, image: str | None = None, memory: str | None = None
    ) -> Chosen:
        """The models for a text or a scene: those asked for, and for the others those that know its names.

        Raises ``ServiceError`` for an id that there is not.
        """
        for kind, name, known in (
            ("layout", layout, self._layouts),
            ("image", image, [*self._images, COLLAGE]),
            ("memory", memory, self.memories),
        ):
            if name is not None and name not in known:
                raise ServiceError(404, f"unknown_{kind}", f"no {kind} {name!r} {suggest(name, known)}", kind)
        if memory is not None and image is None:
            image = COLLAGE
        if image is not None:
            if layout is None and image != COLLAGE and issubclass(self._kind(image), LayoutModel):
                return Chosen(None, image, memory)
            return Chosen(layout or layout_for(self._image_names(image, memory)), image, memory)
        if layout is not None:
            names = set(self._vocabularies[layout].categories)
            pair = max(PAIRS, key=lambda pair: len(names & set(pair.placed.categories)))
            return Chosen(layout, pair.image, memory)
        if isinstance(words, str):
            pair = choose_pair(words)
        else:
            pair = with_room(choose_pair("; ".join(thing.category for thing in words.objects)), [words])
        return Chosen(pair.layout, pair.image, None)

    def vocabulary(self, chosen: Chosen) -> Vocabulary:
        """The names that a scene may use, without loading models."""
        return self._image_names(chosen.image, chosen.memory)

    def describe_names(self, layout: str | None, image: str | None) -> VocabularyReply:
        """The names that scenes may use; of the first pair if no model is named."""
        neither = layout is None and image is None
        chosen = Chosen(FIRST.layout, FIRST.image, None) if neither else self.choose("", layout, image)
        names = self.vocabulary(chosen)
        return VocabularyReply(
            layout=chosen.layout,
            image=chosen.image,
            categories=list(names.category_index),
            predicates=list(names.predicate_index),
            spatial=list(CONVERSES),
            attributes={group: list(values) for group, values in names.attributes.items()},
            synonyms=dict(synonyms(CATEGORIES, names.category_index)),
            spoken={name: word for name, word in spoken(names.category_index).items() if word != name},
        )

    def describe(self) -> ModelsReply:
        """What there is to choose from."""
        layouts = [
            LayoutEntry(id=name, title=summary_of(find_model(path)), default=name == FIRST.layout)
            for name, path in self._layouts.items()
        ]
        collage = ImageEntry(
            id=COLLAGE,
            title=COMPOSES,
            sizes=COLLAGE_SIZES,
            steps=None,
            layers=True,
            composed=True,
            places=False,
            default=FIRST.image == COLLAGE,
        )
        images = [collage, *(self._image_entry(name) for name in self._images)]
        memories = [MemoryEntry(id=name, crops=_crops_in(source)) for name, source in self.memories.items()]
        searches = [SearchEntry(id=name, scenes=len(index)) for name, index in self.searches.items()]
        maps = [name for name in self._images if issubclass(self._kind(name), Spade)]
        return ModelsReply(
            layout=layouts,
            image=images,
            memory=memories,
            search=searches,
            sketches=CLASSIFIER in shipped_models(),
            label_maps=maps,
        )

    def steps(self, image: str) -> int | None:
        """Sampling steps that an image model takes by default; None if it has none."""
        steps = None if image == COLLAGE else read_config(self._images[image])[1].get("steps")
        return steps if isinstance(steps, int) else None

    def pipeline(self, chosen: Chosen) -> Pipeline:
        """What draws with these models, loaded when they are first needed and kept."""
        if chosen not in self._pipelines:
            renderer = self._renderer(chosen)
            source = None if chosen.memory is None else self.memories[chosen.memory]
            if source is not None and chosen.image != COLLAGE and not renderer.crop_side:
                message = (
                    f"image {chosen.image!r} takes no crops of a memory; leave the memory out, or ask for {COLLAGE!r}"
                )
                raise ServiceError(400, "takes_no_crops", message, "memory")
            both = chosen.layout is None
            names = {"layout": chosen.layout, "memory": chosen.memory, "model" if both else "image": chosen.image}
            self._pipelines[chosen] = Pipeline(
                renderer,
                None if chosen.layout is None else self._model(chosen.layout),
                names=names,
                crops=None if source is None or not renderer.crop_side else SourceCrops(source),
            )
        return self._pipelines[chosen]

    def spade(self, name: str | None) -> Spade:
        """The model for label maps: the named one, or the first. Raises ``ServiceError`` if there is none."""
        known = [one for one in self._images if issubclass(self._kind(one), Spade)]
        if not known:
            message = "no SPADE model was given when the service was started, with --image NAME=FOLDER"
            raise ServiceError(404, "no_label_map_model", message)
        if name is not None and name not in known:
            raise ServiceError(404, "unknown_image", f"no SPADE model {name!r} {suggest(name, known)}", "image")
        renderer = self._renderer(Chosen(None, name or known[0], None))
        assert isinstance(renderer, NetworkRenderer) and isinstance(renderer.model, Spade)
        return renderer.model

    def sketch_classifier(self) -> ObjectClassifier:
        """The model that names sketches. Raises ``ServiceError`` if none ships."""
        if CLASSIFIER not in shipped_models():
            raise ServiceError(404, "no_sketch_classifier", "no classifier of sketches is here")
        model = self._model(CLASSIFIER)
        assert isinstance(model, ObjectClassifier)
        return model

    def _kind(self, name: str) -> type[Model]:
        return MODELS[read_config(self._images[name])[0]]

    def _image_names(self, image: str, memory: str | None) -> Vocabulary:
        if image != COLLAGE:
            return self._vocabularies[image]
        return self._collage.vocabulary if memory is None else CropCollage(self.memories[memory]).vocabulary

    def _image_entry(self, name: str) -> ImageEntry:
        kind = self._kind(name)
        config = kind.Config.model_validate(read_config(self._images[name])[1])
        return ImageEntry(
            id=name,
            title=summary_of(find_model(self._images[name])),
            sizes=[max(config.picture_sides)],
            steps=self.steps(name),
            layers=issubclass(kind, LayeredModel),
            composed=False,
            places=issubclass(kind, LayoutModel),
            default=name == FIRST.image,
        )

    def _model(self, name: str) -> Model:
        if name not in self._models:
            model = AutoModel.from_pretrained({**self._layouts, **self._images}.get(name, name))
            self._models[name] = model.for_inference().to(self._device)
        return self._models[name]

    def _renderer(self, chosen: Chosen) -> Renderer:
        key = chosen.image, chosen.memory if chosen.image == COLLAGE else None
        if key not in self._renderers:
            if chosen.image != COLLAGE:
                model: Any = self._model(chosen.image)
                self._renderers[key] = NetworkRenderer(model)
            elif chosen.memory is None:
                self._renderers[key] = self._collage
            else:
                self._renderers[key] = CropCollage(self.memories[chosen.memory])
        return self._renderers[key]


def _of_role(role: str, shipped: Mapping[str, str], given: Mapping[str, Path]) -> dict[str, str | Path]:
    """The models of a role by id. Raises ``UserError`` for a given one that has not this role."""
    found: dict[str, str | Path] = {name: name for name in shipped if role in MODELS[read_config(name)[0]].roles}
    for name, folder in given.items():
        kind = MODELS[read_config(folder)[0]]
        if role not in kind.roles:
            does = "places no objects" if role == "layout" else "draws no pictures"
            raise UserError(f"--{role} {name}={folder}: a {kind.name} {does}")
        found[name] = folder
    return found


def _crops_in(source: CropSource) -> int:
    if isinstance(source, MemoryCrops):
        return len(source.memory)
    assert isinstance(source, DrawnCrops)
    return sum(map(len, source.atlas.entries.values()))

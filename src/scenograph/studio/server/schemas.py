"""What the service takes and gives. Everything is JSON; pictures in it are PNG files in base64."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_TEXT = 10_000
"""Characters of a text."""
MOST_BASE64 = 8 * 2**20
LARGEST_SIZE, MOST_STEPS, MOST_CROPS, MOST_FOUND, MOST_CANDIDATES = 1024, 100, 48, 48, 32
LARGEST_SEED = 999_999_999

Id = Annotated[
    str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="As /v1/models lists it.")
]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Session = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        description="A key of the client's choice: a newer request with it replaces one that still waits (409).",
    ),
]
SceneJson = Annotated[
    dict[str, Any],
    Field(
        description="A scene in JSON, as docs/scenes.md describes it.",
        examples=[{"objects": ["sheep", "grass"], "relationships": [[0, "standing on", 1]]}],
    ),
]
Base64 = Annotated[str, Field(max_length=MOST_BASE64, description="A PNG file in base64.")]
Candidates = Annotated[
    int,
    Field(
        ge=1,
        le=MOST_CANDIDATES,
        description="Layouts sampled for objects without boxes, of which the best is kept; by default 8, and 1 for "
        "the fastest draft. Models whose layouts do not depend on the seed sample one.",
    ),
]


class Asked(BaseModel):
    """A request. Unknown fields are errors, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Models(Asked):
    """The models of a request; what is left out is chosen by the names in the scene."""

    layout: Id | None = None
    image: Id | None = None


class TextAsked(Models):
    """A text that describes a scene."""

    text: str = Field(min_length=1, max_length=MOST_TEXT, examples=["two sheep standing on grass"])


class SceneAsked(Asked):
    """A scene."""

    scene: SceneJson


class ChecksAsked(Models):
    """A scene to check."""

    scene: SceneJson


class LayoutAsked(Models):
    """A scene whose objects are to be placed. Objects that have boxes keep them."""

    scene: SceneJson
    memory: Id | None = None
    seed: Seed = 0
    candidates: Candidates | None = None
    session: Session | None = None


class RefineAsked(Asked):
    """A scene whose boxes are to move as little as needed so that all spatial relations hold."""

    scene: SceneJson
    movable: list[bool] | None = Field(None, max_length=256, description="For each object; by default all may move.")


class Rendering(Models):
    """What decides a picture."""

    scene: SceneJson
    memory: Id | None = None
    seed: Seed = 0
    size: int | None = Field(None, ge=8, le=LARGEST_SIZE, description="Longer side in pixels; by default the model's.")
    steps: int | None = Field(None, ge=1, le=MOST_STEPS, description="Sampling steps; by default the model's.")
    candidates: Candidates | None = None


class PictureAsked(Rendering):
    """A picture."""

    session: Session | None = None


ExportKind = Literal["layers", "openraster", "coco", "graph-svg", "layout-svg", "scene"]


class ExportAsked(Rendering):
    """A file of a scene."""

    kind: ExportKind


class RecordAsked(Asked):
    """A picture that scenograph made."""

    png: Base64


class CropsAsked(Asked):
    """Crops of a memory for an object: of a category, or those that suit an object of a scene best."""

    memory: Id
    category: str = Field(min_length=1, max_length=200)
    scene: SceneJson | None = None
    object: int | None = Field(None, ge=0, description="The number of the object in the scene.")
    top: int = Field(12, ge=1, le=MOST_CROPS)


class SketchesAsked(Asked):
    """A sketch of one thing: strokes in any units, or a picture of paper with ink on it."""

    strokes: list[Any] = Field([], description="[[[x, ...], [y, ...]], ...]")
    picture: Base64 | None = None


class SearchAsked(Asked):
    """A scene, for scenes like it: its objects' boxes, sketches and crops count as far as they are there."""

    search: Id
    scene: SceneJson
    top: int = Field(12, ge=1, le=MOST_FOUND)


class LabelMapAsked(Asked):
    """A label map, for a SPADE model."""

    layout: list[Any] = Field(description="H rows of W labels; 255 where nothing is known.")
    instances: list[Any] | None = Field(None, description="H rows of W numbers that differ between instances.")
    picture: Base64 | None = Field(None, description="Whose style to copy, for models that can.")
    image: Id | None = None
    seed: Seed = 0


class OriginalLabelMapAsked(BaseModel):
    """A label map as Scene Designer's client sends it."""

    layout: list[Any]
    instances: list[Any]
    real_image: list[Any] | None = Field(None, description="H x W x 3, 0 to 255; used by models that copy styles.")


JobKind = Literal["picture", "layout", "refine"]


class JobAsked(Asked):
    """Work to be watched: ``request`` is that of the route of this kind."""

    kind: JobKind
    request: dict[str, Any]


class LayoutEntry(BaseModel):
    """A layout model."""

    id: str
    title: str
    default: bool


class ImageEntry(BaseModel):
    """What renders pictures."""

    id: str
    title: str
    sizes: list[int]
    """Longer sides in pixels at which it draws; others are scaled."""
    steps: int | None
    """Sampling steps that it takes by default; None if it has none."""
    layers: bool
    composed: bool
    """Whether its pictures are composed from drawings or crops, not generated."""
    places: bool
    """Whether it places objects itself."""
    default: bool


class MemoryEntry(BaseModel):
    """A memory of crops."""

    id: str
    crops: int


class SearchEntry(BaseModel):
    """A collection of scenes to search."""

    id: str
    scenes: int


class ModelsReply(BaseModel):
    """What the service offers."""

    layout: list[LayoutEntry]
    image: list[ImageEntry]
    memory: list[MemoryEntry]
    search: list[SearchEntry]
    sketches: bool
    label_maps: list[str]


class VocabularyReply(BaseModel):
    """The names that scenes may use."""

    layout: str | None
    image: str
    categories: list[str]
    predicates: list[str]
    spatial: list[str]
    """Predicates that boxes decide; refining knows them even if the models do not."""
    attributes: dict[str, list[str]]
    synonyms: dict[str, str]
    """Words that are read as categories."""
    spoken: dict[str, str]
    """What people call categories that they have other words for; these are read as the categories."""


class SceneReply(BaseModel):
    """A scene."""

    scene: dict[str, Any]
    notes: list[str]
    """How words were understood, and what was changed."""


class DescriptionReply(BaseModel):
    """A scene in words."""

    text: str
    """What /v1/texts reads back."""
    lines: list[str]


class Contradiction(BaseModel):
    """Relations that cannot all hold, by number."""

    relations: list[int]
    repair: list[int]
    """Without these, the others can hold."""


class UnknownCategory(BaseModel):
    """An object of a category that the models do not know."""

    object: int
    category: str
    nearest: list[str]


class ChecksReply(BaseModel):
    """What is wrong with a scene."""

    contradictions: list[Contradiction]
    unknown: list[UnknownCategory]
    holds: list[bool | None]
    """For each relation whether the boxes show it; None where boxes are missing or cannot tell."""


class Milliseconds(BaseModel):
    """Where the time went."""

    wait: int
    layout: int
    render: int


class PictureReply(BaseModel):
    """A picture and what it shows."""

    picture: str
    """A PNG file that holds its record, in base64."""
    scene: dict[str, Any]
    notes: list[str]
    milliseconds: Milliseconds


class RecordReply(BaseModel):
    """What a picture was made from."""

    scene: dict[str, Any]
    seed: int
    layout: str | None
    image: str | None
    memory: str | None
    options: dict[str, Any]
    notes: list[str]


class CropEntry(BaseModel):
    """A crop; ``png`` with ``source``, ``author`` and ``licence`` fill an object's ``crop`` and ``origin``."""

    id: str
    png: str
    source: str
    author: str
    licence: str
    origin: str


class CropsReply(BaseModel):
    """Crops, the best first."""

    crops: list[CropEntry]


class NamedSketch(BaseModel):
    """What a sketch may show."""

    category: str
    probability: float


class SketchesReply(BaseModel):
    """What a sketch may show, the most probable first."""

    names: list[NamedSketch]


class FoundScene(BaseModel):
    """A scene that was found."""

    id: str
    score: float
    """In [0, 1]."""
    thumbnail: str
    """A small PNG file in base64; empty where there is no picture."""
    scene: dict[str, Any]
    matches: list[tuple[int, int]]
    """The number of an object of the query, and that of the one it was matched with."""
    author: str
    licence: str


class SearchReply(BaseModel):
    """Scenes, the best first."""

    results: list[FoundScene]
    notes: list[str]


class LabelMapReply(BaseModel):
    """The picture of a label map."""

    picture: str


class JobReply(BaseModel):
    """The id of a job."""

    id: str


class HealthReply(BaseModel):
    """Whether the service works, and whether its models are loaded."""

    status: Literal["ok", "closing"]
    ready: bool


class Problem(BaseModel):
    """What is wrong."""

    code: str
    message: str
    where: str | None


class ErrorReply(BaseModel):
    """The body of every error."""

    error: Problem

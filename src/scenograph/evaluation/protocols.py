"""How a number was measured, as a named and versioned object that is stored with it.

The same weights get other numbers when pictures are saved as JPEG, when one picture is rendered per layout instead of
five, or when another network looks at them. So figures are compared only where their protocols agree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator
from pydantic_core import PydanticKnownError

from scenograph.data.loader import RelationPolicy
from scenograph.data.picture_book.source import region_names
from scenograph.errors import UserError, suggest, validate
from scenograph.evaluation.crops import Rounding
from scenograph.evaluation.metrics import METRICS, metric_class
from scenograph.pipelines.options import GenerateOptions

Given = Literal["graph", "boxes", "masks", "sketches"]
TOLD: dict[str, str] = {
    "graph": "scene graphs",
    "boxes": "true boxes",
    "masks": "true boxes and masks",
    "sketches": "true boxes and sketches",
}
"""What models are given, for messages."""
FileForm = Literal["png", "jpeg", "stretched-jpeg"]


def _known(name: str) -> str:
    if name not in METRICS:
        *others, last = map(repr, METRICS)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
    return name


MetricName = Annotated[str, AfterValidator(_known)]
"""A name in the registry of metrics."""

REASONS: dict[str, str] = {
    name: str(option.json_schema_extra["reason"])
    for name, option in GenerateOptions.model_fields.items()
    if isinstance(option.json_schema_extra, dict)
}
"""The options of generation that are settings of a protocol, and why each matters."""
LATER = (REASONS.keys() - {"candidates", "truncation"}) | {"smallest_side", "regions"}
"""Settings that the first protocols did not have."""
OF_THE_MODEL = GenerateOptions.model_fields.keys() - REASONS.keys()
"""The others, which belong to the model that is measured."""


class Protocol(GenerateOptions):
    """Everything that moves a number, apart from the model and the data."""

    name: str
    version: int = 1
    about: str
    metrics: tuple[MetricName, ...]
    splits: tuple[str, ...]
    """Of the pack, one after the other."""
    layouts: PositiveInt | None = None
    """The first so many scenes; None takes all."""
    expected: int | None = None
    """How many the published evaluation has."""
    repeats: PositiveInt = 1
    given: Given
    """What the model is given: the graph alone, the true boxes, boxes and masks, or boxes and sketches."""
    relations: RelationPolicy = "stored"
    rounding: Literal["nearest", "down"] = "nearest"
    """How the model's numbers become bytes."""
    file_form: FileForm = "png"
    """How pictures are saved, and read again, before they are measured."""
    reference_filter: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    """How real pictures are brought to the size of the generated ones."""
    encoder: Literal["inception", "dinov2", "classifier"]
    inception_splits: PositiveInt = 5
    crop_size: PositiveInt = 224
    smallest_side: float = Field(default=0.1, ge=0, lt=1)
    """Objects whose longer side is a smaller fraction of the picture do not count in agreement."""
    regions: tuple[str, ...] = ()
    """Categories that no thing has: agreement counts things and regions apart, too."""
    generated_corners: Rounding = "down"
    real_corners: Rounding = "up"
    lpips: Literal["alex", "vgg"] = "alex"
    classification_network: Literal["resnet-110", "resnet-101", "resnet-20"] = "resnet-110"
    classification_epochs: PositiveInt = 160

    @model_validator(mode="after")
    def _can_refine(self) -> Self:
        if self.refine and self.given != "graph":
            raise ValueError(f"refine moves boxes that models place, of which given={self.given} leaves none")
        for name in self.metrics if self.refine else ():
            if unrefined := metric_class(name).unrefined:
                raise ValueError(f"refine: {unrefined}; choose other --metrics")
        return self

    @property
    def fingerprint(self) -> str:
        """Twelve characters that differ whenever anything that moves a number does."""
        settings = self.settings()
        # What was measured before a setting existed stays comparable with what has its default.
        for name in LATER:
            if getattr(self, name) == type(self).model_fields[name].default:
                del settings[name]
        content = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def settings(self) -> dict[str, Any]:
        """What moves numbers: all but names, words, and the choice of metrics."""
        return self.model_dump(mode="json", exclude={"name", "version", "about", "metrics", "expected", *OF_THE_MODEL})

    def recorded(self) -> dict[str, Any]:
        """The whole protocol, as reports hold it."""
        return self.model_dump(mode="json", exclude=set(OF_THE_MODEL))

    def generation(self) -> dict[str, Any]:
        """The options of generation that it fixes, by name."""
        return {name: getattr(self, name) for name in REASONS}


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="lama-coco",
            about="LAMA's on COCO, which later papers follow: 3,097 layouts of val2017, five pictures each, PNG; "
            "FID and Inception Score at the model's own size; SceneFID on crops of 224 pixels.",
            metrics=("quality", "objects", "diversity"),
            splits=("validation",),
            expected=3097,
            repeats=5,
            given="boxes",
            rounding="down",
            encoder="inception",
        ),
        Protocol(
            name="lostgan-coco",
            about="LostGAN's on COCO: as lama-coco, but every picture is stretched to full contrast and saved as JPEG, "
            "which alone moved its FID from 30.7 to 24.8.",
            metrics=("quality", "diversity"),
            splits=("validation",),
            expected=3097,
            repeats=5,
            given="boxes",
            file_form="stretched-jpeg",
            encoder="inception",
        ),
        Protocol(
            name="ldm-2048",
            about="Latent diffusion's on COCO layouts: the first 2,048 of sg2im's test part, one picture each.",
            metrics=("quality",),
            splits=("test",),
            layouts=2048,
            expected=2048,
            given="boxes",
            encoder="inception",
        ),
        Protocol(
            name="sg2im",
            version=2,
            about="sg2im's: pictures from graphs alone, test part; Inception Score in ten splits, overlap with true "
            "boxes.",
            metrics=("quality", "layout"),
            splits=("test",),
            given="graph",
            relations="sg2im",
            candidates=1,
            encoder="inception",
            inception_splits=10,
        ),
        Protocol(
            name="sg2im-vg",
            version=2,
            about="The same for Visual Genome, whose graphs are its own.",
            metrics=("quality", "layout"),
            splits=("test",),
            given="graph",
            candidates=1,
            encoder="inception",
            inception_splits=10,
        ),
        Protocol(
            name="wsgc",
            version=2,
            about="Canonical Sg2Im's of layouts, without pictures: 1,024 scenes of the test part, their own relations "
            "and the fewest that tell where all objects are, one layout each; overlap with true boxes. Needs no "
            "download.",
            metrics=("layout",),
            splits=("test",),
            layouts=1024,
            expected=1024,
            given="graph",
            relations="canonical",
            candidates=1,
            encoder="inception",
        ),
        Protocol(
            name="pastegan",
            about="PasteGAN's, without its leak: pictures from graphs and from crops sampled among the ten that suit "
            "an object best, none of them from the scene's own picture; two pictures per scene. Inception Score in "
            "three splits, FID, LPIPS between the two, overlap with true boxes.",
            metrics=("quality", "diversity", "layout"),
            splits=("validation",),
            repeats=2,
            given="graph",
            candidates=1,
            temperature=100.0,
            rounding="down",
            encoder="inception",
            inception_splits=3,
        ),
        Protocol(
            name="rendered",
            about="For data with a classifier of its own, rendered scenes above all; needs no download. What the "
            "classifier recognises, whether relations hold, distances in its features, obedience probes.",
            metrics=("agreement", "layout", "quality", "objects", "probes", "robustness"),
            splits=("validation",),
            layouts=400,
            given="graph",
            relations="subset",
            encoder="classifier",
            crop_size=64,
        ),
        Protocol(
            name="picture-book",
            about="For picture-book scenes; needs no download. As rendered, but objects count from an eighth of the "
            "picture on, things and regions of the backdrop also apart, and training pictures must not be copied.",
            metrics=("agreement", "layout", "quality", "objects", "copies", "probes", "robustness"),
            splits=("validation",),
            layouts=400,
            given="graph",
            relations="subset",
            smallest_side=0.125,
            regions=region_names(),
            encoder="classifier",
            crop_size=64,
        ),
    )
}

EXPLANATIONS = {
    "splits": "other pictures are compared with",
    "layouts": "FID falls with the number of pictures",
    "repeats": "FID falls with the number of pictures, and the same layouts count several times",
    "given": "a model that is told boxes, masks or sketches has less to decide",
    "relations": "other graphs are asked for",
    **REASONS,
    "rounding": "bytes differ by one",
    "file_form": "JPEG and stretched contrast move FID by several points",
    "reference_filter": "real pictures look sharper or softer after another filter",
    "encoder": "distances in features of different networks have different scales",
    "inception_splits": "the score rises with the number of splits",
    "crop_size": "crops of another size have other features",
    "smallest_side": "small objects are harder to recognise",
    "regions": "other objects count as things",
    "generated_corners": "crops shift by a pixel",
    "real_corners": "crops shift by a pixel",
    "lpips": "LPIPS over VGG is larger than over AlexNet",
    "classification_network": "another network learns more or less from the same crops",
    "classification_epochs": "longer training recognises more",
}
"""Why each setting matters, for those who would compare across it."""


def find_protocol(name: str, changes: Mapping[str, object]) -> Protocol:
    """A protocol by name, with settings changed.

    Args:
        name: Of one that ``scenograph evaluate protocols`` lists.
        changes: Settings by name; None changes nothing.

    Returns:
        The protocol, called ``name (changed)`` if a change moves a number.

    Raises:
        UserError: There is no such protocol or setting, or a value is wrong.
    """
    if name not in PROTOCOLS:
        raise UserError(f"no protocol {name!r} {suggest(name, PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    real = {key: value for key, value in changes.items() if value is not None}
    fixed = sorted(set(real) - {*protocol.settings(), "metrics"})
    if fixed:
        raise UserError(f"protocol: no setting {fixed[0]!r} {suggest(fixed[0], protocol.settings())}")
    changed = validate(Protocol, protocol.recorded() | real, "protocol")
    moved = changed.settings() != protocol.settings()
    return changed.model_copy(update={"name": f"{name} (changed)"}) if moved else changed


def default_protocol(source: str, places: bool = False, layout_alone: bool = False) -> str:
    """The protocol for data of a source, by the name in its pack's record.

    Args:
        source: The name.
        places: Whether a model is measured that places objects, which must then be given graphs.
        layout_alone: Whether only a layout model is measured.
    """
    if source.startswith(("COCO", "Visual Genome")) and layout_alone:
        return "wsgc"
    known = {
        "COCO": "sg2im" if places else "lama-coco",
        "Visual Genome": "sg2im-vg",
        "picture-book": "picture-book",
    }
    return next((name for start, name in known.items() if source.startswith(start)), "rendered")

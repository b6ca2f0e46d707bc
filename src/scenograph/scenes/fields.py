"""The fields of an object, each with its forms in JSON, in packs and in batches: the one codec for all of them.

A new field is a subclass of :class:`Field` in :data:`FIELDS` and an attribute of ``SceneObject``; if models see it, an
attribute of ``SceneBatch``, too.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np

from scenograph.errors import UserError, check_text, shortened
from scenograph.scenes.geometry import MIRRORED
from scenograph.scenes.masks import bounded_mask, decode_bits, decode_mask, encode_bits, encode_mask, resize_mask
from scenograph.scenes.png import decode_png, encode_png, png_from_text, png_to_text, scaled
from scenograph.scenes.sketch import Sketch

if TYPE_CHECKING:
    from torch import Tensor

    from scenograph.scenes.vocabulary import Vocabulary

Value = TypeVar("Value")
Box = tuple[float, float, float, float]
ObjectSeed = int | tuple[int, int] | tuple[int, int, float]
"""A seed; the seed of a picture and the number of an object in it, whose looks are meant; or two seeds and the way from
the first to the second."""
LARGEST_OBJECT_SEED = 999_999_999
CANVAS: Box = (0.0, 0.0, 1.0, 1.0)
BOX_DECIMALS = 5
"""Decimals of boxes that are made here, so that files hold them exactly and shortly; given boxes stay as they are."""


class Sizes(NamedTuple):
    """Sides in pixels of what objects have in a batch. Sketches and crops are left out of it without one."""

    mask: int = 16
    sketch: int | None = None
    crop: int | None = None


class Field(ABC, Generic[Value]):
    """One field: its name and its forms. Methods get values that are there, :meth:`encode` also missing ones."""

    name: ClassVar[str]
    """In JSON, and the attribute of ``SceneObject``."""
    column: ClassVar[str]
    """In packs. Older packs may lack it."""
    cell: ClassVar[Literal["string", "binary", "list<string>", "list<float32>", "list<float64>"]]
    """What a pack holds for one object, empty where the object lacks the field."""
    missing: Any = None
    """What an object without the field has."""
    tensors: ClassVar[tuple[str, ...]] = ()
    """Its attributes of ``SceneBatch``."""

    def is_given(self, value: Value | None) -> bool:
        """Whether an object has the field."""
        return value is not None

    @abstractmethod
    def from_json(self, value: object, where: str) -> Value:
        """The value. Raises ``UserError``, which begins with ``where``, for one of the wrong form."""

    @abstractmethod
    def to_json(self, value: Value) -> Any:
        """What :meth:`from_json` reads."""

    def to_cell(self, value: Value, size: int | None) -> Any:
        """What a pack holds; ``size`` bounds the longer side of pictures."""
        return self.to_json(value)

    @abstractmethod
    def from_cell(self, cell: Any, sizes: Sizes | None) -> Value:
        """What :meth:`to_cell` wrote, as stored or at the sizes of a batch. Raises ``UserError`` if it is damaged."""

    def mirrored(self, value: Value) -> Value:
        """The value when left and right are exchanged."""
        return value

    def cut(self, value: Value, part: Box) -> Value | None:
        """The value of the part of an object that lies in ``part`` of its box; None if nothing of it is left."""
        return value

    def encode(self, values: Sequence[Value], vocabulary: Vocabulary, sizes: Sizes) -> tuple[np.ndarray, ...]:
        """Arrays (O, ...) for :attr:`tensors`, small enough to travel between processes; none where not asked for."""
        return ()

    def to_tensor(self, name: str, array: np.ndarray) -> Tensor:
        """One of the arrays as the batch has it."""
        import torch  # takes seconds to import, which commands that only read scenes do not wait for

        return torch.from_numpy(array)


class CategoryField(Field[str]):
    """What the object is. Every object has one."""

    name, column, cell, tensors = "category", "categories", "string", ("objects",)

    def from_json(self, value: object, where: str) -> str:
        """A name."""
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{where}: expected a name, found {shortened(value)}")
        return check_text(value, where)

    def to_json(self, value: str) -> str:
        """The name."""
        return value

    def from_cell(self, cell: str, sizes: Sizes | None) -> str:
        """The name."""
        return cell

    def encode(self, values: Sequence[str], vocabulary: Vocabulary, sizes: Sizes) -> tuple[np.ndarray, ...]:
        """Indices (O,) int64."""
        return (np.array([vocabulary.category_index[value] for value in values], dtype=np.int64),)


class AttributesField(Field[tuple[str, ...]]):
    """What the object is like."""

    name, column, cell, tensors = "attributes", "attributes", "list<string>", ("attributes",)
    missing: tuple[str, ...] = ()

    def is_given(self, value: tuple[str, ...] | None) -> bool:
        """Whether there are any."""
        return bool(value)

    def from_json(self, value: object, where: str) -> tuple[str, ...]:
        """A list of names."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UserError(f"{where}: expected a list of names, found {shortened(value)}")
        return tuple(check_text(item, f"{where}[{number}]") for number, item in enumerate(value))

    def to_json(self, value: tuple[str, ...]) -> list[str]:
        """A list."""
        return list(value)

    def from_cell(self, cell: list[str], sizes: Sizes | None) -> tuple[str, ...]:
        """The list as a tuple."""
        return tuple(cell)

    def mirrored(self, value: tuple[str, ...]) -> tuple[str, ...]:
        """Left and right exchanged in names."""
        return tuple(MIRRORED.get(name, name) for name in value)

    def encode(self, values: Sequence[tuple[str, ...]], vocabulary: Vocabulary, sizes: Sizes) -> tuple[np.ndarray, ...]:
        """(O, G) int64, one index per attribute group, -1 if open."""
        found = np.full((len(values), len(vocabulary.attributes)), -1)
        for row, names in enumerate(values):
            for name in names:
                group, index = vocabulary.attribute_index[name]
                found[row, group] = index
        return (found,)


class BoxField(Field[Box]):
    """Where the object is, in fractions of the canvas."""

    name, column, cell, tensors = "box", "boxes", "list<float32>", ("boxes",)

    def from_json(self, value: object, where: str) -> Box:
        """As :func:`parse_box`."""
        return parse_box(value, where)

    def to_json(self, value: Box) -> list[float]:
        """A list of four numbers."""
        return list(value)

    def from_cell(self, cell: list[float], sizes: Sizes | None) -> Box:
        """Four numbers."""
        x0, y0, x1, y1 = cell
        return x0, y0, x1, y1

    def mirrored(self, value: Box) -> Box:
        """Counted from the right."""
        return 1 - value[2], value[1], 1 - value[0], value[3]

    def encode(self, values: Sequence[Box | None], vocabulary: Vocabulary, sizes: Sizes) -> tuple[np.ndarray, ...]:
        """(O, 4) float32, NaN where there is none."""
        return (np.array([value or (np.nan,) * 4 for value in values], dtype=np.float32),)


class MaskField(Field[np.ndarray]):
    """The object's shape, (h, w) bool, relative to its box."""

    name, column, cell, tensors = "mask", "masks", "binary", ("masks", "known_masks")

    def from_json(self, value: object, where: str) -> np.ndarray:
        """COCO's uncompressed run lengths."""
        return decode_mask(value, where)

    def to_json(self, value: np.ndarray) -> dict[str, list[int]]:
        """COCO's uncompressed run lengths."""
        return encode_mask(value)

    def to_cell(self, value: np.ndarray, size: int | None) -> bytes:
        """Deflated bits."""
        return encode_bits(bounded_mask(value, size))

    def from_cell(self, cell: bytes, sizes: Sizes | None) -> np.ndarray:
        """Deflated bits."""
        return decode_bits(cell, sizes and sizes.mask)

    def mirrored(self, value: np.ndarray) -> np.ndarray:
        """The columns reversed."""
        return value[:, ::-1]

    def cut(self, value: np.ndarray, part: Box) -> np.ndarray | None:
        """The pixels of the part; None if nothing is set in them."""
        kept = _pixels_of(value, part)
        return kept if kept.any() else None

    def encode(
        self, values: Sequence[np.ndarray | None], vocabulary: Vocabulary, sizes: Sizes
    ) -> tuple[np.ndarray, ...]:
        """(O, M, M) bool, the whole box where it is not known, and (O,) bool: whether it is known."""
        whole = np.ones((sizes.mask, sizes.mask), bool)
        masks = [whole if value is None else resize_mask(value, sizes.mask) for value in values]
        return np.array(masks), np.array([value is not None for value in values])

    def to_tensor(self, name: str, array: np.ndarray) -> Tensor:
        """Masks become float32."""
        tensor = super().to_tensor(name, array)
        return tensor.float() if name == "masks" else tensor


class SketchField(Field[Sketch]):
    """How someone sketched the object, relative to its box."""

    name, column, cell, tensors = "sketch", "sketches", "binary", ("sketches",)

    def from_json(self, value: object, where: str) -> Sketch:
        """Strokes, or a picture."""
        return Sketch.from_dict(value, where)

    def to_json(self, value: Sketch) -> dict[str, Any]:
        """Strokes, or a picture."""
        return value.to_dict()

    def to_cell(self, value: Sketch, size: int | None) -> bytes:
        """A PNG, or strokes as JSON."""
        return value.to_bytes()

    def from_cell(self, cell: bytes, sizes: Sizes | None) -> Sketch:
        """A PNG, or strokes as JSON."""
        return Sketch.from_bytes(cell)

    def mirrored(self, value: Sketch) -> Sketch:
        """Drawn by the other hand."""
        return value.mirrored()

    def cut(self, value: Sketch, part: Box) -> Sketch | None:
        """Nothing: a part of a sketch is no sketch."""
        return None

    def encode(self, values: Sequence[Sketch | None], vocabulary: Vocabulary, sizes: Sizes) -> tuple[np.ndarray, ...]:
        """(O, S, S) float32 in [0, 1], ink 0; all paper where there is none."""
        side = sizes.sketch
        if side is None:
            return ()
        paper = np.ones((side, side), dtype=np.float32)
        return (np.stack([paper if value is None else value.rasterise(side, side) for value in values]),)


class SeedField(Field[ObjectSeed]):
    """What fixes the object's looks. In a batch that is a latent, whose size depends on the model."""

    name, column, cell = "seed", "seeds", "list<float64>"

    def from_json(self, value: object, where: str) -> ObjectSeed:
        """As :func:`parse_object_seed`."""
        return parse_object_seed(value, where)

    def to_json(self, value: ObjectSeed) -> int | list[float]:
        """A number, or a list of two or three."""
        return value if isinstance(value, int) else list(value)

    def to_cell(self, value: ObjectSeed, size: int | None) -> list[float]:
        """One to three numbers; seeds are small enough for float64 to hold them exactly."""
        return [float(value)] if isinstance(value, int) else [*map(float, value)]

    def from_cell(self, cell: list[float], sizes: Sizes | None) -> ObjectSeed:
        """As above."""
        if len(cell) == 1:
            return int(cell[0])
        return (int(cell[0]), int(cell[1])) if len(cell) == 2 else (int(cell[0]), int(cell[1]), cell[2])


class CropField(Field[np.ndarray]):
    """The object's own pixels, (h, w, 4) uint8: red, green, blue, alpha. They fill its box."""

    name, column, cell, tensors = "crop", "crops", "binary", ("crops",)

    def from_json(self, value: object, where: str) -> np.ndarray:
        """``{"png": base64}``."""
        if not isinstance(value, dict) or set(value) != {"png"}:
            raise UserError(f"{where}: expected {{'png': base64}}, found {shortened(value)}")
        return png_from_text(value["png"], "RGBA", f"{where}.png")

    def to_json(self, value: np.ndarray) -> dict[str, str]:
        """``{"png": base64}``."""
        return {"png": png_to_text(value)}

    def to_cell(self, value: np.ndarray, size: int | None) -> bytes:
        """A PNG."""
        longer = max(value.shape[:2])
        if size is None or longer <= size:
            return encode_png(value)
        height, width = (max(round(side * size / longer), 1) for side in value.shape[:2])
        return encode_png(_resized(value, height, width))

    def from_cell(self, cell: bytes, sizes: Sizes | None) -> np.ndarray:
        """A PNG."""
        crop = decode_png(cell, "RGBA", "crop")
        return crop if sizes is None or sizes.crop is None else _resized(crop, sizes.crop, sizes.crop)

    def mirrored(self, value: np.ndarray) -> np.ndarray:
        """The columns reversed."""
        return value[:, ::-1]

    def cut(self, value: np.ndarray, part: Box) -> np.ndarray | None:
        """The pixels of the part."""
        return _pixels_of(value, part)

    def encode(
        self, values: Sequence[np.ndarray | None], vocabulary: Vocabulary, sizes: Sizes
    ) -> tuple[np.ndarray, ...]:
        """(O, 4, S, S) uint8, transparent black where there is none."""
        side = sizes.crop
        if side is None:
            return ()
        nothing = np.zeros((side, side, 4), dtype=np.uint8)
        crops = np.stack([nothing if value is None else _resized(value, side, side) for value in values])
        return (np.ascontiguousarray(crops.transpose(0, 3, 1, 2)),)  # (O, S, S, 4) -> (O, 4, S, S)

    def to_tensor(self, name: str, array: np.ndarray) -> Tensor:
        """float32 in [-1, 1], alpha too."""
        return super().to_tensor(name, array).float().div_(127.5).sub_(1)


class OriginField(Field[str]):
    """Where the object's pixels come from: a picture or a drawing, its author and licence."""

    name, column, cell = "origin", "origins", "string"

    def from_json(self, value: object, where: str) -> str:
        """A text."""
        if not isinstance(value, str):
            raise UserError(f"{where}: expected a text, found {shortened(value)}")
        return value

    def to_json(self, value: str) -> str:
        """The text."""
        return value

    def from_cell(self, cell: str, sizes: Sizes | None) -> str:
        """The text."""
        return cell


FIELDS: tuple[Field[Any], ...] = (
    CategoryField(),
    AttributesField(),
    BoxField(),
    MaskField(),
    SketchField(),
    SeedField(),
    CropField(),
    OriginField(),
)
"""Every field of an object, in the order of messages and files."""


def parse_box(value: object, where: str) -> Box:
    """Four finite numbers ``x0 < x1``, ``y0 < y1``, at least partly on the canvas. Raises ``UserError`` for others."""
    numbers = value if isinstance(value, list | tuple) else []
    if len(numbers) != 4 or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise UserError(f"{where}: expected [x0, y0, x1, y1], found {shortened(value)}")
    try:
        x0, y0, x1, y1 = (float(number) for number in numbers)
    except OverflowError:
        raise UserError(
            f"{where}: holds a number of more than 300 digits; coordinates are fractions from 0 to 1"
        ) from None
    shown = f"[{x0:g}, {y0:g}, {x1:g}, {y1:g}]"
    if not all(math.isfinite(number) for number in (x0, y0, x1, y1)):
        raise UserError(f"{where}: {shown} holds a number that is not finite")
    if x1 <= x0 or y1 <= y0:
        raise UserError(f"{where}: {shown} is empty or inverted; need x0 < x1 and y0 < y1")
    if x1 <= 0 or y1 <= 0 or x0 >= 1 or y0 >= 1:
        raise UserError(f"{where}: {shown} lies outside the canvas; coordinates are fractions from 0 to 1")
    if max(abs(x0), abs(y0), abs(x1), abs(y1)) > 4:
        raise UserError(f"{where}: {shown} is not in fractions of the canvas; divide pixels by its width and height")
    return (x0, y0, x1, y1)


def parse_object_seed(value: object, where: str) -> ObjectSeed:
    """A whole number, two, or two and a share between them from 0 to 1. Raises ``UserError`` for anything else."""
    numbers = value if isinstance(value, list) else [value]
    whole = [n for n in numbers[:2] if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= LARGEST_OBJECT_SEED]
    if len(numbers) == len(whole) == 1:
        return whole[0]
    if len(numbers) == len(whole) == 2:
        return (whole[0], whole[1])
    if len(numbers) == 3 and len(whole) == 2:
        share = numbers[2]
        if isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1:
            return (whole[0], whole[1], float(share))
    raise UserError(
        f"{where}: expected a seed such as 7, two and a share such as [7, 9, 0.5], or a picture's and an object's "
        f"number there, such as [7, 2]; found {shortened(value)}"
    )


def looks_of(own: ObjectSeed | None, seed: int, number: int) -> ObjectSeed:
    """What decides the looks of an object: its own seed, or else the picture's and its number."""
    return (seed, number) if own is None else own


def choice_of(own: ObjectSeed | None, seed: int, number: int) -> int | tuple[int, int]:
    """As :func:`looks_of`, where looks are chosen, so that nothing lies between two seeds: the first of them."""
    looks = looks_of(own, seed, number)
    return looks if isinstance(looks, int) or len(looks) == 2 else looks[0]


def _pixels_of(pixels: np.ndarray, part: Box) -> np.ndarray:
    """A part of pixels (h, w, ...), each of its pixels the nearest one, at the same size."""
    x0, y0, x1, y1 = part
    rows, columns = _nearest(y0, y1, pixels.shape[0]), _nearest(x0, x1, pixels.shape[1])
    return pixels[np.ix_(rows, columns)]


def _nearest(start: float, end: float, count: int) -> np.ndarray:
    """Of ``count`` pixels over [0, 1] the nearest to ``count`` places evenly over [start, end]."""
    places = start + (np.arange(count) + 0.5) / count * (end - start)
    return np.minimum((places * count).astype(int), count - 1)


def _resized(crop: np.ndarray, height: int, width: int) -> np.ndarray:
    """A crop (h, w, 4) at another size, colours weighted by their alpha, so that what is hidden does not bleed in."""
    if crop.shape[:2] == (height, width):
        return crop
    return np.asarray(scaled(crop, height, width).convert("RGBA"))

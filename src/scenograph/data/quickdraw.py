"""Quick, Draw! (Google, CC BY 4.0): single sketches in every form they are published in.

``--root`` holds files named by class: ``<class>.ndjson`` (simplified or raw), ``<class>.bin``, sketch-rnn's
``<class>.npz`` (stroke-3, with its own splits) or ``<class>.npy`` (28 x 28 bitmaps); subfolders are searched too.
A drawing becomes a scene of one object with its sketch, and a picture of it.
"""

from __future__ import annotations

import codecs
import io
import json
import re
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field

from scenograph.data.pickles import read_object_arrays
from scenograph.data.pictures import files_in
from scenograph.data.records import Reasons, Skip
from scenograph.data.source import Options, Plan, Progress, Sample, Source, set_aside
from scenograph.errors import UserError, reason, suggest
from scenograph.files import GZIP, not_utf8, parse_json
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.sketch import Sketch, sketch_from_points
from scenograph.scenes.vocabulary import Vocabulary

SUFFIXES = (".ndjson", ".bin", ".npz", ".npy")
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")

RECOGNIZED = re.compile(rb'"recognized"\s*:\s*"?(\w*)')
WORD = re.compile(rb'"word"\s*:\s*("(?:[^"\\]|\\.)*")')
"""Fields of a line, found without decoding it: raw drawings are long, and of most files a part is packed."""

DAMAGED = "drawing is damaged or empty"

COCO_SYNONYMS = {
    "alarm clock": "clock", "ambulance": "truck", "asparagus": "vegetable", "barn": "house", "baseball": "sports ball",
    "basketball": "sports ball", "birthday cake": "cake", "blackberry": "fruit", "blueberry": "fruit",
    "bowtie": "tie", "bread": "food-other", "bulldozer": "truck", "canoe": "boat", "castle": "building-other",
    "ceiling fan": "ceiling-other", "church": "building-other", "cloud": "clouds", "coffee cup": "cup",
    "computer": "laptop", "cruise ship": "boat", "door": "door-stuff", "dresser": "cabinet", "firetruck": "truck",
    "floor lamp": "light", "grapes": "fruit", "hamburger": "sandwich", "hospital": "building-other",
    "hot tub": "furniture-other", "house plant": "potted plant", "lantern": "light", "leaf": "leaves",
    "light bulb": "light", "motorbike": "motorcycle", "mug": "cup", "mushroom": "vegetable", "ocean": "sea",
    "onion": "vegetable", "palm tree": "tree", "peas": "vegetable", "pear": "fruit", "pickup truck": "truck",
    "pineapple": "fruit", "police car": "car", "pool": "water-other", "potato": "vegetable", "purse": "handbag",
    "remote control": "remote", "sailboat": "boat", "school bus": "bus", "soccer ball": "sports ball",
    "speedboat": "boat", "stove": "oven", "strawberry": "fruit", "string bean": "vegetable", "table": "dining table",
    "teddy-bear": "teddy bear", "television": "tv", "tennis racquet": "tennis racket", "van": "truck",
    "watermelon": "fruit", "wine bottle": "bottle", "wristwatch": "clock", "yoga": "person",
}  # fmt: skip
"""Quick, Draw! classes that another COCO-Stuff class name covers; classes of the same name need no entry."""

BITMAP = 28
"""Side of the pictures in .npy files."""

BIN_HEADER = struct.Struct("<Q2sbIH")
"""Key, country, recognized, timestamp, number of strokes."""


class QuickDrawOptions(Options):
    """Which drawings are kept."""

    classes: tuple[str, ...] | None = Field(None, description="only these classes")
    per_class: int | None = Field(None, ge=1, description="only the first drawings of each class")
    recognized: bool = Field(True, description="only drawings that Google's game recognized")
    side: int = Field(128, ge=16, le=2048, description="side of the drawn pictures in pixels")
    raster: Literal["smooth", "scene-designer"] = Field(
        "smooth", description="how they are drawn; scene-designer: as its training data (side=96), kept as the sketches"
    )
    validation_count: int = Field(0, ge=0, description="drawings to set aside, where the files have no splits")


class QuickDraw(Source):
    """Sketches of one object, with strokes where the file has them."""

    title = "Quick, Draw!"
    options_type = QuickDrawOptions

    def inputs(self) -> list[Path]:  # noqa: D102
        return class_files(self.root, self.options.classes)

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        dropped = Reasons()
        splits: dict[str, list[tuple[str, str, int]]] = {}
        categories: dict[str, None] = {}  # of the files that hold a drawing, in order
        for path in _compressed_files(self.root):
            dropped.note("file of drawings is compressed: unpack it", str(path.relative_to(self.root)))
        for number, path in enumerate(self.inputs(), start=1):
            counts: Counter[str] = Counter()
            for split, row, recognized in rows_of(path, dropped):
                categories[class_of(path)] = None
                if self.options.per_class is not None and counts[split] >= self.options.per_class:
                    continue
                if self.options.recognized and not recognized:
                    dropped["drawing was not recognized"] += 1
                    continue
                counts[split] += 1
                splits.setdefault(split, []).append((str(path), split, row))
            progress("reading classes", number)
        if self.options.validation_count:
            splits |= set_aside(splits.get("train", []), self.options.validation_count, str(self.root))
        return Plan(Vocabulary(tuple(categories), ()), splits, dropped)

    def read(self, item: tuple[str, str, int]) -> Sample:  # noqa: D102
        path, split, row = Path(item[0]), item[1], item[2]
        remarks: list[str] = []
        side = self.options.side
        try:
            if self.options.raster == "scene-designer":
                pixels = _inked(rasterise_stroke3(_read_stroke3(path, split, row, remarks), side))
                sketch = Sketch(picture=pixels)
            else:
                sketch = read_drawing(path, split, row, remarks)
                pixels = _inked(sketch.rasterise(side, side))
        except UserError as error:
            raise Skip(DAMAGED, str(error)) from None
        stream = io.BytesIO()
        Image.fromarray(pixels).convert("RGB").save(stream, "PNG")
        thing = SceneObject(class_of(path), (), (0.0, 0.0, 1.0, 1.0), sketch=sketch)
        name = f"{class_of(path)}-{path.suffix[1:]}-{split}-{row}"
        return Sample(name, Scene((thing,)), stream.getvalue(), remarks=tuple(remarks))


def class_files(root: Path, classes: Sequence[str] | None) -> list[Path]:
    """The drawing files under a folder, by class name. Raises ``UserError`` for a class without a file."""
    files = [path for path in files_in(root) if path.suffix in SUFFIXES]
    found = {class_of(path) for path in files}
    if not files:
        packed = "".join(f"; {path.name} is compressed: unpack it" for path in _compressed_files(root)[:1])
        raise UserError(f"{root}: no drawings ({', '.join('*' + suffix for suffix in SUFFIXES)}){packed}")
    for name in classes or ():
        if name not in found:
            raise UserError(f"classes={name}: no file for it in {root} {suggest(name, found)}")
    return [path for path in files if classes is None or class_of(path) in classes]


def _compressed_files(root: Path) -> list[Path]:
    """Files that would hold drawings, once unpacked."""
    return [path for path in files_in(root) if path.suffix in COMPRESSED and Path(path.stem).suffix in SUFFIXES]


def class_of(path: Path) -> str:
    """The class in a file's name: ``hot air balloon`` of ``full_simplified_hot air balloon.ndjson``."""
    name = path.name.removesuffix(path.suffix).removesuffix(".full")
    for prefix in ("full_simplified_", "full_raw_", "sketchrnn_", "full_binary_", "full_numpy_bitmap_"):
        name = name.removeprefix(prefix)
    return name.replace("_", " ")


def coco_class(name: str, coco_names: Sequence[str]) -> str | None:
    """The COCO-Stuff class of a Quick, Draw! class, or None: the same name, or a synonym of ours."""
    candidate = name if name in coco_names else COCO_SYNONYMS.get(name)
    return candidate if candidate in coco_names else None


def read_drawing(path: Path, split: str, row: int, remarks: list[str] | None = None) -> Sketch:
    """One drawing.

    Args:
        path: A file of :func:`class_files`.
        split: One that the file has.
        row: A byte offset in ndjson and bin files, an index in the others.
        remarks: Gets what is to be noted about it.

    Raises:
        UserError: It is damaged.
    """
    if path.suffix == ".npy":
        bitmap = _bitmaps(path)[0][row].reshape(BITMAP, BITMAP)
        return Sketch(picture=255 - np.asarray(bitmap, dtype=np.uint8))
    return sketch_from_points(read_strokes(path, split, row, remarks))


def read_strokes(path: Path, split: str, row: int, remarks: list[str] | None = None) -> list[np.ndarray]:
    """The strokes (n, 2) of one drawing, in the file's own units; arguments and errors as of :func:`read_drawing`.

    Bitmaps have none, which is an error.
    """
    if path.suffix == ".ndjson":
        with path.open("rb") as stream:
            stream.seek(row)
            line = stream.readline()
        if remarks is not None:
            remarks += _remarks_on(line, class_of(path))
        return strokes_of_line(line, f"{path}, byte {row}")[1]
    if path.suffix == ".bin":
        with path.open("rb") as stream:
            stream.seek(row)
            return _read_binary(stream)[1]
    if path.suffix == ".npy":
        raise UserError(f"{path}: bitmaps, which have no strokes; take a file that has, or raster=smooth")
    return strokes_of_stroke3(_stroke3(path)[0][split][row])


def strokes_of_stroke3(steps: np.ndarray) -> list[np.ndarray]:
    """sketch-rnn's (n, 3) rows of dx, dy, pen lifted after this point, as strokes (n, 2)."""
    positions = steps[:, :2].astype(np.float64).cumsum(0)
    return [stroke for stroke in np.split(positions, np.flatnonzero(steps[:, 2] > 0) + 1) if len(stroke)]


def _read_stroke3(path: Path, split: str, row: int, remarks: list[str]) -> np.ndarray:
    """One drawing in stroke-3: that of the file, or strokes as steps from their first point, which is the origin."""
    if path.suffix == ".npz":
        return _stroke3(path)[0][split][row]
    strokes = [stroke for stroke in read_strokes(path, split, row, remarks) if len(stroke)]
    if not strokes:
        raise UserError(f"{path}: a drawing without a point")
    points = np.concatenate(strokes).astype(np.float64)
    lifted = np.zeros((len(points), 1))
    lifted[np.cumsum([len(stroke) for stroke in strokes]) - 1] = 1
    return np.hstack([np.diff(points, axis=0, prepend=points[:1]), lifted])


def strokes_of_line(line: bytes, where: str) -> tuple[str | None, list[np.ndarray]]:
    """The word, if there is one, and the strokes (n, 2) of a line of an ndjson file, simplified or raw.

    Raises ``UserError``, which begins with ``where``, for what is no drawing.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not a drawing: {reason(error)}") from error
    value = parse_json(text, where)
    drawing = value.get("drawing") if isinstance(value, dict) else None
    if not isinstance(drawing, list):
        raise UserError(f'{where}: not a drawing: expected {{"word": ..., "drawing": [strokes]}}')
    strokes = [_stroke_of(one, f"{where}, drawing[{number}]") for number, one in enumerate(drawing)]
    word = value.get("word")
    return (word if isinstance(word, str) and word.strip() else None), strokes


def _stroke_of(value: object, where: str) -> np.ndarray:
    """Lists of x and y, and perhaps of times, as points (n, 2)."""
    try:
        points = np.array(value[:2] if isinstance(value, list) else value, dtype=np.float64).T
    except (ValueError, TypeError, OverflowError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"{where}: not a drawing: expected [[x, ...], [y, ...]], two lists of numbers of one length")
    return points


def rasterise_stroke3(steps: np.ndarray, side: int = 96) -> np.ndarray:
    """(n, 3) stroke-3 as (side, side) float32, paper 1 and ink 0, exactly as Scene Designer draws its training data.

    The drawing fills half the canvas, lines are two pixels wide and not smoothed, each drawing starts with a point
    at its origin, and what follows the last pen lift is lost (Ribeiro et al. 2021, data preparation).
    """
    moves = np.clip(steps[:, :2], -1000, 1000)
    bounds = np.concatenate([np.zeros((1, 2)), moves.cumsum(0, dtype=np.float64)])
    # Steps in single, positions in double precision: some coordinates lie on whole pixels, where it shows.
    longest = np.float32(max(*(bounds.max(0) - bounds.min(0)).tolist(), 1))
    scaled = moves.astype(np.float32) / longest * np.float32(side / 2)
    positions = np.concatenate([np.zeros((1, 2)), scaled.astype(np.float64).cumsum(0)])
    positions += (side - positions.max(0) - positions.min(0)) / 2
    ends = np.flatnonzero(steps[:, 2] == 1) + 2
    lines = np.split(positions, ends)[: len(ends)] if len(ends) else [positions]
    canvas = Image.new("F", (side, side), 1.0)
    pen = ImageDraw.Draw(canvas)
    for line in lines:
        pen.line([tuple(point) for point in line.tolist()], fill=0.0, width=2)
    return np.asarray(canvas, dtype=np.float32)


def _inked(drawn: np.ndarray) -> np.ndarray:
    """A drawing in [0, 1] as uint8."""
    return (drawn * 255).round().astype(np.uint8)


def rows_of(path: Path, left_out: Reasons) -> Iterator[tuple[str, int, bool]]:
    """(split, row for :func:`read_drawing`, recognized) of every drawing in a file, without decoding it.

    Of a file that was cut short these are the drawings before the cut. That it was, or is no such file, is noted.
    """
    try:
        yield from _rows_until_cut(path, left_out)
    except UserError as error:
        left_out.note("file of drawings is damaged or cut short: what is whole of it is read", str(error))


def _rows_until_cut(path: Path, left_out: Reasons) -> Iterator[tuple[str, int, bool]]:
    if path.suffix == ".ndjson":
        with path.open("rb") as stream:
            offset = len(codecs.BOM_UTF8) if stream.peek(3).startswith(codecs.BOM_UTF8) else 0
            if stream.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, GZIP):
                raise not_utf8(path)
            stream.seek(offset)
            for line in stream:
                text = line.strip()
                if text.startswith(b"{") and text.endswith(b"}"):
                    yield "train", offset, _recognized(line) is not False
                elif text:
                    left_out.note(DAMAGED, f"{path}, byte {offset}: not a JSON object on a line of its own")
                offset += len(line)
    elif path.suffix == ".bin":
        with path.open("rb") as stream:
            while stream.peek(1):
                offset = stream.tell()
                recognized, _ = _read_binary(stream)
                yield "train", offset, recognized
    elif path.suffix == ".npy":
        bitmaps, promised = _bitmaps(path)
        yield from (("train", row, True) for row in range(len(bitmaps)))
        if len(bitmaps) < promised:
            raise UserError(f"{path}: {len(bitmaps)} of {promised} drawings")
    else:
        drawings, damaged = _stroke3(path)
        for split, rows in drawings.items():
            yield from ((split, row, True) for row in range(len(rows)))
        if damaged:
            raise UserError(damaged)


def _recognized(line: bytes) -> bool | None:
    """What a line says of whether its drawing was recognized; None if it says nothing known."""
    found = RECOGNIZED.search(line)
    known = {b"true": True, b"1": True, b"false": False, b"0": False}
    return known.get(found[1].lower()) if found else None


def _remarks_on(line: bytes, category: str) -> list[str]:
    """What is to be noted about a drawing of a file of this class."""
    remarks = []
    word = WORD.search(line)
    own = json.loads(word[1]) if word else category
    if own.replace("_", " ") != category:
        remarks.append("drawing's own word is not the class in its file's name, which is taken")
    if RECOGNIZED.search(line) and _recognized(line) is None:
        remarks.append("drawing does not say true or false for recognized: it is kept")
    return remarks


def _bitmaps(path: Path) -> tuple[np.ndarray, int]:
    """The whole bitmaps (n, 784) in a file, and how many it promises."""
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, kind = read(stream)
            start = stream.tell()
        if kind != np.uint8 or by_columns or not shape or np.prod(shape[1:]) != BITMAP**2:
            raise ValueError(f"holds {kind} of shape {shape}")
        whole = min(shape[0], (path.stat().st_size - start) // BITMAP**2)
        empty = np.zeros((0, BITMAP**2), np.uint8)
        return (np.memmap(path, np.uint8, "r", start, (whole, BITMAP**2)) if whole else empty), shape[0]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not an array of bitmaps: {reason(error)}") from error


def _read_binary(stream: Any) -> tuple[bool, list[np.ndarray]]:
    """One record of Google's binary form: (recognized, strokes of (n, 2) bytes)."""
    header = stream.read(BIN_HEADER.size)
    try:
        _, _, recognized, _, count = BIN_HEADER.unpack(header)
        strokes = []
        for _ in range(count):
            (points,) = struct.unpack("<H", stream.read(2))
            values = np.frombuffer(stream.read(2 * points), dtype=np.uint8)
            strokes.append(values.reshape(2, points).T)
    except (struct.error, ValueError) as error:
        raise UserError(f"{stream.name}: truncated after byte {stream.tell()}") from error
    return recognized != 0, strokes


@lru_cache(maxsize=1)
def _stroke3(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """A sketch-rnn file's drawings by our split names, and what is wrong with the rest of it."""
    names = {"train": "train", "valid": "validation", "test": "test"}
    found: dict[str, np.ndarray] = {}
    try:
        for key, array in read_object_arrays(path):
            if key in names:
                found[names[key]] = array
    except UserError as error:
        return found, str(error)
    return found, "" if found else f"{path}: no array named train, valid or test; not a sketch-rnn file"

"""The packed form of every data set: a Hugging Face ``datasets`` directory, memory-mapped Arrow.

A pack is a folder with one Arrow data set per split and a ``vocabulary.json``. A row holds the encoded picture
(empty if there is none) and the scene as columns. Sources are converted once; training reads packs only.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenograph.errors import UserError
from scenograph.files import write_atomically
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

Source = Iterator[tuple[str, Path | None, Scene]]


def write_pack(
    folder: Path,
    splits: dict[str, Source],
    vocabulary: Vocabulary,
    progress: Callable[[int], None] = lambda done: None,
    size: int | None = None,
) -> dict[str, int]:
    """Convert sources into a pack; returns the number of scenes per split.

    ``size`` bounds the shorter side of stored pictures (they are never enlarged). The pack appears under
    ``folder`` complete or not at all. Raises ``UserError`` if ``folder`` exists.
    """
    import datasets

    if folder.exists():
        raise UserError(f"{folder} exists; delete it or choose another name")
    if not folder.parent.is_dir():
        raise UserError(f"cannot write {folder}: there is no folder {folder.parent}")
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    counts: dict[str, int] = {}
    try:
        for split, source in splits.items():
            first = next(source, None)
            if first is None:
                raise UserError(f"the source of split {split!r} holds no scene")
            rows = _counted(chain([first], source), size, progress)
            cache = temporary / "cache"
            table = datasets.Dataset.from_generator(
                _Rows(rows), features=_features(datasets), cache_dir=str(cache), keep_in_memory=False
            )
            table.save_to_disk(str(temporary / "pack" / split))
            counts[split] = len(table)
            shutil.rmtree(cache)
        write_atomically(temporary / "pack" / "vocabulary.json", vocabulary.to_json().encode())
        (temporary / "pack").rename(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    except datasets.exceptions.DatasetGenerationError as error:
        # What the source raised, a UserError where its files are to blame.
        raise (error.__cause__ or error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return counts


class Pack:
    """Random access to one split of a pack."""

    def __init__(self, folder: Path, split: str) -> None:
        import datasets

        if not (folder / "vocabulary.json").is_file():
            raise UserError(f"{folder} is not a pack; make one with: scenograph data pack")
        splits = sorted(child.name for child in folder.iterdir() if child.is_dir())
        if split not in splits:
            raise UserError(f"{folder}: no split {split!r} (it has: {', '.join(splits)})")
        self.vocabulary = Vocabulary.from_dict(json.loads((folder / "vocabulary.json").read_text()))
        self.table = datasets.load_from_disk(str(folder / split))

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> tuple[Scene, Image.Image | None]:
        row = self.table[index]
        image = Image.open(io.BytesIO(row["image"])) if row["image"] else None
        return row_to_scene(row), image


def row_to_scene(row: dict[str, Any]) -> Scene:
    """A pack's columns as a Scene."""
    objects = [
        SceneObject(
            category,
            tuple(attributes),
            tuple(box) if box else None,
            np.array(Image.open(io.BytesIO(mask))) > 0 if mask else None,
        )
        for category, attributes, box, mask in zip(
            row["categories"], row["attributes"], row["boxes"], row["masks"], strict=True
        )
    ]
    relations = [
        Relation(subject, predicate, target)
        for (subject, target), predicate in zip(row["relation_ends"], row["relation_predicates"], strict=True)
    ]
    return Scene(tuple(objects), tuple(relations))


class _Rows:
    """A generator function for ``datasets``, which insists on hashing what it calls; this hashes to itself."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self.rows = rows

    def __call__(self) -> Iterator[dict[str, Any]]:
        return self.rows

    def __reduce__(self) -> tuple[Any, ...]:
        return (str, (f"rows-{id(self.rows)}",))


def _counted(
    source: Iterable[tuple[str, Path | None, Scene]], size: int | None, progress: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    for done, (identifier, picture, scene) in enumerate(source, start=1):
        yield _row(identifier, picture, scene, size)
        progress(done)


def _row(identifier: str, picture: Path | None, scene: Scene, size: int | None) -> dict[str, Any]:
    return {
        "id": identifier,
        "image": _encode_picture(picture, size) if picture else b"",
        "categories": [thing.category for thing in scene.objects],
        "attributes": [list(thing.attributes) for thing in scene.objects],
        "boxes": [list(thing.box) if thing.box else [] for thing in scene.objects],
        "masks": [b"" if thing.mask is None else _encode_mask(thing.mask) for thing in scene.objects],
        "relation_ends": [[relation.subject, relation.object] for relation in scene.relations],
        "relation_predicates": [relation.predicate for relation in scene.relations],
    }


def _encode_picture(path: Path, size: int | None) -> bytes:
    """The file's own bytes, or, when it is larger than ``size``, a smaller PNG."""
    try:
        with Image.open(path) as image:
            if size is None or min(image.size) <= size:
                return path.read_bytes()
            scale = size / min(image.size)
            smaller = image.convert("RGB").resize(
                (round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC
            )
    except OSError as error:
        raise UserError(f"cannot read picture {path}: {error}") from error
    stream = io.BytesIO()
    smaller.save(stream, "PNG")
    return stream.getvalue()


def _encode_mask(mask: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(bool)).save(stream, "PNG", optimize=False)
    return stream.getvalue()


def _features(datasets: Any) -> Any:
    text, number = datasets.Value("string"), datasets.Value("float32")
    return datasets.Features(
        {
            "id": text,
            "image": datasets.Value("binary"),
            "categories": datasets.List(text),
            "attributes": datasets.List(datasets.List(text)),
            "boxes": datasets.List(datasets.List(number)),
            "masks": datasets.List(datasets.Value("binary")),
            "relation_ends": datasets.List(datasets.List(datasets.Value("int32"))),
            "relation_predicates": datasets.List(text),
        }
    )

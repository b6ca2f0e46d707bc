"""Where a picture comes from: the record in each PNG, what is already there, and the request that makes it again.

A record holds the scene, the seed, the options, and the names and checksums of the models. The same request finds the
pictures that an interrupted run left behind, and a picture is a request for itself.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import BaseModel, Field, NonNegativeInt

from scenograph.errors import UserError, validate
from scenograph.files import digest, parse_json, portable_name, would_replace
from scenograph.models.registry import shipped_models
from scenograph.pipelines.defaults import COLLAGE, DRAWINGS
from scenograph.pipelines.options import GenerateOptions
from scenograph.scenes.png import COMPOSED, RECORD, SHOWN, read_record
from scenograph.scenes.scene import Scene, parse_scenes, without_scene
from scenograph.version import __version__

MODELS = ("model", "layout", "image")
"""The models that a request may name."""
MEMORY = "memory"
"""The crop memory beside them."""


@dataclass(frozen=True)
class Request:
    """What to render and with what."""

    scenes: list[Scene]
    seeds: list[int]
    models: dict[str, str | None]
    """Names by :data:`MODELS` and :data:`MEMORY`; None where the default is used."""
    options: GenerateOptions
    stem: str | None = None
    """Of file names."""
    digests: dict[str, str] = field(default_factory=dict)
    """Checksums of models, control networks and given pictures, which identify what made a picture."""
    names: Sequence[str] = ()
    """Of the files of each scene, where scenes have names; else they have numbers."""
    seed_step: int | None = None
    """With it scene i has seeds of its own: ``i + seed * seed_step``."""
    plan: dict[str, Any] | None = None
    """How a planner made the scenes: the text, the planner, and the version of its prompt."""

    def record(self, number: int, seed: int) -> str:
        """The record of the picture of scene ``number`` and one of the seeds, as JSON."""
        scene, stem = self.scenes[number], self.names[number] if self.names else self.stem
        common = self._common() | ({} if stem is None else {"stem": stem})
        return json.dumps({"scene": scene.to_dict(), "seed": self.seed_of(number, seed), **common})

    def seed_of(self, number: int, seed: int) -> int:
        """What scene ``number`` is rendered with for one of the seeds."""
        return seed if self.seed_step is None else number + seed * self.seed_step

    def sheet_record(self) -> str:
        """The same for a sheet of all pictures."""
        return json.dumps({"scenes": [scene.to_dict() for scene in self.scenes], **self._common()})

    def file_name(self, number: int, seed: int) -> str:
        """Of the picture of scene ``number`` and one of the seeds, of which a named scene need not be told the only."""
        only = self.names and len(self.seeds) == 1
        return f"{self.scene_stem(number)}.png" if only else f"{self.scene_stem(number)}-seed{seed}.png"

    def scene_stem(self, number: int) -> str:
        """How names of files about scene ``number`` begin."""
        if self.names:
            return self.names[number]
        return f"{self.stem}-{number}" if len(self.scenes) > 1 else str(self.stem)

    def _common(self) -> dict[str, Any]:
        common = {
            **self.models,
            **self.options.recorded(),
            "stem": self.stem,
            "digests": self.digests,
            "plan": self.plan,
        }
        return {key: value for key, value in common.items() if value is not None} | {"version": __version__}


@dataclass(frozen=True)
class PlannedPicture:
    """One picture of a request."""

    scene: Scene
    seed: int
    path: Path
    record: str
    exists: bool
    """Whether it was rendered before."""


class MadeFrom(BaseModel):
    """The record in a picture of any origin, besides its options."""

    scene: dict[str, Any]
    seed: NonNegativeInt = Field(lt=2**64)
    stem: str | None = Field(default=None, max_length=200, pattern=r"^[^/\\\x00]+$")  # of a file to be written
    model: str | None = None
    layout: str | None = None
    image: str | None = None
    memory: str | None = None
    digests: dict[str, str] = {}
    plan: dict[str, str | int] | None = None


class RecordedImage(Image.Image):
    """A picture whose PNG files hold its record, so that ``scenograph generate picture.png`` makes it again."""

    record: str = ""
    shown: Scene | None = None
    filename: str = ""
    """How the records of pictures that start from it name it."""

    @staticmethod
    def of(image: Image.Image, record: str, shown: Scene) -> RecordedImage:
        """The same picture with a record and the scene that it shows."""
        recorded = RecordedImage()
        recorded.__dict__.update(image.__dict__)
        recorded.record, recorded.shown = record, shown
        return recorded

    def save(self, fp: str | bytes | Path | IO[bytes], format: str | None = None, **params: Any) -> None:  # type: ignore[override]
        """As in Pillow; a PNG holds the record."""
        super().save(fp, format, **{"pnginfo": png_info(self.record, self.shown), **params})


def png_info(record: str, shown: Scene | None = None, composed: str = "") -> PngInfo:
    """The text chunks that hold a record, the scene that the picture shows, with all its boxes, and what asked for it.

    Args:
        record: What makes the picture again.
        shown: The scene, complete.
        composed: The request that the picture was composed for in several rounds, if it was.
    """
    info = PngInfo()
    info.add_itxt(RECORD, record)
    if shown is not None:
        info.add_itxt(SHOWN, json.dumps(shown.to_dict()), zip=True)
    if composed:
        info.add_itxt(COMPOSED, composed)
    return info


def png_bytes(picture: Image.Image, record: str, shown: Scene | None = None, composed: str = "") -> bytes:
    """A PNG file that holds what :func:`png_info` says."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", pnginfo=png_info(record, shown, composed))
    return stream.getvalue()


def shown_scene(path: Path) -> Scene | None:
    """The scene that a generated picture shows; None if it does not tell. Raises ``UserError`` for no picture."""
    text = read_record(path, SHOWN)
    return None if text is None else parse_scenes(text, f"{path}, as it is shown")[0]


def picture_digest(picture: Path | Image.Image) -> str:
    """The SHA-256 of a picture's file; of one in memory, of the PNG file that it is saved as."""
    if isinstance(picture, Path):
        return digest(picture)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return hashlib.sha256(stream.getvalue()).hexdigest()


def plan_pictures(request: Request, out: Path, overwrite: bool) -> list[PlannedPicture]:
    """Every picture of a request, scene by scene and seed by seed.

    Raises ``UserError`` if one would replace another file.
    """
    result = []
    for number, scene in enumerate(request.scenes):
        for seed in request.seeds:
            path, record = out / request.file_name(number, seed), request.record(number, seed)
            exists = not overwrite and path.exists()
            if exists and not has_record(path, record):
                raise would_replace(path)
            result.append(PlannedPicture(scene, request.seed_of(number, seed), path, record, exists))
    return result


def has_record(path: Path, record: str, field: str = RECORD) -> bool:
    """Whether a file is a whole picture with this record, or another text field."""
    try:
        return read_record(path, field) == record
    except UserError:
        return False


def request_from_picture(
    path: Path,
    models: dict[str, str | None],
    seeds: Sequence[int] | None,
    options: dict[str, Any],
    agreed: Callable[[str], bool] = lambda question: False,
) -> Request:
    """The request in a picture's record; models, seeds and options that are given win.

    A picture may come from anybody, so it does not decide what is opened: of models it can name those that ship.
    Whether others are loaded is asked of ``agreed``; else they, like the picture of a style, must be given.

    Raises ``UserError`` for a picture without a record, for a record of another form, and for what must be given.
    """
    text = read_record(path)
    if text is None:
        raise without_scene(path)
    made, recorded = made_from(text, str(path))
    named = {name: getattr(made, name) for name in MODELS}
    memory = models.get(MEMORY) or (DRAWINGS if made.memory == DRAWINGS else None)
    if made.memory not in (None, DRAWINGS) and memory in (None, DRAWINGS):
        raise UserError(f"{path}: made with crops of a memory, {made.memory!r}; give that with --memory")
    if not any(models.get(role) for role in MODELS):
        _check_models(named, path, agreed)
        models = {**named, MEMORY: memory}
    _check_files(recorded, path, options)
    same = all(models.get(role) in (None, name) for role, name in named.items())
    return Request(
        [Scene.from_dict(made.scene, f"{path}, scene")],
        list(seeds) if seeds else [made.seed],
        models,
        validate(GenerateOptions, recorded, f"{path}, as it was made").changed(**options),
        portable_name(made.stem or path.stem),
        made.digests if same else {},
        plan=made.plan,
    )


def made_from(text: str, where: str) -> tuple[MadeFrom, dict[str, Any]]:
    """The record of a picture, which may come from anybody, and the options in it.

    Raises ``UserError``, which begins with ``where``, for a record of another form, and for that of a sheet.
    """
    value = parse_json(text, f"{where}: its scene cannot be read")
    if isinstance(value, dict) and "scenes" in value:
        raise UserError(f"{where} is a sheet of several pictures; give one of them")
    made = validate(MadeFrom, value, f"{where}, as it was made")
    return made, {name: value[name] for name in GenerateOptions.model_fields if value.get(name) is not None}


def _check_files(recorded: dict[str, Any], path: Path, options: dict[str, Any]) -> None:
    """Raise ``UserError`` for pictures and networks that a picture names, and that are not given, too."""
    if "style" in recorded and options.get("style") is None:
        raise UserError(f"{path}: made in the style of another picture, {recorded['style']!r}; give that with --style")
    start = recorded.get("start")
    if start not in (None, COLLAGE, *shipped_models()) and options.get("start") is None:
        raise UserError(f"{path}: made from another picture, or with another model, {start!r}; give that with --start")
    networks = [str(one) for one in recorded.get("control") or () if "=" in str(one) or "/" in str(one)]
    if networks and options.get("control") is None:
        given = " ".join(f"--control {one}" for one in recorded["control"])
        raise UserError(f"{path}: made with {', '.join(networks)}; a picture does not decide that; add {given}")


def _check_models(named: dict[str, str | None], path: Path, agreed: Callable[[str], bool]) -> None:
    """Raise ``UserError`` for models that a picture names and that do not ship, with the options that name them."""
    foreign = {role: name for role, name in named.items() if name not in (None, COLLAGE, *shipped_models())}
    made = f"made with {', '.join(map(repr, foreign.values()))}, which does not ship in the package"
    if foreign and not agreed(f"{path}: {made}. Load it?"):
        options = " ".join(f"--{role} {name}" for role, name in named.items() if name is not None)
        raise UserError(f"{path}: {made}, and a picture does not decide what is loaded; if you trust it, add {options}")

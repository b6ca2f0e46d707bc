"""``scenograph generate``: scenes in, pictures out."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel, Field, NonNegativeInt

from scenograph.cli.console import batches, console, in_the_way, parse_seeds, say_written, write_files
from scenograph.cli.scene import encoded, read_source
from scenograph.devices import Precision
from scenograph.errors import UserError, unreadable, validate
from scenograph.files import digest, make_folder, write_atomically
from scenograph.version import __version__

if TYPE_CHECKING:
    from PIL import Image

    from scenograph.pipelines import Encoding, Pipeline
    from scenograph.scenes.scene import Scene

METADATA = "scenograph"
"""PNG text field that holds everything needed to make the picture again."""
ON_SHEET = 256
"""Pictures on a contact sheet, the first ones: viewers refuse what is tens of thousands of pixels high."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Request:
    """What to draw and with what; written into every picture."""

    scenes: list[Scene]
    stem: str
    seeds: list[int]
    models: dict[str, str | None]
    options: dict[str, Any]
    """``size``, ``steps``, ``truncation``, ``refine``, ``style``, ``precision``; None as the models have it."""
    digests: dict[str, str] = field(default_factory=dict)
    """Of the layout and the image model, and of the style, by which a picture knows what made it."""


@dataclass(frozen=True)
class _Picture:
    """One that is asked for."""

    scene: Scene
    seed: int
    path: Path
    metadata: str
    """How it is made, as JSON, which stands in it."""
    there: bool
    """Whether it was drawn before."""


class _Recorded(BaseModel):
    """What a picture, which may be anybody's, says of how it was made."""

    scene: dict[str, Any]
    seed: NonNegativeInt
    stem: str | None = Field(default=None, pattern=r"^[^/\\\x00]+$")  # of a file to be written
    model: str | None = None
    layout: str | None = None
    image: str | None = None
    size: int | None = Field(default=None, ge=8, le=2048)
    steps: int | None = Field(default=None, ge=1, le=1000)
    truncation: float | None = Field(default=None, ge=0.1, le=100)
    refine: bool | None = None
    style: str | None = None
    precision: Precision | None = None
    digests: dict[str, str] = {}


def generate(
    source: Annotated[
        str,
        typer.Argument(metavar="SCENE", help="A scene file (.json), one line of text, or a picture made here (.png)."),
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="Model that places objects and draws, such as an imported sg2im.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", help="Model that places objects. (default: the shipped one)")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Model that draws. (default: the shipped one)")] = None,
    seeds: Annotated[
        str | None, typer.Option("--seeds", help="One picture per seed, for example 0-15. (default: 0)")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", min=8, max=2048, help="Side in pixels. (default: the model's)")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, max=1000, help="Sampling steps. (default: the model's)")
    ] = None,
    object_seed: Annotated[
        list[str] | None,
        typer.Option(
            "--object-seed",
            metavar="OBJECT=SEED",
            help="Fix one object's looks, for models that give objects looks of their own: 2=7, or 2=7:9:0.5, half way "
            "from those of 7 to those of 9. Repeatable; objects count from 0.",
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            "--truncation", min=0.1, max=100, help="Largest latent; less is safer and more alike. (default: 2)"
        ),
    ] = None,
    refine: Annotated[
        bool, typer.Option("--refine", help="Move placed boxes as little as needed so that every relation holds.")
    ] = False,
    style: Annotated[
        Path | None,
        typer.Option("--style", help="A picture to draw in the style of, for models that read one, such as SPADE."),
    ] = None,
    draw_graph: Annotated[bool, typer.Option("--draw-graph", help="Also draw each scene graph.")] = False,
    draw_layout: Annotated[bool, typer.Option("--draw-layout", help="Also draw each picture's layout.")] = False,
    annotations: Annotated[
        Path | None, typer.Option("--annotations", help="Also write a COCO file of what the pictures show.")
    ] = None,
    save_scenes: Annotated[
        Path | None,
        typer.Option(
            "--save-scenes", help="Also write the scenes as drawn (.json), every box decided: edit, draw again."
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps, ...")] = "auto",
    precision: Annotated[
        Precision | None,
        typer.Option(
            "--precision", help="Of drawing; bf16 is faster on GPUs and processors that compute in it. (default: no)"
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")] = Path("pictures"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing.")] = False,
) -> None:
    """Draw pictures of a scene.

    The same scene and seed give the same picture. Both stand in the PNG, which makes it again:

    scenograph generate picture.png

    Pictures are written as they are drawn; after an interruption the same command draws the rest.
    """
    given = {"model": model, "layout": layout, "image": image}
    options: dict[str, Any] = {"size": size, "steps": steps, "truncation": truncation, "refine": refine or None}
    options |= {"style": None if style is None else str(style), "precision": precision}
    pipe, request = _read(source, given, seeds, options, object_seed or [], device)
    pictures = _pictures(request, out, overwrite)
    left = [one.path for one in pictures if not one.there]
    sheet = out / f"{request.stem}-sheet.png"
    sheet_metadata = json.dumps({"scenes": [scene.to_dict() for scene in request.scenes], **_common(request)})
    if len(pictures) > 1 and sheet.exists() and not overwrite and not _says(sheet, sheet_metadata):
        raise in_the_way(sheet)
    encode = _encoder(pipe, request)
    if dry_run:
        encode(request.scenes[:1], request.seeds[:1])
        for path in left:
            console.print(f"would write {path}")
        return
    whole = draw_layout or save_scenes is not None or annotations is not None
    shown = pictures if whole else [one for one in pictures if not one.there]
    scenes = _draw(pipe, encode, shown, request.options["steps"])
    paths = [one.path for one in pictures]
    files = _extra_drawings(request, scenes if draw_layout else [], paths, out, draw_graph)
    if save_scenes is not None:
        from scenograph.scenes.scene import scenes_to_json

        make_folder(save_scenes.parent)
        files.append((save_scenes, scenes_to_json(scenes).encode()))
    if annotations is not None:
        make_folder(annotations.parent)
        files.append((annotations, _annotations(scenes, annotations, paths)))
    write_files(files, overwrite)
    if len(pictures) > 1:
        files.append((sheet, _png(_sheet(paths[:ON_SHEET], len(request.seeds)), sheet_metadata)))
        write_atomically(*files[-1])
    if len(left) < len(pictures):
        console.print(f"{len(pictures) - len(left)} of {len(pictures)} pictures were there already")
    say_written(left, [path for path, _ in files])


def _read(
    source: str,
    given: dict[str, str | None],
    seeds: str | None,
    options: dict[str, Any],
    object_seeds: list[str],
    device: str,
) -> tuple[Pipeline, _Request]:
    """What is asked for, every name in it checked, and what draws it."""
    from scenograph.pipelines import Pipeline

    request = _from_picture(Path(source), given, seeds, options) if source.endswith(".png") else None
    if request is not None:
        given, options = request.models, request.options
    pipe = Pipeline.from_pretrained(**given, device=device, precision=options["precision"] or "no")
    digests = {"image model": pipe.image.digest}
    if pipe.layout is not None:
        digests["layout model"] = pipe.layout.digest
    if (style := options["style"]) is not None and Path(style).is_file():
        digests["style"] = digest(Path(style))
    if request is None:
        scenes, stem = read_source(source, pipe.vocabulary)
        request = _Request(scenes, stem, parse_seeds(seeds or "0"), given, options)
    for what, known in request.digests.items():
        if digests.get(what) != known:
            log.warning("the %s is not the one that made %s: the picture will differ", what, source)
    request = replace(request, digests=digests)
    if object_seeds:
        request = replace(request, scenes=[_with_object_seeds(scene, object_seeds) for scene in request.scenes])
    return pipe, replace(request, scenes=pipe.read(request.scenes, refine=bool(request.options["refine"])))


def _encoder(pipe: Pipeline, request: _Request) -> Callable[[list[Scene], list[int]], Encoding]:
    """Scenes and as many seeds, encoded as the request has it."""
    from scenograph.pipelines import TRUNCATION

    options, style = request.options, request.options["style"]
    return partial(
        pipe.encode_pairs,
        size=options["size"],
        truncation=options["truncation"] or TRUNCATION,
        refine=bool(options["refine"]),
        style=None if style is None else _read_picture(Path(style)),
    )


def _draw(
    pipe: Pipeline,
    encode: Callable[[list[Scene], list[int]], Encoding],
    pictures: list[_Picture],
    steps: int | None,
) -> list[Scene]:
    """Draw what is not there, a batch at a time, and write it, so that an interruption loses little.

    Returns what all these pictures show.
    """
    scenes: list[Scene] = []
    for part in batches(pictures, "drawing"):
        encoding = encode([one.scene for one in part], [one.seed for one in part])
        scenes += encoding.scenes
        if all(one.there for one in part):
            continue
        make_folder(part[0].path.parent)
        for one, picture in zip(part, pipe.render(encoding, steps), strict=True):
            if not one.there:
                write_atomically(one.path, _png(picture, one.metadata))
    return scenes


def _metadata_of(path: Path) -> str | None:
    """What a picture says of how it was made. Raises ``UserError`` if it is none, or not whole."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()
            text = picture.info.get(METADATA)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise unreadable(path, error, "not a picture") from error
    return text if isinstance(text, str) else None


def _read_picture(path: Path) -> Image.Image:
    """Any picture in RGB, the right way up."""
    from PIL import Image, ImageOps

    from scenograph.data.pictures import to_rgb

    try:
        with Image.open(path) as picture:
            return to_rgb(ImageOps.exif_transpose(picture))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise unreadable(path, error, "not a picture") from error


def _pictures(request: _Request, out: Path, overwrite: bool) -> list[_Picture]:
    """All that are asked for, scene by scene and seed by seed. Raises ``UserError`` if one would replace another."""
    common, result = _common(request), []
    for number, scene in enumerate(request.scenes):
        name = f"{request.stem}-{number}" if len(request.scenes) > 1 else request.stem
        for seed in request.seeds:
            path = out / f"{name}-seed{seed}.png"
            metadata = json.dumps({"scene": scene.to_dict(), "seed": seed, **common})
            there = not overwrite and path.exists()
            if there and not _says(path, metadata):
                raise in_the_way(path)
            result.append(_Picture(scene, seed, path, metadata, there))
    return result


def _common(request: _Request) -> dict[str, Any]:
    """What every picture says of how it was made."""
    common = {**request.models, **request.options, "stem": request.stem, "digests": request.digests}
    return {key: value for key, value in common.items() if value is not None} | {"version": __version__}


def _says(path: Path, metadata: str) -> bool:
    """Whether a file is a whole picture that was made so."""
    try:
        return _metadata_of(path) == metadata
    except UserError:
        return False


def _from_picture(path: Path, given: dict[str, str | None], seeds: str | None, options: dict[str, Any]) -> _Request:
    """The request in a picture's metadata; options on the command line win."""
    from scenograph.scenes.scene import Scene

    text = _metadata_of(path)
    if text is None:
        raise UserError(f"{path} was not made by scenograph: it holds no scene; give a scene file or text")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: its scene cannot be read: {error}") from error
    if isinstance(value, dict) and "scenes" in value:
        raise UserError(f"{path} is a sheet of several pictures; give one of them")
    made = validate(_Recorded, value, f"{path}, as it was made")
    same = not any(given.values())
    return _Request(
        [Scene.from_dict(made.scene, f"{path}, scene")],
        made.stem or path.stem,
        parse_seeds(seeds) if seeds else [made.seed],
        {name: getattr(made, name) for name in given} if same else given,
        {name: getattr(made, name) if option is None else option for name, option in options.items()},
        made.digests if same else {},
    )


def _with_object_seeds(scene: Scene, options: list[str]) -> Scene:
    """The scene with ``--object-seed`` options applied."""
    from scenograph.scenes.scene import parse_object_seed

    objects = list(scene.objects)
    for option in options:
        found = re.fullmatch(r"(\d{1,9})=(\d{1,9})(?::(\d{1,9}):(\d?\.?\d{1,9}))?", option)
        if found is None:
            raise UserError(f"--object-seed {option!r}: expected OBJECT=SEED such as 2=7, or 2=7:9:0.5")
        number, seed = int(found[1]), int(found[2])
        value = seed if found[3] is None else [seed, int(found[3]), float(found[4])]
        if number >= len(objects):
            raise UserError(f"--object-seed {option!r}: the scene has objects 0 to {len(objects) - 1}")
        objects[number] = replace(objects[number], seed=parse_object_seed(value, f"--object-seed {option!r}"))
    return replace(scene, objects=tuple(objects))


def _extra_drawings(
    request: _Request, placed: list[Scene], pictures: list[Path], out: Path, graph: bool
) -> list[tuple[Path, bytes]]:
    """Graphs, if wanted, and the layout of each picture of which a scene is given."""
    from scenograph.scenes.drawing import draw_graph, draw_layout

    files = []
    if graph:
        many = len(request.scenes) > 1
        for number, scene in enumerate(request.scenes):
            name = f"{request.stem}-{number}" if many else request.stem
            files.append((out / f"{name}-graph.png", encoded(draw_graph(scene))))
    for path, scene in zip(pictures, placed, strict=False):
        files.append((path.with_name(f"{path.stem}-layout.png"), encoded(draw_layout(scene))))
    return files


def _png(picture: Image.Image, metadata: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt(METADATA, metadata)
    stream = io.BytesIO()
    picture.save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def _sheet(pictures: list[Path], seeds: int) -> Image.Image:
    from scenograph.scenes.drawing import contact_sheet

    return contact_sheet([_read_picture(path) for path in pictures], min(seeds, 8) if seeds > 1 else 8)


def _annotations(scenes: list[Scene], path: Path, pictures: list[Path]) -> bytes:
    from scenograph.scenes.coco import coco_annotations

    width, height = _read_picture(pictures[0]).size
    names = [picture.name if picture.parent == path.parent else str(picture) for picture in pictures]
    return (json.dumps(coco_annotations(scenes, names, width, height), indent=1) + "\n").encode()

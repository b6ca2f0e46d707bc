"""``scenograph scene``: make, check, change and draw scene files."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from scenograph.cli.console import console, errors, say_written, track, write_files
from scenograph.cli.options import Device, Overwrite, PlannerName, SceneArgument
from scenograph.errors import UserError, for_all
from scenograph.files import is_file, is_folder, make_folder, portable_name

if TYPE_CHECKING:
    from scenograph.pipelines.defaults import Pair
    from scenograph.pipelines.planner import Planner
    from scenograph.scenes.scene import Scene
    from scenograph.scenes.shapes import Drawing
    from scenograph.scenes.vocabulary import Vocabulary

app = typer.Typer(no_args_is_help=True, help="Make, check, change and draw scene files.")

DRAWINGS = (".ndjson", ".svg", ".jpg", ".jpeg")
"""Kinds of drawings that commands take as scenes, as in ``data.drawn``; a PNG is a picture to be made again."""
VocabularySource = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Vocabulary of a model, a pack, clevr or coco-stuff. (default: by the names used)",
    ),
]
OutFile = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="File to write. (default: print to the terminal)")
]


@app.command()
def new(
    text: Annotated[str, typer.Argument(metavar="TEXT", help='Such as "two sheep on grass".')],
    out: OutFile = None,
    model: VocabularySource = None,
    planner: PlannerName = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a line of text into a scene file, and say what was understood."""
    from scenograph.scenes.scene import scenes_to_json
    from scenograph.scenes.text import scene_to_lines

    chosen = planner_of(planner)
    scene = scene_of_text(text, vocabulary_of(model, text, chosen), chosen)
    content = scenes_to_json([scene])
    if out is not None:
        write_files([(out, content.encode())], overwrite)
    understood, *relations = scene_to_lines(scene)
    for line in [understood, *(f"  {relation}" for relation in relations)]:
        errors.print(line)  # apart from the file's content, which can be piped
    console.print(content if out is None else f"wrote {out}\n", end="")


@app.command()
def check(scene: SceneArgument, model: VocabularySource = None) -> None:
    """Check a scene against a vocabulary and summarise it."""
    from scenograph.pipelines.defaults import naming_who_knows
    from scenograph.scenes.canonical import agreed
    from scenograph.scenes.synonyms import with_known_names
    from scenograph.scenes.text import scene_to_text

    vocabulary = vocabulary_of(model, scene)
    scenes, _ = read_source(scene, vocabulary)
    scenes = with_known_names(scenes, vocabulary)
    with naming_who_knows():
        vocabulary.check(scenes)
    agreed(scenes)  # says what contradicts
    for number, item in enumerate(scenes):
        boxes = sum(thing.box is not None for thing in item.objects)
        console.print(
            f"scene {number}: {len(item.objects)} objects ({boxes} with boxes), {len(item.relations)} relations: "
            f"{scene_to_text(item)}",
        )
    console.print(f"ok: {len(scenes)} scene{'s' * (len(scenes) != 1)}")


@app.command()
def canonical(
    scene: SceneArgument,
    minimal: Annotated[bool, typer.Option("--minimal", help="Keep only relations that imply the others.")] = False,
    out: OutFile = None,
    model: VocabularySource = None,
    overwrite: Overwrite = False,
) -> None:
    """Add the relations that a scene graph implies.

    These are converse and transitive relations. Equivalent graphs become equal.
    Contradictions are resolved by dropping the relations that are outvoted.
    """
    from dataclasses import replace

    from scenograph.scenes.canonical import agreed, complete, fewest
    from scenograph.scenes.geometry import CONVERSES
    from scenograph.scenes.scene import scenes_to_json

    vocabulary = None if model is None and is_file_of_scenes(scene) else vocabulary_of(model, scene)
    scenes, _ = read_source(scene, vocabulary)
    predicates: Collection[str] = CONVERSES
    if model is not None and vocabulary is not None:
        vocabulary.check(scenes)
        predicates = vocabulary.predicates
    form = fewest if minimal else complete
    made = [replace(s, relations=tuple(form(s.relations, predicates))) for s in agreed(scenes)]
    content = scenes_to_json(made)
    if out is None:
        console.print(content, end="")
        return
    write_files([(out, content.encode())], overwrite)
    before, after = (sum(len(item.relations) for item in some) for some in (scenes, made))
    console.print(f"wrote {out} ({before} relations became {after})")


@app.command()
def refine(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Scene file (.json) in which every object has a box.")],
    out: OutFile = None,
    overwrite: Overwrite = False,
) -> None:
    """Move boxes so that every spatial relation holds.

    Boxes move as little as possible. They end up inside the canvas, and none
    covers more than half of another. Contradictory relations are reported.

    Every box may move. To keep the boxes that a scene fixes, use --refine of
    scenograph generate or scenograph layout instead.
    """
    from scenograph.scenes.scene import load_scenes, scenes_to_json, with_places
    from scenograph.scenes.solver import refine as refine_boxes
    from scenograph.scenes.solver import relations_shown

    scenes = load_scenes(file)
    numbered = track(with_places(scenes), "refining", len(scenes))
    refined = for_all(lambda each: refine_boxes(each[0], where=each[1]), numbered)
    content = scenes_to_json(refined)
    if out is None:
        console.print(content, end="")
        return
    write_files([(out, content.encode())], overwrite)
    (held, asked), (now, _) = (map(sum, zip(*map(relations_shown, some), strict=True)) for some in (scenes, refined))
    console.print(f"wrote {out} (of {asked} spatial relations {held} held, {now} do now)")


@app.command()
def draw(
    scene: SceneArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the drawings.")] = Path("drawings"),
    file_format: Annotated[Literal["png", "svg"], typer.Option("--format", help="File format.")] = "png",
    sketches: Annotated[
        Literal["smooth", "published", "spread"],
        typer.Option("--sketches", help="Lines of sketches; published: Scene Designer's; spread: these, moved apart."),
    ] = "smooth",
    model: VocabularySource = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw the graph of each scene, its layout if it has boxes, and its sketches.

    Sketches are drawn as PNG.
    """
    from scenograph.scenes.drawing import draw_graph, draw_layout

    scenes, stem = read_source(scene, None if is_file_of_scenes(scene) else vocabulary_of(model, scene))
    make_folder(out)
    files = []
    for number, item in enumerate(scenes):
        name = stem if len(scenes) == 1 else f"{stem}-{number}"
        files.append((out / f"{name}-graph.{file_format}", encoded(draw_graph(item), file_format)))
        if any(thing.box is not None for thing in item.objects):
            files.append((out / f"{name}-layout.{file_format}", encoded(draw_layout(item), file_format)))
        if any(thing.sketch is not None and thing.box is not None for thing in item.objects):
            files.append((out / f"{name}-sketch.png", _sketch_picture(item, sketches)))
    write_files(files, overwrite)
    say_written([path for path, _ in files])


@app.command("from-results")
def from_results(
    table: Annotated[Path, typer.Argument(metavar="FILE", help="Results table (.csv).")],
    boxes: Annotated[Literal["gt", "pred"], typer.Option("--boxes", help="True or predicted boxes.")] = "pred",
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.")] = Path("scenes.json"),
    overwrite: Overwrite = False,
) -> None:
    """Turn a results table into a scene file.

    Canonical Sg2Im and scenograph evaluate write such tables.
    """
    from scenograph.evaluation.results_csv import read_results, result_scene
    from scenograph.scenes.scene import scenes_to_json

    scenes = [result_scene(result, boxes) for result in read_results(table)]
    write_files([(out, scenes_to_json(scenes).encode())], overwrite)
    console.print(f"wrote {out}")


@app.command("from-labels")
def from_labels(
    labels: Annotated[Path, typer.Argument(metavar="FILE", help="Label map (.png); 255 means unlabelled.")],
    vocabulary: Annotated[
        str,
        typer.Option(
            "--vocabulary",
            metavar="NAME",
            help="Names of the labels: coco-stuff, ade20k, cityscapes, a pack or a JSON list.",
        ),
    ],
    nothing: Annotated[
        list[str] | None,
        typer.Option("--nothing", metavar="NAME", help="Label to leave out. Repeatable."),
    ] = None,
    instances: Annotated[
        Path | None, typer.Option("--instances", metavar="FILE", help="Instance map (.png) of the same picture.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write. (default: STEM.json)")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a label map into a scene of objects with masks."""
    import numpy as np

    from scenograph.data.vocabularies import class_names
    from scenograph.scenes.labels import NOTHING, numbers_of, read_label_map, remarks_on, scene_from_labels
    from scenograph.scenes.scene import scenes_to_json

    names = class_names(vocabulary)
    others = None if instances is None else read_label_map(instances)
    numbers = read_label_map(labels)
    for remark in remarks_on(numbers, names):
        console.print(f"note: {remark}")
    numbers[np.isin(numbers, numbers_of(names, nothing or ()))] = NOTHING
    scene = scene_from_labels(numbers, names, others, str(labels))
    path = out or Path(f"{labels.stem}.json")
    write_files([(path, scenes_to_json([scene]).encode())], overwrite)
    console.print(f"wrote {path} ({len(scene.objects)} objects)")


@app.command("from-sketch")
def from_sketch(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Drawing: .svg, .ndjson of Quick, Draw!, or a scan (.png, .jpg).")
    ],
    names: Annotated[
        str | None,
        typer.Option("--names", metavar="NUMBER=NAME,...", help="What objects are, such as 0=sheep,1=tree."),
    ] = None,
    leave_out: Annotated[
        str | None, typer.Option("--leave-out", metavar="NUMBERS", help="Objects to leave out, such as 0,3.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option("--boxes", metavar="SCENE", help="Scene file that says where and what the objects of a scan are."),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option("--classifier", metavar="MODEL", help="Classifier of sketches. (default: the shipped one)"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write. (default: STEM.json)")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a drawing into a scene of objects with sketches.

    In a scan, each connected patch of ink is an object. Objects that nothing
    names are recognised; if that is not sure, a message says where each of
    them is, and what it may be.
    """
    from scenograph.pipelines.sketched import scene_of_drawing
    from scenograph.scenes.scene import load_scenes, scenes_to_json
    from scenograph.scenes.text import scene_to_text

    path = out or Path(f"{file.stem}.json")
    if path.suffix.lower() != ".json":
        raise UserError(f"--out {path}: expected a scene file, whose name ends in .json")
    like = None
    if boxes is not None:
        like, *others = load_scenes(boxes)
        if others:
            raise UserError(f"--boxes {boxes}: holds {len(others) + 1} scenes; give one with a single scene")
    scene = scene_of_drawing(file, parse_names(names or ""), like, classifier, parse_numbers(leave_out or ""))
    write_files([(path, scenes_to_json([scene]).encode())], overwrite)
    console.print(f"wrote {path}: {scene_to_text(scene)}")


@app.command("from-picture")
def from_picture(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Picture (.jpg, .png, ...).")],
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector",
            metavar="MODEL",
            help="Detector: one trained here, or one of transformers; folder or hub id. (default: the shipped one)",
        ),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(
            "--attributes",
            metavar="MODEL",
            help="Names attributes: a classifier of objects, or a model of transformers such as CLIP.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Names of the scene: of a model, a pack, clevr or coco-stuff. (default: the detector's)",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="N",
            min=0,
            max=1,
            help="Score from which an object counts. (default: the detector's)",
        ),
    ] = None,
    device: Device = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="File to write. (default: STEM.json)")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn a picture into a scene of objects with boxes.

    A detector finds the objects. Each is related to the nearest other one, by
    where their boxes are. scenograph scene draw draws the boxes.
    """
    from scenograph.pipelines.pictured import scene_of_picture
    from scenograph.scenes.scene import scenes_to_json
    from scenograph.scenes.text import scene_to_text

    path = out or Path(f"{file.stem}.json")
    if path.suffix.lower() != ".json":
        raise UserError(f"--out {path}: expected a scene file, whose name ends in .json")
    names = None if model is None else vocabulary_of(model, "")
    scene = scene_of_picture(file, detector, names, attributes, threshold, device)
    write_files([(path, scenes_to_json([scene]).encode())], overwrite)
    console.print(f"wrote {path}: {scene_to_text(scene)}")


def _sketch_picture(scene: Scene, lines: Literal["smooth", "published", "spread"]) -> bytes:
    """A PNG of a scene's sketches."""
    import numpy as np

    from scenograph.scenes.drawing import draw_sketches
    from scenograph.scenes.png import encode_png

    if lines == "smooth":
        return encode_png(np.asarray(draw_sketches(scene)))
    from scenograph.pipelines.sketched import draw_as_published

    return encode_png(draw_as_published(scene, spread=lines == "spread"))


def parse_names(text: str) -> dict[int, str]:
    """``0=sheep,1=tree`` as names by number."""
    found: dict[int, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        number, mark, name = part.partition("=")
        if not mark or not re.fullmatch(r"[0-9]{1,3}", number.strip()) or not name.strip():
            raise UserError(f"--names {part!r}: expected an object's number and its name, such as 0=sheep,1=tree")
        if int(number) in found:
            raise UserError(f"--names {part!r}: object {int(number)} has a name already, {found[int(number)]!r}")
        found[int(number)] = name.strip()
    return found


def parse_numbers(text: str) -> list[int]:
    """``0,3`` as the numbers of objects."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if not re.fullmatch(r"[0-9]{1,3}", part):
            raise UserError(f"--leave-out {part!r}: expected numbers of objects, such as 0,3")
    return list(map(int, parts))


def encoded(drawing: Drawing, file_format: str = "png") -> bytes:
    """A drawing as the content of a file."""
    return drawing.to_svg().encode() if file_format == "svg" else drawing.to_png()


def planner_of(name: str | None, device: str = "auto") -> Planner | None:
    """The planner of ``--planner``, if one is named."""
    if name is None:
        return None
    from scenograph.pipelines.planner import Planner

    return Planner.from_name(name, device)


def scene_of_text(text: str, vocabulary: Vocabulary, planner: Planner | None = None) -> Scene:
    """The scene of a line of text, by a planner or else by the grammar."""
    from scenograph.pipelines.defaults import naming_who_knows
    from scenograph.scenes.text import scene_from_text

    if planner is not None:
        return planner(text, vocabulary)
    with naming_who_knows():
        return scene_from_text(text, vocabulary)


def vocabulary_of(model: str | None, source: str, planner: Planner | None = None) -> Vocabulary:
    """The vocabulary of a model, without loading its weights; of a pack; a shipped one; or what knows a source best."""
    from scenograph.data.pack import read_vocabulary
    from scenograph.data.vocabularies import NAMES, shipped_vocabulary
    from scenograph.models.registry import model_vocabulary

    if model is None:
        return pair_for(source, planner).vocabulary
    if model in NAMES:
        return shipped_vocabulary(model)
    if is_file(Path(model) / "vocabulary.json"):
        return read_vocabulary(Path(model))
    return model_vocabulary(model)


def read_source(source: str, vocabulary: Vocabulary | None, planner: Planner | None = None) -> tuple[list[Scene], str]:
    """Scenes and a stem for file names, from a file or one line of text."""
    from scenograph.pipelines.folders import what_folder

    if is_file_of_scenes(source):
        if planner is not None:
            raise UserError(f"--planner reads a line of text, and {source} is a file; leave --planner out")
        return load_file(source), portable_name(Path(source).stem)
    if is_folder(source):
        raise UserError(what_folder(Path(source)))
    if vocabulary is None:
        raise UserError(f"{source!r} is not a file")
    return [scene_of_text(source, vocabulary, planner)], _slug(source)


def offer_to_keep(asked: Sequence[Scene], read: Sequence[Scene]) -> None:
    """Say how relations that were left out, because others contradict them, can be kept."""
    if sum(len(scene.relations) for scene in read) < sum(len(scene.relations) for scene in asked):
        errors.print(Text("note:", "yellow"), "--keep-contradictions keeps all relations, as the original models do")


def pair_for(source: str, planner: Planner | None = None) -> Pair:
    """The models that know most names of a scene file or a text."""
    from scenograph.pipelines.defaults import choose_pair

    if planner is not None:
        from scenograph.pipelines.planner import pair_for_planning

        return pair_for_planning(source)
    if is_file_of_scenes(source):
        return choose_pair("; ".join(thing.category for scene in load_file(source) for thing in scene.objects))
    return choose_pair(source)


def load_file(source: str) -> list[Scene]:
    """The scenes of a file, without what reads drawings, which takes seconds to import, if it is none."""
    from scenograph.scenes.scene import load_scenes

    if not source.lower().endswith(DRAWINGS):
        return load_scenes(Path(source))
    from scenograph.pipelines.sketched import load_any_scenes

    return load_any_scenes(Path(source))


def is_file_of_scenes(source: str) -> bool:
    """Whether a source of scenes is a file rather than text."""
    return source.lower().endswith((".json", *DRAWINGS)) or is_file(source)


def roomy_pair_for(source: str, planner: Planner | None = None) -> Pair:
    """As :func:`pair_for`; of models that know the same names, those that know scenes of as many objects."""
    from scenograph.pipelines.defaults import with_room

    pair = pair_for(source, planner)
    before = logging.root.manager.disable
    if planner is None:  # which plans once
        logging.disable(logging.WARNING)  # notes on the text are for its reading with the names of the model chosen
    try:
        return with_room(pair, read_source(source, pair.vocabulary, planner)[0])
    finally:
        logging.disable(before)


def _slug(text: str) -> str:
    """A file name from the first words of a text."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-")
    return slug if len(slug) <= 40 else slug[:41].rpartition("-")[0]

"""What evaluations made, to look at: examples of one in its report, and sheets of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from scenograph.errors import UserError
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.page import Exhibit
from scenograph.evaluation.pictures import read_picture
from scenograph.evaluation.session import Evaluation, picture_file, scenes_file
from scenograph.scenes.drawing import contact_sheet, draw_layout
from scenograph.scenes.scene import Scene, load_scenes
from scenograph.scenes.text import labels_in_words

EXAMPLES = 12
"""Scenes that a report shows."""
PAIRS = 24
"""Pictures, or layouts, of two evaluations that are shown side by side."""
ROWS = 8
"""Scenes of which several evaluations are shown side by side."""
COLUMNS = 12
"""Scenes of a sheet of several evaluations, below real pictures."""
EXAMPLE_SIDE, SHEET_SIDE = 256, 240
"""Of layouts in reports and on sheets, in pixels."""


def examples(evaluation: Evaluation) -> list[Exhibit]:
    """The first scenes of an evaluation: real and generated pictures, and layouts that were predicted."""
    layouts, repeats = evaluation.layouts, evaluation.protocol.repeats
    true, shown = layouts.scenes(0)[:EXAMPLES], evaluation.scenes(0)[::repeats][:EXAMPLES]
    pictured = evaluation.subject.pictured
    real = _real_pictures(layouts) if pictured else []
    made = evaluation.pictures(0)[::repeats] if pictured else []
    predicted = evaluation.subject.pictures is None and evaluation.protocol.given == "graph"
    exhibits = []
    for number, scene in enumerate(true):
        pictures = []
        if not pictured:
            pictures.append(("true layout", _drawn(scene, EXAMPLE_SIDE)))
        if real:
            pictures.append(("real", real[number].resize(made[number].size)))
        if predicted:
            pictures.append(("predicted layout", _drawn(shown[number], EXAMPLE_SIDE)))
        if made:
            pictures.append(("generated", made[number]))
        exhibits.append(Exhibit(f"Scene {number}: {_named(scene)}", pictures))
    return exhibits


def _real_pictures(layouts: Layouts) -> list[Image.Image]:
    try:
        return layouts.pictures(0)
    except UserError:  # the data has none, or not of all
        return []


def _named(scene: Scene) -> str:
    """The objects of a scene, in words."""
    return ", ".join(labels_in_words(scene)) or "nothing"


def _drawn(scene: Scene, side: int) -> Image.Image:
    return draw_layout(scene, key=False).to_image().resize((side, side))


def sheet_of_all(folders: Sequence[Path], reports: Sequence[dict[str, Any]]) -> Image.Image:
    """What evaluations rendered of the same scenes, or how they placed them if one has no pictures, side by side.

    Of two, several pairs are in a row; of more, each scene is a row.

    Raises ``UserError`` if they were asked for other scenes, or if files are missing.
    """
    if len({report["data"].get("files") for report in reports}) > 1:
        raise UserError("--sheet: the evaluations are of other scenes; measure both on one pack")
    sources = [_pictures_of(folder, report) for folder, report in zip(folders, reports, strict=True)]
    repeats = [report["protocol"]["repeats"] for report in reports]
    two = len(folders) == 2
    count = min(PAIRS if two else ROWS, *(report["data"]["layouts"] for report in reports))
    if not all(source.is_dir() for source in sources):
        count = min(count, PAIRS // 2)
        placed = [load_scenes(scenes_file(folder, 0))[::n] for folder, n in zip(folders, repeats, strict=True)]
        columns = [[_drawn(scene, SHEET_SIDE) for scene in scenes[:count]] for scenes in placed]
        return _side_by_side(columns, 2 if two else 1)
    columns = [
        [read_picture(picture_file(source, number, 0, n)) for number in range(count)]
        for source, n in zip(sources, repeats, strict=True)
    ]
    size = columns[-1][0].size
    return _side_by_side([[one.resize(size) for one in pictures] for pictures in columns], 4 if two else 1)


def sheet_of_many(layouts: Layouts, folders: Sequence[Path]) -> Image.Image:
    """The first real pictures in a row, and below them, row by row, what evaluations of the same scenes rendered.

    Raises ``UserError`` if pictures are missing.
    """
    count, repeats = min(layouts.count, COLUMNS), layouts.protocol.repeats
    rows = [layouts.pictures(0)[:count]]
    for folder in folders:
        rows.append([read_picture(picture_file(folder / "pictures", number, 0, repeats)) for number in range(count)])
    size = max(one.size for row in rows[1:] for one in row)
    return contact_sheet([one.resize(size) for row in rows for one in row], columns=count)


def _pictures_of(folder: Path, report: dict[str, Any]) -> Path:
    """Where the pictures of an evaluation are, if it has any."""
    elsewhere = report["models"].get("pictures")
    return folder / "pictures" if elsewhere is None else Path(elsewhere["name"])


def _side_by_side(columns: Sequence[Sequence[Image.Image]], across: int) -> Image.Image:
    """Pictures of the same scenes beside each other, so many scenes in a row."""
    pictures = [one for row in zip(*columns, strict=True) for one in row]
    return contact_sheet(pictures, columns=across * len(columns))

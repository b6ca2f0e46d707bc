"""Who made the pixels that a picture was composed from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scenograph.errors import UserError
from scenograph.pipelines.provenance import shown_scene
from scenograph.scenes.origin import Origin
from scenograph.scenes.png import read_record
from scenograph.scenes.scene import Scene

UNKNOWN = "author and licence unknown"


def picture_credits(paths: Sequence[Path]) -> str:
    """The attribution of pictures as text: a paragraph for each, with a line per source.

    Raises:
        UserError: A file is no picture of ours, or none that tells what it shows.
    """
    return "\n".join(_paragraph(path) for path in paths)


def credit_lines(scene: Scene) -> list[str]:
    """A line per source: what is of it, its name, its author and its licence."""
    shown: dict[Origin, list[str]] = {}
    for thing in scene.objects:
        if thing.origin:
            shown.setdefault(Origin.parse(thing.origin), []).append(thing.category)
    return [_line(origin, names) for origin, names in shown.items()]


def _paragraph(path: Path) -> str:
    scene = shown_scene(path)
    if scene is None:
        made = "made by an earlier version" if read_record(path) is not None else "not made by scenograph"
        raise UserError(f"{path}: {made}, or a sheet: it does not tell what it shows; give a picture made anew")
    lines = credit_lines(scene)
    if not lines:
        return f"{path.name}: nothing in it was taken from elsewhere\n"
    return "".join(f"{line}\n" for line in [f"{path.name} contains:", *(f"- {line}" for line in lines)])


def _line(origin: Origin, names: Sequence[str]) -> str:
    what = ", ".join(dict.fromkeys(names))
    crop = f" (crop {origin.crop})" if origin.crop else ""
    if not origin.author and not origin.licence:
        return f"{what}: {origin.source}{crop}, {UNKNOWN}"
    author, licence = origin.author or "unknown author", origin.licence or "unknown licence"
    return f"{what}: {origin.source}{crop} by {author}, licence {licence}"

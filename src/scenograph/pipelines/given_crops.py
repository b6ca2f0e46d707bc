"""Crops that a user gives to objects of a scene: files, and crops of a memory by id."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scenograph.data.records import Skip
from scenograph.errors import NOTE, UserError
from scenograph.pipelines.renderers.crops import CropSource
from scenograph.retrieval.own_crops import read_crop
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene

log = logging.getLogger(__name__)


def with_given_crops(
    scenes: Sequence[Scene], files: Sequence[str] = (), pins: Sequence[str] = (), source: CropSource | None = None
) -> list[Scene]:
    """The scenes with crops of objects, which show them whatever else is chosen.

    Args:
        scenes: Each gets them.
        files: ``OBJECT=FILE`` such as ``2=robot.png``.
        pins: ``OBJECT=CROP`` such as ``2=train_000012/4``: a crop of the source by its id.
        source: Where pinned crops are looked up.

    Raises:
        UserError: There is no such object, file or crop, or no source.
    """
    given: dict[int, tuple[np.ndarray, Origin]] = {}
    _check_given_once([*files, *pins])
    for option in files:
        number, name = _parsed(option, "--crop", "2=robot.png")
        try:
            pixels = read_crop(Path(name))
        except Skip as skip:
            raise UserError(f"--crop {option!r}: {skip}{f' ({skip.example})' if skip.example else ''}") from skip
        given[number] = pixels, Origin(Path(name).name)
        if (pixels[..., 3] == 255).all():
            log.log(NOTE, "%s has no transparency: its background counts as a part of object %d", name, number)
    for option in pins:
        number, name = _parsed(option, "--pin", "2=train_000012/4")
        if source is None:
            raise UserError(f"--pin {option!r}: there is no memory to take the crop from; name one with --memory")
        crop = source.named(name)
        given[number] = crop.pixels, crop.origin
    for number in given:
        if any(number >= len(scene.objects) for scene in scenes):
            most = min(len(scene.objects) for scene in scenes) - 1
            raise UserError(f"a crop for object {number}: the scene has objects 0 to {most}")
    return [_with(scene, given) for scene in scenes]


def _check_given_once(options: Sequence[str]) -> None:
    """Raise ``UserError`` for an object that two options show."""
    seen: dict[int, str] = {}
    for option in options:
        number = option.partition("=")[0]
        if not re.fullmatch(r"\d{1,9}", number):
            continue  # parsing it says what is wrong
        if (other := seen.setdefault(int(number), option)) is not option:
            raise UserError(f"object {int(number)} is given two crops, {other!r} and {option!r}; leave one of them out")


def _parsed(option: str, flag: str, example: str) -> tuple[int, str]:
    found = re.fullmatch(r"(\d{1,9})=(.+)", option)
    if found is None:
        raise UserError(f"{flag} {option!r}: expected an object's number and what shows it, such as {example}")
    return int(found[1]), found[2]


def _with(scene: Scene, given: dict[int, tuple[np.ndarray, Origin]]) -> Scene:
    objects = list(scene.objects)
    for number, (pixels, origin) in given.items():
        objects[number] = replace(objects[number], crop=pixels, origin=origin.text)
    return replace(scene, objects=tuple(objects))

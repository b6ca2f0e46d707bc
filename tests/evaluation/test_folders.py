"""Folders of pictures against each other: nothing is passed over, and one picture is the same in every kind of file."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenograph.errors import UserError
from scenograph.evaluation.encoders import Encoder
from scenograph.evaluation.folders import folder_figures

COUNT = 8


class Pixels(Encoder):
    """Features that are the pixels themselves."""

    name, digest = "classifier", "0" * 64

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, None]:
        return pixels.reshape(len(pixels), -1).astype(np.float32) / 255, None


def distance(made: Path, real: Path) -> float:
    figures = folder_figures(made, real, Pixels(), 1, lambda *_: None)
    assert figures[0].count == COUNT
    return figures[0].value


@pytest.fixture
def real(tmp_path) -> Path:
    folder = tmp_path / "real"
    folder.mkdir()
    for number, pixels in enumerate(grays()):
        Image.fromarray(pixels).convert("RGB").save(folder / f"{number}.png")
    return folder


def grays() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["mixed", "16 bits", "floats", "transparent", "capitals", "mac"])
def test_the_same_pictures_are_at_no_distance(tmp_path, real, kind):
    made = tmp_path / "made"
    made.mkdir()
    for number, pixels in enumerate(grays()):
        name, image, options = f"{number}.png", Image.fromarray(pixels).convert("RGB"), {}
        if kind == "mixed":
            name = f"{number}{('.webp', '.tif', '.bmp', '.gif')[number % 4]}"
            options = {"lossless": True} if number % 4 == 0 else {}
            image = image if number % 4 != 3 else image.convert("L")
        elif kind == "16 bits":
            image = Image.fromarray(pixels.astype(np.uint16) * 257)
        elif kind == "floats":
            name, image = (
                f"{number}.tif",
                Image.fromarray(np.maximum(pixels, [[1.5], [0], [0], [0]]).astype(np.float32)),
            )
            Image.fromarray(np.asarray(image).round().astype(np.uint8)).convert("RGB").save(real / f"{number}.png")
        elif kind == "transparent":
            image.putalpha(Image.fromarray(np.where(pixels > 128, 255, 0).astype(np.uint8)))
            white = np.where(pixels > 128, pixels, 255).astype(np.uint8)
            Image.fromarray(white).convert("RGB").save(real / f"{number}.png")
        elif kind == "capitals":
            name = f"{number}.PNG"
        else:
            (made / f"._{number}.png").write_bytes(b"\0\5\x16\7")
            (made / ".DS_Store").touch()
        image.save(made / name, **options)
    assert abs(distance(made, real)) < 1e-3


def test_what_is_no_picture_is_named(tmp_path, real, caplog):
    (real / "notes.txt").touch()
    (real / "list.csv").touch()
    with caplog.at_level(logging.WARNING):
        assert abs(distance(real, real)) < 1e-3
    assert "2 files are left out, being no pictures by their names: list.csv, notes.txt" in caplog.text
    (real / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(UserError, match=r"photo.heic: not a readable picture .* cannot be read here \(HEIC\)"):
        distance(real, real)
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").touch()
    with pytest.raises(UserError, match="holds no .png or .jpg pictures, .*; its 1 files are of other kinds: a.txt"):
        distance(real, texts)

"""Folders of pictures against each other: nothing is passed over, and one picture is the same in every kind of file."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from scenograph.cli.main import app
from scenograph.data.pictures import pictures_in
from scenograph.errors import UserError
from scenograph.evaluation.encoders import Encoder
from scenograph.evaluation.folders import folder_figures

COUNT = 8


class Pixels(Encoder):
    """Features that are the pixels themselves, of larger pictures those of a corner."""

    name, digest = "classifier", "0" * 64

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, None]:
        return pixels[:, :4, :4].reshape(len(pixels), -1).astype(np.float32) / 255, None


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


class Classes(Encoder):
    """Inception's interface, with a class per row of the picture's brightness."""

    name, digest = "inception", "0" * 64

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features = pixels.reshape(len(pixels), -1).astype(np.float32) / 255
        chances = np.exp(8 * features[:, :4])
        return features, chances / chances.sum(axis=1, keepdims=True)


def test_of_one_folder_the_inception_score_is_measured(real):
    (score,) = folder_figures(real, None, Classes(), 2, lambda *_: None)
    both = folder_figures(real, real, Classes(), 2, lambda *_: None)
    assert score == both[-1] and score.name == "inception_score" and score.count == COUNT and 1 < score.value <= 4
    with pytest.raises(UserError, match="of one folder only the Inception Score is measured: --encoder inception"):
        folder_figures(real, None, Pixels(), 1, lambda *_: None)
    with pytest.raises(UserError, match="of 9 splits needs at least as many pictures"):
        folder_figures(real, None, Classes(), 9, lambda *_: None)


def test_drawings_and_sheets_beside_pictures_are_left_out(tmp_path, caplog):
    folder = tmp_path / "pictures"
    scene = [{"objects": ["cube", "sphere"], "relationships": [[0, "left of", 1]]}] * 2
    (tmp_path / "scene.json").write_text(json.dumps(scene))
    (folder / "graph-and-sheet").mkdir(parents=True)
    kept = [folder / name for name in ("my-layout.png", "wall-graph.png", "graph-and-sheet/contact-sheet.png")]
    for path in kept:
        Image.new("RGB", (64, 64)).save(path)
    asked = [
        "generate",
        str(tmp_path / "scene.json"),
        "--seeds",
        "0-1",
        "--steps",
        "1",
        "--draw-graph",
        "--draw-layout",
    ]
    result = CliRunner().invoke(app, [*asked, "--out", str(folder), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    names = {path.name for path in folder.glob("*.png")}
    assert {"scene-sheet.png", "scene-0-graph.png", "scene-1-seed1-layout.png"} <= names
    pictures, others = pictures_in(folder)
    generated = [folder / f"scene-{number}-seed{seed}.png" for number in (0, 1) for seed in (0, 1)]
    assert set(pictures) == {*kept, *generated} and len(others) == 7
    with caplog.at_level(logging.WARNING):
        assert folder_figures(folder, folder, Pixels(), 1, lambda *_: None)[0].count == 7
    assert "7 files are left out" in caplog.text
